import type { Json } from '../model/json.js';
import type { VenueMemory } from '../venues/venue.js';

/**
 * What the journal remembers of each venue, as it is committed: a venue that begins anew while the hub runs must find
 * again what one finds that begins with the hub. The hub's own namespaces are not among it.
 */
export interface Recollection {
  /** What was found when the journal was opened. */
  begin(memory: ReadonlyMap<string, VenueMemory>): void;
  /** This is committed; `null` forgets a key. */
  note(space: string, entries: { readonly [key: string]: Json }): void;
  /** Of one venue, as it is now: a copy. */
  of(space: string): VenueMemory | undefined;
  /** Live. */
  readonly spaces: ReadonlyMap<string, VenueMemory>;
}

export function createRecollection(): Recollection {
  const spaces = new Map<string, Map<string, Json>>();
  return {
    spaces,
    begin(memory) {
      for (const [space, known] of memory) spaces.set(space, new Map(known));
    },
    note(space, entries) {
      if (/^hub\./.test(space)) return;
      const known = spaces.get(space) ?? new Map<string, Json>();
      for (const [key, value] of Object.entries(entries)) {
        if (value === null) known.delete(key);
        else known.set(key, value);
      }
      if (known.size === 0) spaces.delete(space);
      else spaces.set(space, known);
    },
    of(space) {
      const known = spaces.get(space);
      return known === undefined ? undefined : new Map(known);
    },
  };
}
