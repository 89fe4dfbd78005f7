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
  return new Bucket(options);
}

/** A class, because every subscriber has one. */
class Bucket implements Budget {
  private readonly clock: Clock;
  private readonly perSecond: number;
  private readonly burst: number;
  private tokens: number;
  private at: number;
  private blockedUntil: number | undefined;

  constructor({ clock, perSecond, burst }: BudgetOptions) {
    this.clock = clock;
    this.perSecond = perSecond;
    this.burst = burst;
    this.tokens = burst;
    this.at = clock.monotonic();
  }

  take(cost = 1): number {
    const { burst, perSecond } = this;
    if (cost > burst) throw new RangeError(`a cost of ${cost} is never affordable: the burst is ${burst}`);
    const now = this.clock.monotonic();
    this.tokens = Math.min(burst, this.tokens + ((now - this.at) / 1_000) * perSecond);
    this.at = now;
    const short = cost - this.tokens;
    const shortMs = short > ROUNDING ? (short / perSecond) * 1_000 : 0;
    const waitMs = Math.max((this.blockedUntil ?? now) - now, shortMs);
    if (waitMs > 0) return Math.ceil(waitMs);
    this.tokens -= cost;
    return 0;
  }

  block(forMs: number): void {
    const until = this.clock.monotonic() + forMs;
    this.blockedUntil = Math.max(this.blockedUntil ?? until, until);
  }
}
