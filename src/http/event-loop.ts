import type { Clock, Timer } from '../net/clock.js';

/** How late timers of this process are: a loop that is blocked serves nobody, whatever else is well. */
export interface EventLoopWatch {
  /** The worst lateness of the last {@link WINDOW_MS}, in ms. */
  lateMs(): number;
  /** Idempotent. */
  stop(): void;
}

/** How often it looks. */
const EVERY_MS = 500;
/** A block is remembered this long, so that a probe that comes after it still sees it. */
export const WINDOW_MS = 10_000;
/** Later than this the process is not ready. */
export const MAX_LATE_MS = 1_000;

export function createEventLoopWatch(clock: Clock): EventLoopWatch {
  let late: readonly { readonly at: number; readonly ms: number }[] = [];
  let dueAt = 0;
  let timer: Timer;
  let stopped = false;
  const recent = (now: number): typeof late => late.filter(({ at }) => now - at < WINDOW_MS);
  const arm = (): void => {
    dueAt = clock.monotonic() + EVERY_MS;
    timer = clock.setTimer(() => {
      const now = clock.monotonic();
      late = [...recent(now), { at: now, ms: Math.max(0, now - dueAt) }];
      if (!stopped) arm();
    }, EVERY_MS);
  };
  arm();
  return {
    lateMs() {
      const now = clock.monotonic();
      return Math.round(Math.max(0, now - dueAt, ...recent(now).map(({ ms }) => ms)));
    },
    stop() {
      stopped = true;
      timer.cancel();
    },
  };
}
