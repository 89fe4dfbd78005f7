import { createBudget } from '../net/budget.js';
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
const PROTOCOL_ERRORS: ReadonlySet<number> = new Set([PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS]);

export function createConduct(clock: Clock, limits: Pick<Limits, 'maxRequestsPerSecond'>): Conduct {
  let maxRequestsPerSecond = limits.maxRequestsPerSecond;
  const budget = () => createBudget({ clock, perSecond: maxRequestsPerSecond, burst: maxRequestsPerSecond });
  let rate = budget();
  let stretch: { readonly since: number; readonly last: number } | undefined;
  let errors: readonly number[] = [];
  return {
    ask(pending) {
      // Limits may change while a connection lives.
      if (limits.maxRequestsPerSecond !== maxRequestsPerSecond) {
        maxRequestsPerSecond = limits.maxRequestsPerSecond;
        rate = budget();
      }
      const retryAfterMs = rate.take();
      if (retryAfterMs === 0) {
        if (pending < MAX_PENDING_REQUESTS) return { how: 'serve' };
        const message = `at most ${MAX_PENDING_REQUESTS} requests are answered at once`;
        return { how: 'refuse', message, retryAfterMs: BUSY_RETRY_MS };
      }
      const now = clock.monotonic();
      // Some are let through all the while: only a pause ends a stretch of being over the rate.
      const goesOn = stretch !== undefined && now - stretch.last <= OVER_RATE_PAUSE_MS;
      stretch = { since: goesOn && stretch !== undefined ? stretch.since : now, last: now };
      if (now - stretch.since >= OVER_RATE_MS) return { how: 'close' };
      return { how: 'refuse', message: `at most ${maxRequestsPerSecond} requests a second`, retryAfterMs };
    },
    isTooMany(code) {
      if (!PROTOCOL_ERRORS.has(code)) return false;
      const now = clock.monotonic();
      errors = [...errors.filter((at) => now - at < PROTOCOL_ERROR_WINDOW_MS), now];
      return errors.length > MAX_PROTOCOL_ERRORS;
    },
  };
}
