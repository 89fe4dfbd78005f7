import { type EventData, type EventType, type Fact, SOURCE_TOKEN, timestampOf } from '../../model/event.js';
import type { Json } from '../../model/json.js';
import type { FaultKind } from '../faults.js';
import { type Brokerage, type ConnectionRow, MAX_ROWS, present } from './messages.js';
import { fact, followBrokers, type Mapped, noteFault } from './source-facts.js';
import type { KnownConnection, MapperState } from './state.js';

/**
 * What SnapTrade says of connections, as facts: pure functions `(state, what was said) → [state, facts]`. A list and a
 * webhook that tell the same fact name it alike, from the connection's own history, so that it is told once.
 */

/** A list, and what may be concluded from it. */
export interface Listed {
  readonly rows: readonly ConnectionRow[];
  /** It is whole, and every row was read: what is missing is gone. */
  readonly complete: boolean;
  readonly unread: number;
  /** Told by webhooks since the list was asked for: it may be the older of the two about these. */
  readonly touched?: ReadonlySet<string>;
}

/** The venue's own broker for tests (SnapTrade docs, sandbox). */
const SANDBOX = 'SANDBOX';
const TRADES = 'trade';

/** A change under way: rows are replaced one by one, facts gathered in order. */
interface Draft {
  readonly rows: Map<string, KnownConnection>;
  readonly facts: Fact[];
  readonly state: MapperState;
  readonly removing: Set<string>;
  closes: number;
}

function draftOf(state: MapperState): Draft {
  const { rows, removing, closes } = state;
  return { rows: new Map(rows), facts: [], state, removing: new Set(removing), closes };
}

/** The state after a change; what did not move stays the same object. */
function settle({ state, rows, removing, closes }: Draft): MapperState {
  return {
    ...state,
    rows: sameRows(state.rows, rows) ? state.rows : rows,
    removing: removing.size === state.removing.size ? state.removing : removing,
    closes,
  };
}

/** Takes in a list: what is gone first, then the list in its order, then the brokers. Never throws. */
export function takeList(state: MapperState, listed: Listed): Mapped {
  let [after, faults]: Mapped = [state, []];
  const note = (...fault: readonly [kind: string, what: FaultKind, sample: string]): void => {
    const [next, facts] = noteFault(after, ...fault);
    after = next;
    faults = [...faults, ...facts];
  };
  if (listed.unread > 0) note('a row without an id', 'bad_frame', `${listed.unread} connections without a usable id`);
  const list = new Map(listed.rows.map((row) => [row.id, row]));
  if (list.size < listed.rows.length) note('an id twice', 'inconsistent', 'one connection twice in a list');
  for (const { doubts } of listed.rows)
    for (const field of doubts) note(`field ${field}`, 'bad_frame', `field ${field} of a connection`);

  const draft = draftOf(after);
  draft.facts.push(...faults);
  if (listed.complete) {
    for (const [id, row] of after.rows) {
      if (!list.has(id) && listed.touched?.has(id) !== true) close(draft, id, row, {});
    }
    if (state.asked !== undefined) draft.facts.push(fact(state, SOURCE_TOKEN, 'session.restored', {}));
  }
  for (const [id, row] of list) if (listed.touched?.has(id) !== true) follow(draft, id, row);
  const brokers = listed.complete ? followBrokers(after, listed.rows, draft.facts) : after.brokers;
  const { asked, ...settled } = settle(draft);
  const keepsAsking = !listed.complete && asked !== undefined;
  return [{ ...settled, brokers, ...(keepsAsking ? { asked } : {}) }, draft.facts];
}

function sameRows(before: MapperState['rows'], after: MapperState['rows']): boolean {
  return before.size === after.size && [...after].every(([id, row]) => before.get(id) === row);
}

