import { NO_TAKINGS, type Takings } from './state.js';

/** A taking that was kept for so long is forgotten: whoever took the session back later is another story. */
const KEPT_MS = 86_400_000;
const MAX_WAIT_MS = 86_400_000;

/**
 * How long the relay must not take the session from another login; 0: it may. The cooldown runs from the last taking,
 * or from when that one was lost again, and doubles with each taking in a row: two relays that are both set to compete
 * would otherwise end each other's session for ever.
 */
export function takeWaitMs(takings: Takings, cooldownMs: number, nowMs: number): number {
  const { count, lastAtMs } = takings;
  if (count === 0 || lastAtMs === undefined) return 0;
  const waitMs = Math.min(MAX_WAIT_MS, cooldownMs * 2 ** (count - 1));
  const sinceMs = nowMs - Math.max(lastAtMs, takings.lostAtMs ?? lastAtMs);
  return Math.min(waitMs, Math.max(0, waitMs - sinceMs));
}

/** The session is being taken now. */
export function taken({ count }: Takings, nowMs: number): Takings {
  return { count: count + 1, lastAtMs: nowMs };
}

/** A session that worked is another login's now. */
export function takenAway(takings: Takings, nowMs: number): Takings {
  const { lastAtMs } = takings;
  if (lastAtMs === undefined) return takings;
  return nowMs - lastAtMs >= KEPT_MS ? NO_TAKINGS : { ...takings, lostAtMs: nowMs };
}
