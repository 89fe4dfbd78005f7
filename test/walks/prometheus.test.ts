import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { cli, endCliRuns } from '../support/cli-run.js';
import { example } from '../support/readme.js';

/**
 * README, "Prometheus": its configuration, in a real Prometheus, pointed at the demo. Only ports differ, and times are
 * shorter: rules are looked at each second, and `SessionUnsafe` waits for one.
 */
const root = fileURLToPath(new URL('../../', import.meta.url));
const hasPrometheus = ['prometheus', 'promtool'].every((name) => spawnSync(name, ['--version']).status === 0);
if (!hasPrometheus) {
  const what = 'Prometheus is not installed (Debian: apt-get install prometheus): its walk in README is not tried';
  if (process.env.CI === 'true') throw new Error(what);
  process.stderr.write(`\nSKIPPED: ${what}\n`);
}

const RULES = 'src/http/observability/prometheus-alerts.yaml';
const TIMEOUT_MS = 120_000;
const alertsReply = z.object({
  data: z.object({
    alerts: z.array(
      z.object({ state: z.string(), labels: z.looseObject({ alertname: z.string(), venue: z.string().optional() }) }),
    ),
  }),
});

const folders: string[] = [];
const children: ChildProcess[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) {
    const gone = new Promise((resolve) => child.once('exit', resolve));
    if (child.exitCode === null && child.signalCode === null && child.kill('SIGKILL')) await gone;
  }
  await endCliRuns();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** The README's file and the rules that it names, in a folder of their own. */
function lay(edit: { readonly config: (text: string) => string; readonly rules: (text: string) => string }): string {
  const folder = mkdtempSync(join(tmpdir(), 'prometheus-walk-'));
  folders.push(folder);
  writeFileSync(join(folder, 'prometheus.yml'), edit.config(example('prometheus')));
  mkdirSync(join(folder, dirname(RULES)), { recursive: true });
  writeFileSync(join(folder, RULES), edit.rules(readFileSync(join(root, RULES), 'utf8')));
  return folder;
}

describe.skipIf(!hasPrometheus)('Prometheus', () => {
  test('takes the configuration and the rules as they are', () => {
    const folder = lay({ config: (text) => text, rules: (text) => text });
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'config', 'prometheus.yml'], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect(stdout + stderr).toContain('rules found');
    expect(status).toBe(0);
  });

  test(
    'fires SessionUnsafe in the demo, for the venue that it is about',
    async () => {
      const demo = cli(['demo', '--port', '0']);
      await demo.until(() => demo.lines().length > 0);
      const { listening: url } = z.object({ listening: z.string() }).parse(JSON.parse(demo.lines()[0] ?? ''));
      const folder = lay({
        config: (text) =>
          text.replace('127.0.0.1:8080', new URL(url).host).replaceAll(/_interval: \d+s/g, '_interval: 1s'),
        rules: (text) => text.replace('for: 60s', 'for: 1s'),
      });
      const prometheus = spawn(
        'prometheus',
        ['--config.file=prometheus.yml', '--web.listen-address=127.0.0.1:0', '--storage.tsdb.path=data'],
        { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] },
      );
      children.push(prometheus);
      const port = await portOf(prometheus);
      const firing: string[] = [];
      while (firing.length === 0) {
        const reply = await fetch(`http://127.0.0.1:${port}/api/v1/alerts`);
        // 503 while it starts.
        const { alerts } = reply.ok ? alertsReply.parse(await reply.json()).data : { alerts: [] };
        for (const { state, labels } of alerts)
          if (state === 'firing' && labels.alertname === 'SessionUnsafe') firing.push(labels.venue ?? '');
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
      const metrics = await (await fetch(`${url}/metrics`)).text();
      for (const venue of firing) {
        expect(venue).not.toBe('snaptrade');
        expect(metrics).toMatch(
          new RegExp(`session_relay_safety\\{venue="${venue}",kind="\\w+",level="unsafe"\\} [1-9]`),
        );
      }
    },
    TIMEOUT_MS,
  );
});

/** Prometheus tells its port in its log. */
function portOf({ stderr }: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let log = '';
    stderr?.on('data', (chunk: Buffer) => {
      log += chunk.toString('utf8');
      const [, port] = /Listening on" address=127\.0\.0\.1:(\d+)/.exec(log) ?? [];
      if (port !== undefined) resolve(port);
    });
    stderr?.once('end', () => reject(new Error(`Prometheus does not listen: ${log.slice(-2_000)}`)));
  });
}
