import type { Clock } from '../../src/net/clock.js';
import { systemClock } from '../../src/net/timer.js';

/** A clock that may run fast and whose wall time may jump; it knows how many timers are set on it. */
export interface StressClock extends Clock {
  jump(byMs: number): void;
  readonly timers: number;
}

/** How fast time goes, and since when (the machine's wall clock, ms): whoever is told the same has the same time. */
export interface Pace {
  readonly timesFaster: number;
  readonly since: number;
}

/**
 * A faster clock shortens what would be minutes of silence: every duration is that much shorter in real time, for the
 * relay as for its simulators, so that their deadlines keep their proportions.
 */
export function createStressClock({ timesFaster, since }: Pace): StressClock {
  const startedAt = systemClock.monotonic();
  const startedWall = since + (systemClock.now() - since) * timesFaster;
  let jumpedMs = 0;
  let timers = 0;
  const elapsed = (): number => (systemClock.monotonic() - startedAt) * timesFaster;
  return {
    now: () => Math.round(startedWall + elapsed() + jumpedMs),
    monotonic: elapsed,
    setTimer(task, delayMs) {
      let isSet = true;
      timers++;
      const unset = (): void => {
        if (isSet) timers--;
        isSet = false;
      };
      const timer = systemClock.setTimer(() => {
        unset();
        task();
      }, delayMs / timesFaster);
      return {
        cancel() {
          unset();
          timer.cancel();
        },
      };
    },
    jump(byMs) {
      jumpedMs += byMs;
    },
    get timers() {
      return timers;
    },
  };
}
