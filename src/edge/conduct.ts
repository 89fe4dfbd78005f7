import { type Budget, createBudget } from '../net/budget.js';
import type { Clock } from '../net/clock.js';
import { INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR } from './errors.js';
import {
  type Limits,
  MAX_PENDING_REQUESTS,
  MAX_PROTOCOL_ERRORS,
  OVER_RATE_MS,
  OVER_RATE_PAUSE_MS,
  PROTOCOL_ERROR_WINDOW_MS,
} from './limits.js';

/** How one subscriber behaves: what is tolerated, what is refused, and when the connection must end. */
export interface Conduct {
  /** Whether one more request is served; `pending` are being answered already. */
  ask(pending: number): Verdict;
  /** Whether an error of this code is one too many (the eleventh of the protocol's own within 10 s). */
  isTooMany(code: number): boolean;
}

export type Verdict =
  | { readonly how: 'serve' }
  | { readonly how: 'refuse'; readonly message: string; readonly retryAfterMs: number }
  /** Over the rate for {@link OVER_RATE_MS}. */
  | { readonly how: 'close' };

/** When to ask again where too many requests are being answered. */
const BUSY_RETRY_MS = 1_000;
const SERVE: Verdict = { how: 'serve' };
const NONE: readonly number[] = [];
const PROTOCOL_ERRORS: ReadonlySet<number> = new Set([PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS]);

export function createConduct(clock: Clock, limits: Pick<Limits, 'maxRequestsPerSecond'>): Conduct {
  return new SubscriberConduct(clock, limits);
}

class SubscriberConduct implements Conduct {
  private readonly clock: Clock;
  private readonly limits: Pick<Limits, 'maxRequestsPerSecond'>;
  private rate: Budget;
  /** What `rate` is by. */
  private perSecond: number;
  /** The present stretch of being over the rate. */
  private stretch: { readonly since: number; readonly last: number } | undefined;
  /** When the errors of the protocol were that count still. */
  private errors: readonly number[] = NONE;

  constructor(clock: Clock, limits: Pick<Limits, 'maxRequestsPerSecond'>) {
    this.clock = clock;
    this.limits = limits;
    this.perSecond = limits.maxRequestsPerSecond;
    this.rate = this.full();
  }

  ask(pending: number): Verdict {
    // Limits may change while a connection lives.
    if (this.limits.maxRequestsPerSecond !== this.perSecond) {
      this.perSecond = this.limits.maxRequestsPerSecond;
      this.rate = this.full();
    }
    const retryAfterMs = this.rate.take();
    if (retryAfterMs === 0) {
      if (pending < MAX_PENDING_REQUESTS) return SERVE;
      const message = `at most ${MAX_PENDING_REQUESTS} requests are answered at once`;
      return { how: 'refuse', message, retryAfterMs: BUSY_RETRY_MS };
    }
    const now = this.clock.monotonic();
    // Some are let through all the while: only a pause ends a stretch of being over the rate.
    const goesOn = this.stretch !== undefined && now - this.stretch.last <= OVER_RATE_PAUSE_MS;
    const since = goesOn && this.stretch !== undefined ? this.stretch.since : now;
    this.stretch = { since, last: now };
    if (now - since >= OVER_RATE_MS) return { how: 'close' };
    return { how: 'refuse', message: `at most ${this.perSecond} requests a second`, retryAfterMs };
  }

  isTooMany(code: number): boolean {
    if (!PROTOCOL_ERRORS.has(code)) return false;
    const now = this.clock.monotonic();
    this.errors = [...this.errors.filter((at) => now - at < PROTOCOL_ERROR_WINDOW_MS), now];
    return this.errors.length > MAX_PROTOCOL_ERRORS;
  }

  private full(): Budget {
    return createBudget({ clock: this.clock, perSecond: this.perSecond, burst: this.perSecond });
  }
}
