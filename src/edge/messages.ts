import { z } from 'zod';
import { eventData, sessionEvent, timestamp, venueName } from '../model/event.js';
import { json } from '../model/json.js';
import { sourceState, state } from '../model/state-schema.js';
import { cursor } from './queries.js';
import type { Method } from './request.js';

/**
 * What the relay says to a subscriber: the `params` of each notification and the `result` of each method (PROTOCOL.md
 * §4). The descriptions that the relay serves are generated from these, and the tests hold every frame that a
 * subscriber of theirs receives against them.
 */
const ms = z.number().nonnegative();
const channel = z.string().describe('The pattern as it was subscribed to.');
const commandRule = z.string().describe('`<venue>.<source>:<command>`');

export const welcome = z.strictObject({
  server: z.string().describe('`session-relay/<version>`'),
  protocol: z.literal(1),
  features: z.array(z.string()),
  node: z.string().describe('The name of the machine that the hub runs on.'),
  now: timestamp,
  cursor,
  authRequired: z.boolean(),
  heartbeatMs: ms,
  limits: z.strictObject({
    maxPayloadBytes: z.number(),
    maxChannels: z.number(),
    maxRequestsPerSecond: z.number(),
  }),
});

/** A pulse has an event's shape without cursor and key. */
export const pulse = z.strictObject({
  source: z.string(),
  subject: z.string(),
  type: z.literal('heartbeat.pulse'),
  time: timestamp,
  data: eventData['heartbeat.pulse'],
});

export const eventFrame = z
  .strictObject({ channel, previous: cursor, data: sessionEvent })
  .describe('One event; `previous` names the one that this channel delivered before.');
export const pulseFrame = z
  .strictObject({ channel, pulse: z.literal(true), data: pulse })
  .describe('A sign of life: not journaled, without cursor.');
export const statesFrame = z
  .strictObject({
    channel,
    previous: cursor,
    cursor,
    states: z.array(state),
    removed: z.array(z.string()).describe('Keys of sessions that are gone.').optional(),
  })
  .describe('`mode: "states"`: the newest states that changed since `previous`.');

/** The `params` of each notification. */
export const NOTIFICATIONS = {
  welcome,
  subscription: z.union([eventFrame, pulseFrame, statesFrame]),
  snapshot: z.strictObject({ channel, states: z.array(state).max(200), last: z.boolean(), cursor }),
  lag: z.strictObject({ since: z.record(channel, cursor) }),
  caught_up: z.strictObject({ channel, cursor }),
  gap: z.strictObject({ channel, from: cursor, to: cursor }),
  unsubscribed: z.strictObject({ channel, cursor, reason: z.string() }),
  heartbeat: z.strictObject({ now: timestamp, cursor, last: z.record(channel, cursor) }),
  blind: z.strictObject({ source: z.string().optional(), sinceMs: ms }),
  sighted: z.strictObject({ source: z.string().optional(), cursor }),
  token_expiring: z.strictObject({ inMs: ms }),
  draining: z.strictObject({ retryAfterMs: ms }),
} as const;
export type NotificationMethod = keyof typeof NOTIFICATIONS;

export const sessionsResult = z.strictObject({ cursor, sessions: z.array(state), next: z.string().optional() });
export const eventsResult = z.strictObject({
  events: z.array(sessionEvent),
  cursor,
  next: cursor.optional(),
  complete: z.boolean().describe('`false`: the journal no longer holds all of the range.'),
});
export const commandResult = z.union([
  z.strictObject({ result: json, cursor, requestId: z.string(), replayed: z.boolean().optional() }),
  z.strictObject({
    replayed: z.literal(true),
    outcome: z.enum(['succeeded', 'failed', 'unknown']),
    cursor,
    requestId: z.string(),
  }),
]);

/** The `result` of each method. */
export const RESULTS = {
  auth: z.strictObject({
    identity: z.string(),
    expiresAt: timestamp.optional(),
    channels: z.array(channel),
    commands: z.array(commandRule),
    fields: z.enum(['full', 'redacted']),
  }),
  subscribe: z.strictObject({
    channels: z.array(z.strictObject({ channel, cursor, recovered: z.boolean() })),
  }),
  unsubscribe: z.strictObject({ channels: z.array(channel) }),
  get_sessions: sessionsResult,
  get_events: eventsResult,
  get_sources: z.strictObject({
    sources: z.array(
      z.strictObject({
        venue: venueName,
        source: z.string(),
        state: sourceState,
        commands: z.array(
          z.strictObject({
            command: z.string(),
            params: json.describe('JSON Schema of its parameters.'),
            acts: z.boolean(),
          }),
        ),
      }),
    ),
  }),
  command: commandResult,
  ping: json,
} as const satisfies Readonly<Record<Method, z.ZodType>>;

/** An error answer; codes as in PROTOCOL.md §4, Errors. */
export const wireErrorShape = z.strictObject({
  code: z.number().int(),
  message: z.string(),
  data: z.record(z.string(), json).optional(),
});
