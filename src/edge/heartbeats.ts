import type { Clock, Timer } from '../net/clock.js';

/** Whoever is to say a sign of life now and then. Must not throw. */
export interface Beating {
  beat(): void;
}

/**
 * One timer for the heartbeats of all connections of an edge: each beats a period after it came, and then a period
 * after it beat last. The period is the same for all, so whoever beat stands at the end of the line again.
 */
export interface Heartbeats {
  start(one: Beating): void;
  /** It beats no more. Idempotent. */
  stop(one: Beating): void;
}

export function createHeartbeats(clock: Clock, everyMs: number): Heartbeats {
  /** When each beats next, the first to come first. */
  const due = new Map<Beating, number>();
  let timer: Timer | undefined;

  const arm = (): void => {
    const [first] = due.values();
    if (timer !== undefined || first === undefined) return;
    timer = clock.setTimer(run, first - clock.monotonic());
  };
  const run = (): void => {
    timer = undefined;
    try {
      for (const [one, at] of due) {
        if (at > clock.monotonic()) break;
        due.delete(one);
        due.set(one, clock.monotonic() + everyMs);
        one.beat();
      }
    } finally {
      // Were one to throw after all, the others' hearts would go on.
      arm();
    }
  };

  return {
    start(one) {
      due.set(one, clock.monotonic() + everyMs);
      arm();
    },
    stop(one) {
      due.delete(one);
      if (due.size > 0) return;
      timer?.cancel();
      timer = undefined;
    },
  };
}
