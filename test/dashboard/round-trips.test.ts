import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRoundTrips, sparkPath, spread } from '../../src/dashboard/round-trips.js';

test('the newest samples are kept, and their times ascend', () => {
  const trips = createRoundTrips(3);
  for (const [at, ms] of [
    [1, 10],
    [2, 20],
    [2, 99],
    [1, 99],
    [3, 30],
    [4, 40],
  ] as const)
    trips.add('k', at, ms);
  expect(trips.of('k')).toEqual({ at: [2, 3, 4], ms: [20, 30, 40] });
  expect(trips.of('other')).toEqual({ at: [], ms: [] });
});

test('sessions that are gone are forgotten', () => {
  const trips = createRoundTrips();
  trips.add('a', 1, 1);
  trips.add('b', 1, 1);
  trips.keep(new Set(['b']));
  expect([trips.of('a').at.length, trips.of('b').at.length]).toEqual([0, 1]);
});

test('the line of a small plot stays in its box', () => {
  fc.assert(
    fc.property(fc.array(fc.float({ min: 0, max: 60_000, noNaN: true }), { minLength: 2, maxLength: 60 }), (values) => {
      const points = [...sparkPath(values, 64, 20).matchAll(/[ML]([\d.-]+) ([\d.-]+)/g)];
      expect(points).toHaveLength(values.length);
      for (const [, x, y] of points) {
        expect(Number(x)).toBeGreaterThanOrEqual(0);
        expect(Number(x)).toBeLessThanOrEqual(64);
        expect(Number(y)).toBeGreaterThanOrEqual(0);
        expect(Number(y)).toBeLessThanOrEqual(20);
      }
    }),
  );
  expect(sparkPath([5], 64, 20)).toBe('');
});

test('what the plot says in words', () => {
  expect(spread([])).toBeUndefined();
  expect(spread([30, 10, 20])).toEqual({ last: 20, median: 20, worst: 30 });
});
