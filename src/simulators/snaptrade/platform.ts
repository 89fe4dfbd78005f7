import type { Clock } from '../../net/clock.js';
import { seededRandom } from '../../net/timer.js';
import { createHttpClient } from '../../net/undici-http.js';
import { type Brokerage, createBrokerages } from './brokerages.js';
import { type Conditions, createConditions, type Era } from './conditions.js';
import { type Connection, type Connections, createConnections } from './connections.js';
import { drawHex } from './ids.js';
import { createOutbox, type Outbox } from './outbox.js';
import { createUsers, type User } from './partner.js';
import { createPortals, type Portals } from './portals.js';
import { createRate, type Rate } from './rate.js';
import { createTraffic, type Traffic } from './traffic.js';

/** Everything of the venue: the partner's customers, their connections, and what faults changed. */
export interface Platform {
  readonly clock: Clock;
  readonly conditions: Conditions;
  readonly users: readonly User[];
  readonly brokerages: readonly Brokerage[];
  readonly connections: Connections;
  readonly portals: Portals;
  readonly rate: Rate;
  readonly traffic: Traffic;
  readonly outbox: Outbox;
  /** A personal key: there is one customer, whom no request names. */
  readonly personal: boolean;
  userOf(userId: string): User | undefined;
  /** `X-Request-ID` of one more answer. */
  nextRequestId(): string;
}

export interface PlatformOptions {
  readonly clock: Clock;
  readonly seed: number;
  readonly users: number;
  readonly connections: number;
  readonly era: Era;
  readonly personal: boolean;
  readonly requestsPerMinute: number;
  readonly webhookUrl: string | undefined;
}

/** Each part draws from a stream of its own, so that none of them moves what another draws. */
const STREAMS = { users: 1, brokerages: 2, connections: 3, portals: 4, webhooks: 5, requests: 6 } as const;
const REQUEST_ID_DIGITS = 32;

export function createPlatform(options: PlatformOptions): Platform {
  const { clock, seed, personal } = options;
  const users = createUsers(seededRandom(seed + STREAMS.users), personal ? 1 : options.users);
  const byUserId = new Map(users.map((user) => [user.userId, user]));
  const brokerages = createBrokerages(clock, seededRandom(seed + STREAMS.brokerages));
  const requests = seededRandom(seed + STREAMS.requests);
  return {
    clock,
    conditions: createConditions(clock, options.era),
    users,
    brokerages,
    connections: createConnections({
      clock,
      random: seededRandom(seed + STREAMS.connections),
      users,
      brokerages,
      count: options.connections,
    }),
    portals: createPortals(clock, seededRandom(seed + STREAMS.portals)),
    rate: createRate(clock, options.requestsPerMinute),
    traffic: createTraffic(),
    outbox: createOutbox({
      clock,
      random: seededRandom(seed + STREAMS.webhooks),
      http: createHttpClient({}),
      url: options.webhookUrl,
    }),
    personal,
    userOf: (userId) => byUserId.get(userId),
    nextRequestId: () => drawHex(requests, REQUEST_ID_DIGITS),
  };
}

/** When a change is told by webhook: never, or so long after it. */
export interface Telling {
  readonly webhook: boolean;
  readonly webhookAfterMs: number;
}

export const AT_ONCE: Telling = { webhook: true, webhookAfterMs: 0 };

/** Tells of a connection as `telling` says. */
export function tellOf(platform: Platform, type: string, connection: Connection, telling: Telling): void {
  if (!telling.webhook) return;
  const tell = (): void => platform.outbox.tell({ type, user: connection.user, connection });
  if (telling.webhookAfterMs === 0) tell();
  else platform.clock.setTimer(tell, telling.webhookAfterMs);
}
