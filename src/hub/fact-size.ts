import { createHash } from 'node:crypto';
import type { Fact } from '../model/event.js';
import type { Json } from '../model/json.js';

/**
 * How large one fact may be: what a venue says becomes frames that subscribers must be able to take, so that no text
 * of a venue's may make one which nobody can. Texts are cut, names of facts become digests, and only what is too large
 * even then loses its attributes.
 */

/** Characters of one text of a fact; what lies beyond is cut off. */
export const MAX_TEXT_CHARACTERS = 2_048;
/** Estimated bytes of one fact's data: far below what a subscriber may leave unread (256 KiB). */
export const MAX_FACT_BYTES = 32 * 1024;
/** Characters of a fact's own name, and of a session's token. */
export const MAX_NAME_CHARACTERS = 256;

const CUT = '…';
/** What a value costs beside its characters. */
const VALUE_BYTES = 16;
/** Deeper than this nothing of ours is nested; what a venue nests deeper is left out. */
const MAX_DEPTH = 16;

export interface Fitted {
  /** `undefined`: nothing of it can be told. */
  readonly fact: Fact | undefined;
  /** Estimated. */
  readonly bytes: number;
  /** Something was left out that may have meant something: the source is at fault. */
  readonly faulty: boolean;
}

/** The fact as it may be told. The same one where it is small, which nearly all are. Never throws. */
export function fitFact(fact: Fact): Fitted {
  try {
    return shorten(fact);
  } catch {
    // What cannot even be looked at is for whoever takes it in to tell of.
    return { fact, bytes: MAX_FACT_BYTES, faulty: false };
  }
}

function shorten(fact: Fact): Fitted {
  if (fact.session.length > MAX_NAME_CHARACTERS) return { fact: undefined, bytes: 0, faulty: true };
  const named = shortName(fact);
  const bytes = sum(named.data, 0, MAX_TEXT_CHARACTERS, Number.POSITIVE_INFINITY);
  if (bytes <= MAX_FACT_BYTES) return { fact: named, bytes, faulty: false };
  const cut = cutTexts(named.data, 0);
  const cutBytes = weigh(cut);
  if (cutBytes <= MAX_FACT_BYTES) return { fact: { ...named, data: cut } as Fact, bytes: cutBytes, faulty: false };
  const bare = withoutFreeParts(cut);
  const bareBytes = weigh(bare);
  if (bareBytes > MAX_FACT_BYTES) return { fact: undefined, bytes: 0, faulty: true };
  return { fact: { ...named, data: bare } as Fact, bytes: bareBytes, faulty: true };
}

/** What a value costs in memory, estimated from its texts and the number of its parts. */
export function weigh(value: unknown): number {
  return sum(value, 0, Number.POSITIVE_INFINITY, VALUE_BYTES);
}

/** Infinite where a text is longer than `longest`; `beyond` is what a part counts that is nested too deeply to be told. */
function sum(value: unknown, depth: number, longest: number, beyond: number): number {
  if (typeof value === 'string') return value.length > longest ? Number.POSITIVE_INFINITY : VALUE_BYTES + value.length;
  if (typeof value !== 'object' || value === null) return VALUE_BYTES;
  if (depth > MAX_DEPTH) return beyond;
  let bytes = VALUE_BYTES;
  if (!Array.isArray(value)) for (const name of Object.keys(value)) bytes += name.length;
  for (const one of Object.values(value)) bytes += sum(one, depth + 1, longest, beyond);
  return bytes;
}

function shortName(fact: Fact): Fact {
  const { key } = fact;
  if (key === undefined || key.length <= MAX_NAME_CHARACTERS) return fact;
  return { ...fact, key: `sha256:${createHash('sha256').update(key).digest('base64url')}` };
}

function cutTexts(value: unknown, depth: number): unknown {
  if (typeof value === 'string')
    return value.length <= MAX_TEXT_CHARACTERS ? value : `${value.slice(0, MAX_TEXT_CHARACTERS - 1)}${CUT}`;
  if (typeof value !== 'object' || value === null) return value;
  if (depth > MAX_DEPTH) return null;
  if (Array.isArray(value)) return value.map((one) => cutTexts(one, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, cutTexts(one, depth + 1)]));
}

/** Parts that hold whatever a venue says; everything else has a fixed number of fields. */
const FREE_PARTS: Readonly<Record<string, Json>> = { attributes: {}, changed: {} };

function withoutFreeParts(data: unknown): unknown {
  if (typeof data !== 'object' || data === null) return data;
  return Object.fromEntries(Object.entries(data).map(([name, value]) => [name, FREE_PARTS[name] ?? value]));
}
