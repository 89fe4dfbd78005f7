import type { Clock, Timer } from '../../net/clock.js';
import { createExpiryWatch, type ExpiryWatch } from '../../net/expiry.js';

/**
 * Times the life of the tokens on one connection: renewal at 80 % of the life that the venue stated, a warning where
 * they are near their end and still not renewed, and the end itself, which the venue does not tell.
 */
export interface Renewal {
  /** A token came in; answers when it ends, ms since the epoch. */
  schedule(expiresInMs: number): number;
  stop(): void;
}

const RENEW_AT = 0.8;
/** A warning comes after the renewal has had its chance, however short the life is. */
const WARN_WITHIN = 0.1;
const KEY = 'token';

export function createRenewal(options: {
  readonly clock: Clock;
  readonly warnMs: number;
  readonly renew: () => void;
  readonly expiring: (expiresAtMs: number, inMs: number) => void;
  readonly expired: (expiresAtMs: number) => void;
}): Renewal {
  const { clock } = options;
  let timer: Timer | undefined;
  let watch: ExpiryWatch | undefined;

  const stop = (): void => {
    timer?.cancel();
    watch?.clear();
    timer = undefined;
    watch = undefined;
  };

  return {
    schedule(expiresInMs) {
      stop();
      const expiresAtMs = clock.now() + expiresInMs;
      timer = clock.setTimer(options.renew, RENEW_AT * expiresInMs);
      watch = createExpiryWatch({
        clock,
        warnMs: Math.min(options.warnMs, WARN_WITHIN * expiresInMs),
        expiring(_key, atMs, inMs) {
          options.expiring(atMs, inMs);
          // The timer runs on a clock that stands still while the machine sleeps; the end does not wait for it.
          options.renew();
        },
        expired: (_key, atMs) => options.expired(atMs),
      });
      watch.set(KEY, expiresAtMs);
      return expiresAtMs;
    },
    stop,
  };
}
