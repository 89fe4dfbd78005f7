import { compareCursors } from '../../src/model/cursor.js';
import { CursorList } from './cursors.js';

/**
 * What one subscriber was sent on one channel, held against the continuity rules of PROTOCOL.md §4 as it comes. It is
 * written from the protocol alone and shares nothing with the relay's edge or its clients but the order of cursors.
 */
export interface Trail {
  readonly channel: string;
  /** Every event that was delivered, in the order of delivery. */
  readonly cursors: CursorList;
  /** Stretches without an announced loss between; what lies between two of them was announced. */
  readonly stretches: readonly Stretch[];
  /** What a careful client resumes with; `undefined` where nothing was complete yet. */
  readonly resumeAt: string | undefined;
  /** What the next `previous` must be. */
  readonly expected: string | undefined;
  readonly isLive: boolean;
  readonly hasEnded: boolean;
  /** Gaps that were announced. */
  readonly gaps: number;
}

/** Every event of the channel after `from` is in the trail from `start` on; at the stretch's end, up to `until`. */
export interface Stretch {
  readonly from: string;
  /** Index into `cursors`. */
  readonly start: number;
  /** Up to where nothing is missing, where a `gap` ended the stretch; absent: it goes on. */
  readonly until?: string;
}

type Phase =
  /** Nothing may come. */
  | 'idle'
  /** A snapshot must come before any frame. */
  | 'snapshot'
  /** `recovered: false`: a `gap` must come. */
  | 'gap'
  /** A gap of a channel without snapshot: `caught_up` must come. */
  | 'bridging'
  | 'replay'
  | 'live'
  | 'ended';

/** How a connection asked for the channel. */
export interface Asked {
  readonly since: string | undefined;
  readonly snapshot: boolean;
}

/** Takes in what comes, in order. Each call answers what is wrong with it; `undefined` where nothing is. */
export interface TrailWriter extends Trail {
  subscribed(asked: Asked, reply: { readonly cursor: string; readonly recovered: boolean }): string | undefined;
  event(previous: string, id: string): string | undefined;
  snapshot(cursor: string, last: boolean): string | undefined;
  caughtUp(cursor: string): string | undefined;
  gap(from: string): string | undefined;
  lag(since: string): string | undefined;
  unsubscribed(cursor: string): string | undefined;
  /** `last` of this channel at a heartbeat, where it names it, and the heartbeat's own cursor. */
  heartbeat(last: string | undefined, cursor: string): string | undefined;
  /** The connection is gone: nothing is expected until it is subscribed again. */
  cut(): void;
}

export function createTrail(channel: string): TrailWriter {
  const cursors = new CursorList();
  const stretches: Stretch[] = [];
  let phase: Phase = 'idle';
  let expected: string | undefined;
  let good: string | undefined;
  let gaps = 0;

  const wrong = (what: string): string => `${channel}: ${what} (phase ${phase}, after ${cursors.length} events)`;
  /** Where a new stretch begins: everything after `from` must come. */
  const begin = (from: string): void => {
    stretches.push({ from, start: cursors.length });
    expected = from;
    good = from;
    phase = 'live';
  };
  const advance = (cursor: string): void => {
    if (good === undefined || compareCursors(cursor, good) > 0) good = cursor;
  };
  /** Ends the stretch that runs, at the last cursor up to which nothing is missing. */
  const announce = (): void => {
    gaps++;
    const running = stretches.at(-1);
    if (running !== undefined && running.until === undefined && good !== undefined)
      stretches[stretches.length - 1] = { ...running, until: good };
  };

  return {
    channel,
    cursors,
    stretches,
    get resumeAt() {
      return good;
    },
    get expected() {
      return expected;
    },
    get isLive() {
      return phase === 'live';
    },
    get hasEnded() {
      return phase === 'ended';
    },
    get gaps() {
      return gaps;
    },
    subscribed({ since, snapshot }, { cursor, recovered }) {
      if (since === undefined) {
        if (!recovered) return wrong('recovered is false, though no since was given');
        if (snapshot) phase = 'snapshot';
        else begin(cursor);
        return undefined;
      }
      if (!recovered) {
        phase = 'gap';
        return undefined;
      }
      // A gap that was announced and then not filled, because the connection broke, is served after all.
      if (stretches.length === 0 || stretches.at(-1)?.until !== undefined) begin(since);
      expected = since;
      phase = 'replay';
      return undefined;
    },
    event(previous, id) {
      if (phase !== 'live' && phase !== 'replay') return wrong(`an event, ${id}, where none may come`);
      const before = expected;
      expected = id;
      good = id;
      cursors.add(id);
      if (previous !== before) return wrong(`previous of ${id} is ${previous}, not ${before}`);
      if (before !== undefined && compareCursors(id, before) <= 0) return wrong(`${id} does not come after ${before}`);
      return undefined;
    },
    snapshot(cursor, last) {
      if (phase !== 'snapshot') return wrong(`a snapshot at ${cursor} that was not asked for`);
      if (last) begin(cursor);
      return undefined;
    },
    caughtUp(cursor) {
      if (phase === 'bridging') {
        begin(cursor);
        return undefined;
      }
      if (phase !== 'replay') return wrong(`caught_up at ${cursor} without a replay`);
      phase = 'live';
      expected = cursor;
      advance(cursor);
      return undefined;
    },
    gap(from) {
      if (phase === 'idle' || phase === 'bridging' || phase === 'ended') return wrong(`a gap from ${from} unasked`);
      // Also of a live channel: what follows a snapshot is replayed without a word, and may be dropped meanwhile.
      if (phase !== 'gap' && phase !== 'snapshot' && from !== expected)
        return wrong(`a gap from ${from}, but ${expected} was sent last`);
      announce();
      phase = namesType(channel) ? 'bridging' : 'snapshot';
      return undefined;
    },
    lag(since) {
      // What was still coming in, a snapshot or a replay, goes on at its own pace.
      if (phase === 'snapshot' || phase === 'gap' || phase === 'bridging') return undefined;
      if (phase !== 'live' && phase !== 'replay') return wrong('lag without a subscription');
      if (since !== expected) return wrong(`lag since ${since}, but ${expected} was sent last`);
      phase = 'replay';
      return undefined;
    },
    unsubscribed(cursor) {
      const before = expected;
      const wasLive = phase === 'live';
      phase = 'ended';
      if (wasLive && cursor !== before) return wrong(`unsubscribed at ${cursor}, but ${before} was sent last`);
      return undefined;
    },
    heartbeat(last, cursor) {
      if (last !== undefined && phase !== 'live')
        return wrong(`a heartbeat names ${last} of a channel that is not live`);
      if (last !== undefined && last !== expected)
        return wrong(`the heartbeat says that ${last} was sent last, but it was ${expected}`);
      if (phase === 'live') advance(cursor);
      return undefined;
    },
    cut() {
      if (phase !== 'ended') phase = 'idle';
    },
  };
}

/** Whether a pattern names a type: such a channel has no snapshot. */
export function namesType(pattern: string): boolean {
  const tokens = pattern.split('.');
  return tokens.length > 3 && tokens.slice(3).some((token) => token !== '*' && token !== '>');
}
