import type { Clock } from '../../net/clock.js';

/** 250 requests a minute for a client id, over a window that moves (vendor's docs, ratelimiting). */
export interface Rate {
  readonly limit: number;
  /** Counts one request; one that is refused is not counted. */
  take(): Taken;
  /** The same without a request. */
  look(): Taken;
}

export interface Taken {
  readonly granted: boolean;
  readonly remaining: number;
  /** Until one more is granted; in the header, whose meaning the vendor does not tell, until the oldest is forgotten. */
  readonly resetSeconds: number;
}

export const REQUESTS_PER_MINUTE = 250;
const WINDOW_MS = 60_000;

export function createRate(clock: Pick<Clock, 'monotonic'>, limit: number): Rate {
  const granted: number[] = [];
  const look = (): Taken => {
    const now = clock.monotonic();
    while (granted[0] !== undefined && granted[0] + WINDOW_MS <= now) granted.shift();
    const [oldest = now] = granted;
    return {
      granted: granted.length < limit,
      remaining: Math.max(0, limit - granted.length),
      resetSeconds: Math.ceil((oldest + WINDOW_MS - now) / 1_000),
    };
  };
  return {
    limit,
    look,
    take() {
      if (!look().granted) return look();
      granted.push(clock.monotonic());
      return { ...look(), granted: true };
    },
  };
}
