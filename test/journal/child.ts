import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Retention } from '../../src/hub/journal/journal.js';

/** A relay as a process of its own (`child.mjs`, over `dist/`), for what only a kill or the kernel can do to one. */
export interface Child {
  readonly process: ChildProcess;
  /** The next line of stdout that was not taken yet, parsed; rejects where the process ended before. */
  line(): Promise<unknown>;
  readonly stderr: () => string;
  readonly exited: Promise<readonly [number | null, NodeJS.Signals | null]>;
  /** `kill -9`, and waits for the end. */
  kill(): Promise<void>;
}

export interface ChildOptions {
  readonly data: string;
  readonly sync?: 'interval' | 'always';
  /**
   * `relay` (default) serves, and prints its `url`; `library` prints the safety of its first session; `journal` is the
   * journal alone, which appends and drops without end and prints how far it is.
   */
  readonly mode?: 'relay' | 'library' | 'journal';
  readonly sessionCount?: number;
  /** What each event carries. */
  readonly textBytes?: number;
  readonly retention?: Retention;
  /** No file of the process may grow beyond so many KiB. */
  readonly fileKiB?: number;
}

const script = fileURLToPath(new URL('./child.mjs', import.meta.url));
const running = new Set<Child>();

export function startChild(options: ChildOptions): Child {
  const { fileKiB, ...rest } = options;
  const argument = JSON.stringify({ sync: 'interval', mode: 'relay', sessionCount: 4, textBytes: 50, ...rest });
  const command = [process.execPath, script, argument];
  // Node takes no notice of SIGXFSZ: a write beyond the limit fails, as on a full disk.
  const [file = '', ...args] =
    fileKiB === undefined ? command : ['bash', '-c', `ulimit -S -f ${fileKiB}; exec "$@"`, 'bash', ...command];
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const exited = once(child, 'exit').then(([code, signal]) => [code, signal] as const);
  const one: Child = {
    process: child,
    async line() {
      const { done, value } = await lines.next();
      if (done === true) throw new Error(`the child ended: ${stderr}`);
      return JSON.parse(value);
    },
    stderr: () => stderr,
    exited,
    async kill() {
      running.delete(one);
      child.kill('SIGKILL');
      await exited;
    },
  };
  running.add(one);
  return one;
}

/** For `afterEach`: ends what a test left running, also one that failed. */
export async function killChildren(): Promise<void> {
  for (const child of [...running]) await child.kill();
}
