import type { Clock } from '../../net/clock.js';
import { createSwitch, type Switch } from '../timers.js';

/** What becomes of the sockets of an evicted session: no source says, so that a test can choose. */
export type EvictedSockets = 'drop' | 'close' | 'keep';

/** What faults have changed about the venue, until they change it back. */
export interface Conditions {
  /** The venue's clock is ahead by so much. */
  skewMs: number;
  /** Every frame takes so long while `slow` is on. */
  delayMs: number;
  readonly slow: Switch;
  readonly badCredentials: Switch;
  readonly badProtection: Switch;
  /** Begun: sockets are refused. */
  readonly maintenance: Switch;
  /** Upgrades that are refused from now on. */
  refusedUpgrades: number;
  retryAfterSeconds: number | undefined;
  /** Channels that the next acknowledgements leave out, one each: a name, or any. */
  readonly missingChannels: (string | undefined)[];
  evictedSockets: EvictedSockets;
}

export function createConditions(clock: Clock): Conditions {
  return {
    skewMs: 0,
    delayMs: 0,
    slow: createSwitch(clock),
    badCredentials: createSwitch(clock),
    badProtection: createSwitch(clock),
    maintenance: createSwitch(clock),
    refusedUpgrades: 0,
    retryAfterSeconds: undefined,
    missingChannels: [],
    evictedSockets: 'drop',
  };
}
