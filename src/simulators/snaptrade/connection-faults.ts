import { z } from 'zod';
import { type Fault, faultWith, forMs } from '../faults.js';
import { type Platform, tellOf } from './platform.js';
import { SESSION_EVENT_TYPES } from './portals.js';
import { brokerageNamed, connectionNamed, oldestWorking, target, telling, userNamed, youngest } from './targets.js';

const UNKNOWN_STEP = 'PALM_READING';

/** What can happen to connections, in portals, and at the brokers. */
export function connectionFaults(platform: Platform): { readonly [name: string]: Fault } {
  const { connections, portals } = platform;
  return {
    break_connection: faultWith(
      'A connection is disabled and CONNECTION_BROKEN tells of it; the oldest that works, where none is named.',
      z.strictObject({ ...target, ...telling }),
      (params) => {
        const connection = connectionNamed(platform, params, oldestWorking);
        if (connection.disabledAt !== undefined) return;
        connections.disable(connection);
        tellOf(platform, 'CONNECTION_BROKEN', connection, params);
      },
    ),
    disable_connection: faultWith(
      'A connection is disabled and no webhook tells of it: only a list does.',
      z.strictObject(target),
      (params) => connections.disable(connectionNamed(platform, params, oldestWorking)),
    ),
    fix_connection: faultWith(
      'A disabled connection works again and CONNECTION_FIXED tells of it; the last disabled one, where none is named.',
      z.strictObject({ ...target, ...telling }),
      (params) => {
        const user = params.user === undefined ? undefined : userNamed(platform, params.user);
        const connection = connectionNamed(platform, params, () => connections.lastDisabled(user));
        if (connection.disabledAt === undefined) return;
        connections.enable(connection);
        tellOf(platform, 'CONNECTION_FIXED', connection, params);
      },
    ),
    add_connection: faultWith(
      'A customer connects a brokerage and CONNECTION_ADDED tells of it.',
      z.strictObject({
        user: target.user,
        brokerage: z.string().optional(),
        type: z.enum(['read', 'trade']).default('trade'),
        freshness: z.enum(['realtime', 'delayed']).default('delayed'),
        ...telling,
      }),
      (params) => {
        const { type, freshness } = params;
        const brokerage = brokerageNamed(platform, params.brokerage);
        const connection = connections.add({ user: userNamed(platform, params.user), brokerage, type, freshness });
        tellOf(platform, 'CONNECTION_ADDED', connection, params);
      },
    ),
    delete_connection: faultWith(
      'A connection is deleted and CONNECTION_DELETED tells of it; the youngest, where none is named.',
      z.strictObject({ ...target, ...telling }),
      (params) => {
        const connection = connectionNamed(platform, params, youngest);
        connections.remove(connection);
        tellOf(platform, 'CONNECTION_DELETED', connection, params);
      },
    ),
    session_event: faultWith(
      'A customer takes a step in the connection portal, about the connection that is named or their last disabled one; SESSION_STARTED begins a new portal session.',
      z.strictObject({
        ...target,
        type: z.enum(SESSION_EVENT_TYPES).default('SESSION_STARTED'),
        statusCode: z.number().int().optional(),
      }),
      (params) => {
        const { type, statusCode } = params;
        const named = params.connection === undefined ? undefined : connectionNamed(platform, params, youngest);
        const user = named?.user ?? userNamed(platform, params.user);
        portals.step({ type, user, connection: named ?? connections.lastDisabled(user), statusCode });
      },
    ),
    unknown_value: faultWith(
      'A portal step or a webhook of a type that nobody knows; or, for `forMs` (0 ends it), rows with unknown values.',
      z.strictObject({ what: z.enum(['session_event', 'webhook', 'rows']).default('session_event'), forMs }),
      (params) => {
        const user = userNamed(platform, undefined);
        if (params.what === 'session_event') portals.step({ type: UNKNOWN_STEP, user });
        else if (params.what === 'webhook') {
          platform.outbox.tell({ type: 'CONNECTION_SHUFFLED', user, connection: connections.of(user)[0] });
        } else platform.conditions.oddRows.on(params.forMs);
      },
    ),
    brokerage_maintenance: faultWith(
      'A brokerage is in maintenance mode; for ever, unless `forMs` says how long (0 ends it).',
      z.strictObject({ brokerage: z.string().optional(), forMs }),
      (params) => brokerageNamed(platform, params.brokerage).maintenance.on(params.forMs),
    ),
    brokerage_degraded: faultWith(
      'A brokerage is degraded; for ever, unless `forMs` says how long (0 ends it).',
      z.strictObject({ brokerage: z.string().optional(), forMs }),
      (params) => brokerageNamed(platform, params.brokerage).degraded.on(params.forMs),
    ),
  };
}
