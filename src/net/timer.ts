import type { Clock, Random, Timer } from './clock.js';

/** The longest delay that Node's own timers keep: beyond it they fire at once. */
export const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/**
 * The machine's own time. Timers longer than {@link MAX_TIMEOUT_MS} are armed again until they are due; a delay that is
 * no number throws `RangeError`, where Node would fire at once and again and again.
 */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer(task, delayMs): Timer {
    if (Number.isNaN(delayMs)) throw new RangeError('a timer needs a delay in ms, not NaN');
    const due = performance.now() + Math.max(0, delayMs);
    let handle: ReturnType<typeof setTimeout>;
    const arm = (): void => {
      const left = due - performance.now();
      handle = left > MAX_TIMEOUT_MS ? setTimeout(arm, MAX_TIMEOUT_MS) : setTimeout(task, Math.max(0, left));
    };
    arm();
    return { cancel: () => clearTimeout(handle) };
  },
};

/** A deterministic generator (mulberry32): the same seed draws the same numbers. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
