import type { Cursor } from '../model/cursor.js';
import type { Grant } from '../model/grant.js';
import { matchesTokens } from '../model/subject.js';
import { type Entry, type Frame, frameOf, headOf, rechained, tokensOf } from './frames.js';
import { type JournalPage, type JournalPages, pageKey, type Span } from './journal-pages.js';
import { PAGE_EVENTS } from './limits.js';
import type { Lru } from './lru.js';

/**
 * What a channel delivered, rendered for one kind of grant, in pages that all who replay it share. Somebody replays it
 * from `open` to `close`, and so long what is published is added, rendered as it is already.
 */
export interface Tape {
  readonly id: string;
  readonly channel: string;
  readonly fields: Grant['fields'];
  /** What each of its frames begins with. */
  readonly head: string;
}

/**
 * What comes after a cursor. `frames` from index `from` on are everything that the channel has up to `upTo` (there may
 * be none), chained to each other by `previous`; the first one's own `previous` is whatever it is. `wait`: the journal
 * is being read. `gap`: it holds no more what comes next.
 */
export type Taken =
  | { readonly how: 'frames'; readonly frames: readonly Frame[]; readonly from: number; readonly upTo: Cursor }
  | { readonly how: 'wait'; readonly page: Promise<JournalPage> }
  | { readonly how: 'gap' };

export interface Tapes {
  open(channel: string, fields: Grant['fields']): Tape;
  close(tape: Tape): void;
  /** `at` must lie before the edge's position. `fetched`: the page that was waited for. Nothing is kept for whoever asks. */
  take(tape: Tape, at: Cursor, fetched?: JournalPage): Taken;
  /**
   * A turn was published, and its events are these; `framesOf` has what was rendered of them for a channel
   * ({@link tapeId}).
   */
  keep(entries: readonly Entry[], framesOf: (id: string) => readonly Frame[] | undefined): void;
  /** Frames that were rendered here, and not by who published them. */
  readonly rendered: number;
}

export function tapeId(channel: string, fields: Grant['fields']): string {
  return `${channel} ${fields}`;
}

/** Frames of the events after `after` and up to `upTo`, both offsets of one epoch. */
interface Page {
  after: number;
  upTo: number;
  frames: Frame[];
  bytes: number;
  /** How often somebody was handed frames of it. */
  served: number;
  readonly drop: () => void;
}

interface OwnTape extends Tape {
  readonly wanted: readonly string[];
  readonly pages: Map<string, Page>;
  /** How many replay it. */
  users: number;
}

/** Beside its text, what a frame costs: an estimate. */
const FRAME_OVERHEAD_BYTES = 120;
const PAGE_OVERHEAD_BYTES = 200;
const NO_FRAMES: readonly Frame[] = [];
/** From so many times on a page is kept as bytes: a socket would encode each text anew for each subscriber. */
const OFTEN = 2;

