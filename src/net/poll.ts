import type { Clock, Random, Timer } from './clock.js';

/** Repeats a task, one run at a time, with jitter. A failing run is the task's own business: it never ends the poll. */
export interface Poll {
  start(): void;
  stop(): void;
  /** Runs now (joining a run under way) and counts the next period from its end. Never rejects. */
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

export function createPoll(options: PollOptions): Poll {
  const { clock, random, everyMs, jitter = 0.1, afterFailureMs, task } = options;
  let timer: Timer | undefined;
  let running: Promise<void> | undefined;
  let started = false;

  const schedule = (failed: boolean): void => {
    timer?.cancel();
    if (!started) return;
    const periodMs = failed && afterFailureMs !== undefined ? afterFailureMs : everyMs;
    timer = clock.setTimer(() => void run(), periodMs * (1 + jitter * (2 * random() - 1)));
  };
  const run = (): Promise<void> => {
    // Where a task throws instead of rejecting, the run has failed all the same.
    running ??= (async () => task())()
      .then(
        () => false,
        () => true,
      )
      .then((failed) => {
        running = undefined;
        schedule(failed);
      });
    return running;
  };

  return {
    start() {
      if (started) return;
      started = true;
      schedule(false);
    },
    stop() {
      started = false;
      timer?.cancel();
    },
    now() {
      timer?.cancel();
      return run();
    },
  };
}
