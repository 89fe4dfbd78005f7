import { z } from 'zod';
import { jsonObject } from './json.js';
import {
  CARRIERS,
  ENVIRONMENTS,
  PROTECTION_SCOPES,
  ROLES,
  SAFETY_LEVELS,
  SESSION_KINDS,
  VENUES,
} from './vocabulary.js';

export { CARRIERS, SOURCE_TOKEN, VENUES } from './vocabulary.js';

/**
 * The event vocabulary of PROTOCOL.md §2: one schema for each type's `data`, and the types that follow from them.
 * What a type does to its session's status is said by `fold.ts`.
 */
export type VenueName = (typeof VENUES)[number];
export const venueName = z.enum(VENUES);

/** RFC 3339 in UTC with milliseconds, `2026-11-22T13:15:02.123Z`. */
export const timestamp = z
  .string()
  .regex(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/, 'a time is RFC 3339 in UTC with milliseconds')
  .refine((text) => !Number.isNaN(Date.parse(text)), 'a time is one that the calendar has');

/** What a fact came in on. A link is not a session: each carrier is up or down on its own. */
export const carrier = z.enum(CARRIERS);
export type Carrier = z.infer<typeof carrier>;

export const sessionKind = z.enum(SESSION_KINDS);
export type SessionKind = z.infer<typeof sessionKind>;
export const environment = z.enum(ENVIRONMENTS);
export type Environment = z.infer<typeof environment>;
export const role = z.enum(ROLES);
export type Role = z.infer<typeof role>;
export const protectionScope = z.enum(PROTECTION_SCOPES);
export type ProtectionScope = z.infer<typeof protectionScope>;
export const safetyLevel = z.enum(SAFETY_LEVELS);
export type SafetyLevel = z.infer<typeof safetyLevel>;

const count = z.number().int().nonnegative();
const durationMs = z.number().nonnegative();

/** What every event's data may carry beside its own fields. */
const common = {
  /** The venue's own time of the fact, where it gave one. */
  venueTime: timestamp.optional(),
  reason: z.string().optional(),
  /** `false` marks what the relay inferred; absent means that the venue said it. */
  certain: z.boolean().optional(),
};

const link = { carrier, generation: count };
const protection = { mechanism: z.literal('cancel_on_disconnect'), scope: protectionScope, readAt: timestamp };
const command = {
  command: z.string(),
  /** The identity that asked. */
  by: z.string(),
  requestId: z.string(),
  error: z.object({ code: z.union([z.number(), z.string()]), message: z.string() }).optional(),
  /** The venue took it and carries it out later. */
  pending: z.boolean().optional(),
};

/** The schema of `data`, by event type. Unknown fields are never refused. */
export const eventData = {
  'link.up': z.object({ ...common, ...link, url: z.string() }),
  'link.down': z.object({
    ...common,
    ...link,
    /** 1006 without a close frame, 0 where it never opened. */
    code: z.number().int(),
    reason: z.string(),
    clean: z.boolean(),
    initiator: z.enum(['relay', 'venue', 'network']),
  }),
  'link.retrying': z.object({ ...common, ...link, attempt: count, delayMs: durationMs }),
  'session.opening': z.object({ ...common }),
  'session.opened': z.object({
    ...common,
    kind: sessionKind,
    environment: environment.optional(),
    expiresAt: timestamp.optional(),
    scope: z.string().optional(),
    /** The key of the session that this one lives in. */
    parent: z.string().optional(),
    role,
    /** The first value of the state's `attributes`. */
    attributes: jsonObject.optional(),
  }),
  'session.renewed': z.object({
    ...common,
    expiresAt: timestamp.optional(),
    how: z.enum(['refresh', 'reauthenticate', 'observed']),
  }),
  'session.restored': z.object({ ...common }),
  'session.stale': z.object({ ...common, reason: z.enum(['link_down', 'parent', 'relay_restarted', 'throttled']) }),
  /** `changed` holds the attributes that changed, with their new values; `null` removes one. */
  'session.updated': z.object({ ...common, changed: jsonObject }),
  /**
   * `renewable`: the relay extends it by itself. Told again with a `reason` once that has failed: from then on it counts
   * for safety, where an end that only a person can move counts at once.
   */
  'session.expiring': z.object({ ...common, expiresAt: timestamp, inMs: z.number(), renewable: z.boolean() }),
  'session.expired': z.object({ ...common, expiresAt: timestamp }),
  'session.closed': z.object({ ...common, by: z.enum(['user', 'relay', 'venue', 'unknown']) }),
  'session.lost': z.object({ ...common, reason: z.string(), code: z.union([z.number(), z.string()]).optional() }),
  'session.contested': z.object({ ...common }),
  'session.attention': z.object({
    ...common,
    action: z.enum(['login', 'two_factor', 'relink', 'check_credentials', 'check_clock']),
    /** What a person should do, in one sentence. */
    instructions: z.string(),
    url: z.string().optional(),
  }),
  'session.step': z.object({ ...common, step: z.string(), connection: z.string().optional() }),
  'session.removed': z.object({ ...common }),
  'heartbeat.armed': z.object({ ...common, intervalMs: durationMs }),
  'heartbeat.disarmed': z.object({ ...common }),
  'heartbeat.missed': z.object({ ...common, silentMs: durationMs, missed: count, intervalMs: durationMs }),
  'heartbeat.resumed': z.object({ ...common, silentMs: durationMs }),
  'heartbeat.pulse': z.object({ ...common, rttMs: durationMs.optional() }),
  'protection.armed': z.object({ ...common, ...protection }),
  'protection.disarmed': z.object({ ...common, ...protection }),
  'protection.unknown': z.object({ ...common, ...protection }),
  'protection.triggered': z.object({
    ...common,
    mechanism: z.literal('cancel_on_disconnect'),
    scope: protectionScope,
    certain: z.literal(false),
  }),
  'venue.maintenance': z.object({ ...common, what: z.string().optional(), announced: z.boolean() }),
  'venue.locked': z.object({ ...common, what: z.string().optional() }),
  'venue.degraded': z.object({ ...common, what: z.string().optional() }),
  /** With `what` it ends that part's trouble; without, all of it. */
  'venue.normal': z.object({ ...common, what: z.string().optional() }),
  /** `what`: a currency, or `all`. */
  'account.locked': z.object({ ...common, what: z.string() }),
  'account.unlocked': z.object({ ...common, what: z.string() }),
  'source.throttled': z.object({ ...common, untilAt: timestamp }),
  'source.unthrottled': z.object({ ...common }),
  'source.fault': z.object({
    ...common,
    what: z.enum(['bad_frame', 'unknown_frame', 'unknown_value', 'channel_refused', 'inconsistent']),
    /** At most 256 characters, redacted; the channel's name for `channel_refused`. */
    sample: z.string().max(256).optional(),
  }),
  'access.logged': z.object({
    ...common,
    action: z.string(),
    ip: z.string().optional(),
    country: z.string().optional(),
  }),
  'safety.changed': z.object({
    ...common,
    level: safetyLevel,
    reasons: z.array(z.string()).readonly(),
    notes: z.array(z.string()).readonly(),
    previous: safetyLevel,
  }),
  'command.accepted': z.object({ ...common, ...command }),
  'command.succeeded': z.object({ ...common, ...command }),
  'command.failed': z.object({ ...common, ...command }),
  'command.unknown': z.object({ ...common, ...command }),
} as const;

