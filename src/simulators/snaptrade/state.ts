import type { Json } from '../../model/json.js';
import type { Connection } from './connections.js';
import type { Platform } from './platform.js';

/** Of so many connections the state tells each; of the rest it tells the number. */
const MAX_ROWS = 200;

/** What the simulator tells of itself: never a key, a user's secret or an address. */
export function stateOf(platform: Platform): Json {
  const { users, brokerages, connections, portals, conditions, traffic, outbox, rate } = platform;
  const rows: Json[] = [];
  let disabled = 0;
  for (const connection of connections.all()) {
    if (connection.disabledAt !== undefined) disabled += 1;
    if (rows.length < MAX_ROWS) rows.push(rowOf(connection));
  }
  return {
    users: users.length,
    connections: { total: connections.size, disabled, rows },
    portals: { sessions: portals.sessions, events: portals.events },
    brokerages: brokerages.map(({ slug, maintenance, degraded }) => ({
      slug,
      maintenance: maintenance.isOn,
      degraded: degraded.isOn,
    })),
    requests: { ...traffic.state(), remaining: rate.look().remaining },
    webhooks: outbox.state(),
    conditions: {
      era: conditions.era,
      silence: conditions.silence.isOn,
      httpDown: conditions.httpDown.isOn,
      slow: conditions.slow.isOn,
      badSignature: conditions.badSignature.isOn,
      throttled: conditions.throttled.isOn,
      sessionEventsGone: conditions.sessionEventsGone.isOn,
      partialList: conditions.partialList.isOn ? conditions.partialAs : null,
      oddRows: conditions.oddRows.isOn,
      webhooksOff: outbox.off.isOn,
      answersInstead: conditions.instead.length,
    },
  };
}

function rowOf({ id, user, brokerage, type, disabledAt }: Connection): Json {
  return { id, user: user.alias, brokerage: brokerage.slug, type, disabled: disabledAt !== undefined };
}
