import type { Clock } from '../../net/clock.js';

/** Counts requests; who asks too fast waits in the penalty box, whatever it asks. */
export interface Pacing {
  /** One request by name; `false`: it is refused with 429. */
  take(endpoint: string): boolean;
  readonly isPenalised: boolean;
  /** 0 ends it. */
  penalise(forMs: number): void;
}

/** IBKR docs, "Pacing limitations": an address that is over a limit waits ten minutes. */
export const PENALTY_MS = 600_000;
/** IBKR docs, "Pacing limitations": requests a second through the gateway. */
const REQUESTS_PER_SECOND = 10;
const SECOND_MS = 1_000;
/**
 * IBKR docs, "Pacing limitations": one tickle a second, one validate a minute. Less what the network may do to two
 * requests that were sent so far apart.
 */
const LEAST_BETWEEN_MS: { readonly [endpoint: string]: number } = { tickle: 900, validate_sso: 59_000 };

export function createPacing(clock: Pick<Clock, 'monotonic'>): Pacing {
  const lastOf = new Map<string, number>();
  let taken: readonly number[] = [];
  let penaltyEnd = Number.NEGATIVE_INFINITY;
  const pacing: Pacing = {
    get isPenalised() {
      return clock.monotonic() < penaltyEnd;
    },
    penalise(forMs) {
      penaltyEnd = clock.monotonic() + forMs;
    },
    take(endpoint) {
      if (pacing.isPenalised) return false;
      const now = clock.monotonic();
      taken = [...taken.filter((at) => now - at < SECOND_MS), now];
      const last = lastOf.get(endpoint) ?? Number.NEGATIVE_INFINITY;
      lastOf.set(endpoint, now);
      if (taken.length <= REQUESTS_PER_SECOND && now - last >= (LEAST_BETWEEN_MS[endpoint] ?? 0)) return true;
      pacing.penalise(PENALTY_MS);
      return false;
    },
  };
  return pacing;
}
