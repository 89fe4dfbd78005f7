import type { Bus, Sight } from '../bus/bus.js';
import { asSessionRelayError, type SessionRelayError } from '../errors.js';
import type { Grant } from '../model/grant.js';
import type { Clock, Random, Timer } from '../net/clock.js';
import type { Log } from '../net/log.js';
import { authorityProblem, tokenOfHeaders } from './admission.js';
import { createBlindness } from './blindness.js';
import { type Connection, type ConnectionTerms, createConnection } from './connection.js';
import { CLOSE, PROBLEM_TYPE, problemBody } from './errors.js';
import { createFarewell, type Farewell } from './farewell.js';
import { createHeartbeats } from './heartbeats.js';
import type { JournalPages } from './journal-pages.js';
import { DEFAULT_LIMITS, HEARTBEAT_MS, type Limits, type LiveLimits, STREAM_SHARE } from './limits.js';
import type { LiveAuthenticator, Renewal } from './live-auth.js';
import { countPlaces, type Full, type Place, type Places, type Who } from './places.js';
import { createReplay, type ReplayCounts } from './replay.js';
import { EdgeSeat, RETRY_AFTER_SECONDS, type SeatTerms } from './seat.js';
import { noPlace, type Spectator, type TakePlace } from './spectators.js';
import { createStates } from './states.js';
import { countCode, createEdgeStats, type EdgeStats, REFUSAL_STATUSES } from './stats.js';
import type { UpgradeDecision, UpgradeRequest, Wire } from './wire.js';

export interface EdgeOptions {
  readonly bus: Bus;
  readonly authenticator: LiveAuthenticator;
  readonly limits: Partial<Limits>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly version: string;
  /** Who is there, where that is counted for other edges too; default: for this one alone, by its limits. */
  readonly places?: Places;
}

/** The subscribers' side of a relay: knows the protocol and the bus, no socket and no venue. */
export interface Edge {
  /** As they are now: they may change, see {@link Edge.limit}. */
  readonly limits: Limits;
  /** Judges by other limits from now on. Nobody is sent away for a count that is over a lower one. */
  limit(next: Partial<LiveLimits>): void;
  /** The grants of everybody who is there. */
  readonly grants: () => Iterable<Grant>;
  /**
   * Puts other rules of who may do what to use, and judges everybody who is there by them and by the limits, in this very turn:
   * whose credentials are refused is closed with 4401, who may not be served from where they come with 4403, and what
   * another grant does not cover ends with `unsubscribed`. Without a renewal the rules are as they were.
   */
  renew(renewal: Renewal | undefined): Renewed;
  /** Whether a socket is let in (PROTOCOL.md §4: credentials, origin, limits). */
  upgrade(request: UpgradeRequest): Promise<UpgradeDecision>;
  /** Refuses newcomers, tells everybody, and sends them away spread over the time; resolves when all are gone. Idempotent. */
  drain(options: { readonly timeoutMs: number }): Promise<void>;
  /** Ends every connection and every timer now. Idempotent. */
  close(): void;
  readonly isDraining: () => boolean;
  /** What the hub says of itself: a blind one says since when, and why. */
  readonly sight: () => Sight;
  readonly counts: () => { readonly connections: number; readonly groups: number };
  readonly stats: EdgeStats;
  /** For one who follows over HTTP. */
  readonly takePlace: TakePlace;
  /** Up to where everything was published, and the journal's pages as all who replay read them. */
  readonly position: () => string;
  readonly journal: JournalPages;
  /** Looks at every connection: for whoever asks now and then. */
  readonly load: () => { readonly lagging: number; readonly bufferedBytes: number };
  readonly replayed: () => ReplayCounts;
}

/** What became of those who were there. Event streams that end may come back, and are judged then. */
export interface Renewed {
  readonly kept: number;
  /** Another grant. */
  readonly changed: number;
  readonly closed: number;
  /** Their credentials are being checked still: they came while the others' were. */
  readonly pending: number;
}

