import type { Clock, Random } from './clock.js';

/** When to try again: full jitter (a uniform draw from zero to the ceiling), a cap, a reset only after health. */
export interface Retry {
  /** The delay before the next attempt, and its number from 1. `atLeastMs`: what the venue said to wait; no cap cuts it. */
  next(atLeastMs?: number): { readonly attempt: number; readonly delayMs: number };
  /** The connection works (not merely: its socket opened). Health is counted from here. */
  healthy(): void;
  /** It ended; attempts start again from 1 only where health lasted `healthyAfterMs`. */
  ended(): void;
}

export interface RetryOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** The ceiling of the first delay; doubles each attempt. Default 1 000. */
  readonly baseMs?: number;
  /** Default 30 000. */
  readonly capMs?: number;
  /** No delay is shorter than this. Default 100. */
  readonly floorMs?: number;
  /** Default 60 000. */
  readonly healthyAfterMs?: number;
}

export function createRetry(options: RetryOptions): Retry {
  const { clock, random, baseMs = 1_000, capMs = 30_000, floorMs = 100, healthyAfterMs = 60_000 } = options;
  let attempts = 0;
  let healthySince: number | undefined;
  return {
    next(atLeastMs = 0) {
      const ceiling = Math.min(capMs, baseMs * 2 ** Math.min(attempts, 30));
      attempts++;
      const delayMs = Math.ceil(Math.max(atLeastMs, floorMs, random() * ceiling));
      return { attempt: attempts, delayMs };
    },
    healthy() {
      healthySince ??= clock.monotonic();
    },
    ended() {
      if (healthySince !== undefined && clock.monotonic() - healthySince >= healthyAfterMs) attempts = 0;
      healthySince = undefined;
    },
  };
}
