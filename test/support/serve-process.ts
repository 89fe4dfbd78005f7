import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { z } from 'zod';

/** `session-relay serve` as a process of its own, whose configuration a test may write again. */
export interface ServeProcess {
  readonly url: string;
  readonly child: ChildProcess;
  /** Its log so far, a line of JSON each. */
  readonly log: () => readonly LogLine[];
  /** Writes the configuration, sends SIGHUP, and resolves with the line that says what became of it. */
  reload(config: object | string): Promise<LogLine>;
  /** Resolves with the first line from `from` on that is accepted. */
  logged(accept: (line: LogLine) => boolean, from?: number): Promise<LogLine>;
  readonly exited: Promise<number | null>;
}

export type LogLine = Readonly<Record<string, unknown>> & { readonly level: number; readonly msg: string };

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const ready = z.looseObject({ listening: z.string() });
const line = z.looseObject({ level: z.number(), msg: z.string() });
const OUTCOMES = ['the configuration was read again', 'the configuration could not be taken over: nothing has changed'];

const cleanups: (() => unknown)[] = [];

/** For `afterEach`: ends what a test left running, also one that failed. */
export async function endServeProcesses(): Promise<void> {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
}

/** `folder`: where the configuration stands, and its journal beside it. */
export async function startServe(
  config: object,
  options: { readonly folder?: string; readonly args?: readonly string[] } = {},
): Promise<ServeProcess> {
  const folder = options.folder ?? temporaryFolder();
  const file = join(folder, 'relay.yaml');
  const write = (next: object | string): void =>
    writeFileSync(file, typeof next === 'string' ? next : stringify({ journal: { path: 'data' }, ...next }));
  write(config);
  const args = [main, 'serve', '--config', file, '--port', '0', ...(options.args ?? [])];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  cleanups.push(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  const log: LogLine[] = [];
  const waiting = new Set<() => void>();
  createInterface({ input: child.stderr }).on('line', (text) => {
    globalThis.__secretSweep?.look('the stderr of a process', text);
    const parsed = line.safeParse(jsonOf(text));
    log.push(parsed.success ? parsed.data : { level: 0, msg: text });
    for (const look of [...waiting]) look();
  });
  const logged: ServeProcess['logged'] = (accept, from = 0) =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const found = log.slice(from).find(accept);
        if (found === undefined) return;
        waiting.delete(look);
        resolve(found);
      };
      waiting.add(look);
      look();
      void exited.then((code) => reject(new Error(`it ended with ${code}: ${log.map(({ msg }) => msg).join(' | ')}`)));
    });
  const { value } = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next();
  const { listening: url } = ready.parse(jsonOf(String(value)));
  return {
    url,
    child,
    exited,
    log: () => log,
    logged,
    reload(next) {
      const from = log.length;
      write(next);
      child.kill('SIGHUP');
      return logged(({ msg }) => OUTCOMES.includes(msg), from);
    },
  };
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'serve-'));
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
