import type { Verdict } from './judge.js';
import type { Stage } from './stage.js';

/**
 * Two lanes play at once, one process each: `heavy` scenarios use what a machine has, `light` ones mostly wait for
 * deadlines to run out.
 */
export const LANES = ['heavy', 'light'] as const;
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
