import { z } from 'zod';
import { MAX_PING_BYTES } from './limits.js';
import { commandParams, cursor, eventsParams, pattern, sessionsParams } from './queries.js';
import type { Method } from './request.js';

/** What each method takes (PROTOCOL.md §4, Methods): requests are validated with these, and described from them. */
export const authParams = z.strictObject({
  token: z.string().min(1).describe('A token as in `Authorization: Bearer`; it replaces the one before.'),
});

export const subscribeParams = z.strictObject({
  channels: z
    .array(z.union([pattern, z.strictObject({ channel: pattern, since: cursor })]))
    .min(1)
    .describe('Patterns over addresses, each with a cursor of its own where it resumes. All or nothing.'),
  since: cursor.optional().describe('For the channels that name none.'),
  snapshot: z.boolean().optional().describe('The present states first; default: where no `since` was given.'),
  pulses: z.boolean().default(false).describe('Signs of life too: not journaled, dropped where there is no room.'),
  mode: z
    .enum(['events', 'states'])
    .default('events')
    .describe('`states`: the newest states that changed, one frame in 250 ms at most.'),
});

export type SubscribeParams = z.output<typeof subscribeParams>;

export const unsubscribeParams = z.strictObject({ channels: z.array(pattern).min(1) });

export const noParams = z.strictObject({}).default({});

export const pingParams = z.unknown().describe(`Anything of at most ${MAX_PING_BYTES} bytes as JSON.`);

export const METHOD_PARAMS = {
  auth: authParams,
  subscribe: subscribeParams,
  unsubscribe: unsubscribeParams,
  get_sessions: sessionsParams,
  get_events: eventsParams,
  get_sources: noParams,
  command: commandParams,
  ping: pingParams,
} as const satisfies Readonly<Record<Method, z.ZodType>>;
