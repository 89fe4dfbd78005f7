import type { Clock } from './clock.js';

/** A token bucket: what may be spent upstream, or asked by one subscriber. */
export interface Budget {
  /** Takes `cost` (default 1, at most the burst) and answers 0, or answers how many ms to wait and takes nothing. */
  take(cost?: number): number;
  /** Nothing may be taken before this many ms from now: the venue's penalty. */
  block(forMs: number): void;
}

export interface BudgetOptions {
  readonly clock: Clock;
  readonly perSecond: number;
  readonly burst: number;
}

/** Sums of fractions miss a whole by less than this. */
const ROUNDING = 1e-9;

export function createBudget(options: BudgetOptions): Budget {
  const { clock, perSecond, burst } = options;
  let tokens = burst;
  let at = clock.monotonic();
  let blockedUntil = Number.NEGATIVE_INFINITY;
  return {
    take(cost = 1) {
      if (cost > burst) throw new RangeError(`a cost of ${cost} is never affordable: the burst is ${burst}`);
      const now = clock.monotonic();
      tokens = Math.min(burst, tokens + ((now - at) / 1_000) * perSecond);
      at = now;
      const short = cost - tokens;
      const shortMs = short > ROUNDING ? (short / perSecond) * 1_000 : 0;
      const waitMs = Math.max(blockedUntil - now, shortMs);
      if (waitMs > 0) return Math.ceil(waitMs);
      tokens -= cost;
      return 0;
    },
    block(forMs) {
      blockedUntil = Math.max(blockedUntil, clock.monotonic() + forMs);
    },
  };
}
