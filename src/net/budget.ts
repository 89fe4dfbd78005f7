import type { Clock } from './clock.js';

/** A token bucket: what may be spent upstream, or asked by one subscriber. */
export interface Budget {
  /** Takes `cost` (default 1) and answers 0, or answers how many ms to wait and takes nothing. */
  take(cost?: number): number;
  /** Nothing may be taken before this many ms from now: the venue's penalty. */
  block(forMs: number): void;
}

export interface BudgetOptions {
  readonly clock: Clock;
  readonly perSecond: number;
  readonly burst: number;
}

export function createBudget(_options: BudgetOptions): Budget {
  throw new Error('being written');
}
