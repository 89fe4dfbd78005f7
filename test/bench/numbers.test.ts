import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createHistogram } from '../../bench/support/histogram.js';
import { interleave, ratios } from '../../bench/support/interleave.js';
import { medianOf, spread } from '../../bench/support/numbers.js';

test('a quantile of the histogram lies within a sixty-fourth of the true one, and never beyond the worst', () => {
  const times = fc.array(fc.double({ min: 0.001, max: 60_000, noNaN: true }), { minLength: 1, maxLength: 300 });
  fc.assert(
    fc.property(times, fc.constantFrom(0.5, 0.9, 0.99, 0.999, 1), (values, share) => {
      const histogram = createHistogram();
      for (const value of values) histogram.record(value);
      const sorted = values.toSorted((a, b) => a - b);
      const exact = sorted[Math.ceil(share * sorted.length) - 1] ?? 0;
      const told = histogram.quantile(share);
      // A class is at least a sixteenth of a µs wide.
      expect(told).toBeGreaterThanOrEqual(exact - 1e-9);
      expect(told).toBeLessThanOrEqual(Math.min(histogram.mostMs, exact * (1 + 1 / 64) + 1 / 16_000) + 1e-9);
    }),
  );
});

test('contestants run in turn, and each round is compared with the same round of the baseline', async () => {
  const order: string[] = [];
  const samples = await interleave(['a', 'b'], 3, (name, round) => {
    order.push(`${name}${round}`);
    return Promise.resolve(name === 'a' ? 10 * (round + 1) : 20 * (round + 1));
  });
  expect(order).toEqual(['a0', 'b0', 'a1', 'b1', 'a2', 'b2']);
  expect(ratios(samples.get('b') ?? [], samples.get('a') ?? [])).toBe('2.00 (2–2)');
  expect(ratios([undefined, 30, 90], [10, 10, undefined])).toBe('3.00');
  expect(ratios([undefined], [10])).toBe('void');
});

test('a median is the middle, and of an even number the mean of the two in the middle', () => {
  expect(medianOf([3, 1, 2])).toBe(2);
  expect(medianOf([4, 1, 2, 3])).toBe(2.5);
  expect(spread([1_234_567, 1_000, 2_000])).toBe('2,000 (1,000–1,230,000)');
  expect(spread([])).toBe('void');
});
