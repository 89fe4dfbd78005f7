import type { Bus } from '../bus/bus.js';
import { type Cursor, formatCursor } from '../model/cursor.js';
import { type Entry, entryOf } from './frames.js';
import { PAGE_EVENTS, READS_AT_ONCE } from './limits.js';
import type { Lru } from './lru.js';

/** Events of one epoch in order, from a multiple of {@link PAGE_EVENTS} on: what all replays of an edge read together. */
export interface JournalPage {
  readonly epoch: number;
  /** Offset before the page's first; its last is `end`. */
  readonly start: number;
  readonly end: number;
  /** The events after this offset are here; those up to it the journal holds no more. */
  readonly after: number;
  /** The events up to this offset are here: what the journal has beyond it was not published yet when it was read. */
  upTo: number;
  readonly entries: Entry[];
  /** Where to go on after `upTo`: the epoch ends there. */
  readonly next?: Cursor;
  /** The events up to here were published, and the journal does not have them. */
  readonly missingUpTo?: number;
}

/** What one turn brought: contiguous events of one epoch. */
export interface Span {
  readonly epoch: number;
  readonly after: number;
  readonly upTo: number;
}

export interface JournalPages {
  get(key: string): JournalPage | undefined;
  /** Reads the page of the event after `at`; whoever asks while it is being read gets the same. */
  read(at: Cursor): Promise<JournalPage>;
  /** A turn was published: pages that end where it begins go on. */
  extend(entries: readonly Entry[], span: Span): void;
  readonly reads: number;
}

export interface JournalPagesOptions {
  readonly bus: Pick<Bus, 'events' | 'holds'>;
  readonly lru: Lru;
  /** Up to where the edge has published: nothing beyond it may be sent by a replay. */
  readonly position: () => Cursor;
}

/** The names of pages; every kind of page of the same events has the same one. */
export function pageKey(epoch: number, offset: number): string {
  return `${epoch}:${Math.floor(offset / PAGE_EVENTS)}`;
}

/** An estimate: the event's object, its JSON once or twice, its tokens. */
function sizeOf(entries: readonly Entry[]): number {
  return entries.reduce(
    (sum, { event, full, redacted }) => sum + 600 + 3 * (full ?? redacted ?? JSON.stringify(event.data)).length,
    200,
  );
}

export function createJournalPages({ bus, lru, position }: JournalPagesOptions): JournalPages {
  const pages = new Map<string, JournalPage & { readonly drop: () => void; bytes: number }>();
  const reading = new Map<string, Promise<JournalPage>>();
  const waiting: (() => void)[] = [];
  let busy = 0;
  let reads = 0;

  /** Runs a task once no more than so many others run; whoever ends hands its place on. */
  const inPlace = async <T>(task: () => Promise<T>): Promise<T> => {
    if (busy < READS_AT_ONCE) busy++;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await task();
    } finally {
      const next = waiting.shift();
      if (next === undefined) busy--;
      else next();
    }
  };

  const load = async (at: Cursor): Promise<JournalPage> => {
    const { epoch } = at;
    const start = Math.floor(at.offset / PAGE_EVENTS) * PAGE_EVENTS;
    const end = start + PAGE_EVENTS;
    reads++;
    const asked = position();
    const { events, complete, more } = await bus.events(formatCursor(epoch, start), PAGE_EVENTS);
    const now = position();
    const isOver = asked.epoch > epoch;
    // What was published when the journal was asked must be there; what it has beyond what is published now comes live.
    const owed = isOver ? 0 : Math.min(end, asked.offset);
    const limit = now.epoch > epoch ? end : Math.min(end, now.offset);
    const all = events.map((event) => entryOf(event));
    const entries = all.filter((entry) => entry.at.epoch === epoch && entry.at.offset <= limit);
    const page = { epoch, start, end, entries };
    const later = all.find((entry) => entry.at.epoch > epoch)?.at.epoch;
    const next: Cursor = { epoch: later ?? asked.epoch, offset: 0 };
    // A journal may answer with less than it was asked for: only where it has no more is the end the end.
    const isWhole = later !== undefined || !more;
    const [first, last] = [entries[0]?.at.offset, entries.at(-1)?.at.offset];
    if (first !== undefined && last !== undefined) {
      const found = { ...page, after: first - 1, upTo: last };
      if (isOver) return last < end && isWhole ? { ...found, next } : found;
      return last < owed && isWhole ? { ...found, missingUpTo: owed } : found;
    }
    if (!isOver) return { ...page, after: owed, upTo: owed };
    // Either the epoch ended here, or what it had was dropped: only the journal can tell.
    const isHeld = complete || (await bus.holds(formatCursor(epoch, at.offset)));
    if (!isHeld) return { ...page, after: at.offset + 1, upTo: at.offset + 1 };
    return { ...page, after: complete ? start : at.offset, upTo: at.offset, next };
  };

  const keep = (key: string, page: JournalPage): JournalPage => {
    const kept = { ...page, bytes: sizeOf(page.entries), drop: () => drop() };
    const drop = (): void => {
      if (pages.get(key) === kept) pages.delete(key);
    };
    const before = pages.get(key);
    if (before !== undefined) lru.release(before);
    pages.set(key, kept);
    lru.hold(kept, kept.bytes);
    return kept;
  };

  return {
    get reads() {
      return reads;
    },
    get(key) {
      const page = pages.get(key);
      if (page !== undefined) lru.touch(page);
      return page;
    },
    read(at) {
      const key = pageKey(at.epoch, at.offset);
      const before = reading.get(key);
      if (before !== undefined) return before;
      const task = inPlace(() => load(at))
        .then((page) => keep(key, page))
        .finally(() => reading.delete(key));
      reading.set(key, task);
      return task;
    },
    extend(entries, { epoch, after, upTo }) {
      const page = pages.get(pageKey(epoch, after));
      if (page === undefined || page.epoch !== epoch || page.upTo !== after || page.missingUpTo !== undefined) return;
      const more = entries.filter(({ at }) => at.offset <= page.end);
      page.entries.push(...more);
      page.upTo = Math.min(upTo, page.end);
      page.bytes += sizeOf(more);
      lru.hold(page, page.bytes);
    },
  };
}