/** What one row says against what is known of its connection. */
function follow(draft: Draft, id: string, row: ConnectionRow): void {
  const known = draft.rows.get(id);
  const attributes = { ...known?.attributes, ...attributesOf(row) };
  // Whether it works could not be read: nothing is confirmed, and nothing is taken back.
  if (row.disabled === undefined) return;
  const role = row.type === undefined ? (known?.role ?? 'watch') : roleOf(draft.state, row.type);
  if (known === undefined || known.status === 'opening' || known.role !== role) {
    const life = known?.life ?? draft.closes;
    const base = { life, breaks: known?.breaks ?? 0, seen: true, role, attributes };
    const reopened = known !== undefined && known.status !== 'opening';
    const environment = environmentOf(draft.state, row.brokerage);
    tell(
      draft,
      id,
      'session.opened',
      present({
        kind: 'connection' as const,
        role,
        attributes,
        environment,
        venueTime: row.createdMs === undefined ? undefined : timestampOf(row.createdMs),
        reason: reopened ? 'type_changed' : undefined,
      }),
      reopened ? undefined : `opened:${life}`,
    );
    const after: KnownConnection = { ...base, status: 'active', ...told(known) };
    draft.rows.set(id, after);
    if (environment !== undefined && isMismatch(draft.state, environment)) complain(draft, id, environment);
    if (row.disabled) breakOne(draft, id, after, row.disabledMs, reopened && known.status === 'broken');
    return;
  }
  const changed = changesOf(known.attributes, attributes);
  const after: KnownConnection = Object.keys(changed).length === 0 ? known : { ...known, attributes };
  draft.rows.set(id, after);
  if (row.disabled && known.status === 'active') breakOne(draft, id, after, row.disabledMs, false);
  else if (row.disabled) sayAgain(draft, id, after);
  else mend(draft, id, after, {});
  if (Object.keys(changed).length > 0) tell(draft, id, 'session.updated', { changed });
}

/** It broke: lost, and a person has to link it again. `again`: it was known broken, and is said anew. */
function breakOne(
  draft: Draft,
  id: string,
  known: KnownConnection,
  atMs: number | undefined,
  again: boolean,
  toldMs?: number,
): void {
  const breaks = again ? known.breaks : known.breaks + 1;
  const name = `${known.life}.${breaks}`;
  draft.rows.set(id, { ...known, status: 'broken', breaks, seen: true, ...told({ toldMs }, known) });
  const venueTime = atMs === undefined ? {} : { venueTime: timestampOf(atMs) };
  tell(draft, id, 'session.lost', { reason: 'connection_broken', ...venueTime }, again ? undefined : `lost:${name}`);
  tell(draft, id, 'session.attention', relink(id, known.attributes), again ? undefined : `relink:${name}`);
}

/** Still broken: said anew where the relay had lost sight of it. */
function sayAgain(draft: Draft, id: string, known: KnownConnection): void {
  if (known.seen) return;
  draft.rows.set(id, { ...known, seen: true });
  tell(draft, id, 'session.attention', relink(id, known.attributes));
}

/** It works: restored, where it was broken or out of sight. */
function mend(
  draft: Draft,
  id: string,
  known: KnownConnection,
  { atMs, toldMs }: { readonly atMs?: number; readonly toldMs?: number },
): void {
  if (known.status === 'active' && known.seen) return;
  const key = known.status === 'broken' ? `restored:${known.life}.${known.breaks}` : undefined;
  draft.rows.set(id, { ...known, status: 'active', seen: true, ...told({ toldMs }, known) });
  tell(draft, id, 'session.restored', atMs === undefined ? {} : { venueTime: timestampOf(atMs) }, key);
}

function close(draft: Draft, id: string, { life }: KnownConnection, extra: { readonly venueTime?: string }): void {
  draft.rows.delete(id);
  draft.closes++;
  const by = draft.removing.delete(id) ? 'user' : 'unknown';
  tell(draft, id, 'session.closed', { by, ...extra }, `closed:${life}`);
}

/** A webhook that speaks of a connection's status. */
export interface StatusHook {
  readonly what: 'added' | 'deleted' | 'broken' | 'fixed';
  readonly connection: string;
  readonly atMs: number;
}

/**
 * Takes in a webhook about a connection's status. One about a connection that no list has shown says only that it is
 * being made; one that is older than what the vendor said last changes nothing. Never throws.
 */
export function takeStatusHook(state: MapperState, { what, connection: id, atMs }: StatusHook): Mapped {
  const known = state.rows.get(id);
  if (known?.toldMs !== undefined && atMs < known.toldMs) return [state, []];
  const draft = draftOf(state);
  const venueTime = timestampOf(atMs);
  switch (what) {
    case 'added': {
      if (known !== undefined) return [state, []];
      if (state.rows.size >= MAX_ROWS)
        return noteFault(state, 'too many connections', 'inconsistent', `more than ${MAX_ROWS} connections`);
      const life = draft.closes;
      const base = { status: 'opening', life, breaks: 0, seen: true, role: 'watch', attributes: {} } as const;
      draft.rows.set(id, { ...base, toldMs: atMs });
      tell(draft, id, 'session.opening', { venueTime }, `opening:${life}`);
      break;
    }
    case 'deleted':
      if (known === undefined) return [state, []];
      close(draft, id, known, { venueTime });
      break;
    case 'broken':
      if (known === undefined || known.status === 'opening') return [state, []];
      if (known.status === 'active') breakOne(draft, id, known, atMs, false, atMs);
      else sayAgain(draft, id, known);
      break;
    case 'fixed':
      if (known === undefined || known.status === 'opening') return [state, []];
      mend(draft, id, known, { atMs, toldMs: atMs });
      break;
  }
  const after = draft.rows.get(id);
  if (after !== undefined) draft.rows.set(id, { ...after, toldMs: atMs });
  return [settle(draft), draft.facts];
}

