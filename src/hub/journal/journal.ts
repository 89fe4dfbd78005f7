import type { SessionEvent } from '../../model/event.js';
import type { Json } from '../../model/json.js';
import type { State } from '../../model/session.js';

/**
 * Where events are kept, in order, and what must survive with them. One hub owns a journal at a time.
 *
 * The contract that every engine passes (`test/hub/journal/contract.ts`): a batch is committed whole or not at all;
 * events, states, memory and keys of a batch commit together; `append` resolves only after the commit, and batches
 * commit in the order of the calls; offsets of an epoch are contiguous from 1. A batch that does not continue the
 * epoch, or that has a key which is held, is rejected with `journal_failed` and leaves nothing.
 */
export interface Journal {
  /** Opens or creates it, and starts an epoch: the greater of the last epoch + 1 and `nowMs`, durable before this resolves. */
  open(nowMs: number): Promise<JournalContents>;
  append(batch: JournalBatch): Promise<void>;
  /** Events after `after` in order. */
  read(after: string, limit: number): Promise<JournalPage>;
  /** The last committed cursor, `<epoch>-0` in an epoch without events. */
  head(): string;
  /** The cursor before the oldest event that is held: what a `since` must reach back to at most. */
  oldest(): string;
  /** Whether the journal can serve everything after `cursor`: its epoch is known and its offset lies within what is held. */
  holds(cursor: string): boolean;
  /** What the events that are held take up, about; as `Retention.maxBytes` counts it. */
  bytes(): number;
  /** Whether an event of this fact key is held. */
  hasKey(key: string): boolean;
  /** Drops what retention no longer keeps; states and memory stay. Resolves with the new `oldest`. */
  truncate(nowMs: number): Promise<string>;
  close(): Promise<void>;
}

/** What was found at `open`. */
export interface JournalContents {
  readonly epoch: number;
  readonly states: readonly State[];
  /** Memory by namespace (`<venue>.<id>`) and key. A copy, as are `states`: what is appended later does not show here. */
  readonly memory: ReadonlyMap<string, ReadonlyMap<string, Json>>;
}

export interface JournalBatch {
  readonly events: readonly SessionEvent[];
  /** The JSON of each event, where it was made already. */
  readonly texts?: readonly string[];
  /** States after these events; `null` drops one (`session.removed`). */
  readonly states: ReadonlyMap<string, State | null>;
  /** Per namespace: what to remember; `null` forgets a key. */
  readonly memory?: ReadonlyMap<string, { readonly [key: string]: Json }>;
}

export interface JournalPage {
  readonly events: readonly SessionEvent[];
  /** The last event scanned, or `after` where there was none. */
  readonly cursor: string;
  /** There is more after `cursor`. */
  readonly more: boolean;
  /** `false`: part of what lies after `after` is no longer held. */
  readonly complete: boolean;
}

export interface Retention {
  readonly maxAgeMs: number;
  readonly maxBytes: number;
}
