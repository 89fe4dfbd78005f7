import type { Clock, Timer } from '../../src/net/clock.js';

/**
 * Virtual time. `advance` moves both clocks and runs what falls due, in order, letting promises and real I/O callbacks
 * settle between timers, so that real sockets and virtual deadlines can meet in one test.
 */
export class VirtualClock implements Clock {
  #monotonic = 0;
  #wall: number;
  #next = 0;
  readonly #timers = new Map<number, { readonly due: number; readonly task: () => void }>();

  readonly #settle: () => Promise<void>;

  /** `settled` is waited for between timers; where real sockets take part, hand in one that waits until they are quiet. */
  constructor(startMs = Date.UTC(2026, 10, 23, 8, 0, 0), settled: () => Promise<void> = settle) {
    this.#wall = startMs;
    this.#settle = settled;
  }

  now(): number {
    return this.#wall;
  }

  monotonic(): number {
    return this.#monotonic;
  }

  setTimer(task: () => void, delayMs: number): Timer {
    if (Number.isNaN(delayMs)) throw new RangeError('a timer needs a delay in ms, not NaN');
    const id = this.#next++;
    this.#timers.set(id, { due: this.#monotonic + Math.max(0, delayMs), task });
    return { cancel: () => void this.#timers.delete(id) };
  }

  /** How many timers are set: what a leak test looks at. */
  get timers(): number {
    return this.#timers.size;
  }

  /** Moves the wall clock alone, as a clock correction does. */
  jump(ms: number): void {
    this.#wall += ms;
  }

  /** Lets time pass. Timers that fall due run at their own instant, in the order in which they are due. */
  async advance(ms: number): Promise<void> {
    const end = this.#monotonic + ms;
    await this.#settle();
    for (;;) {
      const due = this.#earliest(end);
      if (due === undefined) break;
      const [id, timer] = due;
      this.#timers.delete(id);
      this.#move(Math.max(timer.due, this.#monotonic));
      timer.task();
      await this.#settle();
    }
    this.#move(end);
    await this.#settle();
  }

  #earliest(end: number): readonly [number, { readonly due: number; readonly task: () => void }] | undefined {
    let best: readonly [number, { readonly due: number; readonly task: () => void }] | undefined;
    for (const entry of this.#timers) {
      if (entry[1].due <= end && (best === undefined || entry[1].due < best[1].due)) best = entry;
    }
    return best;
  }

  #move(to: number): void {
    this.#wall += to - this.#monotonic;
    this.#monotonic = to;
  }
}

/** Lets microtasks and pending I/O callbacks run: a few turns of the event loop, no time passes. */
export async function settle(turns = 4): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/**
 * Waits for a condition that real I/O will make true, turn by turn of the event loop, without a sleep. The bound only
 * keeps a broken test from hanging.
 */
export async function until<T>(probe: () => T | undefined | false | null, what: string, boundMs = 10_000): Promise<T> {
  const end = performance.now() + boundMs;
  for (;;) {
    const found = probe();
    if (found !== undefined && found !== false && found !== null) return found;
    if (performance.now() > end) throw new Error(`waited ${boundMs} ms in vain for: ${what}`);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}
