import { z } from 'zod';
import { compareCursors } from '../model/cursor.js';
import type { Fact, VenueName } from '../model/event.js';
import { isSessionState } from '../model/fold.js';
import { type Json, json } from '../model/json.js';
import type { SessionState, State } from '../model/session.js';
import type { Clock } from '../net/clock.js';
import type { SourceDescription, VenueMemory } from '../venues/venue.js';
import { type Arrival, remembering } from './inbox.js';
import type { Journal } from './journal/journal.js';
import type { Ledger } from './ledger.js';
import { NOT_CONFIGURED } from './naming.js';
import { FORGET_ORPHANS_MS, type Sources } from './sources.js';

/** The journal's memory of what is no longer configured: since when, and what is left of it. */
export const ORPHAN_SPACE = 'hub.orphans';
/** The hub's own namespaces: not those of a venue. */
const OWN_SPACES = /^hub\./;

/**
 * Drops what is over, so that neither states nor the journal's memory grow for ever: sessions that ended `forgetAfter`
 * ago, what a source left that is no longer configured, and the memory of a venue that is not. Times are counted on
 * the monotonic clock, from where the wall clock says that a life before this one has left them.
 */
export interface Forgetting {
  /** Notes what is not configured: from now on its time runs. Removes nothing. */
  look(): void;
  /** Notes, and drops what is due. Only once the venues are started. */
  run(): void;
}

export interface ForgettingOptions {
  readonly clock: Clock;
  readonly journal: Pick<Journal, 'oldest'>;
  readonly book: Pick<Ledger, 'states' | 'ended'>;
  readonly sources: Pick<Sources, 'find' | 'describeOrphan'>;
  readonly describe: (state: SessionState) => SourceDescription;
  /** Whether there is a venue of this name, `<venue>.<id>`, now. */
  readonly isConfigured: (space: string) => boolean;
  /** What the journal remembers now, live. */
  readonly memory: ReadonlyMap<string, VenueMemory>;
  readonly arrive: (arrival: Arrival) => void;
}

const mark = z.object({
  /** Wall-clock ms: since when it is not configured. */
  sinceMs: z.number(),
  /** Of a namespace: the cursor behind which nothing of its sources was told any more. */
  cursor: z.string().exactOptional(),
});

interface Mark extends z.output<typeof mark> {
  /** The same on the monotonic clock. */
  readonly sinceMonotonicMs: number;
}

