import { type ParseArgsConfig, parseArgs } from 'node:util';
import { ConfigError, messageOf } from '../errors.js';

/** What a command is run with: everything outside it, so that a test can run one in-process. */
export interface CommandContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: Output;
  readonly stderr: Output;
  /** Asks a person; `undefined` where nobody can be asked. An empty answer where the person went away. */
  readonly ask?: (question: string) => Promise<string>;
  /** Aborted by the first SIGINT or SIGTERM: end as one should. */
  readonly signal: AbortSignal;
  /** Runs `task` on every SIGHUP from now on; where nobody asks for it, SIGHUP ends the process. */
  readonly onHangup?: (task: () => void) => void;
  /** Aborted by the second one, with the signal's name as its reason: end now. */
  readonly hurry: AbortSignal;
}

export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  /** The size of a terminal. */
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
}

/** One subcommand. Resolves with the exit code. */
export interface Subcommand {
  readonly name: string;
  /** The arguments as the usage line shows them. */
  readonly usage: string;
  readonly summary: string;
  /** The exit code of every failure, where the command's own codes leave no other; default: by the kind of error. */
  readonly failure?: number;
  run(args: readonly string[], context: CommandContext): Promise<number>;
}

type Options = NonNullable<ParseArgsConfig['options']>;
type Parsed<T extends Options> = ReturnType<
  typeof parseArgs<{ args: string[]; options: T; allowPositionals: true; strict: true }>
>;

/** `parseArgs` of Node, whose errors become a {@link UsageError}: exit code 2. */
export function parseFlags<T extends Options>(
  args: readonly string[],
  options: T,
  positionals: { readonly least: number; readonly most: number },
): Parsed<T> {
  const parsed = attempt(() => parseArgs({ args: [...args], options, allowPositionals: true, strict: true }));
  const count = parsed.positionals.length;
  if (count < positionals.least) throw usageError('an argument is missing');
  if (count > positionals.most) {
    throw usageError(`one argument too many: ${parsed.positionals.slice(positionals.most).join(' ')}`);
  }
  return parsed;
}

/** Node's message may have several lines; one problem is one line. */
function attempt<T>(task: () => T): T {
  try {
    return task();
  } catch (cause) {
    throw usageError(messageOf(cause).replaceAll(/\s*\n\s*/g, ' '));
  }
}

/** Something wrong with the command line itself: the usage is shown with it. */
export class UsageError extends ConfigError {
  constructor(message: string) {
    super([{ key: '', message }]);
  }
}

export function usageError(message: string): UsageError {
  return new UsageError(message);
}

/** A port number, 0 to 65535. */
export function portOf(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535) throw usageError(`--port ${text}: a port is a number from 0 to 65535`);
  return port;
}

/** A seed: a whole number from 0. */
export function seedOf(text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw usageError(`--seed ${text}: a seed is a whole number from 0`);
  return Number(text);
}

/** An address to listen on; an IPv6 one may come in brackets, as in a URL. */
export function hostOf(text: string): string {
  const host = text.replace(/^\[(.*)\]$/, '$1');
  if (host === '') throw usageError('--host: an address is missing');
  return host;
}

/** A folder for the journal. */
export function folderOf(text: string): string {
  if (text === '') throw usageError('--data: a folder is missing');
  return text;
}

/** Resolves when the signal is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
