import type { Sight } from '../bus/bus.js';
import type { Clock, Timer } from '../net/clock.js';
import { BLIND_AFTER_MS, BLIND_CLOSE_MS } from './limits.js';

/**
 * What subscribers hear of a hub that cannot follow (PROTOCOL.md §4, `blind`): from a second after it began, whenever
 * the edge itself learnt of it, until it follows again; after 30 s they are sent away.
 */
export interface Blindness {
  /** The hub says of itself whether it follows. */
  take(sight: Sight): void;
  readonly sight: Sight;
  /** Subscribers were told, and not yet that it is over: for how long already. */
  readonly toldMs: number | undefined;
  /** It lasts too long: nobody stays. */
  readonly isTooLong: boolean;
  stop(): void;
}

export interface BlindnessOptions {
  readonly clock: Clock;
  readonly first: Sight;
  readonly blind: (sinceMs: number) => void;
  readonly sighted: (cursor: string) => void;
  readonly tooLong: () => void;
}

export function createBlindness(options: BlindnessOptions): Blindness {
  const { clock } = options;
  let sight = options.first;
  /** When it began, on the monotonic clock. */
  let since = 0;
  let told = false;
  let isTooLong = false;
  let timers: readonly Timer[] = [];

  const sinceMs = (): number => Math.max(0, Math.round(clock.monotonic() - since));
  const stop = (): void => {
    for (const timer of timers) timer.cancel();
    timers = [];
  };
  const at = (ms: number, task: () => void): Timer => clock.setTimer(task, Math.max(0, ms - sinceMs()));

  return {
    get sight() {
      return sight;
    },
    get toldMs() {
      return told ? sinceMs() : undefined;
    },
    get isTooLong() {
      return isTooLong;
    },
    take(next) {
      const before = sight;
      sight = next;
      if (next.blind) {
        if (before.blind && timers.length > 0) return; // the same one, in other words
        since = clock.monotonic() - next.forMs;
        timers = [
          at(BLIND_AFTER_MS, () => {
            told = true;
            options.blind(sinceMs());
          }),
          at(BLIND_CLOSE_MS, () => {
            isTooLong = true;
            options.tooLong();
          }),
        ];
        return;
      }
      stop();
      isTooLong = false;
      if (!told) return;
      told = false;
      options.sighted(next.cursor);
    },
    stop,
  };
}
