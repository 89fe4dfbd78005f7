import type { CommandContext } from '../../src/cli/args.js';
import { run } from '../../src/cli/run.js';

/** One command of the command line, run in this process with everything outside it captured. */
export interface CliRun {
  /** The exit code. */
  readonly code: Promise<number>;
  stdout(): string;
  stderr(): string;
  /** Whole lines of stdout so far. */
  lines(): readonly string[];
  /** Resolves once the condition holds; looked at after each write. Rejects where the command ends before. */
  until(condition: () => boolean): Promise<void>;
  /** As the first SIGTERM does. */
  stop(): void;
  /** As the second SIGTERM does. */
  hurry(): void;
  /** As SIGHUP does; throws where the command does not take it, which would end the process. */
  hangUp(): void;
}

export interface CliOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly isTTY?: boolean;
  /** What a person answers; without it nobody can be asked. */
  readonly answer?: string;
  /** Notes each question. */
  readonly asked?: (question: string) => void;
}

const running = new Set<CliRun>();

export function cli(args: readonly string[], options: CliOptions = {}): CliRun {
  const stop = new AbortController();
  const hurry = new AbortController();
  const hangups = new Set<() => void>();
  const written = { stdout: '', stderr: '' };
  const waiting = new Set<() => void>();
  let ended: number | undefined;
  const look = (): void => {
    for (const check of [...waiting]) check();
  };
  const output = (name: 'stdout' | 'stderr') => ({
    isTTY: options.isTTY,
    write(text: string): void {
      globalThis.__secretSweep?.look(`the ${name} of the command line`, text);
      written[name] += text;
      look();
    },
  });
  const { answer, asked } = options;
  const ask = (question: string): Promise<string> => {
    asked?.(question);
    return Promise.resolve(answer ?? '');
  };
  const context: CommandContext = {
    env: options.env ?? {},
    stdout: output('stdout'),
    stderr: output('stderr'),
    ...(answer === undefined ? {} : { ask }),
    signal: stop.signal,
    hurry: hurry.signal,
    onHangup: (task) => void hangups.add(task),
  };
  const code = run(args, context).finally(() => {
    running.delete(one);
  });
  const one: CliRun = {
    code,
    stdout: () => written.stdout,
    stderr: () => written.stderr,
    lines: () => written.stdout.split('\n').slice(0, -1),
    until: (condition) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          if (condition()) resolve();
          else if (ended !== undefined) {
            reject(new Error(`ended with ${ended} before the condition held: ${written.stdout} ${written.stderr}`));
          } else return;
          waiting.delete(check);
        };
        waiting.add(check);
        check();
      }),
    stop: () => stop.abort('SIGTERM'),
    hurry: () => hurry.abort('SIGTERM'),
    hangUp() {
      if (hangups.size === 0) throw new Error('SIGHUP ends this command');
      for (const task of hangups) task();
    },
  };
  code.then(
    (value) => {
      ended = value;
      look();
    },
    () => undefined,
  );
  running.add(one);
  return one;
}

/** For `afterEach`: ends what a test left running, also one that failed. */
export async function endCliRuns(): Promise<void> {
  for (const one of [...running]) {
    one.stop();
    one.hurry();
    await one.code;
  }
}
