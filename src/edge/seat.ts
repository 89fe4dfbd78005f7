import { SessionRelayError } from '../errors.js';
import type { Grant } from '../model/grant.js';
import type { Connection, Origin, Seat } from './connection.js';
import type { Place, Who } from './places.js';
import type { UpgradeRequest } from './wire.js';

/** When whoever is refused for a count may come again. */
export const RETRY_AFTER_SECONDS = 5;

/** What all seats of an edge have in common. */
export interface SeatTerms {
  whoIs(grant: Grant, how: 'asked' | 'renewed'): Who;
  /** One is there no more. */
  left(connection: Connection): void;
}

/** What an edge keeps of one connection: where it comes from, and its place among those that are counted. */
export class EdgeSeat implements Seat {
  readonly origin: Origin;
  private readonly terms: SeatTerms;
  private readonly place: Place;

  constructor(terms: SeatTerms, place: Place, origin: Origin) {
    this.terms = terms;
    this.place = place;
    this.origin = origin;
  }

  identified(grant: Grant, how: 'asked' | 'renewed'): void | Promise<void> {
    const counted = this.place.identify(this.terms.whoIs(grant, how));
    // What the relay itself decides ends no connection for a count.
    if (how === 'renewed') {
      if (counted instanceof Promise) counted.catch(() => undefined);
      return undefined;
    }
    return counted instanceof Promise ? counted.then(mustBeCounted) : mustBeCounted(counted);
  }

  left(connection: Connection): void {
    this.place.give();
    this.terms.left(connection);
  }
}

/** What of a request says where it comes from. */
export function originOf({ remoteAddress, headers: { host, origin } }: UpgradeRequest): Origin {
  return {
    remoteAddress,
    headers: { ...(host === undefined ? {} : { host }), ...(origin === undefined ? {} : { origin }) },
  };
}

function mustBeCounted(isCounted: boolean): void {
  if (isCounted) return;
  throw new SessionRelayError('rate_limited', 'too many connections of this identity', {
    data: { retryAfterMs: RETRY_AFTER_SECONDS * 1_000 },
  });
}
