import { parseCursor } from '../model/cursor.js';
import type { EventData, EventType, Pulse, SessionEvent } from '../model/event.js';
import { CARRIERS, ENVIRONMENTS, PROTECTION_SCOPES, ROLES, SAFETY_LEVELS, SESSION_KINDS } from '../model/vocabulary.js';
import { boolean, either, type Guard, list, number, oneOf, record, shape, string } from './shape.js';

/** A cursor of PROTOCOL.md §1. */
export const cursor: Guard<string> = (value): value is string => string(value) && parseCursor(value) !== undefined;

const common = { venueTime: string, reason: string, certain: boolean };
type Guards = { readonly [name: string]: Guard<unknown> };
const data = <R extends Guards, O extends Guards = Record<never, never>>(required: R, optional?: O) =>
  shape<R, O & typeof common>(required, { ...common, ...optional } as O & typeof common);

const nothing = data({});
const link = { carrier: oneOf(CARRIERS), generation: number };
const scope = oneOf(PROTECTION_SCOPES);
const mechanism = oneOf(['cancel_on_disconnect']);
const protection = data({ mechanism, scope, readAt: string });
const what = data({}, { what: string });
const command = data(
  { command: string, by: string, requestId: string },
  { error: shape({ code: either(number, string), message: string }), pending: boolean },
);

/**
 * What each type's `data` must be. The compiler proves that a guard grants no more than the schema of `model/event.ts`
 * does; a test proves that it refuses nothing which the schema allows.
 */
const DATA: { readonly [T in EventType]: Guard<EventData<T>> } = {
  'link.up': data({ ...link, url: string }),
  'link.down': data({
    ...link,
    code: number,
    reason: string,
    clean: boolean,
    initiator: oneOf(['relay', 'venue', 'network']),
  }),
  'link.retrying': data({ ...link, attempt: number, delayMs: number }),
  'session.opening': nothing,
  'session.opened': data(
    { kind: oneOf(SESSION_KINDS), role: oneOf(ROLES) },
    { environment: oneOf(ENVIRONMENTS), expiresAt: string, scope: string, parent: string, attributes: record },
  ),
  'session.renewed': data({ how: oneOf(['refresh', 'reauthenticate', 'observed']) }, { expiresAt: string }),
  'session.restored': nothing,
  'session.stale': data({ reason: oneOf(['link_down', 'parent', 'relay_restarted', 'throttled']) }),
  'session.updated': data({ changed: record }),
  'session.expiring': data({ expiresAt: string, inMs: number, renewable: boolean }),
  'session.expired': data({ expiresAt: string }),
  'session.closed': data({ by: oneOf(['user', 'relay', 'venue', 'unknown']) }),
  'session.lost': data({ reason: string }, { code: either(number, string) }),
  'session.contested': nothing,
  'session.attention': data(
    {
      action: oneOf(['login', 'two_factor', 'relink', 'check_credentials', 'check_clock']),
      instructions: string,
    },
    { url: string },
  ),
  'session.step': data({ step: string }, { connection: string }),
  'session.removed': nothing,
  'heartbeat.armed': data({ intervalMs: number }),
  'heartbeat.disarmed': nothing,
  'heartbeat.missed': data({ silentMs: number, missed: number, intervalMs: number }),
  'heartbeat.resumed': data({ silentMs: number }),
  'heartbeat.pulse': data({}, { rttMs: number }),
  'protection.armed': protection,
  'protection.disarmed': protection,
  'protection.unknown': protection,
  'protection.triggered': data({ mechanism, scope, certain: oneOf([false]) }),
  'venue.maintenance': data({ announced: boolean }, { what: string }),
  'venue.locked': what,
  'venue.degraded': what,
  'venue.normal': what,
  'account.locked': data({ what: string }),
  'account.unlocked': data({ what: string }),
  'source.throttled': data({ untilAt: string }),
  'source.unthrottled': nothing,
  'source.fault': data(
    { what: oneOf(['bad_frame', 'unknown_frame', 'unknown_value', 'channel_refused', 'inconsistent']) },
    { sample: string },
  ),
  'access.logged': data({ action: string }, { ip: string, country: string }),
  'safety.changed': data({
    level: oneOf(SAFETY_LEVELS),
    reasons: list(string),
    notes: list(string),
    previous: oneOf(SAFETY_LEVELS),
  }),
  'command.accepted': command,
  'command.succeeded': command,
  'command.failed': command,
  'command.unknown': command,
};

/** What every event has, of whatever version: enough to keep the chain of cursors. */
export interface Envelope {
  readonly id: string;
  readonly subject: string;
  readonly type: string;
}

export const isEnvelope: Guard<Envelope> = shape({ id: cursor, subject: string, type: string });

const around = { key: string, source: string, time: string };
const isAround = shape(around);
const isPulseEnvelope = shape({ source: string, subject: string, time: string, data: DATA['heartbeat.pulse'] });

/** Whether this version knows the type: of the others PROTOCOL.md §2 says that consumers ignore them. */
export function isKnownType(type: string): type is EventType {
  return Object.hasOwn(DATA, type);
}

/** Whether an event is all that its type says. */
export function isSessionEvent(value: Envelope): value is SessionEvent {
  const { type } = value;
  return isKnownType(type) && isAround(value) && 'data' in value && DATA[type](value.data);
}

export function isPulse(value: unknown): value is Pulse {
  return isPulseEnvelope(value) && 'type' in value && value.type === 'heartbeat.pulse';
}
