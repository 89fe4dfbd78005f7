import type { Clock, Random, Timer } from '../../net/clock.js';
import { drawBetween } from '../draw.js';

/**
 * The venue's heartbeat of one connection, as measured at an interval of 10 s (recorded): the first `test_request`
 * 2 to 2.6 s after the interval, then one every interval + 0.6 to 0.7 s; an unanswered one ends the connection one
 * interval later.
 */
export interface Heartbeat {
  /** Seconds; undefined where it is off. */
  readonly interval: number | undefined;
  set(interval: number): void;
  disable(): void;
  /** `public/test` came in. */
  answered(): void;
  /** What fell due while the connection could not send is made up for at once. */
  resume(): void;
  stop(): void;
}

const FIRST_AFTER_MS = { least: 2_000, most: 2_600 } as const;
const NEXT_AFTER_MS = { least: 600, most: 700 } as const;

export function createHeartbeat(options: {
  readonly clock: Clock;
  readonly random: Random;
  /** Nothing can be sent now: a request that nobody hears is not made. */
  readonly silenced: () => boolean;
  readonly request: () => void;
  readonly unanswered: () => void;
}): Heartbeat {
  const { clock, random, silenced, request, unanswered } = options;
  let interval: number | undefined;
  let next: Timer | undefined;
  let deadline: Timer | undefined;
  let owed = false;

  const disable = (): void => {
    interval = undefined;
    owed = false;
    next?.cancel();
    deadline?.cancel();
  };
  const schedule = (seconds: number, { least, most }: { readonly least: number; readonly most: number }): void => {
    next?.cancel();
    next = clock.setTimer(() => due(seconds), seconds * 1_000 + drawBetween(random, least, most));
  };
  const due = (seconds: number): void => {
    schedule(seconds, NEXT_AFTER_MS);
    if (silenced()) {
      owed = true;
      return;
    }
    deadline?.cancel();
    deadline = clock.setTimer(unanswered, seconds * 1_000);
    request();
  };

  return {
    get interval() {
      return interval;
    },
    set(seconds) {
      disable();
      interval = seconds;
      schedule(seconds, FIRST_AFTER_MS);
    },
    disable,
    answered: () => deadline?.cancel(),
    resume() {
      if (!owed || interval === undefined) return;
      owed = false;
      due(interval);
    },
    stop: disable,
  };
}
