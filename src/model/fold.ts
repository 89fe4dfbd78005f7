import { compareCursors } from './cursor.js';
import type { EventType, Pulse, SessionEvent, SessionKind, VenueName } from './event.js';
import type { Json } from './json.js';
import {
  type HeartbeatState,
  type SessionState,
  type SessionStatus,
  type SourceState,
  type State,
  UNKNOWN_SAFETY,
} from './session.js';
import { parseSessionKey, sessionKey } from './subject.js';
import { SOURCE_TOKEN, VENUES } from './vocabulary.js';

/**
 * The fold (PROTOCOL.md §2 and §3): what an event makes of its session's state. One pure function, the same in the
 * hub and in a consumer, so that a snapshot and what follows it are always a later snapshot.
 *
 * An event of another session, or not after `state.cursor`, is passed over: the same state comes back. `undefined`
 * says that there is no state: none yet, or gone by `session.removed` (a source's own state, too). What is gone has no cursor to compare with, so
 * that whoever keeps states passes events on in order, and each once.
 */
export function fold(state: State | undefined, event: SessionEvent): State | undefined {
  if (state === undefined) return first(event);
  if (event.subject !== state.key || compareCursors(event.id, state.cursor) <= 0) return state;
  return isSessionState(state) ? foldSession(state, event) : foldSource(state, event);
}

function first(event: SessionEvent): State | undefined {
  const names = parseSessionKey(event.subject);
  const venue = VENUES.find((one) => one === names?.venue);
  if (names === undefined || venue === undefined) return undefined;
  const { source, session } = names;
  if (session === SOURCE_TOKEN) return foldSource(emptySourceState(venue, source, event.id), event);
  return createsState(event, venue, session)
    ? foldSession(emptySessionState(venue, source, session, event), event)
    : undefined;
}

/** A pulse moves only `lastSeenAt`, `heartbeat.lastAt` and `rttMs`; it has no cursor and never creates a state. */
export function foldPulse(state: State, pulse: Pulse): State {
  if (!isSessionState(state)) return state;
  const { rttMs } = pulse.data;
  return {
    ...state,
    lastSeenAt: pulse.time,
    ...(state.heartbeat === undefined
      ? {}
      : { heartbeat: { ...state.heartbeat, lastAt: pulse.time, ...(rttMs === undefined ? {} : { rttMs }) } }),
  };
}

export function isSessionState(state: State): state is SessionState {
  return state.kind !== 'source';
}

/** A source of which nothing is known yet. */
export function emptySourceState(venue: VenueName, source: string, cursor: string): SourceState {
  return {
    key: sessionKey(venue, source, SOURCE_TOKEN),
    venue,
    source,
    session: SOURCE_TOKEN,
    kind: 'source',
    attributes: { links: {}, venueLevel: 'normal', degraded: [], accountLocked: [] },
    cursor,
  };
}

/**
 * Only `session.*` makes a state, but neither a step of a flow nor what says that a session is over or out of sight: of
 * one that nobody knows, or that was removed, that is nothing to keep. SnapTrade's portals have no state.
 */
function createsState({ type }: SessionEvent, venue: VenueName, session: string): boolean {
  if (venue === 'snaptrade' && session.startsWith('portal-')) return false;
  return makesSession(type);
}

/** Whether an event of a session that nobody knows makes it known. */
export function makesSession(type: EventType): boolean {
  return type.startsWith('session.') && !MAKES_NONE.has(type);
}

const MAKES_NONE: ReadonlySet<EventType> = new Set([
  'session.removed',
  'session.step',
  'session.closed',
  'session.expired',
  'session.stale',
]);

function kindOf(venue: VenueName, session: string): SessionKind {
  switch (venue) {
    case 'deribit':
      return session === 'public' ? 'public' : 'api';
    case 'tradernet':
      return session === 'login' ? 'login' : 'security';
    case 'ibkr':
      return session === 'sso' ? 'sso' : 'brokerage';
    case 'snaptrade':
      return 'connection';
  }
}

