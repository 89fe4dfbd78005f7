import type { Verdict } from './judge.js';
import type { Stage } from './stage.js';

/**
 * Lanes play at once, one process each: `load` uses what a machine has, `venues` mostly waits for deadlines to run
 * out, `ends` for processes to start and for tokens to expire.
 */
export const LANES = ['load', 'venues', 'ends'] as const;
export type Lane = (typeof LANES)[number];

/** One thing that is done to a relay, and what must hold while and after. */
export interface Scenario {
  readonly name: string;
  readonly lane: Lane;
  /** What it takes at most, in s: whole, short. Ended and broken beyond. */
  readonly boundSeconds: readonly [whole: number, short: number];
  /** Throws `Broken` where an invariant does not hold. */
  run(stage: Stage): Promise<Outcome>;
}

export interface Outcome extends Verdict {
  /** What was done, in figures. */
  readonly done: string;
}
