import { type EventData, type EventType, type Fact, SOURCE_TOKEN, timestampOf } from '../../model/event.js';
import { countFault, type FaultKind } from '../faults.js';
import { diffList } from './diff.js';
import type { Frame } from './messages.js';
import type { SessionRow } from './rows.js';
import { type KnownRow, LOGIN_TOKEN, type MapperState } from './state.js';

/**
 * What Tradernet says, as facts: pure functions `(state, what happened) → [state, facts]`. Login, security session and
 * transport are three states; nothing here knows a socket.
 */
export type Mapped = readonly [MapperState, readonly Fact[]];

/** A frame, and how it came. */
export interface Told {
  readonly frame: Frame;
  /** Of the carrier that it came on. */
  readonly generation: number;
  /** The relay's wall clock, ms since the epoch. */
  readonly atMs: number;
  /** Whether this connection's login is proved: a demo socket's list is not ours. */
  readonly proved: boolean;
}

/** `expire` and `expire_datetime` that differ by more say different things; clocks and delays explain less. */
const MAX_EXPIRE_DIFFERENCE_MS = 300_000;

/** Takes in one frame. Never throws. */
export function mapFrame(state: MapperState, told: Told): Mapped {
  const { frame, generation } = told;
  switch (frame.kind) {
    case 'userData':
      return mapUserData(state, frame, told);
    case 'sessions':
      return told.proved || frame.proves ? mapList(state, frame, told) : [state, []];
    case 'keepAlive': {
      if (!told.proved) return [state, []];
      const data = frame.venueTime === undefined ? {} : { venueTime: frame.venueTime };
      return [state, [loginFact(state, 'heartbeat.pulse', data, generation)]];
    }
    case 'refused':
      return noteFault(state, `refused ${frame.channel}`, 'channel_refused', frame.channel);
    case 'error':
      return noteFault(state, 'error event', 'unknown_frame', `error ${frame.sample}`);
    case 'unknown':
      return noteFault(state, `unknown event ${frame.event}`, 'unknown_frame', frame.event);
    case 'bad':
      return noteFault(state, `bad frame, ${frame.why}`, 'bad_frame', frame.sample);
    case 'passed':
      return [state, []];
  }
}

/** What a `userData` says of the login that was asked for. `undecided`: it says neither. */
export type LoginVerdict = 'proved' | 'demo' | 'mismatch' | 'undecided';

/**
 * An account that is configured as `demo` is proved by a demo socket that names its login: an anonymous one names
 * none. Any other is proved by `prod` alone.
 */
export function judgeUserData(
  environment: MapperState['about']['environment'],
  { mode, login }: Pick<Extract<Frame, { kind: 'userData' }>, 'mode' | 'login'>,
): LoginVerdict {
  if (mode === 'unknown') return 'undecided';
  if (environment === undefined || environment === 'live') return mode === 'prod' ? 'proved' : 'demo';
  if (environment === 'demo' && mode === 'demo') return login === undefined ? 'demo' : 'proved';
  return 'mismatch';
}

function mapUserData(state: MapperState, frame: Extract<Frame, { kind: 'userData' }>, told: Told): Mapped {
  const { mode, login } = frame;
  switch (judgeUserData(state.about.environment, frame)) {
    case 'proved':
      return proveLogin(state, told, { environment: mode === 'prod' ? 'live' : 'demo', login });
    case 'demo':
      return loseLogin(state, 'demo', told.generation);
    case 'mismatch': {
      const wanted = state.about.environment ?? 'live';
      return wantAttention(
        state,
        'check_credentials',
        `The venue says ${mode} and this source is configured as ${wanted}: check credentials and environment.`,
        told.generation,
      );
    }
    case 'undecided':
      return noteFault(state, 'userData mode', 'unknown_value', 'userData without a mode that is known');
  }
}

