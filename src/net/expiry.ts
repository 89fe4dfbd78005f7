import type { Clock } from './clock.js';

/** Times the ends of many things on one timer: warns within `warnMs` of each end, then tells the end. Wall-clock ends, re-read each time the timer fires, so that a clock that jumped is noticed. */
export interface ExpiryWatch {
  /** Sets or moves an end (ms since the epoch). A moved end warns anew only when it lies later than the one before. */
  set(key: string, expiresAtMs: number): void;
  delete(key: string): void;
  clear(): void;
}

export interface ExpiryWatchOptions {
  readonly clock: Clock;
  readonly warnMs: number;
  readonly expiring: (key: string, expiresAtMs: number, inMs: number) => void;
  readonly expired: (key: string, expiresAtMs: number) => void;
}

export function createExpiryWatch(_options: ExpiryWatchOptions): ExpiryWatch {
  throw new Error('being written');
}
