import { z } from 'zod';
import type { Json } from '../../model/json.js';
import { type Call, general, grantOf, type Method } from './call.js';
import { INSTRUMENTS, type Instrument, type Order } from './orders.js';
import { invalidParams, paramsOf, Refusal } from './wire.js';

const accessLogParams = z.object({
  offset: z.number().int().min(0).default(0),
  count: z.number().int().min(1).max(1_000).default(10),
});
const orderParams = z.object({
  instrument_name: z.string(),
  amount: z.number().positive(),
  price: z.number('a price is expected: orders here are limit orders').positive(),
  type: z.literal('limit', 'orders here are limit orders').default('limit'),
  label: z.string().max(64).default(''),
  post_only: z.boolean().default(false),
  reduce_only: z.boolean().default(false),
});
const orderIdParams = z.object({ order_id: z.union([z.string(), z.number().transform(String)]) });
const detailedParams = z.object({ detailed: z.boolean().default(false) });

/** Orders, enough of them to see which ones cancel-on-disconnect cancels, and what the account says of itself. */
export const accountMethods: { readonly [name: string]: Method } = {
  'private/buy': { pool: 'matching', run: (_params, call) => place(call, 'buy') },
  'private/sell': { pool: 'matching', run: (_params, call) => place(call, 'sell') },
  'private/cancel': {
    pool: 'matching',
    run(_params, call) {
      const order = found(call, 'trade:read_write');
      const [cancelled] = call.exchange.orders.cancel([order], 'user_request');
      if (cancelled === undefined) throw new Refusal('order_not_found');
      return cancelled.wire;
    },
  },
  'private/cancel_all': {
    pool: 'matching',
    run(params, call) {
      const { detailed } = paramsOf(detailedParams, params);
      const { account } = grantOf(call, 'trade:read_write');
      const cancelled = call.exchange.orders.cancel(call.exchange.orders.open(account), 'user_request');
      return detailed ? wired(cancelled) : cancelled.length;
    },
  },
  'private/get_open_orders': general((_params, call) => {
    const { account } = grantOf(call, 'trade:read');
    return wired(call.exchange.orders.open(account));
  }),
  'private/get_order_state': general((_params, call) => found(call, 'trade:read').wire),
  'private/get_user_locks': general((_params, call) => {
    const { account } = grantOf(call, 'account:read');
    return [...account.locks].map((currency) => ({
      message: currency === 'ALL' ? 'locked in all currencies' : 'locked in one currency',
      locked: true,
      currency,
    }));
  }),
  'private/get_access_log': general((params, call) => {
    const { offset, count } = paramsOf(accessLogParams, params);
    const { account } = grantOf(call, 'account:read');
    const newestFirst = [...account.accessLog].reverse();
    // Deribit docs, private/get_access_log: `result` here, where the channel says `log`.
    const data = newestFirst.slice(offset, offset + count).map(({ log, ...entry }) => ({ ...entry, result: log }));
    return { records_total: newestFirst.length, data };
  }),
};

function place(call: Call, direction: 'buy' | 'sell'): Json {
  const { exchange, connection } = call;
  const { account } = grantOf(call, 'trade:read_write');
  const wanted = paramsOf(orderParams, call.params);
  const instrument = instrumentNamed(wanted.instrument_name);
  if (account.locks.has('ALL') || account.locks.has(instrument.currency)) throw new Refusal('account_locked');
  if (exchange.platform.isLocked(instrument.index)) throw new Refusal('locked_by_admin');
  if (instrument.contractSize > 0 && wanted.amount % instrument.contractSize !== 0) {
    throw invalidParams(`must be a multiple of ${instrument.contractSize}`, 'amount');
  }
  const { wire } = exchange.orders.place({
    account,
    connection: connection?.id,
    instrument,
    direction,
    amount: wanted.amount,
    price: wanted.price,
    label: wanted.label,
    postOnly: wanted.post_only,
    reduceOnly: wanted.reduce_only,
  });
  return { trades: [], order: wire };
}

function instrumentNamed(name: string): Instrument {
  const instrument = INSTRUMENTS.find((one) => one.name === name);
  if (instrument === undefined) throw new Refusal('instrument_not_found');
  return instrument;
}

function found(call: Call, scope: string): Order {
  const { account } = grantOf(call, scope);
  const { order_id: id } = paramsOf(orderIdParams, call.params);
  const order = call.exchange.orders.find(account, id);
  if (order === undefined) throw new Refusal('order_not_found');
  return order;
}

function wired(orders: readonly Order[]): Json {
  return orders.map(({ wire }) => wire);
}