function emptySessionState(venue: VenueName, source: string, session: string, event: SessionEvent): SessionState {
  return {
    key: event.subject,
    venue,
    source,
    session,
    kind: kindOf(venue, session),
    role: 'watch',
    status: 'unknown',
    stale: false,
    safety: UNKNOWN_SAFETY,
    attributes: {},
    cursor: event.id,
  };
}

/** What a type makes of the status; types that are not here leave it as it is. */
const STATUS: { readonly [T in EventType]?: SessionStatus } = {
  'session.opening': 'connecting',
  'session.opened': 'active',
  'session.restored': 'active',
  'session.expired': 'expired',
  'session.closed': 'closed',
  'session.lost': 'lost',
  'session.contested': 'contested',
  'session.attention': 'attention',
};

/** The status that a type leads to, where it leads to one. */
export function statusAfter(type: EventType): SessionStatus | undefined {
  return STATUS[type];
}

/** Every `session.*` but these says what is true now, and so ends staleness. */
const KEEPS_STALE: ReadonlySet<EventType> = new Set(['session.stale', 'session.step', 'session.removed']);

function foldSession(before: SessionState, event: SessionEvent): SessionState | undefined {
  if (event.type === 'session.removed') return undefined;
  let state: SessionState = { ...before, cursor: event.id };
  const status = STATUS[event.type];
  if (status !== undefined && (status !== before.status || before.statusSince === undefined)) {
    state = { ...state, status, statusSince: { at: event.time, cursor: event.id } };
  }
  if (event.type.startsWith('session.') && !KEEPS_STALE.has(event.type)) {
    const { staleSince: _, ...rest } = state;
    state = { ...rest, stale: false };
  }
  return foldDetails(state, event);
}

function foldDetails(state: SessionState, event: SessionEvent): SessionState {
  switch (event.type) {
    case 'session.opened': {
      const { kind, environment, expiresAt, scope, parent, role, attributes } = event.data;
      const { expiresAt: _expires, scope: _scope, parent: _parent, environment: _environment, ...rest } = state;
      return {
        ...rest,
        kind,
        role,
        openedAt: event.time,
        lastSeenAt: event.time,
        attributes: attributes ?? state.attributes,
        ...optional({ environment, expiresAt, scope, parent, heartbeat: answered(state) }),
      };
    }
    case 'session.renewed':
      return { ...state, lastSeenAt: event.time, ...optional({ expiresAt: event.data.expiresAt }) };
    case 'session.restored':
      return { ...state, lastSeenAt: event.time, ...optional({ heartbeat: answered(state) }) };
    case 'session.stale':
      return state.stale ? state : { ...state, stale: true, staleSince: { at: event.time, reason: event.data.reason } };
    case 'session.updated':
      return { ...state, lastSeenAt: event.time, attributes: changed(state.attributes, event.data.changed) };
    case 'heartbeat.armed':
      return { ...state, heartbeat: { ...beating(state), intervalMs: event.data.intervalMs, missed: 0 } };
    case 'heartbeat.disarmed':
      return { ...state, heartbeat: { ...beating(state), intervalMs: null, missed: 0 } };
    case 'heartbeat.missed':
      return { ...state, heartbeat: { ...beating(state), missed: event.data.missed } };
    case 'heartbeat.resumed':
      return { ...state, lastSeenAt: event.time, heartbeat: { ...beating(state), missed: 0, lastAt: event.time } };
    case 'protection.armed':
    case 'protection.disarmed':
    case 'protection.unknown': {
      const told =
        event.type === 'protection.armed' ? 'armed' : event.type === 'protection.disarmed' ? 'disarmed' : 'unknown';
      return { ...state, protection: { ...state.protection, [event.data.scope]: told, readAt: event.data.readAt } };
    }
    case 'protection.triggered':
      return { ...state, protection: { ...state.protection, triggeredAt: event.time } };
    case 'safety.changed': {
      const { level, reasons, notes } = event.data;
      return { ...state, safety: { level, reasons, notes } };
    }
    default:
      return state;
  }
}

function beating(state: SessionState): HeartbeatState {
  return state.heartbeat ?? { intervalMs: null, missed: 0 };
}

