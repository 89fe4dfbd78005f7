import type { Json, JsonObject } from '../../model/json.js';
import { brokerageRow } from './brokerages.js';
import type { Connection } from './connections.js';
import { isoDate, spacedDate } from './dates.js';

export interface RowOptions {
  /** Fields that the vendor's older spec did not have. */
  readonly withNewFields: boolean;
  /** Values and fields that no spec has. */
  readonly odd: boolean;
}

/** A BrokerageAuthorization (vendor's spec). */
export function connectionRow(connection: Connection, { withNewFields, odd }: RowOptions): JsonObject {
  const { id, brokerage, name, type, freshness, createdAt, updatedAt, disabledAt, offsetMinutes } = connection;
  return {
    id,
    created_date: isoDate(createdAt),
    updated_date: isoDate(updatedAt),
    brokerage: brokerageRow(brokerage, withNewFields),
    name,
    type: odd ? 'manage' : type,
    disabled: disabledAt !== undefined,
    disabled_date: disabledAt === undefined ? null : spacedDate(disabledAt, offsetMinutes),
    meta: {},
    ...(withNewFields ? { is_eligible_for_payout: false, data_freshness_mode: odd ? 'hourly' : freshness } : {}),
    ...(odd ? { mood: 'odd' } : {}),
  };
}

/** An account under a connection: what was last read from the broker, also where the connection is disabled since. */
export function accountRow(connection: Connection, now: number): Json {
  const { id, accountId, brokerage, createdAt, disabledAt } = connection;
  const synced = { initial_sync_completed: true, last_successful_sync: isoDate(disabledAt ?? now) };
  return {
    id: accountId,
    brokerage_authorization: id,
    name: `${brokerage.name} Individual`,
    number: 'SIMULATOR-0001',
    institution_name: brokerage.name,
    created_date: isoDate(createdAt),
    sync_status: { transactions: synced, holdings: synced },
    balance: { total: { amount: 10_000.5, currency: 'USD' } },
    is_paper: true,
  };
}
