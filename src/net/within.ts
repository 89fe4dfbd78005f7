import type { Clock } from './clock.js';

/** Waits for `task`, however it ends, and no longer than `ms`; whether it ended. */
export function within(clock: Clock, ms: number, task: Promise<unknown>): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = clock.setTimer(() => resolve(false), ms);
    void task
      .catch(() => undefined)
      .then(() => {
        timer.cancel();
        resolve(true);
      });
  });
}
