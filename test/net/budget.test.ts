import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createBudget } from '../../src/net/budget.js';
import { VirtualClock } from '../support/virtual-clock.js';

describe('a budget', () => {
  test('gives its burst at once, then what refills', async () => {
    const clock = new VirtualClock();
    const budget = createBudget({ clock, perSecond: 5, burst: 3 });
    expect([budget.take(), budget.take(), budget.take()]).toEqual([0, 0, 0]);
    expect(budget.take()).toBe(200);
    await clock.advance(199);
    expect(budget.take()).toBe(1);
    await clock.advance(1);
    expect(budget.take()).toBe(0);
    expect(budget.take()).toBe(200);
  });

  test('saves up no more than its burst', async () => {
    const clock = new VirtualClock();
    const budget = createBudget({ clock, perSecond: 5, burst: 3 });
    await clock.advance(3_600_000);
    expect([budget.take(3), budget.take()]).toEqual([0, 200]);
  });

  test('takes nothing when it says to wait', async () => {
    const clock = new VirtualClock();
    const budget = createBudget({ clock, perSecond: 10_000, burst: 30_000 });
    expect(budget.take(30_000)).toBe(0);
    for (let times = 0; times < 10; times++) expect(budget.take(3_000)).toBe(300);
    await clock.advance(300);
    expect(budget.take(3_000)).toBe(0);
  });

  test('is empty for as long as the venue’s penalty lasts, and a shorter one does not end it', async () => {
    const clock = new VirtualClock();
    const budget = createBudget({ clock, perSecond: 5, burst: 3 });
    budget.block(10_000);
    budget.block(1_000);
    expect(budget.take()).toBe(10_000);
    await clock.advance(9_999);
    expect(budget.take()).toBe(1);
    await clock.advance(1);
    expect(budget.take()).toBe(0);
  });

  test('says the longer of the two waits', () => {
    const budget = createBudget({ clock: new VirtualClock(), perSecond: 1, burst: 5 });
    budget.take(5);
    budget.block(100);
    expect(budget.take(5)).toBe(5_000);
  });

  test('refuses what it could never give', () => {
    const budget = createBudget({ clock: new VirtualClock(), perSecond: 1, burst: 5 });
    expect(() => budget.take(6)).toThrow(RangeError);
  });

  test('never gives more in any stretch of time than burst + rate, and gives after the wait that it named', async () => {
    const step = fc.record({ waitMs: fc.nat({ max: 2_000 }), cost: fc.integer({ min: 1, max: 4 }) });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 20 }), fc.array(step, { maxLength: 30 }), async (perSecond, steps) => {
        const clock = new VirtualClock();
        const budget = createBudget({ clock, perSecond, burst: 4 });
        let taken = 0;
        for (const { waitMs, cost } of steps) {
          await clock.advance(waitMs);
          const wait = budget.take(cost);
          if (wait > 0) {
            await clock.advance(wait);
            expect(budget.take(cost)).toBe(0);
          }
          taken += cost;
          expect(taken).toBeLessThanOrEqual(4 + (perSecond * clock.monotonic()) / 1_000 + 1e-6);
        }
      }),
      {
        numRuns: 40,
        // The refill after the named wait adds up to a hair less than a whole.
        examples: [
          [
            20,
            [
              { waitMs: 0, cost: 2 },
              { waitMs: 0, cost: 2 },
              { waitMs: 8, cost: 2 },
            ],
          ],
        ],
      },
    );
  });
});
