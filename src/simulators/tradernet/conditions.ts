import type { Clock } from '../../net/clock.js';
import { createSwitch, type Switch } from '../timers.js';

/** What `expire` of a row says; `milliseconds` is what the vendor's page claims and its examples deny. */
export type ExpireAs = 'seconds' | 'milliseconds' | 'zero' | 'negative';

/** Which words ask for the list on the raw WebSocket: the vendor's pages have both, and nobody has recorded either. */
export type SessionsWord = 'sessions' | 'session' | 'both';

/** What faults have changed about the venue, until they change it back. */
export interface Conditions {
  sessionsWord: SessionsWord;
  /** Every frame of a socket takes so long while `slow` is on. */
  delayMs: number;
  readonly slow: Switch;
  /** Neither password nor API key is taken. */
  readonly badCredentials: Switch;
  /** A login asks for a code from the customer's phone. */
  readonly twoFactor: Switch;
  /** Every request over HTTP is answered with 429. */
  readonly throttled: Switch;
  /** In ms of the monotonic clock. */
  throttledUntil: number;
  readonly maintenance: Switch;
  readonly httpDown: Switch;
  /** Frames without the server's time. */
  readonly plainFrames: Switch;
  readonly inconsistentExpire: Switch;
  expireAs: ExpireAs;
  /** Upgrades that are refused from now on, and how. */
  refusedUpgrades: number;
  refusedStatus: number;
  retryAfterSeconds: number | undefined;
  /** The next raw socket with a login gets a list before its userData. */
  listFirst: boolean;
}

export function createConditions(clock: Clock, sessionsWord: SessionsWord, expireChanged: () => void): Conditions {
  const conditions: Conditions = {
    sessionsWord,
    delayMs: 0,
    slow: createSwitch(clock),
    badCredentials: createSwitch(clock),
    twoFactor: createSwitch(clock),
    throttled: createSwitch(clock),
    throttledUntil: 0,
    maintenance: createSwitch(clock),
    httpDown: createSwitch(clock),
    plainFrames: createSwitch(clock),
    inconsistentExpire: createSwitch(clock, () => {
      conditions.expireAs = 'seconds';
      expireChanged();
    }),
    expireAs: 'seconds',
    refusedUpgrades: 0,
    refusedStatus: 429,
    retryAfterSeconds: undefined,
    listFirst: false,
  };
  return conditions;
}