/** The login works, as a socket or an authenticated answer over HTTP has shown. */
export function proveLogin(
  state: MapperState,
  told: Pick<Told, 'generation'>,
  said: { readonly environment?: 'live' | 'demo'; readonly login?: string | undefined } = {},
): Mapped {
  const { login, about } = state;
  const environment = said.environment ?? login.environment ?? about.environment;
  const attributes = {
    ...login.attributes,
    ...(said.environment === undefined ? {} : { mode: said.environment === 'live' ? 'prod' : 'demo' }),
    ...(said.login === undefined ? {} : { login: said.login }),
  };
  const changed = changes(login.attributes, attributes);
  const { asked: _, ...rest } = login;
  const after: MapperState = {
    ...state,
    login: {
      ...rest,
      status: 'active',
      opened: true,
      seen: true,
      fresh: false,
      worked: true,
      attributes,
      ...(environment === undefined ? {} : { environment }),
    },
  };
  const fact = <T extends EventType>(type: T, data: EventData<T>) => loginFact(state, type, data, told.generation);
  if (!login.opened || (login.fresh && !(login.status === 'active' && login.seen))) {
    const opened: EventData<'session.opened'> = {
      kind: 'login',
      role: about.role,
      attributes,
      ...(environment === undefined ? {} : { environment }),
    };
    return [after, [fact('session.opened', opened)]];
  }
  const updated = Object.keys(changed).length === 0 ? [] : [fact('session.updated', { changed })];
  if (login.status === 'active' && login.seen) {
    if (login.fresh) return [after, [fact('session.renewed', { how: 'reauthenticate' }), ...updated]];
    return updated.length === 0 ? [state, []] : [after, updated];
  }
  return [after, [fact('session.restored', {}), ...updated]];
}

/** The first attempt of a login that nothing is known of. */
export function openLogin(state: MapperState): Mapped {
  if (state.login.status !== 'none') return [state, []];
  const after: MapperState = { ...state, login: { ...state.login, status: 'connecting' } };
  return [after, [loginFact(state, 'session.opening', {})]];
}

/** There is another SID: until it is proved, nothing is said of it. */
export function renewLogin(state: MapperState): MapperState {
  return { ...state, login: { ...state.login, fresh: true } };
}

/** The venue no longer takes the login: it ended by a fault, and the sessions in it cannot be seen. */
export function loseLogin(state: MapperState, reason: string, generation: number, code?: string | number): Mapped {
  if (state.login.status !== 'active') return [state, []];
  const after: MapperState = { ...unseeRows(state), login: { ...state.login, status: 'lost', seen: false } };
  const data = { reason, ...(code === undefined ? {} : { code }) };
  return [after, [loginFact(state, 'session.lost', data, generation)]];
}

/** Only a person can mend it. The same words are said once. */
export function wantAttention(
  state: MapperState,
  action: EventData<'session.attention'>['action'],
  instructions: string,
  generation: number,
): Mapped {
  const asked = `${action}: ${instructions}`;
  if (state.login.status === 'attention' && state.login.asked === asked) return [state, []];
  const after: MapperState = {
    ...unseeRows(state),
    login: { ...state.login, status: 'attention', seen: false, asked },
  };
  return [after, [loginFact(state, 'session.attention', { action, instructions }, generation)]];
}

/** No carrier is left that shows anything: everything must be confirmed again. */
export function loseSight(state: MapperState): MapperState {
  return { ...unseeRows(state), login: state.login.seen ? { ...state.login, seen: false } : state.login };
}

/** What nobody shows any more, though a carrier is up: the sessions, or the login with them. */
export function goStale(
  state: MapperState,
  what: 'sessions' | 'all',
  reason: 'link_down' | 'throttled',
  generation: number,
): Mapped {
  const { login, rows } = state;
  const loses = what === 'all' && login.status === 'active' && login.seen;
  const unseen = [...rows].flatMap(([id, { seen, status }]) => (seen && status === 'active' ? [id] : []));
  const facts = [...(loses ? [LOGIN_TOKEN] : []), ...unseen].map(
    (session): Fact => ({ source: state.about.source, session, type: 'session.stale', data: { reason }, generation }),
  );
  if (facts.length === 0) return [state, []];
  const after = unseeRows(state);
  return [loses ? { ...after, login: { ...login, seen: false } } : after, facts];
}

function unseeRows(state: MapperState): MapperState {
  if (![...state.rows.values()].some(({ seen }) => seen)) return state;
  const rows = new Map([...state.rows].map(([id, row]) => [id, row.seen ? { ...row, seen: false } : row]));
  return { ...state, rows };
}