export function createTapes({ lru, journal }: { readonly lru: Lru; readonly journal: JournalPages }): Tapes {
  const tapes = new Map<string, OwnTape>();
  /** Those that somebody replays. */
  const running = new Set<OwnTape>();
  let rendered = 0;

  const forgetUnused = (tape: OwnTape): void => {
    if (tape.users === 0 && tape.pages.size === 0) tapes.delete(tape.id);
  };
  const newPage = (tape: OwnTape, key: string, after: number): Page => {
    const page: Page = {
      after,
      upTo: after,
      frames: [],
      bytes: PAGE_OVERHEAD_BYTES,
      served: 0,
      drop() {
        tape.pages.delete(key);
        forgetUnused(tape);
      },
    };
    tape.pages.set(key, page);
    return page;
  };
  /** Adds frames behind those of a page, chained to them. */
  const append = (tape: OwnTape, page: Page, frames: readonly Frame[]): void => {
    let last = page.frames.at(-1)?.id;
    for (const frame of frames) {
      const chained = last === undefined ? frame : rechained(frame, tape.head, last);
      page.frames.push(page.served < OFTEN ? asText(chained) : asBytes(chained));
      page.bytes += chained.bytes + FRAME_OVERHEAD_BYTES;
      last = chained.id;
    }
  };
  const render = (tape: OwnTape, entries: readonly Entry[], after: number, upTo: number): readonly Frame[] => {
    const frames: Frame[] = [];
    for (const entry of entries) {
      const { offset } = entry.at;
      if (offset <= after || offset > upTo || !matchesTokens(tape.wanted, tokensOf(entry))) continue;
      rendered++;
      frames.push(frameOf(tape.head, frames.at(-1)?.id ?? '', entry, tape.fields));
    }
    return frames;
  };

  /** The page as it is known, unless the journal has dropped what would join it to what was read of it: a new one then. */
  const joining = (tape: OwnTape, key: string, after: number): Page => {
    const known = tape.pages.get(key);
    if (known !== undefined && after <= known.upTo) return known;
    if (known !== undefined) {
      lru.release(known);
      known.drop();
    }
    return newPage(tape, key, after);
  };
  /** Brings a page to where the journal's is; each event of it is rendered once. */
  const complete = (tape: OwnTape, key: string, { entries, after, upTo }: JournalPage): Page => {
    const page = joining(tape, key, after);
    if (after < page.after) {
      const behind = page.frames;
      page.frames = [];
      page.bytes = PAGE_OVERHEAD_BYTES;
      append(tape, page, render(tape, entries, after, page.after));
      append(tape, page, behind);
      page.after = after;
    }
    if (upTo > page.upTo) {
      append(tape, page, render(tape, entries, page.upTo, upTo));
      page.upTo = upTo;
    }
    lru.hold(page, page.bytes);
    return page;
  };

  /** Adds what one turn brought, where the page is known up to there; what lies behind a hole the journal brings. */
  const feed = (tape: OwnTape, frames: readonly Frame[], { epoch, after, upTo }: Span): void => {
    let index = 0;
    for (let at = after; at < upTo; ) {
      const key = pageKey(epoch, at);
      const end = Math.min((Math.floor(at / PAGE_EVENTS) + 1) * PAGE_EVENTS, upTo);
      let behind = index;
      while ((frames[behind]?.offset ?? Number.POSITIVE_INFINITY) <= end) behind++;
      const page = tape.pages.get(key) ?? newPage(tape, key, at);
      if (page.upTo === at) {
        append(tape, page, frames.slice(index, behind));
        page.upTo = end;
        lru.hold(page, page.bytes);
      }
      index = behind;
      at = end;
    }
  };

  const serve = (page: Page, at: Cursor): Taken => {
    if (++page.served === OFTEN) page.frames = page.frames.map(asBytes);
    lru.touch(page);
    return {
      how: 'frames',
      frames: page.frames,
      from: firstAfter(page.frames, at.offset),
      upTo: { epoch: at.epoch, offset: page.upTo },
    };
  };

  return {
    get rendered() {
      return rendered;
    },
    open(channel, fields) {
      const id = tapeId(channel, fields);
      let tape = tapes.get(id);
      if (tape === undefined) {
        const wanted = channel.split('.');
        tape = { id, channel, fields, head: headOf(channel), wanted, pages: new Map(), users: 0 };
        tapes.set(id, tape);
      }
      tape.users++;
      running.add(tape);
      return tape;
    },
    close(given) {
      const tape = tapes.get(given.id);
      if (tape === undefined || --tape.users > 0) return;
      running.delete(tape);
      forgetUnused(tape);
    },
    take(given, at, fetched) {
      const tape = tapes.get(given.id);
      if (tape === undefined) return { how: 'gap' };
      const key = pageKey(at.epoch, at.offset);
      const page = tape.pages.get(key);
      if (page !== undefined && page.after <= at.offset && page.upTo > at.offset) return serve(page, at);
      const read = journal.get(key) ?? fetched;
      if (read !== undefined && pageKey(read.epoch, read.start) === key) {
        const { after, upTo, next, missingUpTo } = read;
        if (at.offset < after) return { how: 'gap' };
        if (upTo > at.offset) {
          if (page === undefined || page.after <= upTo) return serve(complete(tape, key, read), at);
          // What was published since is rendered already, but does not join what was read: read again, if that helps.
          if (missingUpTo !== undefined) {
            lru.release(page);
            page.drop();
            return serve(complete(tape, key, read), at);
          }
        } else if (next !== undefined) return { how: 'frames', frames: NO_FRAMES, from: 0, upTo: next };
        else if (missingUpTo !== undefined && at.offset < missingUpTo) return { how: 'gap' };
      }
      return { how: 'wait', page: journal.read(at) };
    },
    keep(entries, framesOf) {
      const [first, last] = [entries[0]?.at, entries.at(-1)?.at];
      if (first === undefined || last === undefined) return;
      const span: Span = { epoch: first.epoch, after: first.offset - 1, upTo: last.offset };
      // A bus that brings anything but the journal's order is not believed: replays read the journal then.
      if (last.epoch !== first.epoch || span.upTo - span.after !== entries.length) return;
      journal.extend(entries, span);
      for (const tape of running) feed(tape, framesOf(tape.id) ?? NO_FRAMES, span);
    },
  };
}

/** As text alone: its bytes beside it would take the room of another. */
function asText(frame: Frame): Frame {
  return frame.data === undefined ? frame : { ...frame, data: undefined };
}

/** As bytes alone; the text is made of them where one is asked for. */
function asBytes({ id, offset, previous, bytes, text, data = Buffer.from(text) }: Frame): Frame {
  return {
    id,
    offset,
    previous,
    bytes,
    data,
    get text() {
      return data.toString();
    },
  };
}

/** Index of the first frame after an offset; frames ascend. */
function firstAfter(frames: readonly Frame[], offset: number): number {
  let [low, high] = [0, frames.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((frames[middle]?.offset ?? 0) > offset) high = middle;
    else low = middle + 1;
  }
  return low;
}
