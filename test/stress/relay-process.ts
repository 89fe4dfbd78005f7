import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import {
  type EntryRequest,
  entryAnswer,
  type Measure,
  measure,
  type RememberedAnswer,
  rememberedAnswer,
} from './entry-options.js';

/** A relay that runs as a process of its own. */
export interface RelayProcess {
  readonly pid: number;
  readonly port: number;
  readonly url: string;
  readonly transport: 'uws' | 'ws';
  readonly isRunning: boolean;
  /** Lines of its log at level `error`, and whatever is no log line at all. */
  readonly complaints: readonly string[];
  readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  /** SIGKILL; resolves when the kernel has taken it away. */
  kill(): Promise<void>;
  /** SIGTERM: it drains. */
  terminate(): void;
  measure(): Promise<Measure>;
  /** The fountain's events a second; resolves when what it told before is committed. */
  rate(rate: number): Promise<void>;
  jump(byMs: number): Promise<void>;
  /** What a relay that remembers has published, from an index on; the cursor before the first of all. */
  remembered(from: number): Promise<RememberedAnswer>;
  /** One GET over a connection of its own, which leaves nothing open behind it. */
  get(path: string, token?: string): Promise<{ readonly status: number; readonly body: unknown }>;
}

export interface SpawnOptions {
  /** The script and its arguments. */
  readonly args: readonly string[];
  /** Called at once, before it is ready: whoever ends the run ends it too. */
  readonly spawned: (child: ChildProcess) => void;
  readonly patienceMs?: number;
}

const PATIENCE_MS = 20_000;
const ANSWER_MS = 20_000;
const MAX_COMPLAINTS = 20;

const ready = z.looseObject({ listening: z.string(), transport: z.enum(['uws', 'ws']) });
const logLine = z.looseObject({ level: z.number(), msg: z.string() });
/** pino's `error`. */
const ERROR_LEVEL = 50;

/** Resolves when it listens; rejects, with what it said, where it does not. */
export async function spawnRelay({ args, spawned, patienceMs = PATIENCE_MS }: SpawnOptions): Promise<RelayProcess> {
  const child = spawn(process.execPath, ['--expose-gc', '--enable-source-maps', ...args], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  spawned(child);
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error('a child without its pipes');
  const complaints: string[] = [];
  const exited = new Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
  let isRunning = true;
  void exited.then(() => {
    isRunning = false;
    for (const [, { reject }] of pending) reject(new Error('the relay process is gone'));
    pending.clear();
  });
  createInterface({ input: stderr }).on('line', (line) => {
    if (complaints.length < MAX_COMPLAINTS && isComplaint(line)) complaints.push(line);
  });

  const pending = new Map<
    number,
    { readonly resolve: (answer: unknown) => void; readonly reject: (why: Error) => void }
  >();
  child.on('message', (message) => {
    const { id } = entryAnswer.parse(message);
    pending.get(id)?.resolve(message);
    pending.delete(id);
  });
  let asked = 0;
  const ask = async (what: DistributiveOmit<EntryRequest, 'id'>): Promise<unknown> => {
    const id = ++asked;
    let late: NodeJS.Timeout | undefined;
    try {
      return await new Promise((resolve, reject) => {
        late = setTimeout(() => reject(new Error(`no answer to ${what.ask} in ${ANSWER_MS} ms`)), ANSWER_MS);
        pending.set(id, { resolve, reject });
        child.send({ ...what, id });
      });
    } finally {
      clearTimeout(late);
    }
  };

  const firstLine = once(createInterface({ input: stdout }), 'line', {
    signal: AbortSignal.timeout(patienceMs),
  }).then(([line]) => ready.parse(JSON.parse(String(line))));
  const { listening: url, transport } = await Promise.race([
    firstLine,
    exited.then(({ code, signal }) => {
      throw new Error(`the relay ended with ${code ?? signal} before it listened: ${complaints.join('\n')}`);
    }),
  ]);

  return {
    pid: child.pid ?? 0,
    port: Number(new URL(url).port),
    url,
    transport,
    get isRunning() {
      return isRunning;
    },
    complaints,
    exited,
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
    terminate: () => void child.kill('SIGTERM'),
    measure: async () => measure.parse(await ask({ ask: 'measure' })),
    rate: async (rate) => void (await ask({ ask: 'rate', rate })),
    remembered: async (from) => rememberedAnswer.parse(await ask({ ask: 'remembered', from })),
    jump: async (byMs) => void (await ask({ ask: 'jump', byMs })),
    get: (path, token) => get(`${url}${path}`, token),
  };
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

function isComplaint(line: string): boolean {
  try {
    return logLine.parse(JSON.parse(line)).level >= ERROR_LEVEL;
  } catch {
    return true;
  }
}

function get(url: string, token: string | undefined): Promise<{ readonly status: number; readonly body: unknown }> {
  return new Promise((resolve, reject) => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const asking = request(url, { agent: false, headers, timeout: ANSWER_MS }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', reject);
      response.on('end', () => {
        try {
          resolve({ status: response.statusCode ?? 0, body: JSON.parse(String(Buffer.concat(parts))) });
        } catch (thrown) {
          reject(thrown instanceof Error ? thrown : new Error(String(thrown)));
        }
      });
    });
    asking.on('timeout', () => asking.destroy(new Error(`no answer from ${url} in ${ANSWER_MS} ms`)));
    asking.on('error', reject);
    asking.end();
  });
}
