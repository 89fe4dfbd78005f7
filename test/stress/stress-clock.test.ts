import { expect, test } from 'vitest';
import { until } from '../support/virtual-clock.js';
import { createStressClock } from './stress-clock.js';

test('two clocks of the same pace have the same time, wherever they were made', () => {
  const pace = { timesFaster: 50, since: Date.now() - 1_000 };
  const [one, other] = [createStressClock(pace), createStressClock(pace)];
  expect(one.now() - pace.since).toBeGreaterThanOrEqual(50_000);
  // Two readings of the machine's clock may lie a few ms apart.
  expect(Math.abs(one.now() - other.now())).toBeLessThan(50 * 50);
});

test('a jump moves the wall clock alone', () => {
  const clock = createStressClock({ timesFaster: 1, since: Date.now() });
  const before = { now: clock.now(), monotonic: clock.monotonic() };
  clock.jump(-86_400_000);
  expect(clock.now()).toBeLessThan(before.now - 80_000_000);
  expect(clock.monotonic()).toBeGreaterThanOrEqual(before.monotonic);
});

test('timers are due sooner by the pace, and are counted while they are set', async () => {
  const clock = createStressClock({ timesFaster: 1_000, since: Date.now() });
  let fired = false;
  clock.setTimer(() => {
    fired = true;
  }, 20_000);
  const other = clock.setTimer(() => undefined, 3_600_000_000);
  expect(clock.timers).toBe(2);
  await until(() => fired, 'it fires after 20 ms');
  expect(clock.timers).toBe(1);
  other.cancel();
  other.cancel();
  expect(clock.timers).toBe(0);
});
