import { expect, test } from 'vitest';
import { FUZZ_RUNS, SHARED } from './budget.js';

test('the properties together try all of the inputs, 100,000 unless asked for otherwise', () => {
  expect(SHARED).toBeCloseTo(1);
  expect(FUZZ_RUNS).toBeGreaterThanOrEqual(process.env.FUZZ_RUNS === undefined ? 100_000 : 1);
});