export function createForgetting(options: ForgettingOptions): Forgetting {
  const { clock, journal, book, sources, describe, isConfigured, memory, arrive } = options;
  const ageOf = ({ sinceMonotonicMs }: Mark): number => clock.monotonic() - sinceMonotonicMs;
  /** By `source <venue>.<source>` and `space <venue>.<id>`. */
  const marks = new Map<string, Mark>();
  for (const [name, value] of memory.get(ORPHAN_SPACE) ?? []) {
    const known = mark.safeParse(value).data;
    if (known === undefined) continue;
    marks.set(name, { ...known, sinceMonotonicMs: clock.monotonic() - Math.max(0, clock.now() - known.sinceMs) });
  }
  const foreign = (): readonly string[] =>
    [...memory].flatMap(([space, { size }]) =>
      size > 0 && !OWN_SPACES.test(space) && !isConfigured(space) ? [space] : [],
    );
  /** Removals that wait for the journal: asked for once. */
  const waiting = new Set<string>();

  const remember = (name: string, next: Mark | undefined): void => {
    if (next === undefined) marks.delete(name);
    else marks.set(name, next);
    arrive(remembering(ORPHAN_SPACE, { [name]: jsonOf(next) }));
  };

  /** What is not held by any venue, by `<venue>.<source>`. */
  const orphans = (): ReadonlyMap<string, readonly State[]> => {
    const bySource = new Map<string, State[]>();
    for (const state of book.states().values()) {
      const name = sourceName(state.venue, state.source);
      const known = bySource.get(name);
      if (known === undefined) bySource.set(name, [state]);
      else known.push(state);
    }
    return new Map([...bySource].filter(([name]) => sources.find(name) === undefined));
  };

  const look = (): ReadonlyMap<string, readonly State[]> => {
    const found = orphans();
    const names = new Set([...[...found.keys()].map(sourceMark), ...foreign().map(spaceMark)]);
    for (const name of [...marks.keys()]) if (!names.has(name)) remember(name, undefined);
    for (const name of names) {
      if (!marks.has(name)) remember(name, { sinceMs: clock.now(), sinceMonotonicMs: clock.monotonic() });
    }
    return found;
  };

  /** Once it is told, and once only however long the journal takes. */
  const drop = (key: string, arrival: Omit<Arrival, 'committed' | 'refused'>): void => {
    if (waiting.has(key)) return;
    waiting.add(key);
    const done = (): void => void waiting.delete(key);
    arrive({ ...arrival, committed: done, refused: done });
  };

  const dropEnded = (): void => {
    for (const { state, forMs } of book.ended()) {
      const description = describe(state);
      if (forMs < description.forgetAfterMs || waiting.has(state.key)) continue;
      const { source, session } = state;
      const found = sources.find(sourceName(state.venue, source));
      // Said and done in one turn: whatever the venue says from now on begins with what opens the session.
      const entries = found?.venue.forget?.(source, session);
      const space = found === undefined ? '' : spaceName(found.venue);
      drop(state.key, {
        facts: [removal(state, {})],
        describe: () => description,
        ...(entries === undefined ? {} : { memory: { space, entries: () => entries } }),
      });
    }
  };

  /** All that a source left is dropped together: its sessions, then its own state. */
  const dropOrphans = (found: ReadonlyMap<string, readonly State[]>): void => {
    for (const [name, states] of found) {
      const known = marks.get(sourceMark(name));
      const [one] = states;
      if (known === undefined || one === undefined || ageOf(known) < FORGET_ORPHANS_MS) continue;
      const ordered = states.toSorted((a, b) => Number(isSessionState(b)) - Number(isSessionState(a)));
      const description = sources.describeOrphan(one.venue, one.source);
      drop(name, {
        facts: ordered.map((state) => removal(state, { reason: NOT_CONFIGURED })),
        describe: () => description,
      });
    }
  };

  /**
   * The memory of a venue goes last: while the journal holds the names of its facts, a source that comes back must know
   * which of them it has used.
   */
  const dropSpaces = (): void => {
    for (const space of foreign()) {
      const name = spaceMark(space);
      const known = marks.get(name);
      if (known === undefined || ageOf(known) < FORGET_ORPHANS_MS || waiting.has(name)) continue;
      if (known.cursor === undefined) {
        drop(name, {
          facts: [],
          describe: () => undefined,
          memory: {
            space: ORPHAN_SPACE,
            entries(cursor) {
              marks.set(name, { ...known, cursor });
              return { [name]: jsonOf({ ...known, cursor }) };
            },
          },
        });
      } else if (compareCursors(journal.oldest(), known.cursor) >= 0) {
        const entries = Object.fromEntries([...(memory.get(space)?.keys() ?? [])].map((key) => [key, null]));
        drop(name, remembering(space, entries));
      }
    }
  };

  return {
    look: () => void look(),
    run() {
      const found = look();
      dropEnded();
      dropOrphans(found);
      dropSpaces();
    },
  };
}

export function spaceName({ venue, id }: { readonly venue: VenueName; readonly id: string }): string {
  return `${venue}.${id}`;
}

function sourceName(venue: string, source: string): string {
  return `${venue}.${source}`;
}

const sourceMark = (name: string): string => `source ${name}`;
const spaceMark = (space: string): string => `space ${space}`;

function removal({ source, session }: State, data: { readonly reason?: string }): Fact {
  return { source, session, type: 'session.removed', data };
}

function jsonOf(known: Mark | undefined): Json {
  if (known === undefined) return null;
  const { sinceMonotonicMs: _, ...kept } = known;
  return json.parse(kept);
}
