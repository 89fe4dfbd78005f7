import { z } from 'zod';
import type { Json } from '../../model/json.js';
import type { Clock } from '../../net/clock.js';
import type { VenueMemory } from '../venue.js';

/**
 * Keeps logins rare: the venue takes about five requests a minute at its login, and its own SDK logs in anew at most
 * three times in 15 minutes. A loop of logins locks an account, also where it is a relay that is started again and
 * again: what was sent is remembered.
 */
export interface LoginGuard {
  /** Takes up what a life before this one has sent. */
  recall(memory: VenueMemory | undefined): void;
  /** How long to wait before any login; 0: now. */
  waitMs(): number;
  /** How long to wait before the relay logs in anew by itself; 0: now. */
  repeatWaitMs(): number;
  /** Logins that the relay has repeated by itself, of those that count yet. */
  readonly repeats: number;
  /**
   * A login is sent. `repeat`: by the relay itself, because the venue had dropped the one before. Returns what takes it
   * back where it never left.
   */
  sent(repeat: boolean): () => void;
}

export const LOGINS_PER_MINUTE = 5;
export const REPEATS_PER_WINDOW = 3;
export const REPEAT_WINDOW_MS = 900_000;
const MINUTE_MS = 60_000;

const MEMORY_KEY = 'logins';
/** Wall-clock ms. */
const times = z.array(z.number());
const remembered = z.object({ logins: times, repeats: times });

export function createLoginGuard(
  clock: Clock,
  remember: (memory: { readonly [key: string]: Json }) => void = () => {},
): LoginGuard {
  let logins: readonly number[] = [];
  let repeats: readonly number[] = [];
  const within = (times: readonly number[], windowMs: number): readonly number[] =>
    times.filter((at) => clock.monotonic() - at < windowMs);
  const left = (times: readonly number[], windowMs: number, most: number): number => {
    const [first] = times.slice(-most);
    return times.length < most || first === undefined ? 0 : first + windowMs - clock.monotonic();
  };
  const waitMs = (): number => {
    logins = within(logins, MINUTE_MS);
    return left(logins, MINUTE_MS, LOGINS_PER_MINUTE);
  };
  const toWall = (at: number): number => clock.now() - (clock.monotonic() - at);
  const keep = (): void => {
    const kept = {
      logins: within(logins, MINUTE_MS).map(toWall),
      repeats: within(repeats, REPEAT_WINDOW_MS).map(toWall),
    };
    remember({ [MEMORY_KEY]: kept });
  };
  return {
    recall(memory) {
      const known = remembered.safeParse(memory?.get(MEMORY_KEY)).data;
      const fromWall = (at: number): number => clock.monotonic() - Math.max(0, clock.now() - at);
      logins = known?.logins.map(fromWall) ?? [];
      repeats = known?.repeats.map(fromWall) ?? [];
    },
    waitMs,
    repeatWaitMs() {
      repeats = within(repeats, REPEAT_WINDOW_MS);
      return Math.max(waitMs(), left(repeats, REPEAT_WINDOW_MS, REPEATS_PER_WINDOW));
    },
    get repeats() {
      return within(repeats, REPEAT_WINDOW_MS).length;
    },
    sent(repeat) {
      const at = clock.monotonic();
      logins = [...logins, at];
      if (repeat) repeats = [...repeats, at];
      keep();
      return () => {
        logins = logins.filter((one) => one !== at);
        repeats = repeats.filter((one) => one !== at);
        keep();
      };
    },
  };
}
