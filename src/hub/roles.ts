import { z } from 'zod';
import type { Role } from '../model/event.js';
import { isSessionState } from '../model/fold.js';
import type { State } from '../model/session.js';
import type { Venue, VenueMemory } from '../venues/venue.js';
import { spaceName } from './forgetting.js';
import { type Arrival, remembering } from './inbox.js';

/** The role that each venue's sessions were opened under, by `<venue>.<id>`. */
export const ROLE_SPACE = 'hub.roles';

/**
 * A role is told when a session opens, and never again. Under another role than before, in this life of the relay or in
 * the one before it, each session is to be opened anew though the venue may find it as it was: one that orders go
 * through from now on must not be judged as one that is only watched.
 */
export interface Roles {
  /** Notes the roles of venues that there were none of before. */
  look(venues: readonly Venue[]): void;
  /** Call it when the venue was started, in the same turn. */
  started(venue: Venue): void;
}

const role = z.enum(['trading', 'watch']);

export function createRoles(options: {
  readonly memory: VenueMemory | undefined;
  readonly states: () => ReadonlyMap<string, State>;
  readonly arrive: (arrival: Arrival) => void;
}): Roles {
  const { states, arrive } = options;
  const known = new Map<string, Role>();
  for (const [space, value] of options.memory ?? []) {
    const read = role.safeParse(value);
    if (read.success) known.set(space, read.data);
  }

  const openAnew = (venue: Venue): void => {
    const space = spaceName(venue);
    const sources = new Set(venue.sources().map(({ source }) => source));
    for (const state of states().values()) {
      if (!isSessionState(state) || state.venue !== venue.venue || !sources.has(state.source)) continue;
      const entries = venue.forget?.(state.source, state.session);
      if (entries === undefined) continue;
      arrive(remembering(space, entries));
    }
  };

  const note = (venue: Venue): void => {
    const [first] = venue.sources();
    const space = spaceName(venue);
    const before = known.get(space);
    if (first === undefined || before === first.role) return;
    known.set(space, first.role);
    // What is to be opened anew is remembered first: cut off in between, it is done once more.
    if (before !== undefined) openAnew(venue);
    arrive(remembering(ROLE_SPACE, { [space]: first.role }));
  };

  return {
    look(venues) {
      for (const venue of venues) if (!known.has(spaceName(venue))) note(venue);
    },
    started: note,
  };
}
