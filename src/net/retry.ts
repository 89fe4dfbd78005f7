import type { Clock, Random } from './clock.js';

/** When to try again: full jitter (a uniform draw from zero to the ceiling), a cap, a reset only after health. */
export interface Retry {
  /** The delay before the next attempt, and its number from 1. `atLeastMs`: what the venue said to wait. */
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

export function createRetry(_options: RetryOptions): Retry {
  throw new Error('being written');
}
