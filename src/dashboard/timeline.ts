import type { Gap, SessionEvent } from '../client/index.js';
import { eventWords, type Weight, weightOf } from './event-words.js';
import { type Filter, holdsAll, isFiltering, passes, termsOf } from './filter.js';
import { ownerOf, type Row } from './order.js';
import { epochOf } from './past.js';
import { createRing } from './ring.js';

interface EntryBase {
  /** Ascends; names the entry for as long as the page is open. */
  readonly seq: number;
  readonly atMs: number;
  readonly words: string;
  readonly weight: Weight;
}

export interface EventEntry extends EntryBase {
  readonly kind: 'event';
  readonly event: SessionEvent;
}

/** Something that happened to the stream itself: a loss, a restart of the relay, an outage. */
export interface MarkEntry extends EntryBase {
  readonly kind: 'mark';
  readonly mark: 'gap' | 'restart' | 'outage' | 'back' | 'note';
  readonly detail: { readonly [name: string]: unknown };
}

export type Entry = EventEntry | MarkEntry;

export interface Timeline {
  event(event: SessionEvent): void;
  gap(gap: Gap, atMs: number): void;
  mark(mark: MarkEntry['mark'], words: string, atMs: number, detail?: MarkEntry['detail']): void;
  readonly size: number;
  /** All that were ever taken. */
  readonly pushed: number;
  /** 0 is the newest. */
  at(index: number): Entry | undefined;
  /** What passes the filter, newest first; marks always do. `rowOf`: the session that an event is about. */
  select(filter: Filter, rowOf: (key: string) => Row | undefined): readonly Entry[];
  /** Of one session and of its source as a whole, newest first. */
  of(key: string): readonly Entry[];
}

export const TIMELINE_ENTRIES = 5_000;

export function createTimeline(capacity = TIMELINE_ENTRIES): Timeline {
  const ring = createRing<Entry>(capacity);
  let epoch: number | undefined;

  const mark: Timeline['mark'] = (kind, words, atMs, detail = {}) => {
    const weight = kind === 'back' || kind === 'note' ? 'plain' : kind === 'gap' ? 'bad' : 'doubt';
    ring.push({ kind: 'mark', mark: kind, seq: ring.pushed, atMs, words, weight, detail });
  };

  return {
    event(event) {
      const atMs = Date.parse(event.time);
      const now = epochOf(event.id);
      if (epoch !== undefined && now !== undefined && now !== epoch) {
        mark('restart', 'The relay restarted: what follows is told by its new life.', atMs, {
          before: epoch,
          after: now,
        });
      }
      epoch = now ?? epoch;
      const words = eventWords(event);
      ring.push({ kind: 'event', seq: ring.pushed, atMs, words, weight: weightOf(event), event });
    },
    gap(gap, atMs) {
      const { channel, from, to, why } = gap;
      const cause =
        why === 'not_held' ? 'the journal of the relay does not hold them any more' : 'they could not be read';
      mark('gap', `Events of ${channel} are missing here: ${cause}.`, atMs, { channel, from, to, why });
    },
    mark,
    get size() {
      return ring.size;
    },
    get pushed() {
      return ring.pushed;
    },
    at: (index) => ring.at(index),
    select(filter, rowOf) {
      if (!isFiltering(filter)) return ring.select(() => true);
      const terms = termsOf(filter.text);
      const ofSessions = filter.status !== '' || filter.levels.size > 0;
      return ring.select((entry) => {
        if (entry.kind === 'mark') return true;
        const { event } = entry;
        const row = rowOf(event.subject);
        if (filter.venue !== '' && !event.subject.startsWith(`${filter.venue}.`)) return false;
        if (ofSessions && (row === undefined || !passes(row, filter))) return false;
        return terms.length === 0 || holdsAll(hayOf(entry), terms);
      });
    },
    of(key) {
      const source = `${ownerOf(key)}.-`;
      return ring.select(
        (entry) => entry.kind === 'mark' || entry.event.subject === key || entry.event.subject === source,
      );
    },
  };
}

/** The index of an entry in a list that is newest first; -1 where it is not there. */
export function placeOf(entries: readonly Entry[], seq: number): number {
  let low = 0;
  let high = entries.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const found = entries[middle]?.seq ?? -1;
    if (found === seq) return middle;
    if (found > seq) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}

const hays = new WeakMap<EventEntry, string>();

function hayOf(entry: EventEntry): string {
  const known = hays.get(entry);
  if (known !== undefined) return known;
  const hay = `${entry.event.subject}\n${entry.event.type}\n${entry.words}`.toLowerCase();
  hays.set(entry, hay);
  return hay;
}
