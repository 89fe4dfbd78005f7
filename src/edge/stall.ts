import type { Clock, Timer } from '../net/clock.js';

/** Watches that what waits in a socket goes down, however slowly: any byte that left is progress. */
export interface StallWatch {
  /** So many bytes wait, after so many more, or none, were handed over. What left meanwhile is progress too. */
  sent(buffered: number, bytes: number): void;
  stop(): void;
}

export interface StallOptions {
  readonly clock: Clock;
  readonly stallMs: number;
  readonly buffered: () => number;
  /** Something waited for `stallMs` and nothing left. Called once. */
  readonly stalled: () => void;
}

export function createStallWatch({ clock, stallMs, buffered, stalled }: StallOptions): StallWatch {
  let level = 0;
  let progressAt = 0;
  let timer: Timer | undefined;
  let stopped = false;

  const stop = (): void => {
    stopped = true;
    timer?.cancel();
    timer = undefined;
  };
  const arm = (inMs: number): void => {
    timer = clock.setTimer(() => {
      sent(buffered(), 0);
      if (level === 0 || stopped) return;
      const leftMs = progressAt + stallMs - clock.monotonic();
      if (leftMs > 0) arm(leftMs);
      else {
        stop();
        stalled();
      }
    }, inMs);
  };
  const sent = (now: number, bytes: number): void => {
    if (stopped) return;
    if (now === 0) {
      level = 0;
      timer?.cancel();
      timer = undefined;
      return;
    }
    if (level === 0 || now < level + bytes) progressAt = clock.monotonic();
    level = now;
    if (timer === undefined) arm(stallMs);
  };
  return { sent, stop };
}
