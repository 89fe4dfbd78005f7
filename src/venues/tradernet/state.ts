import { z } from 'zod';
import { type Environment, environment, type Role } from '../../model/event.js';
import { type Json, json } from '../../model/json.js';
import type { RowAttributes } from './rows.js';

/** The token of the login; security sessions have the venue's ids. */
export const LOGIN_TOKEN = 'login';

/** What the mapper knows of one source: its login, and the last full list. Immutable. */
export interface MapperState {
  readonly about: About;
  readonly login: LoginView;
  /** By the venue's id: what the last list had, with those that ended by time and are still listed. */
  readonly rows: ReadonlyMap<string, KnownRow>;
  /** How often a life (`<id>@<start>`) has left the list: one that comes back is a new fact. Oldest first, bounded. */
  readonly gone: ReadonlyMap<string, number>;
  /** Faults by kind, with how often they were seen: each is told once. */
  readonly faults: ReadonlyMap<string, number>;
}

/** What is configured, and never changes. */
export interface About {
  readonly source: string;
  readonly role: Role;
  readonly environment?: Environment;
}

export interface LoginView {
  readonly status: 'none' | 'connecting' | 'active' | 'lost' | 'attention';
  /** It was opened, and is known since: what works again is restored. */
  readonly opened: boolean;
  /** Confirmed since the relay last lost sight of it. */
  readonly seen: boolean;
  /** There is a SID that no fact has spoken of yet: proved, it is an opening, not a restoration. */
  readonly fresh: boolean;
  /** Whether these credentials ever worked. */
  readonly worked: boolean;
  readonly environment?: Environment;
  readonly attributes: RowAttributes;
  /** What the last `session.attention` said. */
  readonly asked?: string;
}

export interface KnownRow {
  /** As {@link SessionRow.start}; empty where the venue gave none. */
  readonly start: string;
  /** How often this life has been opened before. */
  readonly life: number;
  readonly expiresMs?: number;
  readonly status: 'active' | 'expired';
  /** Ended so long ago that the relay keeps it no more, though it is still listed: should it live again, it opens anew. */
  readonly forgotten: boolean;
  readonly seen: boolean;
  /** Whether the coming end was told; `owed`: it came while the relay could not see the session. */
  readonly warning: 'none' | 'told' | 'owed';
  readonly attributes: RowAttributes;
}

export function emptyState(about: About): MapperState {
  const login: LoginView = {
    status: 'none',
    opened: false,
    seen: false,
    fresh: false,
    worked: false,
    attributes: {},
  };
  return { about, login, rows: new Map(), gone: new Map(), faults: new Map() };
}

const MEMORY_LOGIN = 'login';
const MEMORY_SESSIONS = 'sessions';

const attributes = z.record(z.string(), json);
const loginMemory = z.object({
  status: z.enum(['none', 'connecting', 'active', 'lost', 'attention']),
  opened: z.boolean(),
  worked: z.boolean(),
  environment: environment.optional(),
  attributes,
});
const rowMemory = z.object({
  start: z.string(),
  life: z.number().int().nonnegative(),
  expiresMs: z.number().optional(),
  status: z.enum(['active', 'expired']),
  forgotten: z.boolean(),
  attributes,
});
const sessionsMemory = z.object({
  rows: z.record(z.string(), rowMemory),
  gone: z.array(z.tuple([z.string(), z.number().int().nonnegative()])),
});

/**
 * What must be found again after a restart, where it differs from what `before` would have said: the login's status and
 * the last full list. No credential is among it.
 */
export function memoryOf(state: MapperState, before: MapperState): { readonly [key: string]: Json } | undefined {
  const memory: { [key: string]: Json } = {};
  if (state.login !== before.login) {
    const { status, opened, worked, environment: known, attributes: said } = state.login;
    const kept = { status, opened, worked, attributes: said };
    memory[MEMORY_LOGIN] = { ...kept, ...(known === undefined ? {} : { environment: known }) };
  }
  if (state.rows !== before.rows || state.gone !== before.gone) {
    const rows = [...state.rows].map(([id, { seen: _, warning: __, ...row }]) => [id, row] as const);
    memory[MEMORY_SESSIONS] = {
      rows: Object.fromEntries(rows),
      gone: [...state.gone].map(([name, times]) => [name, times]),
    };
  }
  return Object.keys(memory).length === 0 ? undefined : memory;
}

/** The relay keeps a session no more that ended long ago. */
export function forgotten(state: MapperState, session: string): MapperState {
  if (session === LOGIN_TOKEN) return { ...state, login: { ...state.login, opened: false } };
  const row = state.rows.get(session);
  if (row === undefined || row.status === 'active') return state;
  return { ...state, rows: new Map([...state.rows, [session, { ...row, forgotten: true }]]) };
}

/** The state after a restart: everything is known from before, and nothing is confirmed. Unreadable memory is none. */
export function recall(about: About, memory: ReadonlyMap<string, Json> | undefined): MapperState {
  const empty = emptyState(about);
  const login = loginMemory.safeParse(memory?.get(MEMORY_LOGIN));
  const sessions = sessionsMemory.safeParse(memory?.get(MEMORY_SESSIONS));
  return {
    ...empty,
    login: login.success ? { ...empty.login, ...present(login.data) } : empty.login,
    ...(sessions.success
      ? {
          rows: new Map(
            Object.entries(sessions.data.rows).map(([id, row]) => [
              id,
              { ...present(row), seen: false, warning: 'none' },
            ]),
          ),
          gone: new Map(sessions.data.gone),
        }
      : {}),
  };
}

/** The same without fields that are `undefined`. */
function present<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as never;
}
