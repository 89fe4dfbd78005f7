import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createSkew, relayTime } from '../../src/dashboard/skew.js';
import { ago, countdown, milliseconds, moment } from '../../src/dashboard/times.js';

test.each([
  [-1, 'ended'],
  [0, 'ended'],
  [999, '0:00'],
  [59_999, '0:59'],
  [3_599_999, '59:59'],
  [3_600_000, '1:00:00'],
  [86_399_999, '23:59:59'],
  [86_400_000 * 3 + 3_600_000 * 4, '3 d 04 h'],
  [86_400_000 * 364.9, '364 d'],
  [Number.NaN, ''],
])('a countdown of %i ms is %s', (ms, text) => {
  expect(countdown(ms)).toBe(text);
});

test('a countdown never shows more than is left', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 86_400_000 - 1 }), (ms) => {
      const shown = countdown(ms)
        .split(':')
        .reduce((sum, part) => sum * 60 + Number(part), 0);
      expect(shown * 1_000).toBeLessThanOrEqual(ms);
      expect(shown * 1_000).toBeGreaterThan(ms - 1_000);
    }),
  );
});

test('how long ago is one unit, and never negative', () => {
  expect([-5, 4_200, 61_000, 7_300_000, 200_000_000].map(ago)).toEqual(['0 s', '4 s', '1 min', '2 h', '2 d']);
});

test('a short duration', () => {
  expect([0.2, 12.4, 999, 1_500].map(milliseconds)).toEqual(['<1 ms', '12 ms', '999 ms', '1.5 s']);
});

test('a moment of another day names the day', () => {
  const now = new Date(2026, 10, 24, 3, 12, 45).getTime();
  expect(moment(now - 1_000, now)).toBe('03:12:44');
  expect(moment(now - 86_400_000, now)).toBe('2026-11-23 03:12:45');
  expect(moment(Number.NaN, now)).toBe('');
});

test('a clock that is wrong is corrected by what came with the least delay; small differences are let be', () => {
  const skew = createSkew();
  expect(skew.ms).toBe(0);
  skew.saw(1_000, 241_900);
  skew.saw(2_000, 242_050);
  skew.saw(Number.NaN, 1);
  expect(skew.ms).toBe(240_050);
  expect(relayTime(1_000_000, skew.ms)).toBe(759_950);
  expect(relayTime(1_000_000, 300)).toBe(1_000_000);
});

test('a clock that is set right is believed again', () => {
  const skew = createSkew();
  skew.saw(1_000, 400_000);
  skew.saw(1_000, -400_000);
  for (let n = 0; n < 40; n++) skew.saw(n, n + 5);
  expect(skew.ms).toBe(5);
});
