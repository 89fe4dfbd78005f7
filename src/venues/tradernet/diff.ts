import { type EventData, type EventType, type Fact, timestampOf } from '../../model/event.js';
import type { Json } from '../../model/json.js';
import { sessionKey } from '../../model/subject.js';
import type { RowAttributes, SessionRow } from './rows.js';
import { type KnownRow, LOGIN_TOKEN, type MapperState } from './state.js';

/** How a list came, and what may be concluded from it. */
export interface ListContext {
  /** Every row was read: what is missing is gone. */
  readonly complete: boolean;
  /** The relay's wall clock, ms since the epoch. */
  readonly atMs: number;
  readonly generation: number;
}

/** A session that leaves the list this shortly before its end has ended by time: the venue's clock is not ours. */
const END_SLACK_MS = 5_000;
/** Lives that are remembered after they left the list; the oldest are forgotten first. */
const MAX_GONE = 500;

/**
 * What a full list says that the last one did not, session by session: what ended first, then the list in its order.
 * The id and the start name a life, so that the same opening has the same key whoever tells it.
 */
export function diffList(
  state: MapperState,
  list: ReadonlyMap<string, SessionRow>,
  context: ListContext,
): readonly [MapperState, readonly Fact[]] {
  const facts: Fact[] = [];
  const rows = new Map<string, KnownRow>();
  const gone = new Map(state.gone);
  let moved = false;
  const tell = <T extends EventType>(session: string, type: T, data: EventData<T>, key?: string): void => {
    const { source } = state.about;
    const { generation } = context;
    facts.push({ source, session, type, data, generation, ...(key === undefined ? {} : { key }) } as Fact);
  };
  const leave = (id: string, row: KnownRow): void => {
    moved = true;
    const name = lifeOf(id, row.start);
    gone.delete(name); // so that it is the youngest
    gone.set(name, row.life + 1);
    for (const oldest of gone.keys()) {
      if (gone.size <= MAX_GONE) break;
      gone.delete(oldest);
    }
    if (row.status === 'expired') return;
    const { expiresMs } = row;
    if (expiresMs !== undefined && context.atMs >= expiresMs - END_SLACK_MS) {
      tell(id, 'session.expired', { expiresAt: timestampOf(expiresMs) });
    } else tell(id, 'session.closed', { by: 'venue' }, keyOf('closed', id, row));
  };

  for (const [id, row] of state.rows) {
    const listed = list.get(id);
    if (listed === undefined && !context.complete) rows.set(id, row);
    else if (listed === undefined || (listed.start !== undefined && listed.start !== row.start)) leave(id, row);
    else if (row.forgotten && (listed.expiresMs ?? row.expiresMs ?? 0) > context.atMs) leave(id, row);
    else rows.set(id, row);
  }
  for (const [id, listed] of list) {
    const before = rows.get(id);
    const after = before === undefined ? open(id, listed) : follow(id, before, listed);
    moved ||= after !== before;
    rows.set(id, after);
  }
  return [moved ? { ...state, rows, gone } : state, facts];

  function open(id: string, listed: SessionRow): KnownRow {
    const { expiresMs, start = '', startMs, attributes } = listed;
    const { environment } = state.login;
    const life = gone.get(lifeOf(id, start)) ?? 0;
    const base = { start, life, forgotten: false, seen: true, warning: 'none', attributes } as const;
    const row = { ...base, ...optional({ expiresMs }) };
    tell(
      id,
      'session.opened',
      {
        kind: 'security',
        role: 'watch',
        parent: sessionKey('tradernet', state.about.source, LOGIN_TOKEN),
        attributes,
        ...(environment === undefined ? {} : { environment }),
        ...(expiresMs === undefined ? {} : { expiresAt: timestampOf(expiresMs) }),
        ...(startMs === undefined ? {} : { venueTime: timestampOf(startMs) }),
        ...(life === 0 ? {} : { reason: 'listed_again' }),
      },
      keyOf('opened', id, row),
    );
    if (expiresMs === undefined || expiresMs > context.atMs) return { ...row, status: 'active' };
    tell(id, 'session.expired', { expiresAt: timestampOf(expiresMs) });
    return { ...row, status: 'expired' };
  }

  function follow(id: string, before: KnownRow, listed: SessionRow): KnownRow {
    const expiresMs = listed.expiresMs ?? before.expiresMs;
    const over = expiresMs !== undefined && expiresMs <= context.atMs;
    if (over && before.status === 'expired') return before;
    const attributes = { ...before.attributes, ...listed.attributes };
    const changed = changesOf(before.attributes, attributes);
    const moves = expiresMs !== undefined && expiresMs !== before.expiresMs;
    let row: KnownRow = { ...before, ...optional({ expiresMs }) };
    if (over) {
      tell(id, 'session.expired', { expiresAt: timestampOf(expiresMs) });
      return { ...row, status: 'expired' };
    }
    // Listed with time left: it lives, whatever our own clock had said of its end.
    if (!before.seen || before.status === 'expired') tell(id, 'session.restored', {});
    if (moves) {
      const shorter = before.expiresMs !== undefined && expiresMs < before.expiresMs;
      const reason = shorter ? { reason: 'shortened' } : {};
      tell(id, 'session.renewed', { expiresAt: timestampOf(expiresMs), how: 'observed', ...reason });
      row = { ...row, warning: shorter ? row.warning : 'none' };
    }
    if (Object.keys(changed).length > 0) {
      tell(id, 'session.updated', { changed });
      row = { ...row, attributes };
    }
    if (row.warning === 'owed' && expiresMs !== undefined) {
      const inMs = expiresMs - context.atMs;
      tell(id, 'session.expiring', { expiresAt: timestampOf(expiresMs), inMs, renewable: false });
      row = { ...row, warning: 'told' };
    }
    const same = before.seen && before.status === 'active' && !moves && row.attributes === before.attributes;
    return same && row.warning === before.warning ? before : { ...row, seen: true, status: 'active' };
  }
}

/** Whether applying a list would end a session that is known to live: what an answer without a login must not do. */
export function wouldEnd(state: MapperState, list: readonly SessionRow[], atMs: number): boolean {
  const ids = new Set(list.map(({ id }) => id));
  return [...state.rows].some(
    ([id, { status, expiresMs }]) =>
      status === 'active' && !ids.has(id) && !(expiresMs !== undefined && atMs >= expiresMs - END_SLACK_MS),
  );
}

function lifeOf(id: string, start: string): string {
  return `${id}@${start}`;
}

/** The venue's own name of the fact; none where it gave no start. */
function keyOf(what: string, id: string, { start, life }: Pick<KnownRow, 'start' | 'life'>): string | undefined {
  if (start === '') return undefined;
  return `${what}:${id}:${start}${life === 0 ? '' : `#${life}`}`;
}

function changesOf(before: RowAttributes, after: RowAttributes): { readonly [name: string]: Json } {
  return Object.fromEntries(Object.entries(after).filter(([name, value]) => before[name] !== value));
}

function optional({ expiresMs }: { readonly expiresMs: number | undefined }): { readonly expiresMs?: number } {
  return expiresMs === undefined ? {} : { expiresMs };
}
