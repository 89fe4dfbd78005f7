import { z } from 'zod';
import { environment, protectionScope, role, safetyLevel, sessionKind, timestamp, venueName } from './event.js';
import { json } from './json.js';
import type { State } from './session.js';

/** The state of PROTOCOL.md §3, as a relay sends it: what the command line folds events into, and the durable journal reads back. */
const base = {
  key: z.string(),
  venue: venueName,
  source: z.string(),
  session: z.string(),
  cursor: z.string(),
};
const protectionStatus = z.enum(['armed', 'disarmed', 'unknown']);
/** What names a moment that a state was entered, beside the moment. */
const since = { at: timestamp };

export const sessionState = z.object({
  ...base,
  attributes: z.record(z.string(), json),
  kind: sessionKind,
  role,
  environment: environment.exactOptional(),
  status: z.enum(['connecting', 'active', 'contested', 'attention', 'expired', 'closed', 'lost', 'unknown']),
  stale: z.boolean(),
  scope: z.string().exactOptional(),
  parent: z.string().exactOptional(),
  openedAt: timestamp.exactOptional(),
  expiresAt: timestamp.exactOptional(),
  lastSeenAt: timestamp.exactOptional(),
  statusSince: z.object({ ...since, cursor: z.string() }).exactOptional(),
  staleSince: z.object({ ...since, reason: z.string() }).exactOptional(),
  heartbeat: z
    .object({
      intervalMs: z.number().nullable(),
      missed: z.number(),
      lastAt: timestamp.exactOptional(),
      rttMs: z.number().exactOptional(),
    })
    .exactOptional(),
  protection: z
    .object({
      [protectionScope.enum.connection]: protectionStatus.exactOptional(),
      [protectionScope.enum.account]: protectionStatus.exactOptional(),
      readAt: timestamp.exactOptional(),
      triggeredAt: timestamp.exactOptional(),
    })
    .exactOptional(),
  safety: z.object({ level: safetyLevel, reasons: z.array(z.string()), notes: z.array(z.string()) }),
});

export const sourceState = z.object({
  ...base,
  kind: z.literal('source'),
  attributes: z
    .object({
      links: z.record(z.string(), z.enum(['up', 'down', 'retrying'])),
      venueLevel: z.enum(['normal', 'degraded', 'locked', 'maintenance']),
      degraded: z.array(z.string()),
      accountLocked: z.array(z.string()),
    })
    .catchall(json),
});

export const state: z.ZodType<State> = z.union([sourceState, sessionState]);
