import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRetry } from '../../src/net/retry.js';
import { seededRandom } from '../../src/net/timer.js';
import { VirtualClock } from '../support/virtual-clock.js';

const LARGEST_DRAW = 1 - 2 ** -32;

describe('the delay before the next attempt', () => {
  test('is drawn between the floor and a ceiling that doubles up to the cap', () => {
    const policy = fc.record({
      baseMs: fc.integer({ min: 1, max: 5_000 }),
      capMs: fc.integer({ min: 100, max: 120_000 }),
      floorMs: fc.integer({ min: 0, max: 100 }),
    });
    fc.assert(
      fc.property(policy, fc.integer(), fc.integer({ min: 1, max: 80 }), ({ baseMs, capMs, floorMs }, seed, times) => {
        const retry = createRetry({ clock: new VirtualClock(), random: seededRandom(seed), baseMs, capMs, floorMs });
        for (let attempt = 1; attempt <= times; attempt++) {
          const next = retry.next();
          expect(next.attempt).toBe(attempt);
          const ceiling = Math.min(capMs, baseMs * 2 ** (attempt - 1));
          expect(next.delayMs).toBeGreaterThanOrEqual(floorMs);
          expect(next.delayMs).toBeLessThanOrEqual(Math.max(floorMs, ceiling));
        }
      }),
    );
  });

  test('reaches both ends of that range: the jitter is full', () => {
    const low = createRetry({ clock: new VirtualClock(), random: () => 0 });
    const high = createRetry({ clock: new VirtualClock(), random: () => LARGEST_DRAW });
    const ceilings = [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000];
    expect(ceilings.map(() => low.next().delayMs)).toEqual(ceilings.map(() => 100));
    expect(ceilings.map(() => Math.ceil(high.next().delayMs))).toEqual(ceilings);
  });

  test('stays at the cap after thousands of attempts', () => {
    const retry = createRetry({ clock: new VirtualClock(), random: () => LARGEST_DRAW });
    for (let attempt = 0; attempt < 5_000; attempt++) retry.next();
    expect(Math.ceil(retry.next().delayMs)).toBe(30_000);
  });

  test('is never shorter than what the venue said to wait, cap or no cap', () => {
    fc.assert(
      fc.property(fc.integer(), fc.array(fc.nat({ max: 900_000 }), { maxLength: 20 }), (seed, waits) => {
        const retry = createRetry({ clock: new VirtualClock(), random: seededRandom(seed) });
        for (const atLeastMs of waits) expect(retry.next(atLeastMs).delayMs).toBeGreaterThanOrEqual(atLeastMs);
      }),
    );
  });
});

describe('attempts begin again from 1', () => {
  const failed = (times: number, clock: VirtualClock) => {
    const retry = createRetry({ clock, random: () => 0.5 });
    for (let attempt = 0; attempt < times; attempt++) retry.next();
    return retry;
  };

  test('after 60 s of health', async () => {
    const clock = new VirtualClock();
    const retry = failed(7, clock);
    retry.healthy();
    await clock.advance(60_000);
    retry.ended();
    expect(retry.next()).toEqual({ attempt: 1, delayMs: 500 });
  });

  test('not after a moment of it: a venue that takes and drops connections is not hammered', async () => {
    const clock = new VirtualClock();
    const retry = failed(7, clock);
    for (let attempt = 8; attempt < 12; attempt++) {
      retry.healthy();
      await clock.advance(59_999);
      retry.ended();
      expect(retry.next().attempt).toBe(attempt);
    }
  });

  test('not after a connection that never was healthy, however long it lasted', async () => {
    const clock = new VirtualClock();
    const retry = failed(3, clock);
    await clock.advance(3_600_000);
    retry.ended();
    expect(retry.next().attempt).toBe(4);
  });

  test('counted from the first sign of health, and not across connections', async () => {
    const clock = new VirtualClock();
    const retry = failed(3, clock);
    retry.healthy();
    await clock.advance(40_000);
    retry.healthy();
    await clock.advance(20_000);
    retry.ended();
    expect(retry.next().attempt).toBe(1);
    retry.healthy();
    await clock.advance(40_000);
    retry.ended();
    retry.healthy();
    await clock.advance(40_000);
    retry.ended();
    expect(retry.next().attempt).toBe(2);
  });

  test('whatever the wall clock does', () => {
    const clock = new VirtualClock();
    const retry = failed(3, clock);
    retry.healthy();
    clock.jump(86_400_000);
    retry.ended();
    expect(retry.next().attempt).toBe(4);
  });
});
