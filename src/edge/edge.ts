import type { Bus, Sight } from '../bus/bus.js';
import { asSessionRelayError, SessionRelayError } from '../errors.js';
import type { Grant } from '../model/grant.js';
import type { Clock, Random, Timer } from '../net/clock.js';
import type { Log } from '../net/log.js';
import { authorityProblem, tokenOfHeaders } from './admission.js';
import type { Authenticator } from './auth.js';
import { createBlindness } from './blindness.js';
import { type Connection, createConnection } from './connection.js';
import { CLOSE, PROBLEM_TYPE, problemBody } from './errors.js';
import { createFarewell, type Farewell } from './farewell.js';
import type { JournalPages } from './journal-pages.js';
import { DEFAULT_LIMITS, type Limits } from './limits.js';
import { createReplay, type ReplayCounts } from './replay.js';
import { noPlace, type Spectator, type TakePlace } from './spectators.js';
import { createStates } from './states.js';
import { countCode, createEdgeStats, type EdgeStats, REFUSAL_STATUSES } from './stats.js';
import type { UpgradeDecision, UpgradeRequest, Wire } from './wire.js';

export interface EdgeOptions {
  readonly bus: Bus;
  readonly authenticator: Authenticator;
  readonly limits: Partial<Limits>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly version: string;
}

