import type { Json } from '../../model/json.js';
import type { Clock } from '../../net/clock.js';
import type { VenueMemory } from '../venue.js';

/**
 * Which webhooks were journaled: one that is sent again is acknowledged and told no more. Those under way are waited
 * for, so that a repetition is never acknowledged before the first is safe.
 */
export interface HookMemory {
  /** Whether a webhook is journaled, or will be; `undefined` where it is new. */
  find(id: string): true | Promise<boolean> | undefined;
  /** Takes up a new one; `remember` belongs into its batch, and `done` is told what became of it. */
  begin(id: string): Began;
}

interface Began {
  readonly remember: { readonly [key: string]: Json };
  readonly done: (journaled: boolean) => void;
  readonly outcome: Promise<boolean>;
}

/** The vendor repeats within hours: three times, from 30 minutes on, each time longer. */
const REMEMBER_MS = 86_400_000;
const MAX_REMEMBERED = 20_000;
const PREFIX = 'hook ';

export function createHookMemory(clock: Clock, memory: VenueMemory | undefined): HookMemory {
  const kept = [...(memory ?? [])].flatMap(([key, at]): readonly (readonly [string, number])[] =>
    key.startsWith(PREFIX) && typeof at === 'number' ? [[key.slice(PREFIX.length), at]] : [],
  );
  /** Oldest first. */
  const journaled = new Map(kept.toSorted(([, a], [, b]) => a - b));
  const underway = new Map<string, Promise<boolean>>();
  return {
    find: (id) => (journaled.has(id) ? true : underway.get(id)),
    begin(id) {
      const now = clock.now();
      const remember: { [key: string]: Json } = { [`${PREFIX}${id}`]: now };
      for (const [old, at] of journaled) {
        if (now - at < REMEMBER_MS && journaled.size < MAX_REMEMBERED) break;
        journaled.delete(old);
        remember[`${PREFIX}${old}`] = null;
      }
      let settle: (journaled: boolean) => void = () => {};
      const outcome = new Promise<boolean>((resolve) => {
        settle = resolve;
      });
      underway.set(id, outcome);
      const done = (isJournaled: boolean): void => {
        underway.delete(id);
        if (isJournaled) journaled.set(id, now);
        settle(isJournaled);
      };
      return { remember, done, outcome };
    },
  };
}
