import type { Random } from '../../net/clock.js';
import type { Account } from './accounts.js';

/** What an order can be in here: limit orders rest until they are cancelled, since nobody else trades. */
export interface Order {
  readonly account: Account;
  /** The connection that placed it: the only one whose end can cancel it. Absent over HTTP. */
  readonly connection: number | undefined;
  readonly index: string;
  readonly currency: string;
  /** As the wire has it (recorded frame: user.changes). */
  readonly wire: WireOrder;
}

export interface WireOrder {
  readonly [name: string]: string | number | boolean;
  readonly order_id: string;
  readonly instrument_name: string;
  readonly order_state: 'open' | 'cancelled';
}

/** Deribit docs, order object: `cancel_reason`. */
export type CancelReason = 'user_request' | 'cancel_on_disconnect';

export interface PlaceOrder {
  readonly account: Account;
  readonly connection: number | undefined;
  readonly instrument: Instrument;
  readonly direction: 'buy' | 'sell';
  readonly amount: number;
  readonly price: number;
  readonly label: string;
  readonly postOnly: boolean;
  readonly reduceOnly: boolean;
}

export interface Instrument {
  readonly name: string;
  readonly index: string;
  readonly currency: string;
  /** Dollars in one contract; 0 where an amount is in coins. */
  readonly contractSize: number;
}

export interface Orders {
  place(order: PlaceOrder): Order;
  find(account: Account, orderId: string): Order | undefined;
  open(account: Account): readonly Order[];
  /** Cancels what is open among these, tells of each, and answers those. */
  cancel(orders: readonly Order[], reason: CancelReason): readonly Order[];
  /** Those that a connection placed and that are open. */
  ofConnection(connection: number): readonly Order[];
  readonly all: readonly Order[];
}

export const INSTRUMENTS: readonly Instrument[] = [
  { name: 'BTC-PERPETUAL', index: 'btc_usd', currency: 'BTC', contractSize: 10 },
  { name: 'ETH-PERPETUAL', index: 'eth_usd', currency: 'ETH', contractSize: 1 },
  { name: 'SOL_USDC-PERPETUAL', index: 'sol_usdc', currency: 'USDC', contractSize: 0 },
  { name: 'XRP_USDC-PERPETUAL', index: 'xrp_usdc', currency: 'USDC', contractSize: 0 },
];

/** Cancelled orders beyond this many are forgotten, oldest first. */
const MAX_CANCELLED = 1_000;

export function createOrders(options: {
  readonly now: () => number;
  readonly random: Random;
  readonly changed: (order: Order) => void;
}): Orders {
  const { now, random, changed } = options;
  const orders = new Map<string, Order>();
  let last = 74_000_000_000 + Math.floor(random() * 1_000_000);

  const prune = (): void => {
    const cancelled = [...orders.values()].filter(({ wire }) => wire.order_state === 'cancelled');
    for (const { wire } of cancelled.slice(0, Math.max(0, cancelled.length - MAX_CANCELLED))) {
      orders.delete(wire.order_id);
    }
  };
  const isOpen = ({ wire }: Order): boolean => wire.order_state === 'open';

  return {
    place({ account, connection, instrument, direction, amount, price, label, postOnly, reduceOnly }) {
      last += 1;
      const wire: WireOrder = {
        label,
        price,
        user_id: account.id,
        amount,
        direction,
        time_in_force: 'good_til_cancelled',
        instrument_name: instrument.name,
        web: false,
        api: true,
        order_id: String(last),
        creation_timestamp: now(),
        replaced: false,
        filled_amount: 0,
        last_update_timestamp: now(),
        post_only: postOnly,
        reduce_only: reduceOnly,
        average_price: 0,
        mmp: false,
        contracts: instrument.contractSize === 0 ? amount : amount / instrument.contractSize,
        order_state: 'open',
        order_type: 'limit',
        is_liquidation: false,
        risk_reducing: false,
      };
      const order = { account, connection, index: instrument.index, currency: instrument.currency, wire };
      orders.set(wire.order_id, order);
      changed(order);
      return order;
    },
    find(account, orderId) {
      const order = orders.get(orderId);
      return order?.account === account ? order : undefined;
    },
    open: (account) => [...orders.values()].filter((order) => order.account === account && isOpen(order)),
    cancel(chosen, reason) {
      const cancelled: Order[] = [];
      for (const { wire } of chosen) {
        const order = orders.get(wire.order_id);
        if (order === undefined || !isOpen(order)) continue;
        const ended: Order = {
          ...order,
          wire: { ...order.wire, order_state: 'cancelled', cancel_reason: reason, last_update_timestamp: now() },
        };
        orders.set(wire.order_id, ended);
        cancelled.push(ended);
      }
      for (const order of cancelled) changed(order);
      if (cancelled.length > 0) prune();
      return cancelled;
    },
    ofConnection: (connection) =>
      [...orders.values()].filter((order) => order.connection === connection && isOpen(order)),
    get all() {
      return [...orders.values()];
    },
  };
}
