import { z } from 'zod';
import type { Environment, Role } from '../../model/event.js';
import { type Json, json } from '../../model/json.js';
import type { VenueMemory } from '../venue.js';
import { present } from './messages.js';

/** What the mapper knows of one source: the connections of one user, as last listed or told. Immutable. */
export interface MapperState {
  readonly about: About;
  readonly rows: ReadonlyMap<string, KnownConnection>;
  /** How many connections have ended: names the life of each that opens, so that one that comes back is a new fact. */
  readonly closes: number;
  /** Brokers in trouble, by slug, with what it is. */
  readonly brokers: ReadonlyMap<string, string>;
  /** What the last `session.attention` of the source itself asked for. */
  readonly asked?: string;
  /** Connections that a command removes: their end is the user's. */
  readonly removing: ReadonlySet<string>;
  /** Faults by kind, with how often they were seen: each is told once. */
  readonly faults: ReadonlyMap<string, number>;
}

/** What is configured, and never changes. */
export interface About {
  readonly source: string;
  /** Of connections of type `trade`; the others are always `watch`. */
  readonly role: Role;
  readonly environment?: Environment;
}

export interface KnownConnection {
  /** `opening`: a webhook told of it, and no list has shown it. */
  readonly status: 'opening' | 'active' | 'broken';
  /** How many connections of the source had ended when this one opened. */
  readonly life: number;
  /** How often it broke in this life: names each breaking and each mending, whoever tells it. */
  readonly breaks: number;
  /** Confirmed since the relay last lost sight of it. */
  readonly seen: boolean;
  readonly role: Role;
  readonly attributes: { readonly [name: string]: Json };
  /** The vendor's time of the newest webhook that spoke of its status: an older one is late. */
  readonly toldMs?: number;
}

/** `lives`: how many lives sources that were dropped may have used. */
export function emptyState(about: About, lives = 0): MapperState {
  return {
    about,
    rows: new Map(),
    closes: lives,
    brokers: new Map(),
    removing: new Set(),
    faults: new Map(),
  };
}

const rowMemory = z.object({
  status: z.enum(['opening', 'active', 'broken']),
  life: z.number().int().nonnegative(),
  breaks: z.number().int().nonnegative(),
  role: z.enum(['trading', 'watch']),
  attributes: z.record(z.string(), json),
  toldMs: z.number().optional(),
});
const sourceMemory = z.object({
  brokers: z.record(z.string(), z.string()),
  closes: z.number().int().nonnegative(),
  asked: z.string().exactOptional(),
});

const rowKey = (source: string, id: string): string => `connection ${source} ${id}`;
const sourceKey = (source: string): string => `source ${source}`;

/** What must be found again after a restart, where it differs from what `before` would have said. No credential is in it. */
export function memoryOf(state: MapperState, before: MapperState): { readonly [key: string]: Json } | undefined {
  const { source } = state.about;
  const memory: { [key: string]: Json } = {};
  if (state.rows !== before.rows) {
    for (const id of before.rows.keys()) if (!state.rows.has(id)) memory[rowKey(source, id)] = null;
    for (const [id, row] of state.rows) {
      const known = before.rows.get(id);
      if (known === row) continue;
      const { seen: _, ...rest } = row;
      const { seen: __, ...old } = known ?? { seen: false };
      if (known === undefined || JSON.stringify(rest) !== JSON.stringify(old)) memory[rowKey(source, id)] = rest;
    }
  }
  const { closes, brokers, asked } = state;
  if (closes !== before.closes || brokers !== before.brokers || asked !== before.asked) {
    const kept = { brokers: Object.fromEntries(brokers), closes };
    memory[sourceKey(source)] = asked === undefined ? kept : { ...kept, asked };
  }
  return Object.keys(memory).length === 0 ? undefined : memory;
}

/** The keys of all that is remembered of a source. */
export function memoryKeysOf({ about, rows }: MapperState): readonly string[] {
  return [...[...rows.keys()].map((id) => rowKey(about.source, id)), sourceKey(about.source)];
}

/**
 * The state of a source whose user is no longer configured. Should it come back, each connection opens anew, or has
 * ended meanwhile: in a life of its own, so that no name of a fact is used twice.
 */
export function departed(state: MapperState): MapperState {
  const closes = state.closes + 1;
  const rows = new Map(
    [...state.rows].map(([id, row]) => [id, { ...row, status: 'opening', life: closes, seen: false } as const]),
  );
  return { ...state, rows, closes, removing: new Set() };
}

/** Connections remembered, by source: one pass over a memory that may hold many thousands. */
export type Remembered = ReadonlyMap<string, ReadonlyMap<string, KnownConnection>>;

/** The sources that are remembered, with connections or without. */
export function sourcesOf(memory: VenueMemory | undefined): ReadonlySet<string> {
  const names = [...(memory?.keys() ?? [])].flatMap((key) => {
    const [kind, source] = key.split(' ');
    return source !== undefined && (kind === 'connection' || kind === 'source') ? [source] : [];
  });
  return new Set(names);
}

export function rememberedOf(memory: VenueMemory | undefined): Remembered {
  const bySource = new Map<string, Map<string, KnownConnection>>();
  for (const [key, value] of memory ?? []) {
    const [kind, source, id] = key.split(' ');
    if (kind !== 'connection' || source === undefined || id === undefined) continue;
    const parsed = rowMemory.safeParse(value);
    if (!parsed.success) continue;
    const rows = bySource.get(source) ?? new Map<string, KnownConnection>();
    rows.set(id, { ...present(parsed.data), seen: false });
    bySource.set(source, rows);
  }
  return bySource;
}

/** The state after a restart: everything is known from before, and nothing is confirmed. Unreadable memory is none. */
export function recall(about: About, memory: VenueMemory | undefined, remembered: Remembered, lives = 0): MapperState {
  const empty = emptyState(about, lives);
  const source = sourceMemory.safeParse(memory?.get(sourceKey(about.source)));
  const rows = remembered.get(about.source) ?? empty.rows;
  if (!source.success) return { ...empty, rows };
  const { brokers, ...rest } = source.data;
  return { ...empty, ...rest, rows, brokers: new Map(Object.entries(brokers)) };
}
