import type { Log } from '../../src/net/log.js';

/**
 * Every credential that tests and simulators use is known here, and searched for in everything that the product writes
 * in a test run (`secrets-setup.ts`): log lines, errors, events and what is remembered beside them, frames, HTTP bodies,
 * and the output of the command line and of child processes. `test/security/sweep.test.ts` proves that a leak is found,
 * and that no credential that is written in a test is missing here.
 *
 * A new credential is listed here, or passed through {@link secret} where it is made. Shorter than
 * {@link MIN_SECRET_CHARACTERS} it cannot be told from other text: make it longer.
 */
export const MIN_SECRET_CHARACTERS = 8;

const LISTED: readonly string[] = [
  // The simulators' own.
  'SIMULATOR-SECRET',
  'SIMULATOR-PASSWORD',
  'SIMULATOR-SECRET-KEY',
  'SIMULATOR-CONSUMER-KEY',
  'SIMULATOR-WEBHOOK-SECRET',
  // Of tests of the venues.
  'AMANDASECRET',
  'correct horse',
  'consumer-key-of-the-partner',
  'secret-of-customer-1',
  'secret-of-anna',
  'secret-of-bert',
  'secret-of-carl',
  'secret-of-plain',
  'another-secret',
  'deprecated-but-still-there',
  '0123456789abcdef0123456789abcdef',
  'feedfacefeedfacefeedface',
  'sid-of-login-',
  '.ACCESS',
  '.REFRESH',
  'another key',
  'a-consumer-key_1',
  'secret/with=signs&more',
  'SCNsZYmJcuXRiznplDdL',
  's-e-c-r-e-t',
  'given-by-hand',
  'secret-key',
  'secret-1',
  'secret-2',
  's3cr3t-value',
  'outside the page',
  '1796961742820.1X8iNX52',
  '1796961742820.1TsgfAFL',
  '0'.repeat(32),
  'f'.repeat(32),
  // Of the subscribers.
  'a secret of at least thirty-two bytes',
];

/** Where something was found, without the secret itself. */
export interface Leak {
  readonly where: string;
  /** What stands around it, masked. */
  readonly excerpt: string;
}

export interface Sweep {
  /** From now on this is searched for. */
  add(secret: string): void;
  /** Searches a text, an error with its causes, or anything that JSON can say. */
  look(where: string, what: unknown): void;
  /** The same log, which is looked at before it is written. */
  log(log: Log): Log;
  /** What was found since the last call. */
  take(): readonly Leak[];
}

/** What is shown beside a secret. */
const AROUND = 60;
/** Leaks of one file that are kept. */
const MAX_LEAKS = 20;
const MASK = '<the secret>';

export function createSweep(secrets: readonly string[] = LISTED): Sweep {
  const known = createFinder();
  const logs = new WeakMap<Log, Log>();
  const leaks: Leak[] = [];

  const sweep: Sweep = {
    add(one) {
      if (one.length < MIN_SECRET_CHARACTERS && !secrets.includes(one))
        throw new Error(`a secret of ${one.length} characters cannot be told from other text: make it longer`);
      for (const form of formsOf(one)) known.add(form);
    },
    look(where, what) {
      if (leaks.length >= MAX_LEAKS) return;
      const text = textOf(what);
      const found = known.find(text, 0);
      if (found === undefined) return;
      const { at, length } = found;
      const excerpt = `${text.slice(Math.max(0, at - AROUND), at)}${MASK}${text.slice(at + length, at + AROUND * 2)}`;
      leaks.push({ where, excerpt: masked(known, excerpt) });
    },
    log(given) {
      let shown = logs.get(given);
      if (shown === undefined) {
        const level = (name: keyof Log) => (message: string, fields?: Readonly<Record<string, unknown>>) => {
          sweep.look(`a log line (${name})`, message);
          for (const field of Object.values(fields ?? {})) sweep.look(`a log line (${name})`, field);
          given[name](message, ...(fields === undefined ? [] : [fields]));
        };
        shown = { debug: level('debug'), info: level('info'), warn: level('warn'), error: level('error') };
        logs.set(given, shown);
      }
      return shown;
    },
    take: () => leaks.splice(0),
  };
  for (const one of secrets) sweep.add(one);
  return sweep;
}

