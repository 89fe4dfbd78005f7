import type { Clock } from '../net/clock.js';
import { sourceOfKey } from './state-book.js';

/** Which sessions are over, and since when, on the monotonic clock: a wall clock that jumps forgets nothing early. */
export interface Ended {
  /** It is over, for so long already. */
  begin(key: string, forMs?: number): void;
  /** It is not over any more, or gone. */
  end(key: string): void;
  has(key: string): boolean;
  /** How many are over at `<venue>.<source>`. */
  countOf(source: string): number;
  /** Each with how long it is over. */
  entries(): Iterable<readonly [key: string, forMs: number]>;
}

export function createEnded(clock: Clock): Ended {
  const since = new Map<string, number>();
  const counts = new Map<string, number>();
  const count = (key: string, by: number): void => {
    const source = sourceOfKey(key);
    const next = (counts.get(source) ?? 0) + by;
    if (next <= 0) counts.delete(source);
    else counts.set(source, next);
  };
  return {
    begin(key, forMs = 0) {
      if (!since.has(key)) count(key, 1);
      since.set(key, clock.monotonic() - forMs);
    },
    end(key) {
      if (since.delete(key)) count(key, -1);
    },
    has: (key) => since.has(key),
    countOf: (source) => counts.get(source) ?? 0,
    *entries() {
      for (const [key, at] of since) yield [key, clock.monotonic() - at];
    },
  };
}
