import { expect, test } from 'vitest';
import { createEventLoopWatch } from '../../src/http/event-loop.js';
import { VirtualClock } from '../support/virtual-clock.js';

test('a loop that runs is not late', async () => {
  const clock = new VirtualClock();
  const watch = createEventLoopWatch(clock);
  await clock.advance(20_000);
  expect(watch.lateMs()).toBe(0);
});

test('a block is seen while it lasts and for 10 s after it, then forgotten', async () => {
  const clock = new VirtualClock();
  let blocked = 0;
  const watch = createEventLoopWatch({ ...clockOf(clock), monotonic: () => clock.monotonic() + blocked });
  await clock.advance(1_200);
  blocked = 3_000;
  expect(watch.lateMs()).toBe(2_700);
  await clock.advance(500);
  expect(watch.lateMs()).toBe(3_000);
  await clock.advance(9_000);
  expect(watch.lateMs()).toBe(3_000);
  await clock.advance(2_000);
  expect(watch.lateMs()).toBe(0);
});

test('stopped, it leaves no timer behind', async () => {
  const clock = new VirtualClock();
  const watch = createEventLoopWatch(clock);
  await clock.advance(1_000);
  watch.stop();
  watch.stop();
  expect(clock.timers).toBe(0);
});

function clockOf(clock: VirtualClock) {
  return {
    now: () => clock.now(),
    setTimer: (task: () => void, delayMs: number) => clock.setTimer(task, delayMs),
  };
}