/** The subscribers' side of a relay: knows the protocol and the bus, no socket and no venue. */
export interface Edge {
  readonly limits: Limits;
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

const RETRY_AFTER_SECONDS = 5;
const SUBPROTOCOL = 'session-relay.v1';

export function createEdge(options: EdgeOptions): Edge {
  const { bus, authenticator, clock, random, log } = options;
  const limits: Limits = { ...DEFAULT_LIMITS, ...options.limits };
  const replay = createReplay({ bus });
  const { channels } = replay;
  const states = createStates({ bus, channels, clock });
  const connections = new Set<Connection>();
  const perAddress = new Map<string, number>();
  const perIdentity = new Map<string, number>();
  const stats = createEdgeStats();
  const timers = new Set<Timer>();
  let admitted = 0;
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
  const spectators = new Set<Spectator>();
  const everybody = (task: (connection: Connection) => void): void => {
    for (const connection of [...connections]) task(connection);
  };

  const endOfBlind = (connection: Connection): void =>
    connection.close(CLOSE.fault, 'the relay cannot follow: connect again later');
  const goAway = (connection: Connection): void =>
    connection.close(CLOSE.goingAway, 'the relay is shutting down: connect again and resume');
  const sendSpectatorsAway = (retryAfterMs: number): void => {
    for (const spectator of [...spectators]) spectator.leave(retryAfterMs * (0.5 + random() / 2));
  };
  const blindness = createBlindness({
    clock,
    first: { blind: false, cursor: bus.head() },
    blind(sinceMs) {
      everybody((connection) => connection.notify('blind', { sinceMs }));
      for (const spectator of spectators) spectator.blind(sinceMs);
    },
    sighted(cursor) {
      everybody((connection) => connection.notify('sighted', { cursor }));
      for (const spectator of spectators) spectator.sighted(cursor);
    },
    tooLong() {
      everybody(endOfBlind);
      sendSpectatorsAway(RETRY_AFTER_SECONDS * 1_000);
    },
  });
  const sights = bus.sight$.subscribe((next) => {
    if (!next.blind) channels.advance(next.cursor);
    blindness.take(next);
    for (const spectator of spectators) spectator.published();
  });
  const turns = bus.turns$.subscribe((turn) => {
    channels.publish(turn);
    states.publish(turn);
    for (const spectator of spectators) spectator.published();
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
  const isFull = (counts: Map<string, number>, key: string, most: number): boolean =>
    most > 0 && (counts.get(key) ?? 0) >= most;
  const isIdentityFull = ({ identity }: Grant): boolean =>
    authenticator.mode !== 'none' && isFull(perIdentity, identity, limits.maxConnectionsPerIdentity);

  const noRoom = (remoteAddress: string): UpgradeDecision | undefined => {
    if (draining !== undefined || closed) return refuse(503, 'the relay is shutting down');
    if (admitted >= limits.maxConnections) return refuse(503, 'the relay is full');
    if (isFull(perAddress, remoteAddress, limits.maxConnectionsPerAddress))
      return refuse(429, 'too many connections from this address');
    return undefined;
  };

  const countPlace = (remoteAddress: string): (() => void) => {
    admitted++;
    change(perAddress, remoteAddress, 1);
    return () => {
      admitted--;
      change(perAddress, remoteAddress, -1);
    };
  };

  const admit = async (request: UpgradeRequest): Promise<UpgradeDecision> => {
    const problem = authorityProblem(request, { limits, authenticator });
    if (problem !== undefined) return refuse(403, problem);
    const before = noRoom(request.remoteAddress);
    if (before !== undefined) return before;
    let grant: Grant | undefined = authenticator.anonymous;
    const token = tokenOfHeaders(request.headers);
    if (token !== undefined) {
      // Whose token is being checked takes a place, too: a check may take seconds, and a flood comes at once.
      const leavePlace = countPlace(request.remoteAddress);
      try {
        grant = await authenticator.authenticate(token);
      } catch (thrown) {
        const { code, message } = asSessionRelayError(thrown);
        if (code === 'unauthenticated') return refuse(401, message, { 'www-authenticate': 'Bearer' });
        log.error('a token could not be checked', { error: message });
        return refuse(503, 'credentials cannot be checked now');
      } finally {
        leavePlace();
      }
      // Others may have come while the token was checked.
      const now = noRoom(request.remoteAddress);
      if (now !== undefined) return now;
    }
    if (grant !== undefined && isIdentityFull(grant)) return refuse(429, 'too many connections of this identity');
    return take(request, grant);
  };

  /** Counts it from here on, so that sockets that are still opening count too. */
  const take = (request: UpgradeRequest, grant: Grant | undefined): UpgradeDecision => {
    const { remoteAddress } = request;
    const leavePlace = countPlace(remoteAddress);
    let identity = grant?.identity;
    if (identity !== undefined) change(perIdentity, identity, 1);
    const leave = (): void => {
      leavePlace();
      if (identity !== undefined) change(perIdentity, identity, -1);
    };
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((one) => one.trim());
    return {
      accept: true,
      ...(offered.includes(SUBPROTOCOL) ? { protocol: SUBPROTOCOL } : {}),
      abandoned: leave,
      open(wire: Wire) {
        const connection = createConnection({
          wire,
          grant,
          bus,
          replay,
          states,
          stats,
          authenticator,
          limits,
          clock,
          log,
          server: `session-relay/${options.version}`,
          identified(next) {
            if (identity === next.identity) return;
            if (isIdentityFull(next)) {
              throw new SessionRelayError('rate_limited', 'too many connections of this identity', {
                data: { retryAfterMs: RETRY_AFTER_SECONDS * 1_000 },
              });
            }
            if (identity !== undefined) change(perIdentity, identity, -1);
            identity = next.identity;
            change(perIdentity, identity, 1);
          },
          closed() {
            connections.delete(connection);
            leave();
            farewell?.gone(connections.size);
          },
        });
        connections.add(connection);
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
    upgrade: admit,
    isDraining: () => draining !== undefined,
    sight: () => blindness.sight,
    counts: () => ({ connections: connections.size, groups: channels.size + states.size }),
    replayed: () => replay.counts(),
    position: channels.position,
    journal: replay.journal,
    takePlace({ remoteAddress, grant }, spectator) {
      const refused = noRoom(remoteAddress);
      if (refused?.accept === false) throw noPlace(refused.status, RETRY_AFTER_SECONDS * 1_000);
      if (isIdentityFull(grant)) throw noPlace(429, RETRY_AFTER_SECONDS * 1_000);
      const leave = countPlace(remoteAddress);
      change(perIdentity, grant.identity, 1);
      spectators.add(spectator);
      let given = false;
      return {
        give() {
          if (given) return;
          given = true;
          spectators.delete(spectator);
          change(perIdentity, grant.identity, -1);
          leave();
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

function change(counts: Map<string, number>, key: string, by: number): void {
  const next = (counts.get(key) ?? 0) + by;
  if (next <= 0) counts.delete(key);
  else counts.set(key, next);
}
