/**
 * Time and chance, as ports: everything that waits or draws a random number is handed these, so that every timing
 * test runs on virtual time and every simulator is deterministic for a seed.
 */
export interface Clock {
  /** Wall-clock time in ms since the Unix epoch: for what is told to people and venues. May jump. */
  now(): number;
  /** Milliseconds on a clock that never goes back: for every deadline and every duration. */
  monotonic(): number;
  /**
   * Runs `task` once after `delayMs`, however long (Node's own timer fires at once beyond 2^31-1 ms; this one does not);
   * never, where it is infinite; at once, where it is negative. Throws `RangeError` for NaN.
   */
  setTimer(task: () => void, delayMs: number): Timer;
}

/** A timer that was set. `cancel` is idempotent and may be called after it fired. */
export interface Timer {
  cancel(): void;
}

/** A number in [0, 1), uniform: `Math.random`, or a seeded generator. */
export type Random = () => number;
