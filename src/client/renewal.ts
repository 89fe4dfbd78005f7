import type { SessionRelayError } from '../errors.js';
import type { Clock, Random, Timer } from '../net/clock.js';

/** When a token is renewed: in good time before it expires, and again where that fails. */
export interface Renewal {
  /** A token was taken that expires in so long. Replaces what was planned. */
  expires(inMs: number): void;
  /** The relay says that it will expire soon. */
  soon(): void;
  stop(): void;
}

export interface RenewalOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Gets a token and hands it in. `done` is called once; where it went well, behind `expires`. */
  readonly renew: (done: (error: SessionRelayError | undefined) => void) => void;
  readonly failed: (error: SessionRelayError) => void;
}

/** Part of a token's life after which it is renewed: from, and by chance up to so much more, so that a fleet is spread. */
const FROM = 0.75;
const SPREAD = 0.1;
/** After a failure: a quarter of what is left, within these. */
const AGAIN_MS = { least: 1_000, most: 30_000 };

export function createRenewal({ clock, random, renew, failed }: RenewalOptions): Renewal {
  let timer: Timer | undefined;
  let endsAt = Number.POSITIVE_INFINITY;
  let renewing = false;
  /** Counts stops: what was asked for before one is of no interest. */
  let generation = 0;

  const plan = (inMs: number): void => {
    timer?.cancel();
    timer = clock.setTimer(begin, Math.max(0, inMs));
  };
  const begin = (): void => {
    if (renewing) return;
    renewing = true;
    const mine = generation;
    renew((error) => {
      if (mine !== generation) return;
      renewing = false;
      if (error === undefined) return;
      failed(error);
      const left = endsAt - clock.monotonic();
      if (mine === generation) plan(Math.min(AGAIN_MS.most, Math.max(AGAIN_MS.least, left / 4)));
    });
  };

  return {
    expires(inMs) {
      endsAt = clock.monotonic() + inMs;
      plan(inMs * (FROM + SPREAD * random()));
    },
    soon: begin,
    stop() {
      generation++;
      renewing = false;
      timer?.cancel();
    },
  };
}
