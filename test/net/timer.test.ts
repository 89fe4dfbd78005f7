import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { MAX_TIMEOUT_MS, seededRandom, systemClock } from '../../src/net/timer.js';

describe('a timer of the system clock', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test.each([
    ['a minute', 60_000],
    ['the longest delay that Node keeps', MAX_TIMEOUT_MS],
    ['1 ms more than that', MAX_TIMEOUT_MS + 1],
    ['80 % of a year', 31_536_000 * 0.8 * 1_000],
    ['ten years', 315_360_000_000],
  ])('fires once after %s, not before', (_, delayMs) => {
    const task = vi.fn();
    systemClock.setTimer(task, delayMs);
    vi.advanceTimersByTime(delayMs - 1);
    expect(task).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(task).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(MAX_TIMEOUT_MS * 2);
    expect(task).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('never fires once it is cancelled, whenever that was, and cancelling again or later is nothing', () => {
    const time = fc.integer({ min: 0, max: 5 * MAX_TIMEOUT_MS });
    fc.assert(
      fc.property(time, time, (delayMs, cancelAfterMs) => {
        const task = vi.fn();
        const timer = systemClock.setTimer(task, delayMs);
        vi.advanceTimersByTime(cancelAfterMs);
        timer.cancel();
        timer.cancel();
        const fired = task.mock.calls.length;
        expect(fired).toBe(cancelAfterMs >= Math.max(1, delayMs) ? 1 : fired);
        if (cancelAfterMs < delayMs) expect(fired).toBe(0);
        vi.advanceTimersByTime(6 * MAX_TIMEOUT_MS);
        expect(task).toHaveBeenCalledTimes(fired);
        expect(vi.getTimerCount()).toBe(0);
      }),
      { numRuns: 50 },
    );
  });

  test('fires in a later turn where its time has passed already', () => {
    const task = vi.fn();
    systemClock.setTimer(task, -5_000);
    systemClock.setTimer(task, 0);
    expect(task).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(task).toHaveBeenCalledTimes(2);
  });

  test('never fires where it is infinite, and is refused where it is NaN: Node would fire both at once', () => {
    const task = vi.fn();
    const timer = systemClock.setTimer(task, Number.POSITIVE_INFINITY);
    vi.advanceTimersByTime(10 * MAX_TIMEOUT_MS);
    expect(task).not.toHaveBeenCalled();
    timer.cancel();
    expect(vi.getTimerCount()).toBe(0);
    expect(() => systemClock.setTimer(task, Number.NaN)).toThrow(RangeError);
  });

  test('runs by the monotonic clock: a wall clock that jumps moves no deadline', () => {
    const task = vi.fn();
    systemClock.setTimer(task, 60_000);
    vi.setSystemTime(systemClock.now() + 86_400_000);
    vi.advanceTimersByTime(59_999);
    expect(task).not.toHaveBeenCalled();
    vi.setSystemTime(systemClock.now() - 2 * 86_400_000);
    vi.advanceTimersByTime(1);
    expect(task).toHaveBeenCalledTimes(1);
  });
});

test('the system clock tells wall time and a time that never goes back', () => {
  expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(60_000);
  const first = systemClock.monotonic();
  expect(systemClock.monotonic()).toBeGreaterThanOrEqual(first);
});

describe('seeded chance', () => {
  const draw = (seed: number, times: number): readonly number[] => {
    const random = seededRandom(seed);
    return Array.from({ length: times }, random);
  };

  test('draws the same numbers for the same seed, today and in the next version', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        expect(draw(seed, 20)).toEqual(draw(seed, 20));
      }),
    );
    expect(draw(1, 3)).toEqual([0.6270739405881613, 0.002735721180215478, 0.5274470399599522]);
  });

  test('draws other numbers for another seed', () => {
    expect(new Set(Array.from({ length: 1_000 }, (_, seed) => draw(seed, 3).join())).size).toBe(1_000);
  });

  test('draws from [0, 1), evenly', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const numbers = draw(seed, 2_000);
        expect(numbers.every((number) => number >= 0 && number < 1)).toBe(true);
        const mean = numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
        expect(Math.abs(mean - 0.5)).toBeLessThan(0.05);
      }),
      { numRuns: 30 },
    );
  });
});
