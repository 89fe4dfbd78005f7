import type { JsonObject } from '../../model/json.js';
import type { Clock } from '../../net/clock.js';
import { seededRandom } from '../../net/timer.js';
import { type Codes, createCodes } from './codes.js';
import { type Conditions, createConditions, type SessionsWord } from './conditions.js';
import { createKeys, type Keys } from './keys.js';
import { createLoginLimit, createLogins, type LoginLimit, type Logins } from './logins.js';
import type { Peer } from './peer.js';
import { createSecuritySessions, type SecuritySessions } from './sessions.js';
import { createOwnTraffic, type Traffic } from './traffic.js';
import { createTwoFactor, type TwoFactor } from './two-factor.js';

/** Everything of the venue that is not one connection: logins, security sessions, what faults changed. */
export interface Broker {
  readonly clock: Clock;
  readonly seed: number;
  readonly conditions: Conditions;
  readonly logins: Logins;
  readonly loginLimit: LoginLimit;
  readonly twoFactor: TwoFactor;
  readonly keys: Keys;
  readonly codes: Codes;
  readonly sessions: SecuritySessions;
  readonly traffic: Traffic;
  /** Live connections by number. */
  readonly peers: Map<number, Peer>;
  /** A number for one more connection; they count from 1. */
  nextPeer(): number;
  /** Tells the list to whoever is subscribed; `extra` goes into each row. */
  publish(extra?: JsonObject): void;
}

/** Logins, sessions and peers draw from streams of their own, so that none of them moves what another draws. */
const STREAMS = { logins: 1, sessions: 2, twoFactor: 3 } as const;

export function createBroker(clock: Clock, seed: number, sessionsWord: SessionsWord): Broker {
  const peers = new Map<number, Peer>();
  let lastPeer = 0;
  const publish = (extra?: JsonObject): void => {
    for (const peer of [...peers.values()]) peer.tellList(extra);
  };
  const conditions = createConditions(clock, sessionsWord, () => publish());
  return {
    clock,
    seed,
    conditions,
    logins: createLogins(clock, seededRandom(seed + STREAMS.logins)),
    loginLimit: createLoginLimit(clock),
    twoFactor: createTwoFactor(seededRandom(seed + STREAMS.twoFactor)),
    keys: createKeys(
      () => clock.now(),
      () => conditions.badCredentials.isOn,
    ),
    codes: createCodes(clock),
    sessions: createSecuritySessions({
      clock,
      random: seededRandom(seed + STREAMS.sessions),
      conditions: () => conditions,
      changed: () => publish(),
    }),
    traffic: createOwnTraffic(),
    peers,
    nextPeer() {
      lastPeer += 1;
      return lastPeer;
    },
    publish,
  };
}
