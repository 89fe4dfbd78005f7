import { SessionRelayError } from '../errors.js';
import type { Grant } from '../model/grant.js';
import type { Place } from './places.js';

/** One who follows without a socket of its own protocol (an event stream over HTTP), as the edge sees it. None throws. */
export interface Spectator {
  /** Something was published, or the edge's position moved. */
  published(): void;
  blind(sinceMs: number): void;
  sighted(cursor: string): void;
  /** The relay shuts down, or cannot follow for too long: it is to end, and may come back after so long. */
  leave(retryAfterMs: number): void;
}

/**
 * Takes a place among the connections: counted as one, told what they are told. Rejects with `rate_limited` or
 * `source_unavailable` where there is none.
 */
export type TakePlace = (
  peer: { readonly remoteAddress: string; readonly grant: Grant },
  spectator: Spectator,
) => Promise<Pick<Place, 'give'>>;

/** Why there is no place, as the error that a request is answered with. */
export function noPlace(status: number, retryAfterMs: number): SessionRelayError {
  return status === 429
    ? new SessionRelayError('rate_limited', 'too many connections from this address or of this identity', {
        data: { retryAfterMs },
      })
    : new SessionRelayError('source_unavailable', 'the relay is full or shutting down: come again later', {
        data: { retryAfterMs },
      });
}