/** An event stream whose credentials say something else now may come back after this. */
const STREAM_RETRY_MS = 1_000;
const SUBPROTOCOL = 'session-relay.v1';

export function createEdge(options: EdgeOptions): Edge {
  const { bus, authenticator, clock, random, log } = options;
  const limits: { -readonly [K in keyof Limits]: Limits[K] } = { ...DEFAULT_LIMITS, ...options.limits };
  const stats = createEdgeStats();
  const mostBytes = Math.floor(limits.maxBufferedBytes * STREAM_SHARE);
  const replay = createReplay({ bus, live: { mostBytes, stats } });
  const { channels } = replay;
  const states = createStates({ bus, channels, clock });
  const connections = new Set<Connection>();
  /** How often the rules were replaced: whoever was let in before and opens after must be judged again. */
  let renewals = 0;
  const places = options.places ?? countPlaces(limits);
  const timers = new Set<Timer>();
  let farewell: Farewell<Connection> | undefined;
  let draining: Promise<void> | undefined;
  let closed = false;

  const after = (ms: number, task: () => void): void => {
    const timer = clock.setTimer(() => {
      timers.delete(timer);
      task();
    }, ms);
    timers.add(timer);
  };
  const spectators = new Map<Spectator, Grant>();
  const everybody = (task: (connection: Connection) => void): void => {
    for (const connection of [...connections]) task(connection);
  };

  const endOfBlind = (connection: Connection): void =>
    connection.close(CLOSE.fault, 'the relay cannot follow: connect again later');
  const goAway = (connection: Connection): void =>
    connection.close(CLOSE.goingAway, 'the relay is shutting down: connect again and resume');
  const sendSpectatorsAway = (retryAfterMs: number): void => {
    for (const spectator of [...spectators.keys()]) spectator.leave(retryAfterMs * (0.5 + random() / 2));
  };
  const blindness = createBlindness({
    clock,
    first: { blind: false, cursor: bus.head() },
    blind(sinceMs) {
      everybody((connection) => connection.notify('blind', { sinceMs }));
      for (const spectator of spectators.keys()) spectator.blind(sinceMs);
    },
    sighted(cursor) {
      everybody((connection) => connection.notify('sighted', { cursor }));
      for (const spectator of spectators.keys()) spectator.sighted(cursor);
    },
    tooLong() {
      everybody(endOfBlind);
      sendSpectatorsAway(RETRY_AFTER_SECONDS * 1_000);
    },
  });
  const sights = bus.sight$.subscribe((next) => {
    if (!next.blind) channels.advance(next.cursor);
    blindness.take(next);
    for (const spectator of spectators.keys()) spectator.published();
  });
  const turns = bus.turns$.subscribe((turn) => {
    channels.publish(turn);
    states.publish(turn);
    for (const spectator of spectators.keys()) spectator.published();
  });

  const refuse = (
    status: number,
    detail: string,
    headers: Readonly<Record<string, string>> = {},
  ): Extract<UpgradeDecision, { readonly accept: false }> => {
    countCode(stats.refusals, status, REFUSAL_STATUSES);
    return {
      accept: false,
      status,
      body: problemBody(status, detail),
      headers: {
        'content-type': PROBLEM_TYPE,
        'cache-control': 'no-store',
        ...(status === 429 || status === 503 ? { 'retry-after': String(RETRY_AFTER_SECONDS) } : {}),
        ...headers,
      },
    };
  };
  const isOver = (): boolean => draining !== undefined || closed;
  const refuseOver = (): UpgradeDecision => refuse(503, 'the relay is shutting down');
  const refuseFull = (full: Full): UpgradeDecision =>
    full === 'relay' ? refuse(503, 'the relay is full') : refuse(429, `too many connections ${OF_WHAT[full]}`);
  /** What the relay counts itself is never over a limit. */
  const whoIs = ({ identity }: Grant, how: 'asked' | 'renewed'): Who => {
    return { identity, limited: how === 'asked' && authenticator.mode !== 'none' };
  };

  /** Judges one connection by what holds now. */
  const judge = (connection: Connection, verdictOf: Renewal['verdictOf']): keyof Renewed => {
    const problem = authorityProblem(connection.seat.origin, { limits, authenticator });
    if (problem !== undefined) {
      connection.close(CLOSE.forbidden, problem);
      return 'closed';
    }
    const grant = connection.knownGrant();
    // Who has shown nothing yet may still do so, in the time that there is for it.
    if (grant === undefined) return 'kept';
    const verdict = verdictOf(grant);
    if (verdict === grant) return 'kept';
    if (verdict === 'unchecked') {
      void judgeLater(connection, grant);
      return 'pending';
    }
    if (verdict === 'refused') {
      connection.close(CLOSE.unauthenticated, 'the credentials are not good any more');
      return 'closed';
    }
    connection.regrant(verdict);
    return 'changed';
  };
  const judgeLater = async (connection: Connection, grant: Grant): Promise<void> => {
    const verdict = await authenticator.renewed(grant).catch((thrown: unknown) => {
      const { code, message } = asSessionRelayError(thrown);
      if (code === 'unauthenticated') return 'refused' as const;
      log.error('credentials could not be checked again', { error: message });
      connection.close(CLOSE.fault, 'credentials cannot be checked now: connect again later');
      return undefined;
    });
    if (verdict !== undefined && connection.knownGrant() === grant) judge(connection, () => verdict);
  };
  const judgeStreamLater = (spectator: Spectator, grant: Grant): void => {
    const leave = (): void => spectator.leave(STREAM_RETRY_MS);
    authenticator.renewed(grant).then((now) => {
      if (now !== grant) leave();
    }, leave);
  };

  const admit = async (request: UpgradeRequest): Promise<UpgradeDecision> => {
    const problem = authorityProblem(request, { limits, authenticator });
    if (problem !== undefined) return refuse(403, problem);
    if (isOver()) return refuseOver();
    const token = tokenOfHeaders(request.headers);
    const admittedIn = renewals;
    let grant = token === undefined ? authenticator.anonymous : undefined;
    let place: Place | Full;
    try {
      // Whose token is being checked takes a place, too: a check may take seconds, and a flood comes at once.
      const taken = places.take(request.remoteAddress, grant === undefined ? undefined : whoIs(grant, 'asked'));
      place = taken instanceof Promise ? await taken : taken;
    } catch (thrown) {
      return cannotCount(thrown);
    }
    if (typeof place === 'string') return refuseFull(place);
    const give = (refusal: UpgradeDecision, taken: Place): UpgradeDecision => {
      taken.give();
      return refusal;
    };
    if (token !== undefined) {
      try {
        grant = await authenticator.authenticate(token);
      } catch (thrown) {
        const { code, message } = asSessionRelayError(thrown);
        if (code === 'unauthenticated') return give(refuse(401, message, { 'www-authenticate': 'Bearer' }), place);
        log.error('a token could not be checked', { error: message });
        return give(refuse(503, 'credentials cannot be checked now'), place);
      }
      try {
        const counted = place.identify(whoIs(grant, 'asked'));
        const isCounted = counted instanceof Promise ? await counted : counted;
        if (!isCounted) return give(refuseFull('identity'), place);
      } catch (thrown) {
        return give(cannotCount(thrown), place);
      }
    }
    return isOver() ? give(refuseOver(), place) : take(request, grant, place, admittedIn);
  };
  const cannotCount = (thrown: unknown): UpgradeDecision => {
    log.error('connections could not be counted', { error: asSessionRelayError(thrown).message });
    return refuse(503, 'connections cannot be counted now');
  };

  const terms: ConnectionTerms = {
    bus,
    replay,
    states,
    stats,
    heartbeats: createHeartbeats(clock, HEARTBEAT_MS),
    authenticator,
    limits,
    clock,
    log,
    server: `session-relay/${options.version}`,
  };
  const seats: SeatTerms = {
    host: undefined,
    whoIs,
    left(connection) {
      connections.delete(connection);
      farewell?.gone(connections.size);
    },
  };
  const take = (
    request: UpgradeRequest,
    grant: Grant | undefined,
    place: Place,
    admittedIn: number,
  ): UpgradeDecision => {
    // Of the request no more is kept than this: a connection lives for days.
    const seat = new EdgeSeat(seats, place, request);
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((one) => one.trim());
    return {
      accept: true,
      ...(offered.includes(SUBPROTOCOL) ? { protocol: SUBPROTOCOL } : {}),
      abandoned: () => place.give(),
      open(wire: Wire) {
        const connection = createConnection(terms, { wire, grant, seat });
        connections.add(connection);
        if (admittedIn !== renewals) judge(connection, (mine) => (authenticator.isCurrent(mine) ? mine : 'unchecked'));
        const { toldMs } = blindness;
        if (closed || draining !== undefined) {
          connection.notify('draining', { retryAfterMs: RETRY_AFTER_SECONDS * 1_000 });
          goAway(connection);
        } else if (toldMs !== undefined) connection.notify('blind', { sinceMs: toldMs });
        if (blindness.isTooLong) endOfBlind(connection);
        return connection.handlers;
      },
    };
  };

  return {
    limits,
    limit(next) {
      Object.assign(limits, next);
    },
    *grants() {
      for (const connection of connections) {
        const grant = connection.knownGrant();
        if (grant !== undefined) yield grant;
      }
      yield* spectators.values();
    },
    renew(renewal) {
      renewals++;
      renewal?.use();
      const verdictOf = renewal?.verdictOf ?? ((grant: Grant) => grant);
      const counts = { kept: 0, changed: 0, closed: 0, pending: 0 };
      for (const connection of [...connections]) counts[judge(connection, verdictOf)]++;
      for (const [spectator, grant] of [...spectators]) {
        const verdict = verdictOf(grant);
        if (verdict === 'unchecked') judgeStreamLater(spectator, grant);
        else if (verdict !== grant) spectator.leave(STREAM_RETRY_MS);
      }
      return counts;
    },
    upgrade: admit,
    isDraining: () => draining !== undefined,
    sight: () => blindness.sight,
    counts: () => ({ connections: connections.size, groups: channels.size + states.size }),
    replayed: () => replay.counts(),
    position: channels.position,
    journal: replay.journal,
    async takePlace({ remoteAddress, grant }, spectator) {
      const away = (status: number): SessionRelayError => noPlace(status, RETRY_AFTER_SECONDS * 1_000);
      if (isOver()) throw away(503);
      const place = await places.take(remoteAddress, whoIs(grant, 'asked'));
      if (typeof place === 'string') throw away(place === 'relay' ? 503 : 429);
      if (isOver()) {
        place.give();
        throw away(503);
      }
      spectators.set(spectator, grant);
      if (!authenticator.isCurrent(grant)) judgeStreamLater(spectator, grant);
      return {
        give() {
          spectators.delete(spectator);
          place.give();
        },
      };
    },
    stats,
    load() {
      let lagging = 0;
      let bufferedBytes = 0;
      for (const connection of connections) {
        if (connection.isLagging()) lagging++;
        bufferedBytes += connection.bufferedBytes();
      }
      return { lagging, bufferedBytes };
    },
    drain({ timeoutMs }) {
      if (draining !== undefined) return draining;
      farewell = createFarewell({
        after,
        random,
        timeoutMs,
        tell: (connection, retryAfterMs) => connection.notify('draining', { retryAfterMs }),
        close: goAway,
      });
      sendSpectatorsAway(timeoutMs / 2);
      draining = farewell.begin(connections);
      return draining;
    },
    close() {
      if (closed) return;
      closed = true;
      everybody(goAway);
      sendSpectatorsAway(RETRY_AFTER_SECONDS * 1_000);
      turns.unsubscribe();
      sights.unsubscribe();
      blindness.stop();
      for (const timer of timers) timer.cancel();
    },
  };
}

const OF_WHAT = { address: 'from this address', identity: 'of this identity' } as const;