/** Attributes that a webhook moves; of a connection that is in sight alone, for it says nothing of whether it works. */
export function touchConnection(state: MapperState, id: string, attribute: string, atMs: number, key: string): Mapped {
  const known = state.rows.get(id);
  if (known === undefined || !known.seen || known.status === 'opening') return [state, []];
  const changed = { [attribute]: timestampOf(atMs) };
  const rows = new Map(state.rows).set(id, { ...known, attributes: { ...known.attributes, ...changed } });
  const data: EventData<'session.updated'> = { changed, venueTime: timestampOf(atMs) };
  return [{ ...state, rows }, [fact(state, id, 'session.updated', data, key)]];
}

/** A command that removes a connection is sent (or was refused): while it is expected, its end is the user's. */
export function expectRemoval(state: MapperState, id: string, isExpected: boolean): MapperState {
  const others = [...state.removing].filter((one) => one !== id);
  return { ...state, removing: new Set(isExpected ? [...others, id] : others) };
}

/** Nothing shows the connections any more: each must be confirmed again. */
export function loseSight(state: MapperState): MapperState {
  if (![...state.rows.values()].some(({ seen }) => seen)) return state;
  return {
    ...state,
    rows: new Map([...state.rows].map(([id, row]) => [id, row.seen ? { ...row, seen: false } : row])),
  };
}

/** What nobody shows any more though the link is up, each told. */
export function goStale(state: MapperState, reason: 'link_down' | 'throttled'): Mapped {
  const unseen = [...state.rows].filter(([, { seen }]) => seen);
  return [loseSight(state), unseen.map(([id]) => fact(state, id, 'session.stale', { reason }))];
}

function attributesOf({ type, freshness, brokerage }: ConnectionRow): { readonly [name: string]: Json } {
  return {
    ...(type === undefined ? {} : { type }),
    ...(brokerage === undefined ? {} : { brokerage: brokerage.slug }),
    ...(brokerage?.name === undefined ? {} : { brokerageName: brokerage.name }),
    ...(freshness === undefined ? {} : { dataFreshness: freshness }),
  };
}

function roleOf({ about }: MapperState, type: string): KnownConnection['role'] {
  return type === TRADES ? about.role : 'watch';
}

function environmentOf({ about }: MapperState, brokerage: Brokerage | undefined): MapperState['about']['environment'] {
  return brokerage?.slug.toUpperCase() === SANDBOX ? 'test' : about.environment;
}

function isMismatch({ about }: MapperState, environment: string): boolean {
  return about.environment !== undefined && about.environment !== environment;
}

function complain(draft: Draft, id: string, environment: string): void {
  const { about } = draft.state;
  const instructions = `Connection ${id} is of the sandbox (${environment}) and this source is configured as ${about.environment}: check credentials and environment.`;
  const data = { action: 'check_credentials', instructions } as const;
  draft.facts.push(fact(draft.state, SOURCE_TOKEN, 'session.attention', data, `mismatch:${id}`));
}

function relink(id: string, attributes: KnownConnection['attributes']): EventData<'session.attention'> {
  const broker = typeof attributes.brokerageName === 'string' ? attributes.brokerageName : 'the broker';
  return {
    action: 'relink',
    instructions: `The connection to ${broker} is broken: the customer has to link it again in a connection portal opened with reconnect=${id}.`,
  };
}

function told(...sources: readonly ({ readonly toldMs?: number | undefined } | undefined)[]): {
  readonly toldMs?: number;
} {
  for (const source of sources) if (source?.toldMs !== undefined) return { toldMs: source.toldMs };
  return {};
}

function changesOf(
  before: KnownConnection['attributes'],
  after: KnownConnection['attributes'],
): { readonly [name: string]: Json } {
  const moved = Object.entries(after).filter(([name, value]) => before[name] !== value);
  const removed = Object.keys(before).filter((name) => !(name in after));
  return { ...Object.fromEntries(moved), ...Object.fromEntries(removed.map((name) => [name, null])) };
}

function tell<T extends EventType>(draft: Draft, session: string, type: T, data: EventData<T>, key?: string): void {
  draft.facts.push(fact(draft.state, session, type, data, key));
}