/** The end of a session comes near. While it cannot be seen nothing is said: that would end its staleness. */
export function warnOfEnd(state: MapperState, id: string, inMs: number): Mapped {
  const row = state.rows.get(id);
  if (row?.expiresMs === undefined || row.status !== 'active') return [state, []];
  const after = withRow(state, id, { ...row, warning: row.seen ? 'told' : 'owed' });
  return row.seen ? [after, [endFact(state, id, row.expiresMs, inMs)]] : [after, []];
}

/** A session ended by time. The venue is not documented to say so itself: the relay's own clock does. */
export function expireRow(state: MapperState, id: string): Mapped {
  const row = state.rows.get(id);
  if (row?.expiresMs === undefined || row.status !== 'active') return [state, []];
  const after = withRow(state, id, { ...row, status: 'expired' });
  return [after, [rowFact(state, id, 'session.expired', { expiresAt: timestampOf(row.expiresMs) })]];
}

function withRow(state: MapperState, id: string, row: KnownRow): MapperState {
  return { ...state, rows: new Map([...state.rows, [id, row]]) };
}

function mapList(state: MapperState, frame: Extract<Frame, { kind: 'sessions' }>, told: Told): Mapped {
  const [proved, proof] = frame.proves ? proveLogin(state, told) : ([state, []] as const);
  const { rows, repeated } = lastById(frame.rows);
  const complete = frame.unread === 0 && frame.partial !== true;
  let [after, faults]: Mapped = [proved, []];
  const note = (...fault: readonly [kind: string, what: FaultKind, sample: string]): void => {
    const [next, facts] = noteFault(after, ...fault);
    after = next;
    faults = [...faults, ...facts];
  };
  if (frame.unread > 0) note('a row without an id', 'bad_frame', `${frame.unread} rows of a list of sessions`);
  if (repeated) note('an id twice', 'inconsistent', 'one id twice in a list of sessions');
  for (const row of rows.values()) {
    for (const { what, field, value } of row.doubts) note(`${field} ${what} ${value}`, what, `${field} ${value}`);
    if (disagrees(row, told.atMs)) {
      const seconds = row.leftSeconds;
      note('expire', 'inconsistent', `expire (${seconds} s left) does not fit expire_datetime: the latter counts`);
    }
  }
  const [listed, facts] = diffList(after, rows, { complete, atMs: told.atMs, generation: told.generation });
  return [listed, [...faults, ...proof, ...facts]];
}

/** One row an id, in the order of the list; the last one wins. */
function lastById(given: readonly SessionRow[]): {
  readonly rows: ReadonlyMap<string, SessionRow>;
  readonly repeated: boolean;
} {
  const rows = new Map(given.map((row) => [row.id, row]));
  return { rows, repeated: rows.size < given.length };
}

function disagrees({ expiresMs, leftSeconds }: SessionRow, atMs: number): boolean {
  if (expiresMs === undefined || leftSeconds === undefined) return false;
  return Math.abs(expiresMs - (atMs + leftSeconds * 1_000)) > MAX_EXPIRE_DIFFERENCE_MS;
}

/** Tells a fault of a kind once; repeats are counted. */
export function noteFault(state: MapperState, kind: string, what: FaultKind, sample: string): Mapped {
  const { faults, told } = countFault(state.faults, kind, what, sample);
  const after: MapperState = { ...state, faults };
  if (told === undefined) return [after, []];
  return [after, [{ source: state.about.source, session: SOURCE_TOKEN, type: 'source.fault', data: told }]];
}

function changes(before: KnownRow['attributes'], after: KnownRow['attributes']): KnownRow['attributes'] {
  return Object.fromEntries(Object.entries(after).filter(([name, value]) => before[name] !== value));
}

function endFact(state: MapperState, id: string, expiresMs: number, inMs: number): Fact {
  return rowFact(state, id, 'session.expiring', { expiresAt: timestampOf(expiresMs), inMs, renewable: false });
}

function rowFact<T extends EventType>(state: MapperState, session: string, type: T, data: EventData<T>): Fact {
  return { source: state.about.source, session, type, data } as Fact;
}

function loginFact<T extends EventType>(state: MapperState, type: T, data: EventData<T>, generation?: number): Fact {
  const where = { source: state.about.source, session: LOGIN_TOKEN };
  return { ...where, type, data, ...(generation === undefined ? {} : { generation }) } as Fact;
}
