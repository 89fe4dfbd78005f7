import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { simulators } from '../simulators/index.js';
import type { Simulator } from '../simulators/simulator.js';
import { folderOf, hostOf, parseFlags, portOf, type Subcommand, seedOf, usageError } from './args.js';
import { startConfigured } from './assemble.js';
import { isLoopback, parseConfig } from './config.js';
import { runServer } from './server.js';

const DEFAULT_SCENARIO = 'day';
const DEFAULT_SEED = 1;
/** Whoever ends a demo does not want to wait for its subscribers. */
const DRAIN = '5s';

export const demoCommand: Subcommand = {
  name: 'demo',
  usage: '[--port 8080] [--host 127.0.0.1] [--scenario NAME] [--seed N] [--data DIR] [--workers N|auto]',
  summary: 'The relay with all simulators behind it, playing a scripted day of incidents.',
  async run(args, context) {
    const { values } = parseFlags(
      args,
      {
        port: { type: 'string', default: '8080' },
        host: { type: 'string', default: '127.0.0.1' },
        scenario: { type: 'string', default: DEFAULT_SCENARIO },
        seed: { type: 'string', default: String(DEFAULT_SEED) },
        data: { type: 'string' },
        workers: { type: 'string', default: '1' },
      },
      { least: 0, most: 0 },
    );
    const host = hostOf(values.host);
    if (!isLoopback(host)) {
      throw usageError(`--host ${host}: the demo has no auth and serves this machine only: use a loopback address`);
    }
    const port = portOf(values.port);
    const seed = seedOf(values.seed);
    const { scenario } = values;
    const data = values.data === undefined ? temporaryFolder() : { path: resolve(folderOf(values.data)), remove() {} };
    const running: Simulator[] = [];
    try {
      for (const start of Object.values(simulators)) running.push(await start({ seed, scenario }));
      const config = parseConfig(
        stringify({
          listen: { host, port },
          drain: { timeout: DRAIN },
          journal: { path: data.path },
          log: { level: 'warn' },
          sources: running.map(({ source }) => source),
        }),
        { env: {}, file: 'demo', flags: { workers: values.workers } },
      );
      const { stderr, signal } = context;
      const started = await startConfigured(config, { stderr, signal, everyCommand: true });
      if (started === undefined) return 0;
      const { relay } = started;
      for (const { venue, source, sendWebhooksTo } of running)
        sendWebhooksTo?.(`${relay.url}/v1/hooks/${venue}/${String(source.id)}`);
      const simulated = running.map(({ venue, url }) => ({ venue, url }));
      return await runServer(relay, context, {
        drainTimeoutMs: config.drain.timeout,
        extra: { scenario, seed, simulators: simulated },
      });
    } finally {
      data.remove();
      await Promise.all(running.map((simulator) => simulator.close()));
    }
  },
};

/** A fresh folder that goes with the process, by whichever of its ends but `kill -9`. */
function temporaryFolder(): { readonly path: string; readonly remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'session-relay-demo-'));
  const remove = (): void => {
    process.off('exit', remove);
    rmSync(path, { recursive: true, force: true });
  };
  process.on('exit', remove);
  return { path, remove };
}
