import type { Clock, Random } from '../../net/clock.js';
import { drawText } from '../draw.js';
import { issued } from '../issued.js';

/** The SIDs that the venue has given out. A SID is a login: it is neither a socket nor a security session. */
export interface Logins {
  open(options: { readonly rememberMe: boolean }): string;
  isAlive(sid: string | undefined): boolean;
  /** Every SID dies. */
  kill(): void;
  readonly count: number;
}

/** Tradernet's PHP SDK: with `rememberMe` a SID lives about two weeks. */
const REMEMBERED_LIFE_MS = 14 * 86_400_000;
/** Without it: assumed, no source says. */
const LIFE_MS = 86_400_000;
const SID_LENGTH = 26;
/** SIDs that live at once; the oldest gives way. */
const MAX_SIDS = 1_000;

export function createLogins(clock: Pick<Clock, 'now'>, random: Random): Logins {
  const expiresAt = new Map<string, number>();
  const purge = (): void => {
    for (const [sid, at] of expiresAt) if (at <= clock.now()) expiresAt.delete(sid);
  };
  return {
    open({ rememberMe }) {
      purge();
      const sid = issued(drawText(random, SID_LENGTH));
      expiresAt.set(sid, clock.now() + (rememberMe ? REMEMBERED_LIFE_MS : LIFE_MS));
      const [oldest] = expiresAt.keys();
      if (expiresAt.size > MAX_SIDS && oldest !== undefined) expiresAt.delete(oldest);
      return sid;
    },
    isAlive(sid) {
      purge();
      return sid !== undefined && expiresAt.has(sid);
    },
    kill: () => expiresAt.clear(),
    get count() {
      purge();
      return expiresAt.size;
    },
  };
}

/** Counts requests to the login: over the limit it says how many ms to wait. */
export interface LoginLimit {
  /** 0: it may go on. */
  take(): number;
}

/** Tradernet's PHP SDK: about five requests a minute to what authenticates. */
const LOGINS_PER_WINDOW = 5;
const WINDOW_MS = 60_000;

export function createLoginLimit(clock: Pick<Clock, 'monotonic'>): LoginLimit {
  let taken: readonly number[] = [];
  return {
    take() {
      const now = clock.monotonic();
      taken = taken.filter((at) => now - at < WINDOW_MS);
      const [first = now] = taken;
      if (taken.length >= LOGINS_PER_WINDOW) return first + WINDOW_MS - now;
      taken = [...taken, now];
      return 0;
    },
  };
}