/** A session that is confirmed to work misses nothing: the silence was another connection's. */
function answered({ heartbeat }: SessionState): HeartbeatState | undefined {
  return heartbeat === undefined || heartbeat.missed === 0 ? heartbeat : { ...heartbeat, missed: 0 };
}

function changed(
  before: { readonly [name: string]: Json },
  changes: { readonly [name: string]: Json },
): { readonly [name: string]: Json } {
  return Object.fromEntries(Object.entries({ ...before, ...changes }).filter(([, value]) => value !== null));
}

/** Leaves out what is `undefined`. */
function optional<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

function foldSource(before: SourceState, event: SessionEvent): SourceState | undefined {
  const { attributes } = before;
  const next = (changes: Partial<SourceState['attributes']>, removed: readonly string[] = []): SourceState => {
    const kept = Object.entries(attributes).filter(([name]) => !removed.includes(name));
    const { links, venueLevel, degraded, accountLocked } = { ...attributes, ...changes };
    const others: { readonly [name: string]: Json } = { ...Object.fromEntries(kept), ...definite(changes) };
    return { ...before, cursor: event.id, attributes: { ...others, links, venueLevel, degraded, accountLocked } };
  };
  const what = 'what' in event.data && typeof event.data.what === 'string' ? event.data.what : undefined;
  switch (event.type) {
    case 'link.up':
      return next({ links: { ...attributes.links, [event.data.carrier]: 'up' } });
    case 'link.down':
      return next({ links: { ...attributes.links, [event.data.carrier]: 'down' } });
    case 'link.retrying':
      return next({ links: { ...attributes.links, [event.data.carrier]: 'retrying' } });
    case 'venue.maintenance':
      return what === undefined ? maintained(event.data.announced) : degrade(what);
    case 'venue.locked':
      return what === undefined ? next({ venueLevel: 'locked' }) : degrade(what);
    case 'venue.degraded':
      return what === undefined
        ? next({ venueLevel: worse(attributes.venueLevel), degradedWhole: true })
        : degrade(what);
    case 'venue.normal': {
      if (what === undefined) return next({ degraded: [], venueLevel: 'normal' }, WHOLE_TROUBLE);
      const degraded = attributes.degraded.filter((one) => one !== what);
      const partial = attributes.venueLevel === 'degraded' && attributes.degradedWhole !== true;
      return next({ degraded, ...(partial && degraded.length === 0 ? { venueLevel: 'normal' } : {}) });
    }
    case 'account.locked':
      return next({ accountLocked: [...new Set([...attributes.accountLocked, event.data.what])] });
    case 'account.unlocked': {
      const all = event.data.what === 'all';
      return next({ accountLocked: all ? [] : attributes.accountLocked.filter((one) => one !== event.data.what) });
    }
    case 'source.throttled':
      return next({ throttledUntilAt: event.data.untilAt });
    case 'source.unthrottled':
      return next({}, ['throttledUntilAt']);
    case 'session.removed':
      return undefined;
    default:
      return { ...before, cursor: event.id };
  }

  /** What has begun is not taken back by an announcement, and a lock is not hidden by either. */
  function maintained(announced: boolean): SourceState {
    return next({
      venueLevel: attributes.venueLevel === 'locked' ? 'locked' : 'maintenance',
      maintenanceAnnounced: announced && attributes.maintenanceAnnounced !== false,
    });
  }

  function degrade(part: string): SourceState {
    return next({
      venueLevel: worse(attributes.venueLevel),
      degraded: [...new Set([...attributes.degraded, part])],
    });
  }
}

/** Attributes that are there only while the venue as a whole is in trouble. */
const WHOLE_TROUBLE = ['maintenanceAnnounced', 'degradedWhole'];

/** A part's trouble never hides the whole's. */
function worse(level: SourceState['attributes']['venueLevel']): SourceState['attributes']['venueLevel'] {
  return level === 'normal' ? 'degraded' : level;
}

function definite(changes: { readonly [name: string]: Json | undefined }): { readonly [name: string]: Json } {
  return Object.fromEntries(
    Object.entries(changes).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}
