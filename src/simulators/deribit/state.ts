import type { Json } from '../../model/json.js';
import type { Exchange } from './exchange.js';

/** What the simulator tells of itself: never a token, a secret or a `sid`. */
export function stateOf(exchange: Exchange): Json {
  const { connections, tokens, orders, platform, accounts, conditions, traffic } = exchange;
  return {
    connections: [...connections.values()].map((connection) => ({
      id: connection.id,
      session: connection.grant === undefined ? 'public' : (connection.grant.session?.name ?? 'connection'),
      heartbeatSeconds: connection.heartbeat.interval ?? null,
      protected: connection.protected,
      channels: [...connection.subscriptions.keys()],
    })),
    sessions: tokens.sessions.map(({ name, account, expiresAt }) => ({ name, account: account.id, expiresAt })),
    accounts: accounts.all.map(({ id, protectsNew, locks }) => ({ id, protectsNew, locks: [...locks] })),
    orders: orders.all.map(({ connection, wire }) => ({
      orderId: wire.order_id,
      instrument: wire.instrument_name,
      state: wire.order_state,
      connection: connection ?? null,
      cancelReason: wire.cancel_reason ?? null,
    })),
    platform: {
      ...platform.status(),
      maintenance: conditions.maintenance.isOn ? 'begun' : platform.maintenance ? 'announced' : 'none',
      publicMethods: platform.publicMethods,
    },
    ...traffic.state(),
  };
}
