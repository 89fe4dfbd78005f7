import type { Json } from '../../model/json.js';
import type { Order } from './orders.js';

/** A channel of this venue, parsed from its name. Names that are none are left out of what a subscription confirms. */
export type Channel =
  | { readonly kind: 'platform_state' | 'public_methods' | 'quiet' }
  | { readonly kind: 'price'; readonly index: string }
  /** Raw data of the market, which needs authentication; this venue has none of it. */
  | { readonly kind: 'raw' }
  | { readonly kind: 'user'; readonly scope: string }
  | { readonly kind: 'orders'; readonly scope: string; wants(order: Order): boolean; render(order: Order): Json };

const PRICE = /^deribit_price_index\.([a-z0-9]+_[a-z0-9]+)$/;
const RAW = /^(trades|book|ticker)\..+\.raw$/;
const USER_ORDERS = /^user\.(orders|changes)\.(.+)\.(raw|100ms|agg2)$/;
const USER_TRADES = /^user\.trades\..+\.(raw|100ms|agg2)$/;
/** Of the kinds, this venue has futures alone. */
const KINDS = ['any', 'future'];
const CURRENCIES = ['any', 'BTC', 'ETH', 'USDC'];

const FIXED: { readonly [name: string]: Channel } = {
  platform_state: { kind: 'platform_state' },
  'platform_state.public_methods_state': { kind: 'public_methods' },
  announcements: { kind: 'quiet' },
  'user.access_log': { kind: 'user', scope: 'account:read' },
  'user.lock': { kind: 'user', scope: 'account:read' },
};

export function channelOf(name: string, indices: readonly string[]): Channel | undefined {
  if (Object.hasOwn(FIXED, name)) return FIXED[name];
  const index = PRICE.exec(name)?.[1];
  if (index !== undefined) return indices.includes(index) ? { kind: 'price', index } : undefined;
  if (RAW.test(name)) return { kind: 'raw' };
  if (USER_TRADES.test(name)) return { kind: 'user', scope: 'trade:read' };
  const [, topic, filter, interval] = USER_ORDERS.exec(name) ?? [];
  const wants = filter === undefined ? undefined : orderFilter(filter);
  if (wants === undefined) return undefined;
  const render = topic === 'changes' ? changes : interval === 'raw' ? bare : list;
  return { kind: 'orders', scope: 'trade:read', wants, render };
}

/** `{instrument}` or `{kind}.{currency}` (Deribit docs, user.orders.*). */
function orderFilter(filter: string): ((order: Order) => boolean) | undefined {
  const [first = '', currency, ...rest] = filter.split('.');
  if (rest.length > 0) return undefined;
  if (currency === undefined) return ({ wire }) => wire.instrument_name === first;
  if (!KINDS.includes(first) || !CURRENCIES.includes(currency)) return undefined;
  return (order) => currency === 'any' || order.currency === currency;
}

function bare({ wire }: Order): Json {
  return wire;
}

function list({ wire }: Order): Json {
  return [wire];
}

function changes({ wire }: Order): Json {
  return { orders: [wire], instrument_name: wire.instrument_name, trades: [], positions: [] };
}
