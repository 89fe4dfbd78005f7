import { compareCursors } from '../model/cursor.js';

/** A stretch of a channel that is lost: events after `from`, up to and with `to`. */
export interface LostStretch {
  readonly from: string;
  readonly to: string;
}

/**
 * `idle`: not subscribed on this connection; `asked`: a `subscribe` is under way; `replaying`: behind, and being
 * caught up; `live`: all that was published has come.
 */
export type ChainPhase = 'idle' | 'asked' | 'replaying' | 'live';

/** `missing`: something before it did not come: subscribe again from `since`. */
export type Continuity = 'ok' | 'missing';

/**
 * The proof that nothing is missing on one channel (PROTOCOL.md §4, Continuity): pure bookkeeping of cursors. It
 * outlives connections: `since` says where to resume.
 */
export interface Chain {
  readonly phase: ChainPhase;
  /** Everything up to here has come, or was told to be lost; `undefined`: it never began. */
  readonly since: string | undefined;
  /** A `subscribe` leaves: until its reply, what comes is of the old terms. */
  asked(terms: { readonly since: string | undefined; readonly snapshot: boolean }): void;
  /** Its reply. Returns what is lost where it could not be recovered. */
  answered(reply: { readonly cursor: string; readonly recovered: boolean }): LostStretch | undefined;
  /** The connection or the subscription ended. */
  ended(): void;
  /** A frame from `previous` to `id`. `known`: in its place, but its event came before; `old`: of terms that ended. */
  frame(previous: string, id: string): 'next' | 'known' | 'old' | 'missing';
  /** The last chunk of a snapshot. */
  snapshotEnded(cursor: string): void;
  caughtUp(cursor: string): void;
  /** Returns what is lost and was not told yet. */
  gap(stretch: LostStretch): LostStretch | undefined;
  /** The relay sends everything after `cursor` again, at the subscriber's pace. */
  lag(cursor: string): Continuity;
  /** A heartbeat: `last` where it names this channel. */
  beat(cursor: string, last: string | undefined): Continuity;
}

export function createChain(hasSnapshot: boolean): Chain {
  let phase: ChainPhase = 'idle';
  let since: string | undefined;
  /** What the next frame's `previous` must be. */
  let expected = '';
  /** What ends a replay. */
  let awaited: 'caught_up' | 'snapshot' = 'caught_up';
  let terms: { readonly since: string | undefined; readonly snapshot: boolean } = { since, snapshot: false };

  const isOn = (): boolean => phase === 'replaying' || phase === 'live';
  const advance = (cursor: string): void => {
    if (since === undefined || compareCursors(cursor, since) > 0) since = cursor;
  };
  const replay = (until: typeof awaited): void => {
    phase = 'replaying';
    awaited = until;
  };
  /** What is lost is not asked for again; what follows may lie in another epoch. */
  const lose = ({ from, to }: LostStretch): LostStretch => {
    since = to;
    replay(hasSnapshot ? 'snapshot' : 'caught_up');
    return { from, to };
  };

  return {
    get phase() {
      return phase;
    },
    get since() {
      return since;
    },
    asked(asked) {
      phase = 'asked';
      terms = asked;
    },
    answered({ cursor, recovered }) {
      if (phase !== 'asked') return undefined;
      expected = cursor;
      if (terms.since === undefined) {
        since = cursor;
        if (terms.snapshot && hasSnapshot) replay('snapshot');
        else phase = 'live';
        return undefined;
      }
      if (!recovered) return lose({ from: terms.since, to: cursor });
      expected = terms.since;
      replay('caught_up');
      return undefined;
    },
    ended() {
      phase = 'idle';
    },
    frame(previous, id) {
      if (!isOn()) return 'old';
      if (previous !== expected || compareCursors(id, previous) < 0) return 'missing';
      expected = id;
      if (since !== undefined && compareCursors(id, since) <= 0) return 'known';
      since = id;
      return 'next';
    },
    snapshotEnded(cursor) {
      if (!isOn()) return;
      expected = cursor;
      if (awaited !== 'snapshot') return;
      phase = 'live';
      advance(cursor);
    },
    caughtUp(cursor) {
      if (!isOn()) return;
      expected = cursor;
      phase = 'live';
      advance(cursor);
    },
    gap({ from, to }) {
      if (!isOn()) return undefined;
      // Whatever it says to begin with: what follows the last good frame is lost, and nothing is told twice.
      const start = since ?? from;
      if (compareCursors(to, start) > 0) return lose({ from: start, to });
      replay(hasSnapshot ? 'snapshot' : 'caught_up');
      return undefined;
    },
    lag(cursor) {
      if (!isOn()) return 'ok';
      if (compareCursors(cursor, expected) > 0) return 'missing';
      expected = cursor;
      if (phase === 'live') replay('caught_up');
      return 'ok';
    },
    beat(cursor, last) {
      if (phase !== 'live') return 'ok';
      if (last !== undefined && last !== expected) return 'missing';
      advance(cursor);
      return 'ok';
    },
  };
}
