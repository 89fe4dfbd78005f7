import type { Clock } from '../net/clock.js';

/** Nobody need say that a batch is committed, and a journal that does not follow holds up nothing for longer. */
const MOST_WAIT_MS = 1_000;

/**
 * For what is done only once it is remembered, because a life after this one must not do it again: hands `committed`
 * to whatever tells of it, and resolves when that says that it is, or is not, and after a second at the latest.
 */
export function onceRemembered(clock: Clock, tell: (committed: (done: boolean) => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const timer = clock.setTimer(resolve, MOST_WAIT_MS);
    tell(() => {
      timer.cancel();
      resolve();
    });
  });
}
