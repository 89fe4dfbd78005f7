import { z } from 'zod';
import { SessionRelayError } from '../../errors.js';
import { protectionScope } from '../../model/event.js';
import type { Json } from '../../model/json.js';
import type { CommandSpec, VenueCommand } from '../venue.js';
import type { Feed } from './feed.js';
import { METHOD } from './messages.js';
import { MAX_HEARTBEAT_SECONDS, MIN_HEARTBEAT_SECONDS } from './options.js';
import type { Reading } from './protection.js';

const nothing = z.strictObject({});
const heartbeatParams = z.strictObject({
  interval: z
    .number()
    .int()
    .min(MIN_HEARTBEAT_SECONDS)
    .max(MAX_HEARTBEAT_SECONDS)
    .describe('Seconds between heartbeats.'),
});
const scopeParams = z.strictObject({
  scope: protectionScope
    .default('connection')
    .describe("`connection`: this socket alone. `account`: also how the customer's other connections begin."),
});
const readParams = z.strictObject({ scope: protectionScope.exactOptional().describe('Default: both.') });
const reconnectParams = z.strictObject({
  orders: z
    .enum(['leave', 'cancel'])
    .exactOptional()
    .describe('What becomes of protected orders: `leave` logs out first, `cancel` closes the socket.'),
});
const logoutParams = z.strictObject({
  invalidateToken: z.boolean().default(true).describe('Ends the named session too, wherever else it is used.'),
});

/** What may be asked of a Deribit source. */
export const deribitCommands: readonly CommandSpec[] = [
  {
    command: 'set_heartbeat',
    acts: true,
    summary: "Sets the venue's heartbeat of this connection, now and after every reconnect.",
    params: heartbeatParams,
  },
  {
    command: 'disable_heartbeat',
    acts: true,
    summary: 'Switches the heartbeat off: cancel-on-disconnect then notices a dead connection only after minutes.',
    params: nothing,
  },
  {
    command: 'enable_cancel_on_disconnect',
    acts: true,
    summary:
      "Has the venue cancel this connection's orders when it ends without logout. Account scope changes the customer's other connections.",
    params: scopeParams,
  },
  {
    command: 'disable_cancel_on_disconnect',
    acts: true,
    summary:
      "Orders stay when the connection ends. Account scope changes the customer's other connections, and this one.",
    params: scopeParams,
  },
  {
    command: 'get_cancel_on_disconnect',
    acts: false,
    summary: 'Reads cancel-on-disconnect of both scopes back from the venue now.',
    params: readParams,
  },
  {
    command: 'reauthenticate',
    acts: true,
    summary: 'Logs in anew in full, on the present connection; also after a logout, or where a person had to act.',
    params: nothing,
  },
  {
    command: 'reconnect',
    acts: true,
    summary: 'Ends the connection and opens another. A protected one needs `orders`: closing it cancels them.',
    params: reconnectParams,
  },
  {
    command: 'logout',
    acts: true,
    summary: 'Logs out; orders stay. Nothing logs in again until `reconnect` or `reauthenticate`.',
    params: logoutParams,
  },
];

/** Carries out one command. Results never hold a credential; rejections as in `errors.ts`. */
export async function runCommand(feed: Feed, { command, params }: VenueCommand): Promise<Json> {
  switch (command) {
    case 'set_heartbeat': {
      const { interval } = parse(heartbeatParams, command, params);
      await feed.setHeartbeat(interval);
      return { interval };
    }
    case 'disable_heartbeat':
      await feed.setHeartbeat(0);
      return { interval: null };
    case 'enable_cancel_on_disconnect':
    case 'disable_cancel_on_disconnect': {
      const { scope } = parse(scopeParams, command, params);
      return readingJson(await feed.setProtection(scope, command === 'enable_cancel_on_disconnect'));
    }
    case 'get_cancel_on_disconnect': {
      const { scope } = parse(readParams, command, params);
      const read = await feed.readProtection();
      return scope === undefined ? readingJson(read) : { [scope]: read[scope], readAt: read.readAt };
    }
    case 'reauthenticate':
      return { ...(await feed.reauthenticate()) };
    case 'reconnect': {
      const { orders } = parse(reconnectParams, command, params);
      return { ...(await feed.reconnect(orders)) };
    }
    case 'logout':
      await feed.logout(parse(logoutParams, command, params));
      return { loggedOut: true };
    default:
      throw new SessionRelayError('not_found', `a Deribit source has no command ${command}`);
  }
}

const wireHeartbeat = z.object({ interval: heartbeatParams.shape.interval });
const wireScope = z.object({ scope: protectionScope.default('connection') });
const wireLogout = z.object({ invalidate_token: z.boolean().default(true) });

/**
 * One of the venue's own methods. What concerns heartbeat, protection or logout runs the command's code, so that wishes
 * and what is published follow; the answer has the venue's shape.
 */
export async function callMethod(feed: Feed, method: string, params: Json = {}): Promise<Json> {
  switch (method) {
    case METHOD.setHeartbeat:
      await feed.setHeartbeat(parse(wireHeartbeat, method, params).interval);
      return 'ok';
    case METHOD.disableHeartbeat:
      await feed.setHeartbeat(0);
      return 'ok';
    case METHOD.enableProtection:
    case METHOD.disableProtection:
      await feed.setProtection(parse(wireScope, method, params).scope, method === METHOD.enableProtection);
      return 'ok';
    case METHOD.readProtection: {
      const { scope } = parse(wireScope, method, params);
      const read = await feed.readProtection();
      if (read[scope] !== 'unknown') return { scope, enabled: read[scope] === 'armed' };
      throw new SessionRelayError('source_unavailable', `${method}: the venue does not tell of ${scope} scope`);
    }
    case METHOD.logout: {
      const { invalidate_token } = parse(wireLogout, method, params);
      await feed.logout({ invalidateToken: invalidate_token });
      return null;
    }
    default:
      return feed.call(method, params);
  }
}

function readingJson({ connection, account, readAt }: Reading): Json {
  return { connection, account, readAt };
}

function parse<S extends z.ZodType>(schema: S, what: string, params: unknown): z.output<S> {
  const parsed = schema.safeParse(params);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new SessionRelayError(
    'invalid_params',
    `${what}: ${issue?.path.join('.') ?? 'params'}: ${issue?.message ?? 'do not fit'}`,
  );
}
