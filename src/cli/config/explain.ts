import type { z } from 'zod';
import type { Path } from './locate.js';
import { isRecord } from './record.js';

/** What a schema found wrong, as one message a problem, at the key that a person must change. */
export interface Explanation {
  readonly path: Path;
  readonly message: string;
}

export interface ExplainOptions {
  /** Where the schema's value stands in the whole. */
  readonly prefix: Path;
  /** The whole. */
  readonly settings: unknown;
  /** The keys that are known at a path, to suggest one. */
  readonly keysAt: (path: Path) => readonly string[];
}

export function explain(issue: z.core.$ZodIssue, options: ExplainOptions): readonly Explanation[] {
  const path = [...options.prefix, ...issue.path.filter((part) => typeof part !== 'symbol')];
  const found = valueAt(options.settings, path);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...path, key], message: unknownKey(key, options.keysAt(path)) }));
  }
  if (found === undefined && issue.code !== 'custom') {
    const own = isOwnMessage(issue.message) ? `: ${issue.message}` : '';
    return [{ path, message: `is missing${own}` }];
  }
  if (issue.code === 'invalid_union') return explainUnion(issue, path, options);
  return [{ path, message: plain(issue.message) }];
}

/** Of several ways to write a value, the one that was most nearly followed is explained. */
function explainUnion(
  issue: z.core.$ZodIssueInvalidUnion,
  path: Path,
  options: ExplainOptions,
): readonly Explanation[] {
  // A branch that wants another kind of value altogether was not meant.
  const meant = issue.errors.filter(
    (branch) => !branch.some(({ path: at, code }) => at.length === 0 && isOfKind(code)),
  );
  const [best, ...others] = meant.toSorted((a, b) => weight(a) - weight(b));
  const isClear = best !== undefined && others.every((other) => weight(other) > weight(best));
  const isInside = best?.some((one) => one.path.length > 0 || one.code === 'unrecognized_keys') === true;
  const isOwn = isOwnMessage(issue.message);
  if (best !== undefined && isClear && (isInside || !isOwn)) {
    return best.flatMap((one) => explain(one, { ...options, prefix: path }));
  }
  if (isOwn) return [{ path, message: issue.message }];
  if ('options' in issue && issue.options !== undefined) {
    return [{ path, message: `expected one of ${issue.options.map((one) => JSON.stringify(one)).join('|')}` }];
  }
  const ways = issue.errors.flat().map(({ message }) => plain(message));
  return [{ path, message: ways.length === 0 ? plain(issue.message) : [...new Set(ways)].join(', or: ') }];
}

function isOfKind(code: z.core.$ZodIssue['code']): boolean {
  return code === 'invalid_type' || code === 'invalid_value';
}

function weight(branch: readonly z.core.$ZodIssue[]): number {
  return branch.reduce((sum, one) => sum + (one.code === 'unrecognized_keys' ? one.keys.length : 1), 0);
}

/** Whether a message was written for this key, and is not the schema library's own. */
function isOwnMessage(message: string): boolean {
  return !/^(Invalid|Too |Unrecognized)/.test(message);
}

/** The library's own words without their first ones: `expected string, received number`. */
function plain(message: string): string {
  return message.replace(/^Invalid (input|option): /, '');
}

function valueAt(value: unknown, path: Path): unknown {
  let at = value;
  for (const part of path) {
    if (Array.isArray(at) && typeof part === 'number') at = at[part];
    else if (isRecord(at) && Object.hasOwn(at, part)) at = at[part];
    else return undefined;
  }
  return at;
}

function unknownKey(key: string, known: readonly string[]): string {
  const suggestion = nearest(key, known);
  return `is no key that is known here${suggestion === undefined ? '' : `: did you mean ${suggestion}?`}`;
}

/** Typing errors that are forgiven: a third of the word, at most this many. */
const MAX_DISTANCE = 3;

/** The known word that was probably meant; `undefined` where none is near. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const most = Math.min(MAX_DISTANCE, Math.ceil(word.length / 3));
  const ranked = known
    .map((candidate) => ({ candidate, distance: distance(bare(word), bare(candidate)) }))
    .filter((one) => one.distance <= most)
    .toSorted((a, b) => a.distance - b.distance);
  return ranked[0]?.candidate;
}

/** `client_id`, `client-id` and `clientId` are one word. */
function bare(word: string): string {
  return word.toLowerCase().replaceAll(/[_-]/g, '');
}

/** Levenshtein's: how many letters must be put in, left out or changed. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const changed = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(changed, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
