import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createExpiryWatch } from '../../src/net/expiry.js';
import { VirtualClock } from '../support/virtual-clock.js';

function watch(warnMs = 60_000) {
  const clock = new VirtualClock();
  const start = clock.now();
  const said: string[] = [];
  const ends = createExpiryWatch({
    clock,
    warnMs,
    expiring: (key, expiresAtMs, inMs) =>
      said.push(`${clock.now() - start} ${key} ends at ${expiresAtMs - start} in ${inMs}`),
    expired: (key, expiresAtMs) => said.push(`${clock.now() - start} ${key} ended at ${expiresAtMs - start}`),
  });
  return { clock, ends, said, at: (ms: number) => start + ms };
}

describe('an end', () => {
  test('is warned of within the window and then told, each once', async () => {
    const { clock, ends, said, at } = watch();
    ends.set('a', at(300_000));
    await clock.advance(239_999);
    expect(said).toEqual([]);
    await clock.advance(1);
    expect(said).toEqual(['240000 a ends at 300000 in 60000']);
    await clock.advance(3_600_000);
    expect(said.slice(1)).toEqual(['300000 a ended at 300000']);
    expect(clock.timers).toBe(0);
  });

  test('within the window already is warned of at once; in the past it is told at once, without a warning', async () => {
    const { clock, ends, said, at } = watch();
    ends.set('soon', at(10_000));
    ends.set('over', at(-5_000));
    expect(said).toEqual([]); // in a later turn, never inside set
    await clock.advance(0);
    expect(said).toEqual(['0 soon ends at 10000 in 10000', '0 over ended at -5000']);
  });

  test('that moves later warns anew; one that moves nearer, or is set again, does not', async () => {
    const { clock, ends, said, at } = watch();
    ends.set('a', at(100_000));
    await clock.advance(40_000);
    ends.set('a', at(100_000));
    ends.set('a', at(90_000));
    await clock.advance(1_000);
    expect(said).toEqual(['40000 a ends at 100000 in 60000']);
    ends.set('a', at(200_000));
    await clock.advance(200_000);
    expect(said.slice(1)).toEqual(['140000 a ends at 200000 in 60000', '200000 a ended at 200000']);
  });

  test('that moves nearer than it was is told when it comes', async () => {
    const { clock, ends, said, at } = watch();
    ends.set('a', at(3_600_000));
    ends.set('a', at(70_000));
    await clock.advance(70_000);
    expect(said).toEqual(['10000 a ends at 70000 in 60000', '70000 a ended at 70000']);
  });

  test('that is deleted, or cleared, is never told', async () => {
    const { clock, ends, said, at } = watch();
    ends.set('a', at(10_000));
    ends.set('b', at(20_000));
    ends.delete('a');
    ends.delete('never');
    await clock.advance(15_000);
    ends.clear();
    await clock.advance(3_600_000);
    expect(said).toEqual(['0 b ends at 20000 in 20000']);
    expect(clock.timers).toBe(0);
  });

  test('a year away does not fire now', async () => {
    const { clock, ends, said, at } = watch();
    ends.set('token', at(31_536_000_000));
    await clock.advance(86_400_000);
    expect(said).toEqual([]);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    'of %s is none, and takes back the one before',
    async (none) => {
      const { clock, ends, said, at } = watch();
      ends.set('a', at(10_000));
      ends.set('a', none);
      ends.set('b', none);
      expect(clock.timers).toBe(0);
      await clock.advance(3_600_000);
      expect(said).toEqual([]);
    },
  );
});

describe('a wall clock that jumps', () => {
  test('forward is noticed within a minute', async () => {
    const { clock, ends, said, at } = watch();
    ends.set('a', at(7_200_000));
    await clock.advance(10_000);
    clock.jump(7_000_000);
    await clock.advance(50_000);
    clock.jump(110_000);
    expect(said).toEqual([]);
    await clock.advance(60_000);
    expect(said).toEqual(['7230000 a ended at 7200000']);
  });

  test('back delays the end to its own time', async () => {
    const { clock, ends, said, at } = watch();
    ends.set('a', at(100_000));
    await clock.advance(30_000);
    clock.jump(-1_000_000);
    await clock.advance(1_009_999);
    expect(said).toEqual([]);
    await clock.advance(60_001);
    expect(said).toEqual(['40000 a ends at 100000 in 60000', '100000 a ended at 100000']);
  });
});

describe('many ends', () => {
  test('are each told in time, on one timer, whatever their order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 15 }), async (seconds) => {
        const { clock, ends, said, at } = watch();
        for (const [index, second] of seconds.entries()) ends.set(`k${index}`, at(second * 1_000));
        expect(clock.timers).toBe(1);
        await clock.advance(400_000);
        const told = said.filter((one) => one.includes('ended')).toSorted();
        expect(told).toEqual(
          seconds.map((second, index) => `${second * 1_000} k${index} ended at ${second * 1_000}`).toSorted(),
        );
        expect(said.filter((one) => one.includes('ends at'))).toHaveLength(seconds.length);
      }),
      { numRuns: 30 },
    );
  });

  test('may be moved and deleted by what is called for one of them', async () => {
    const clock = new VirtualClock();
    const start = clock.now();
    const said: string[] = [];
    const ends = createExpiryWatch({
      clock,
      warnMs: 0,
      expiring: () => said.push('expiring'),
      expired(key) {
        said.push(key);
        ends.delete('b');
        ends.set('c', start + 20_000);
        if (said.length === 1) ends.set('a', start + 5_000);
      },
    });
    for (const key of ['a', 'b', 'c']) ends.set(key, start + 1_000);
    await clock.advance(1_000);
    expect(said).toEqual(['a']);
    await clock.advance(4_000);
    expect(said).toEqual(['a', 'a']);
    ends.clear();
  });

  test('go on where what is called for one of them throws', async () => {
    const clock = new VirtualClock();
    const said: string[] = [];
    const ends = createExpiryWatch({
      clock,
      warnMs: 0,
      expiring() {},
      expired(key) {
        said.push(key);
        if (key === 'a') throw new Error('a fault of its owner');
      },
    });
    ends.set('a', clock.now() + 1_000);
    ends.set('b', clock.now() + 1_000);
    await expect(clock.advance(1_000)).rejects.toThrow('a fault of its owner');
    await clock.advance(0);
    expect(said).toEqual(['a', 'b']);
  });
});
