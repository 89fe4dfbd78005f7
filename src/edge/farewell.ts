import type { Random } from '../net/clock.js';

/**
 * How subscribers are sent away (PROTOCOL.md §4, `draining`): each is told at once when to come back, at a time of its
 * own, and whoever is still there a little later is closed; spread over the drain, all well before its end.
 */
export interface Farewell<Peer> {
  /** Tells `peers`, and sends each away in its time; resolves when none is left, or when time is up. */
  begin(peers: Iterable<Peer>): Promise<void>;
  /** One of them is gone; `left`: how many are still there. */
  gone(left: number): void;
}

export interface FarewellOptions<Peer> {
  /** Runs a task after so many ms, unless the edge closes before. */
  readonly after: (ms: number, task: () => void) => void;
  readonly random: Random;
  readonly timeoutMs: number;
  readonly tell: (peer: Peer, retryAfterMs: number) => void;
  readonly close: (peer: Peer) => void;
}

/** Parts of the drain's time: the first and the last that leave by themselves, and how long each is waited for. */
const LEAVE_FROM = 0.1;
const LEAVE_TO = 0.65;
const CLOSE_AFTER = 0.1;
/** When time is up for closing handshakes that nobody answers. */
const UP = 0.78;
/** Nobody is sent away sooner, where the drain lasts twice as long: what Deribit's end means is told before. */
const NOT_BEFORE_MS = 1_500;
/** Subscribers that are told in one turn of the event loop: what the venues answer meanwhile must not wait for all. */
const TOLD_A_TURN = 1_000;

/** When subscribers of a drain leave: ms from its begin, between these. */
export function leaveWindow(timeoutMs: number): { readonly fromMs: number; readonly toMs: number } {
  const fromMs = Math.max(LEAVE_FROM * timeoutMs, Math.min(NOT_BEFORE_MS, timeoutMs / 2));
  return { fromMs, toMs: Math.max(fromMs, LEAVE_TO * timeoutMs) };
}

export function createFarewell<Peer>(options: FarewellOptions<Peer>): Farewell<Peer> {
  const { after, random, timeoutMs } = options;
  const { fromMs, toMs } = leaveWindow(timeoutMs);
  let allGone: () => void = () => {};

  const sendAway = (peer: Peer): void => {
    const retryAfterMs = Math.round(fromMs + random() * (toMs - fromMs));
    options.tell(peer, retryAfterMs);
    after(retryAfterMs + CLOSE_AFTER * timeoutMs, () => options.close(peer));
  };

  return {
    begin(peers) {
      const all = [...peers];
      const done = new Promise<void>((resolve) => {
        allGone = resolve;
      });
      if (all.length === 0) allGone();
      else after(UP * timeoutMs, () => allGone());
      const tell = (from: number): void => {
        for (const peer of all.slice(from, from + TOLD_A_TURN)) sendAway(peer);
        if (from + TOLD_A_TURN < all.length) setImmediate(() => tell(from + TOLD_A_TURN));
      };
      tell(0);
      return done;
    },
    gone(left) {
      if (left === 0) allGone();
    },
  };
}