/** As it is, as a URL or a form has it, and in base64. */
function formsOf(secret: string): readonly string[] {
  const encoded = encodeURIComponent(secret);
  const base64 = Buffer.from(secret).toString('base64').replace(/=+$/, '');
  return [secret, encoded, encoded.replaceAll('%20', '+'), base64.length > secret.length ? base64 : secret];
}

interface Finder {
  add(form: string): void;
  find(text: string, from: number): { readonly at: number; readonly length: number } | undefined;
}

/** Characters that a candidate is known by. */
const PREFIX = 4;
const SLOTS = 1 << 16;

/**
 * Hundreds of secrets are searched for in all that a test run writes: only where four characters look like the start of
 * one is there anything to compare.
 */
function createFinder(): Finder {
  /** Simulators give out thousands that begin alike: whole forms, by how long they are. */
  const byPrefix = new Map<string, Map<number, Set<string>>>();
  const isCandidate = new Uint8Array(SLOTS);
  // Four steps on, nothing is left of a character: the state is that of the last four.
  const next = (state: number, code: number): number => (state << 8) ^ code;
  const slotOf = (state: number): number => Math.imul(state, 0x9e3779b1) >>> 16;
  return {
    add(form) {
      const prefix = form.slice(0, PREFIX);
      const byLength = byPrefix.get(prefix) ?? new Map<number, Set<string>>();
      byPrefix.set(prefix, byLength);
      const forms = byLength.get(form.length) ?? new Set<string>();
      byLength.set(form.length, forms);
      forms.add(form);
      let state = 0;
      for (let index = 0; index < PREFIX; index++) state = next(state, prefix.charCodeAt(index));
      isCandidate[slotOf(state)] = 1;
    },
    find(text, from) {
      let state = 0;
      for (let index = from; index < text.length; index++) {
        state = next(state, text.charCodeAt(index));
        if (isCandidate[slotOf(state)] === 0) continue;
        const at = index - PREFIX + 1;
        if (at < from) continue;
        for (const [length, forms] of byPrefix.get(text.slice(at, at + PREFIX)) ?? [])
          if (forms.has(text.slice(at, at + length))) return { at, length };
      }
      return undefined;
    },
  };
}

function masked(known: Finder, text: string): string {
  let shown = '';
  let from = 0;
  for (let found = known.find(text, 0); found !== undefined; found = known.find(text, from)) {
    shown += text.slice(from, found.at) + MASK;
    from = found.at + found.length;
  }
  return shown + text.slice(from);
}

function textOf(what: unknown): string {
  if (typeof what === 'string') return what;
  try {
    return what instanceof Error ? textOfError(what) : (JSON.stringify(what) ?? '');
  } catch {
    return ''; // what JSON cannot say is written by nobody
  }
}

/** Message, fields and causes; a stack begins with the message. */
function textOfError(error: Error): string {
  const parts: string[] = [];
  const seen = new Set<unknown>();
  let at: unknown = error;
  while (at instanceof Error && !seen.has(at)) {
    seen.add(at);
    const { cause, ...fields } = at;
    parts.push(at.message, JSON.stringify(fields) ?? '');
    at = cause ?? at.cause;
  }
  if (at !== undefined && !(at instanceof Error)) parts.push(String(JSON.stringify(at)));
  return parts.join(' ');
}

declare global {
  /** Set by `secrets-setup.ts`; `secrets-plugin.ts` makes the product's own code call it. */
  var __secretSweep: Sweep | undefined;
}

/** A credential that a test makes: it is searched for from now on. */
export function secret(value: string): string {
  globalThis.__secretSweep?.add(value);
  return value;
}

/**
 * Runs a task whose output holds a credential because it must (a command that prints one): what is found meanwhile does
 * not count, and something must be found. Say why in the test's name.
 */
export async function withSecretShown<T>(task: () => Promise<T>): Promise<T> {
  const sweep = globalThis.__secretSweep;
  const before = sweep?.take() ?? [];
  if (before.length > 0) throw new Error(`leaked before: ${JSON.stringify(before)}`);
  let shown: readonly Leak[] | undefined;
  const result = await task().finally(() => {
    shown = sweep?.take();
  });
  if (shown?.length === 0) throw new Error('nothing was shown: the exemption is not needed');
  return result;
}
