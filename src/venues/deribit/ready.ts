import { VenueTimeoutError } from '../../errors.js';
import type { Clock } from '../../net/clock.js';

/** Who waits for a session to be confirmed on a connection that is still to come. */
export interface Readiness {
  /** Resolves with the first confirmed connection whose generation is later than `after`. */
  next(after: number): Promise<{ readonly generation: number }>;
  /** A connection is confirmed. */
  confirmed(generation: number): void;
  /** A connection will not be: it ended, or its login was refused. */
  failed(generation: number, thrown: unknown): void;
}

/** Within the 30 s that commands have. */
const WAIT_MS = 25_000;

interface Waiter {
  readonly after: number;
  readonly resolve: (ready: { readonly generation: number }) => void;
  readonly reject: (thrown: unknown) => void;
}

export function createReadiness(clock: Clock): Readiness {
  const waiters = new Set<Waiter>();
  const of = (generation: number): readonly Waiter[] => [...waiters].filter(({ after }) => generation > after);
  return {
    next: (after) =>
      new Promise((resolve, reject) => {
        const settle = (done: () => void): void => {
          timer.cancel();
          waiters.delete(waiter);
          done();
        };
        const waiter: Waiter = {
          after,
          resolve: (ready) => settle(() => resolve(ready)),
          reject: (thrown) => settle(() => reject(thrown)),
        };
        const timer = clock.setTimer(
          () => waiter.reject(new VenueTimeoutError(`no confirmed session within ${WAIT_MS / 1_000} s`)),
          WAIT_MS,
        );
        waiters.add(waiter);
      }),
    confirmed(generation) {
      for (const { resolve } of of(generation)) resolve({ generation });
    },
    failed(generation, thrown) {
      for (const { reject } of of(generation)) reject(thrown);
    },
  };
}
