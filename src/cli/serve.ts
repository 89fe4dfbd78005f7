import { folderOf, hostOf, parseFlags, portOf, type Subcommand, usageError } from './args.js';
import { startConfigured } from './assemble.js';
import { loadConfig, type RelayConfig } from './config.js';
import { createReloads } from './reload.js';
import { runServer } from './server.js';

export const serveCommand: Subcommand = {
  name: 'serve',
  usage: '--config FILE [--host H] [--port N] [--data DIR] [--workers N|auto] [--insecure]',
  summary:
    'The relay on real venues. Prints one JSON line when it listens; logs to stderr; SIGTERM drains, SIGHUP reads the file again.',
  async run(args, context) {
    const { values } = parseFlags(
      args,
      {
        config: { type: 'string' },
        host: { type: 'string' },
        port: { type: 'string' },
        data: { type: 'string' },
        workers: { type: 'string' },
        insecure: { type: 'boolean', default: false },
      },
      { least: 0, most: 0 },
    );
    if (values.config === undefined) throw usageError('--config FILE is missing');
    const { config: file } = values;
    const options = {
      env: context.env,
      insecure: values.insecure,
      flags: {
        ...(values.host === undefined ? {} : { 'listen.host': hostOf(values.host) }),
        ...(values.port === undefined ? {} : { 'listen.port': String(portOf(values.port)) }),
        ...(values.workers === undefined ? {} : { workers: values.workers }),
        ...(values.data === undefined ? {} : { 'journal.path': folderOf(values.data) }),
      },
    };
    const load = (): RelayConfig => loadConfig(file, options);
    // One that comes while the relay starts is remembered: the file may have changed since it was read.
    let isAsked = false;
    let reload = (): void => {
      isAsked = true;
    };
    context.onHangup?.(() => reload());
    const config = load();
    const started = await startConfigured(config, context);
    if (started === undefined) return 0;
    const { insecure } = values;
    const reloads = createReloads({ ...started, config, file, insecure, load, ending: context.signal });
    reload = reloads.ask;
    if (isAsked) reload();
    return runServer(started.relay, context, { drainTimeoutMs: config.drain.timeout });
  },
};
