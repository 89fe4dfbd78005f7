import type { Clock } from '../../net/clock.js';

/**
 * Keeps logins rare: the venue takes about five requests a minute at its login, and its own SDK logs in anew at most
 * three times in 15 minutes. A loop of logins locks an account.
 */
export interface LoginGuard {
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

export function createLoginGuard(clock: Clock): LoginGuard {
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
  return {
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
      return () => {
        logins = logins.filter((one) => one !== at);
        repeats = repeats.filter((one) => one !== at);
      };
    },
  };
}
