import type { Clock } from '../net/clock.js';

/** How many a second of late, over the last {@link WINDOW_SECONDS}. */
export interface Rate {
  count(): void;
  perSecond(): number;
  readonly total: number;
}

const WINDOW_SECONDS = 10;

/** A ring of one-second buckets: its cost does not grow with what is counted. */
export function createRate(clock: Pick<Clock, 'monotonic'>): Rate {
  const buckets = new Array<number>(WINDOW_SECONDS).fill(0);
  const startedAt = clock.monotonic();
  let second = Math.floor(startedAt / 1_000);
  let total = 0;
  const turn = (): void => {
    const now = Math.floor(clock.monotonic() / 1_000);
    for (; second < now && now - second <= WINDOW_SECONDS; second++) buckets[(second + 1) % WINDOW_SECONDS] = 0;
    if (second < now) buckets.fill(0);
    second = now;
  };
  return {
    count() {
      turn();
      total++;
      const index = second % WINDOW_SECONDS;
      buckets[index] = (buckets[index] ?? 0) + 1;
    },
    perSecond() {
      turn();
      const seconds = Math.min(WINDOW_SECONDS, Math.max(1, (clock.monotonic() - startedAt) / 1_000));
      return buckets.reduce((sum, one) => sum + one, 0) / seconds;
    },
    get total() {
      return total;
    },
  };
}
