import type { Clock, Timer } from './clock.js';

/**
 * Times the ends of many things on one timer: warns within `warnMs` of each end, then tells the end. Ends are wall-clock
 * times, and the wall clock is read again at least every minute: a clock that jumped is noticed.
 */
export interface ExpiryWatch {
  /**
   * Sets or moves an end (ms since the epoch). A moved end warns anew only when it lies later than the one before; an
   * end that is no finite number is none.
   */
  set(key: string, expiresAtMs: number): void;
  delete(key: string): void;
  clear(): void;
}

export interface ExpiryWatchOptions {
  readonly clock: Clock;
  readonly warnMs: number;
  readonly expiring: (key: string, expiresAtMs: number, inMs: number) => void;
  readonly expired: (key: string, expiresAtMs: number) => void;
}

/** The wall clock is looked at again at least this often: it may jump. */
const LOOK_AGAIN_MS = 60_000;

interface End {
  readonly at: number;
  readonly warned: boolean;
}

export function createExpiryWatch(options: ExpiryWatchOptions): ExpiryWatch {
  const { clock, warnMs } = options;
  const ends = new Map<string, End>();
  let timer: Timer | undefined;

  const schedule = (): void => {
    timer?.cancel();
    timer = undefined;
    let soonest = Number.POSITIVE_INFINITY;
    for (const { at, warned } of ends.values()) soonest = Math.min(soonest, warned ? at : at - warnMs);
    if (soonest === Number.POSITIVE_INFINITY) return;
    const left = Math.max(0, soonest - clock.now());
    timer = clock.setTimer(look, Math.min(left, LOOK_AGAIN_MS));
  };
  const look = (): void => {
    const now = clock.now();
    try {
      for (const [key, end] of [...ends]) {
        if (ends.get(key) !== end) continue; // changed by a callback of this very look
        const { at, warned } = end;
        if (now >= at) {
          ends.delete(key);
          options.expired(key, at);
        } else if (!warned && now >= at - warnMs) {
          ends.set(key, { at, warned: true });
          options.expiring(key, at, at - now);
        }
      }
    } finally {
      schedule(); // a callback that throws must not stop the others' time
    }
  };

  return {
    set(key, expiresAtMs) {
      if (!Number.isFinite(expiresAtMs)) {
        if (ends.delete(key)) schedule();
        return;
      }
      const before = ends.get(key);
      const warned = before?.warned === true && expiresAtMs <= before.at;
      ends.set(key, { at: expiresAtMs, warned });
      schedule();
    },
    delete(key) {
      if (ends.delete(key)) schedule();
    },
    clear() {
      ends.clear();
      schedule();
    },
  };
}
