import type { JsonObject } from '../../model/json.js';
import type { Connection } from './connections.js';
import { eventDate } from './dates.js';
import { PARTNER, type User } from './partner.js';
import { type PythonValue, pythonFloat } from './python-json.js';

/** Every type of the vendor's docs (webhooks). */
export const WEBHOOK_TYPES = [
  'USER_REGISTERED',
  'USER_DELETED',
  'CONNECTION_ATTEMPTED',
  'CONNECTION_ADDED',
  'CONNECTION_DELETED',
  'CONNECTION_BROKEN',
  'CONNECTION_FIXED',
  'CONNECTION_UPDATED',
  'CONNECTION_FAILED',
  'NEW_ACCOUNT_AVAILABLE',
  'ACCOUNT_TRANSACTIONS_INITIAL_UPDATE',
  'ACCOUNT_TRANSACTIONS_UPDATED',
  'ACCOUNT_REMOVED',
  'ACCOUNT_HOLDINGS_UPDATED',
  'TRADE_DETECTION',
  'TRADE_UPDATE',
] as const;

/** API-key integrations get the older one, OAuth applications a versioned one. */
export const WEBHOOK_SCHEMAS = ['api_key', 'oauth_v1'] as const;
export type WebhookSchema = (typeof WEBHOOK_SCHEMAS)[number];

/** One event that is told by webhook. */
export interface Told {
  /** One of {@link WEBHOOK_TYPES}, or one that nobody knows. */
  readonly type: string;
  readonly user: User;
  readonly connection?: Connection | undefined;
  /** Wall clock. */
  readonly at: number;
  /** `connectionAttemptedResult` and the like. */
  readonly more?: JsonObject | undefined;
  /** Default: what the vendor's sample has. */
  readonly details?: JsonObject | undefined;
}

/** Samples of these have no brokerage, some of them not even a connection. */
const WITHOUT_BROKERAGE: ReadonlySet<string> = new Set([
  'CONNECTION_BROKEN',
  'CONNECTION_FIXED',
  'CONNECTION_UPDATED',
  'CONNECTION_FAILED',
  'NEW_ACCOUNT_AVAILABLE',
  'ACCOUNT_TRANSACTIONS_INITIAL_UPDATE',
  'ACCOUNT_TRANSACTIONS_UPDATED',
  'ACCOUNT_REMOVED',
]);
const WITHOUT_CONNECTION: ReadonlySet<string> = new Set(['CONNECTION_ATTEMPTED', 'CONNECTION_FAILED']);
/** Samples of these have the id a second time, under a misspelled name and with another value. */
const MISSPELLED: ReadonlySet<string> = new Set(['TRADE_DETECTION', 'TRADE_UPDATE']);

const DONE = { success: true, error: null };
const DETAILS: { readonly [type: string]: PythonValue } = {
  ACCOUNT_HOLDINGS_UPDATED: { total_value: DONE, positions: DONE, balances: DONE, orders: DONE },
  TRADE_DETECTION: { orders: [], detection_lag_seconds: pythonFloat(5) },
  TRADE_UPDATE: { orders: [] },
};

export function payloadOf(
  told: Told,
  ids: { readonly webhookId: string; readonly misspelledId: string },
  schema: WebhookSchema,
): { readonly [key: string]: PythonValue } {
  const { type, user, connection, at, more = {} } = told;
  const details: PythonValue | undefined = told.details ?? DETAILS[type];
  const isAboutUser = type.startsWith('USER_');
  const isAboutAccount = /^(ACCOUNT|NEW_ACCOUNT|TRADE)_/.test(type);
  const brokerage = isAboutUser || WITHOUT_BROKERAGE.has(type) ? undefined : connection?.brokerage.id;
  const id = isAboutUser || WITHOUT_CONNECTION.has(type) ? undefined : connection?.id;
  const account = isAboutAccount ? connection?.accountId : undefined;
  const common = {
    eventTimestamp: eventDate(at),
    userId: user.userId,
    eventType: type,
    ...more,
    ...(brokerage === undefined ? {} : { brokerageId: brokerage }),
    ...(account === undefined ? {} : { accountId: account }),
    ...(details === undefined ? {} : { details }),
  };
  if (schema === 'oauth_v1') {
    return {
      schemaVersion: 'oauth_v1',
      webhookId: ids.webhookId,
      oauthClientId: PARTNER.oauthClientId,
      ...common,
      ...(id === undefined ? {} : { connectionId: id }),
    };
  }
  return {
    ...(MISSPELLED.has(type) ? { webookId: ids.misspelledId } : {}),
    webhookId: ids.webhookId,
    clientId: PARTNER.clientId,
    ...common,
    webhookSecret: PARTNER.webhookSecret,
    ...(id === undefined ? {} : { brokerageAuthorizationId: id }),
  };
}
