import { SessionRelayError } from '../errors.js';
import type { Grant } from '../model/grant.js';
import type { Connection, Origin, Seat } from './connection.js';
import type { Place, Who } from './places.js';
import type { UpgradeRequest } from './wire.js';

/** When whoever is refused for a count may come again. */
export const RETRY_AFTER_SECONDS = 5;

/** What all seats of an edge have in common. */
export interface SeatTerms {
  /** The last `Host`: most come by one name, and share it. */
  host: string | undefined;
  whoIs(grant: Grant, how: 'asked' | 'renewed'): Who;
  /** One is there no more. */
  left(connection: Connection): void;
}

/** What an edge keeps of one connection: where it comes from, and its place among those that are counted. */
export class EdgeSeat implements Seat {
  private readonly terms: SeatTerms;
  private readonly place: Place;
  private readonly remoteAddress: string;
  private readonly host: string | undefined;
  private readonly webOrigin: string | undefined;

  constructor(terms: SeatTerms, place: Place, { remoteAddress, headers: { host, origin } }: UpgradeRequest) {
    if (host !== terms.host) terms.host = host;
    this.terms = terms;
    this.place = place;
    this.remoteAddress = remoteAddress;
    this.host = terms.host;
    this.webOrigin = origin;
  }

  get origin(): Origin {
    const { remoteAddress, host, webOrigin: origin } = this;
    const headers = { ...(host === undefined ? {} : { host }), ...(origin === undefined ? {} : { origin }) };
    return { remoteAddress, headers };
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

function mustBeCounted(isCounted: boolean): void {
  if (isCounted) return;
  throw new SessionRelayError('rate_limited', 'too many connections of this identity', {
    data: { retryAfterMs: RETRY_AFTER_SECONDS * 1_000 },
  });
}
