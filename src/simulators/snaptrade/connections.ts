import { SessionRelayError } from '../../errors.js';
import type { Clock, Random } from '../../net/clock.js';
import { drawBetween } from '../draw.js';
import type { Brokerage } from './brokerages.js';
import { drawUuid } from './ids.js';
import type { User } from './partner.js';

export type ConnectionType = 'read' | 'trade';

/** A brokerage authorization: one login at one broker, given by one customer. */
export interface Connection {
  readonly id: string;
  readonly user: User;
  readonly brokerage: Brokerage;
  readonly name: string;
  readonly type: ConnectionType;
  readonly freshness: 'realtime' | 'delayed';
  readonly accountId: string;
  readonly createdAt: number;
  /** Where its dates are written: minutes from UTC. */
  readonly offsetMinutes: number;
  /** Wall clock; undefined while it works. */
  disabledAt: number | undefined;
  updatedAt: number;
  /** Monotonic clock. */
  refreshedAt: number | undefined;
}

export interface Connections {
  readonly size: number;
  all(): Iterable<Connection>;
  /** In the order in which they were made. */
  of(user: User): readonly Connection[];
  get(id: string): Connection | undefined;
  add(options: {
    readonly user: User;
    readonly brokerage: Brokerage;
    readonly type: ConnectionType;
    readonly freshness?: Connection['freshness'];
  }): Connection;
  /** Idempotent. */
  disable(connection: Connection): void;
  /** Idempotent. */
  enable(connection: Connection): void;
  /** Whether it was there. */
  remove(connection: Connection): boolean;
  /** The connection that was disabled last and still is. */
  lastDisabled(user?: User): Connection | undefined;
}

export const MAX_CONNECTIONS = 10_000;
const DAY_MS = 86_400_000;
const OLDEST_DAYS = 300;
/** New York in winter and summer, UTC, and an offset that is no whole hour. */
const OFFSETS = [-300, -240, 0, 330] as const;
/** One of so many may only read. */
const READ_SHARE = 4;

export function createConnections(options: {
  readonly clock: Clock;
  readonly random: Random;
  readonly users: readonly User[];
  readonly brokerages: readonly Brokerage[];
  readonly count: number;
}): Connections {
  const { clock, random, users, brokerages, count } = options;
  const byId = new Map<string, Connection>();
  const byUser = new Map<User, Set<Connection>>(users.map((user) => [user, new Set()]));
  const disabled = new Set<Connection>();
  let made = 0;

  const make = (
    fixed: Pick<Connection, 'user' | 'brokerage' | 'type' | 'freshness'>,
    createdAt: number,
  ): Connection => {
    if (byId.size >= MAX_CONNECTIONS) {
      throw new SessionRelayError('invalid_params', `there are ${MAX_CONNECTIONS} connections: delete one`);
    }
    made += 1;
    const connection: Connection = {
      ...fixed,
      id: drawUuid(random),
      accountId: drawUuid(random),
      name: `Connection-${made}`,
      createdAt,
      offsetMinutes: OFFSETS[Math.floor(random() * OFFSETS.length)] ?? 0,
      updatedAt: createdAt,
      disabledAt: undefined,
      refreshedAt: undefined,
    };
    byId.set(connection.id, connection);
    byUser.get(connection.user)?.add(connection);
    return connection;
  };

  for (let index = 0; index < count; index++) {
    const user = users[index % users.length];
    const brokerage = brokerages[Math.floor(index / users.length) % brokerages.length];
    if (user === undefined || brokerage === undefined) break;
    const type = brokerage.allowsTrading && index % READ_SHARE !== READ_SHARE - 1 ? 'trade' : 'read';
    const createdAt = Math.floor(clock.now() - drawBetween(random, DAY_MS, OLDEST_DAYS * DAY_MS));
    make({ user, brokerage, type, freshness: 'delayed' }, createdAt);
  }

  return {
    get size() {
      return byId.size;
    },
    all: () => byId.values(),
    of: (user) => [...(byUser.get(user) ?? [])],
    get: (id) => byId.get(id),
    add: ({ user, brokerage, type, freshness = 'delayed' }) => make({ user, brokerage, type, freshness }, clock.now()),
    disable(connection) {
      if (connection.disabledAt !== undefined || !byId.has(connection.id)) return;
      connection.disabledAt = clock.now();
      connection.updatedAt = clock.now();
      disabled.add(connection);
    },
    enable(connection) {
      if (connection.disabledAt === undefined) return;
      connection.disabledAt = undefined;
      connection.updatedAt = clock.now();
      disabled.delete(connection);
    },
    remove(connection) {
      disabled.delete(connection);
      byUser.get(connection.user)?.delete(connection);
      return byId.delete(connection.id);
    },
    lastDisabled: (user) => [...disabled].findLast((connection) => user === undefined || connection.user === user),
  };
}
