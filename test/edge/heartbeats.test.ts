import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Beating, createHeartbeats } from '../../src/edge/heartbeats.js';
import { VirtualClock } from '../support/virtual-clock.js';

function setUp(everyMs = 100) {
  const clock = new VirtualClock();
  const heartbeats = createHeartbeats(clock, everyMs);
  const join = (): Beating & { readonly at: number[] } => {
    const at: number[] = [];
    const one = { at, beat: () => void at.push(clock.monotonic()) };
    heartbeats.start(one);
    return one;
  };
  return { clock, heartbeats, join };
}

test('each beats a period after it came and ever after, whoever comes and goes beside it, with one timer for all', async () => {
  const came = fc.record({ afterMs: fc.integer({ min: 0, max: 250 }), staysMs: fc.integer({ min: 0, max: 600 }) });
  await fc.assert(
    fc.asyncProperty(fc.array(came, { maxLength: 12 }), async (all) => {
      const { clock, heartbeats, join } = setUp();
      const ended: { readonly at: readonly number[]; readonly from: number; readonly to: number }[] = [];
      for (const { afterMs, staysMs } of all) {
        await clock.advance(afterMs);
        const one = join();
        const from = clock.monotonic();
        clock.setTimer(() => {
          heartbeats.stop(one);
          ended.push({ at: one.at, from, to: clock.monotonic() });
        }, staysMs + 0.5);
        const waiting = ended.length;
        expect(clock.timers).toBeLessThanOrEqual(all.length - waiting + 1);
      }
      await clock.advance(1_000);
      expect(ended).toHaveLength(all.length);
      for (const { at, from, to } of ended)
        expect(at).toEqual(Array.from({ length: Math.floor((to - from) / 100) }, (_, n) => from + 100 * (n + 1)));
      expect(clock.timers).toBe(0);
    }),
    { numRuns: 50 },
  );
});

test('many have one timer, and none has none', async () => {
  const { clock, heartbeats, join } = setUp();
  const all = Array.from({ length: 100 }, join);
  expect(clock.timers).toBe(1);
  await clock.advance(100);
  expect([clock.timers, all.every(({ at }) => at.length === 1)]).toEqual([1, true]);
  for (const one of all) heartbeats.stop(one);
  for (const one of all) heartbeats.stop(one);
  expect(clock.timers).toBe(0);
});

test('one that ends itself or another within a beat takes no beat from anybody else', async () => {
  const { clock, heartbeats, join } = setUp();
  const [first, second, third] = [join(), join(), join()];
  const beat = first.beat.bind(first);
  first.beat = () => {
    beat();
    heartbeats.stop(first);
    heartbeats.stop(second);
  };
  await clock.advance(250);
  expect([first.at, second.at, third.at]).toEqual([[100], [], [100, 200]]);
  heartbeats.stop(third);
  expect(clock.timers).toBe(0);
});
