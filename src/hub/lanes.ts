import { SessionRelayError } from '../errors.js';
import { type Budget, createBudget } from '../net/budget.js';
import type { Clock } from '../net/clock.js';

/** Commands that may wait for one source, beside the one that runs; more are refused. */
export const MAX_WAITING = 16;
/** What subscribers may spend of a source, a second. */
export const COMMANDS_PER_SECOND = 5;
/** Equal reads within this are answered together. */
export const SHARED_READ_MS = 1_000;

interface Lane<T> {
  /** Those that run or wait. */
  size: number;
  tail: Promise<unknown>;
  readonly budget: Budget;
  readonly reads: Map<string, { readonly at: number; readonly done: Promise<T> }>;
}

/** One queue a source: one task at a time, within a budget. */
export interface Lanes<T> {
  /**
   * Runs `task` in its turn. `read` names a task that only reads: an equal one that was asked for within
   * {@link SHARED_READ_MS} is shared, unless something acted in between. Throws `rate_limited` where too many wait.
   */
  run(source: string, task: () => Promise<T>, read?: string): Promise<T>;
  /** Tasks that have not begun are refused with `closed`. */
  close(): void;
  /** Resolves when nothing runs or waits, at all or at these sources. */
  idle(sources?: readonly string[]): Promise<void>;
}

export function createLanes<T>(clock: Clock): Lanes<T> {
  const lanes = new Map<string, Lane<T>>();
  const pauses = new Set<() => void>();
  let closed = false;

  const laneOf = (source: string): Lane<T> => {
    const known = lanes.get(source);
    if (known !== undefined) return known;
    const budget = createBudget({ clock, perSecond: COMMANDS_PER_SECOND, burst: COMMANDS_PER_SECOND });
    const lane: Lane<T> = { size: 0, tail: Promise.resolve(), budget, reads: new Map() };
    lanes.set(source, lane);
    return lane;
  };

  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const end = (): void => {
        pauses.delete(end);
        timer.cancel();
        resolve();
      };
      const timer = clock.setTimer(end, ms);
      pauses.add(end);
    });

  const mustBeOpen = (): void => {
    if (closed) throw new SessionRelayError('closed', 'the relay stops: the command was not begun');
  };

  const enqueue = (lane: Lane<T>, task: () => Promise<T>): Promise<T> => {
    if (lane.size > MAX_WAITING) throw tooMany(lane.size);
    lane.size++;
    const turn = lane.tail.then(async () => {
      try {
        mustBeOpen();
        for (let waitMs = lane.budget.take(); waitMs > 0; waitMs = lane.budget.take()) {
          await pause(waitMs);
          mustBeOpen();
        }
        return await task();
      } finally {
        lane.size--;
      }
    });
    lane.tail = turn.catch(() => undefined);
    return turn;
  };

  return {
    run(source, task, read) {
      const lane = laneOf(source);
      const now = clock.monotonic();
      for (const [name, { at }] of lane.reads) if (now - at > SHARED_READ_MS) lane.reads.delete(name);
      const shared = read === undefined ? undefined : lane.reads.get(read);
      if (shared !== undefined) return shared.done;
      const done = enqueue(lane, task);
      if (read === undefined) lane.reads.clear();
      else lane.reads.set(read, { at: now, done });
      return done;
    },
    close() {
      closed = true;
      for (const end of [...pauses]) end();
    },
    async idle(sources = [...lanes.keys()]) {
      await Promise.all(sources.map((source) => lanes.get(source)?.tail));
    },
  };
}

function tooMany(size: number): SessionRelayError {
  const retryAfterMs = Math.ceil((size / COMMANDS_PER_SECOND) * 1_000);
  return new SessionRelayError('rate_limited', `${MAX_WAITING} commands are waiting for this source already`, {
    data: { retryAfterMs },
  });
}