export type EventType = keyof typeof eventData;
export const EVENT_TYPES = Object.keys(eventData) as readonly EventType[];

/** The data of one event type. */
export type EventData<T extends EventType> = Readonly<z.infer<(typeof eventData)[T]>>;

interface Envelope<T extends EventType> {
  /** The cursor: `<epoch>-<offset>`. */
  readonly id: string;
  /** The fact's own deterministic name: the same fact told twice has the same key, and is journaled once. */
  readonly key: string;
  /** `/<venue>/<source>` */
  readonly source: string;
  /** The session key, `<venue>.<source>.<session>`. */
  readonly subject: string;
  readonly type: T;
  /** When the relay learnt it; never decreases within an epoch. */
  readonly time: string;
  readonly data: EventData<T>;
}

/** One immutable fact, journaled, with a cursor: a discriminated union over `type`. */
export type SessionEvent<T extends EventType = EventType> = { readonly [K in T]: Envelope<K> }[T];

/** A pulse is a sign of life: it has an event's shape without cursor and key, is not journaled, and may be dropped. */
export type Pulse = Omit<Envelope<'heartbeat.pulse'>, 'id' | 'key'>;

/**
 * A fact is an event before the hub gave it a cursor and a time.
 *
 * `key`, where given, is made of the venue's own id or time of the fact, which every teller of it carries. Without it
 * the hub names the fact by its transition (from which status, since which cursor, in which `generation`), so that a
 * transition already made is not told again by a second teller.
 */
export type Fact<T extends EventType = EventType> = {
  readonly [K in T]: {
    /** The source's token, `main` or `partner~alias`. */
    readonly source: string;
    /** The session's token, or `-` for the source as a whole. */
    readonly session: string;
    readonly type: K;
    readonly data: EventData<K>;
    readonly key?: string;
    readonly generation?: number;
  };
}[T];

const envelope = { id: z.string(), key: z.string(), source: z.string(), subject: z.string(), time: timestamp };

/**
 * Parses any event of this version; an unknown `type` fails, and a consumer passes over it. Fields that this version
 * does not know are kept, so that whoever passes an event on loses nothing.
 */
export const sessionEvent: z.ZodType<SessionEvent> = z.discriminatedUnion(
  'type',
  EVENT_TYPES.map((type) =>
    z.looseObject({ ...envelope, type: z.literal(type), data: z.looseObject(eventData[type].shape) }),
  ) as never,
) as never;

const FIRST_MS = Date.parse('0000-01-01T00:00:00.000Z');
const LAST_MS = Date.parse('9999-12-31T23:59:59.999Z');

/** The second that was formatted last: what is told in one second is formatted once, all but its milliseconds. */
const last = { second: Number.NaN, text: '' };

/**
 * `2026-11-22T13:15:02.123Z` of ms since the Unix epoch. A venue's end that lies beyond what RFC 3339 can say becomes
 * the last moment that it can. Throws `RangeError` for NaN.
 */
export function timestampOf(ms: number): string {
  const whole = Math.trunc(Math.min(LAST_MS, Math.max(FIRST_MS, ms)));
  const second = Math.floor(whole / 1_000);
  if (second !== last.second) {
    last.text = new Date(second * 1_000).toISOString().slice(0, -'000Z'.length);
    last.second = second;
  }
  return `${last.text}${String(whole - second * 1_000).padStart(3, '0')}Z`;
}
