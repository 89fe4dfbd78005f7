import type { Random } from '../../net/clock.js';
import { drawText } from '../draw.js';
import { issued } from '../issued.js';

/**
 * Made up: the only partner of this venue. Its key holds nothing that an `encodeURI` would change: the vendor's
 * TypeScript SDK applies one before it signs, and the documented algorithm does not.
 */
export const PARTNER = {
  clientId: 'SIMULATOR-CLIENT',
  consumerKey: 'SIMULATOR-CONSUMER-KEY',
  /** Deprecated by the vendor, and still in every webhook. */
  webhookSecret: 'SIMULATOR-WEBHOOK-SECRET',
  /** What OAuth applications have in place of the client id. */
  oauthClientId: 'simulator-app',
} as const;

/** A customer of the partner. */
export interface User {
  /** What a relay's configuration calls it: `customer-1`. */
  readonly alias: string;
  readonly userId: string;
  readonly userSecret: string;
}

const SECRET_LENGTH = 24;

export function createUsers(random: Random, count: number): readonly User[] {
  return Array.from({ length: count }, (_, index) => ({
    alias: `customer-${index + 1}`,
    userId: `SIMULATOR-CUSTOMER-${index + 1}`,
    userSecret: issued(`SIMULATOR-${drawText(random, SECRET_LENGTH)}`),
  }));
}
