import { z } from 'zod';
import { SessionRelayError } from '../../errors.js';
import { milliseconds } from '../faults.js';
import type { Simulator } from '../simulator.js';
import type { Brokerage } from './brokerages.js';
import type { Connection } from './connections.js';
import type { User } from './partner.js';
import type { Platform } from './platform.js';

/** What a fault is about: a connection by its id, or the one that its rule picks, of one customer or of all. */
export const target = { connection: z.string().optional(), user: z.string().optional() };
/** How a change is told: by webhook at once, after a while, or not at all, so that only a poll finds it. */
export const telling = { webhook: z.boolean().default(true), webhookAfterMs: milliseconds.default(0) };

export interface Target {
  readonly connection?: string | undefined;
  readonly user?: string | undefined;
}

/** By the alias; the first customer where none is named. */
export function userNamed(platform: Platform, alias: string | undefined): User {
  const found = alias === undefined ? platform.users[0] : platform.users.find((user) => user.alias === alias);
  if (found === undefined) throw new MissingTarget('user', alias);
  return found;
}

/** By the slug; the first brokerage where none is named. */
export function brokerageNamed(platform: Platform, slug: string | undefined): Brokerage {
  const { brokerages } = platform;
  const found = slug === undefined ? brokerages[0] : brokerages.find((brokerage) => brokerage.slug === slug);
  if (found === undefined) throw new MissingTarget('brokerage', slug);
  return found;
}

/** The connection that is named, or the one that is picked from those of the customer, oldest first. */
export function connectionNamed(
  platform: Platform,
  { connection, user }: Target,
  pick: (candidates: readonly Connection[]) => Connection | undefined,
): Connection {
  const { connections } = platform;
  const found =
    connection === undefined
      ? pick(user === undefined ? [...connections.all()] : connections.of(userNamed(platform, user)))
      : connections.get(connection);
  if (found === undefined) throw new MissingTarget('connection', connection);
  return found;
}

export function oldestWorking(candidates: readonly Connection[]): Connection | undefined {
  return candidates.find(({ disabledAt }) => disabledAt === undefined);
}

export function youngest(candidates: readonly Connection[]): Connection | undefined {
  return candidates.at(-1);
}

/** What a fault is about is not there, or is there no more. */
class MissingTarget extends SessionRelayError {
  constructor(what: string, name: string | undefined) {
    super('invalid_params', `there is no ${what} ${name ?? 'to take'}: see the simulator's state`);
  }
}

/**
 * The same for a scenario: a relay may have removed what a step is about, and then there is no incident. Whatever else
 * is wrong with a step is thrown.
 */
export function skippingMissing(simulator: Pick<Simulator, 'fault'>): Pick<Simulator, 'fault'> {
  return {
    fault(name, params) {
      try {
        simulator.fault(name, params);
      } catch (thrown) {
        if (!(thrown instanceof MissingTarget)) throw thrown;
      }
    },
  };
}
