import { z } from 'zod';
import type { Json } from '../../model/json.js';
import type { Clock } from '../../net/clock.js';
import type { VenueMemory } from '../venue.js';
import { departed, type MapperState, memoryKeysOf, memoryOf } from './state.js';

/**
 * Sources whose users are no longer configured. What was known of them is kept for a while: should one come back, each
 * of its connections opens anew or has ended meanwhile. Then it is dropped, and so is the journal's memory of it.
 */
export interface Departures {
  /** What a life before this one knew of a source that nobody configures now. */
  missing(state: MapperState): void;
  /** A user left; `state` is how the source was left. */
  left(state: MapperState): void;
  /** What a source begins with that comes back; `undefined` where it did not leave in this life. */
  back(source: string): MapperState | undefined;
  /** Drops what is due. */
  run(): void;
  /** How many connections may have ended in sources that were dropped: no life of theirs is used twice. */
  readonly lives: number;
}

/** Longer than the hub keeps the sessions of a source that is not configured (a day): it never knows more than this. */
export const KEEP_DEPARTED_MS = 172_800_000;
const PREFIX = 'left ';
const LIVES = 'lives';

interface Departed {
  readonly state: MapperState;
  readonly atMs: number;
}

export function createDepartures(options: {
  readonly clock: Clock;
  readonly memory: VenueMemory | undefined;
  readonly remember: (memory: { readonly [key: string]: Json }) => void;
}): Departures {
  const { clock, memory, remember } = options;
  let lives = z.number().int().nonnegative().safeParse(memory?.get(LIVES)).data ?? 0;
  const gone = new Map<string, Departed>();
  /** Wall-clock ms at which it left, as a life before this one has noted. */
  const noted = (source: string): number | undefined => z.number().safeParse(memory?.get(PREFIX + source)).data;

  const note = (state: MapperState, sinceMs: number): void => {
    const agoMs = Math.max(0, clock.now() - sinceMs);
    gone.set(state.about.source, { state, atMs: clock.monotonic() - agoMs });
  };
  const begin = (state: MapperState, changes: { readonly [key: string]: Json } = {}): void => {
    note(state, clock.now());
    remember({ ...changes, [PREFIX + state.about.source]: clock.now() });
  };

  return {
    missing(state) {
      const sinceMs = noted(state.about.source);
      if (sinceMs !== undefined) {
        // By an earlier life, which has left it as a departed one is.
        note(state, sinceMs);
        return;
      }
      const after = departed(state);
      begin(after, memoryOf(after, state));
    },
    left: (state) => begin(state),
    back(source) {
      const known = gone.get(source);
      gone.delete(source);
      if (known !== undefined || noted(source) !== undefined) remember({ [PREFIX + source]: null });
      return known?.state;
    },
    run() {
      for (const [source, { state, atMs }] of gone) {
        if (clock.monotonic() - atMs < KEEP_DEPARTED_MS) continue;
        gone.delete(source);
        lives = Math.max(lives, state.closes + 1);
        const keys = [...memoryKeysOf(state), PREFIX + source];
        remember({ ...Object.fromEntries(keys.map((key) => [key, null])), [LIVES]: lives });
      }
    },
    get lives() {
      return lives;
    },
  };
}
