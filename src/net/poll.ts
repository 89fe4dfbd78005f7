import type { Clock, Random } from './clock.js';

/** Repeats a task, one run at a time, with jitter. A failing run is the task's own business: it never ends the poll. */
export interface Poll {
  start(): void;
  stop(): void;
  /** Runs now (joining a run under way) and counts the next period from its end. */
  now(): Promise<void>;
}

export interface PollOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly everyMs: number;
  /** The period is drawn from `everyMs × (1 ± jitter)`. Default 0.1. */
  readonly jitter?: number;
  /** The period after a run that rejected. Default: as usual. */
  readonly afterFailureMs?: number;
  readonly task: () => Promise<void>;
}

export function createPoll(_options: PollOptions): Poll {
  throw new Error('being written');
}
