import type { SessionRelayError } from '../errors.js';
import type { Fact } from '../model/event.js';
import type { Json } from '../model/json.js';
import type { SourceDescription } from '../venues/venue.js';
import { weigh } from './fact-size.js';

/** What waits to be taken in: facts that belong together, and who wants to know their cursor. */
export interface Arrival {
  readonly facts: readonly Fact[];
  readonly describe: (source: string) => SourceDescription | undefined;
  /** The venue that says it, `<venue>.<id>`; absent for what the hub itself says. */
  readonly origin?: string;
  /** What to remember, under which name, in the same transaction. It may speak of the cursor that the facts get. */
  readonly memory?: { readonly space: string; readonly entries: (cursor: string) => { readonly [key: string]: Json } };
  readonly committed?: (cursor: string) => void;
  /** It will never be committed: the relay stops, or took in no more. */
  readonly refused?: (why: SessionRelayError) => void;
}

/** Something to remember, and nothing to tell. */
export function remembering(space: string, entries: { readonly [key: string]: Json }): Arrival {
  return { facts: [], describe: () => undefined, memory: { space, entries: () => entries } };
}

/** Facts, and estimated bytes, that wait for the journal at most; beyond it the relay is blind until it is started again. */
export const MAX_INBOX_FACTS = 200_000;
export const MAX_INBOX_BYTES = 128 * 1024 * 1024;
/** The same of one venue: half of it, so that no venue takes the others with it. */
export const MAX_VENUE_FACTS = MAX_INBOX_FACTS / 2;
export const MAX_VENUE_BYTES = MAX_INBOX_BYTES / 2;

/** What one arrival costs beside its facts. */
const ARRIVAL_BYTES = 256;
/** What one fact costs beside its data. */
const FACT_BYTES = 128;
/** Arrivals that are taken in leave a hole at the front of the list; it is closed when it is this long. */
const COMPACT_AFTER = 4_096;

export interface Queued {
  readonly arrival: Arrival;
  /** When it came, on the monotonic clock. */
  readonly at: number;
  readonly bytes: number;
}

/** The facts that wait to be taken in, in the order in which they came: bounded in number and in bytes, and so is each venue's part. */
export interface Inbox {
  /** `dataBytes`: of the facts' data. Says whose bound it would have broken, and then has not taken it. */
  push(arrival: Arrival, at: number, dataBytes: number): 'taken' | 'venue_full' | 'full';
  shift(): Queued | undefined;
  /** Empties it, and returns what waited. */
  clear(): readonly Arrival[];
  readonly size: number;
  readonly facts: number;
  /** When the one came that waits longest. */
  readonly oldestAt: number | undefined;
}

interface Share {
  facts: number;
  bytes: number;
}

export function createInbox(): Inbox {
  let queue: Queued[] = [];
  /** Those before this index were taken in. */
  let first = 0;
  const all: Share = { facts: 0, bytes: 0 };
  const shares = new Map<string, Share>();

  const shareOf = (origin: string): Share => {
    const known = shares.get(origin) ?? { facts: 0, bytes: 0 };
    shares.set(origin, known);
    return known;
  };

  return {
    push(arrival, at, dataBytes) {
      const { facts, memory, origin } = arrival;
      // What is remembered does not depend on the cursor where a venue says it, and is small where the hub does.
      const memoryBytes = memory === undefined ? 0 : weigh(memory.entries(''));
      const bytes = ARRIVAL_BYTES + facts.length * FACT_BYTES + dataBytes + memoryBytes;
      if (all.facts + facts.length > MAX_INBOX_FACTS || all.bytes + bytes > MAX_INBOX_BYTES) return 'full';
      if (origin !== undefined) {
        const share = shareOf(origin);
        if (share.facts + facts.length > MAX_VENUE_FACTS || share.bytes + bytes > MAX_VENUE_BYTES) return 'venue_full';
        share.facts += facts.length;
        share.bytes += bytes;
      }
      all.facts += facts.length;
      all.bytes += bytes;
      queue.push({ arrival, at, bytes });
      return 'taken';
    },
    shift() {
      const one = queue[first];
      if (one === undefined) return undefined;
      first++;
      const { arrival, bytes } = one;
      all.facts -= arrival.facts.length;
      all.bytes -= bytes;
      if (arrival.origin !== undefined) {
        const share = shareOf(arrival.origin);
        share.facts -= arrival.facts.length;
        share.bytes -= bytes;
      }
      if (first >= queue.length || first >= COMPACT_AFTER) {
        queue = queue.slice(first);
        first = 0;
      }
      return one;
    },
    clear() {
      const waiting = queue.slice(first).map(({ arrival }) => arrival);
      queue = [];
      first = 0;
      all.facts = 0;
      all.bytes = 0;
      shares.clear();
      return waiting;
    },
    get size() {
      return queue.length - first;
    },
    get facts() {
      return all.facts;
    },
    get oldestAt() {
      return queue[first]?.at;
    },
  };
}
