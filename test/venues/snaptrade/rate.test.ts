import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRate, REQUESTS_PER_MINUTE } from '../../../src/venues/snaptrade/rate.js';
import { createSchedule } from '../../../src/venues/snaptrade/schedule.js';
import { VirtualClock } from '../../support/virtual-clock.js';

describe('the limit of requests', () => {
  test('is never passed in any minute, whatever is asked for when', async () => {
    const asked = fc.array(fc.tuple(fc.boolean(), fc.nat(150)), { minLength: 400, maxLength: 1_200 });
    await fc.assert(
      fc.asyncProperty(asked, async (wishes) => {
        const clock = new VirtualClock(undefined, async () => {});
        const rate = createRate(clock);
        const sent: number[] = [];
        for (const [isPoll, afterMs] of wishes) {
          await clock.advance(afterMs);
          if ((isPoll ? rate.takePoll() : rate.takeCommand()) === 0) sent.push(clock.monotonic());
        }
        sent.forEach((at, index) => {
          const later = sent[index + REQUESTS_PER_MINUTE];
          if (later !== undefined) expect(later - at).toBeGreaterThanOrEqual(60_000);
        });
      }),
      { numRuns: 20 },
    );
  });

  test('leaves a part to what a person asks for', () => {
    const clock = new VirtualClock();
    const rate = createRate(clock);
    while (rate.takePoll() === 0);
    expect(rate.takeCommand()).toBe(0);
    for (let polls = 10; polls < 200; polls++) expect(rate.takeCommand()).toBe(0);
    expect(rate.takePoll()).toBeGreaterThan(0);
  });

  test('is the one that the venue states, and waits for what the venue counts', async () => {
    const clock = new VirtualClock();
    const rate = createRate(clock);
    rate.observe({ 'x-ratelimit-limit': '10' });
    for (let request = 0; request < 10; request++) expect(rate.takeCommand()).toBe(0);
    expect(rate.takeCommand()).toBe(60_000);
    await clock.advance(60_000);
    rate.observe({ 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(Math.floor(clock.now() / 1_000) + 20) });
    expect(rate.takeCommand()).toBe(20_000);
    await clock.advance(20_000);
    expect(rate.takeCommand()).toBe(0);
    rate.observe({ 'x-ratelimit-remaining': 'many', 'x-ratelimit-limit': '-3', 'x-ratelimit-reset': '' });
    expect(rate.takeCommand()).toBe(0);
  });

  test('waits for polls alone where a personal key’s own limit is used up', async () => {
    const clock = new VirtualClock();
    const rate = createRate(clock);
    rate.observe({ 'x-ratelimit-account-remaining': '0', 'x-ratelimit-account-reset': '30' });
    expect(rate.takePoll()).toBe(30_000);
    expect(rate.takeCommand()).toBe(0);
  });
});

describe('the schedule', () => {
  test('runs whoever has waited longest, and gives every second turn at most to what is asked for at once', async () => {
    const clock = new VirtualClock();
    const ran: string[] = [];
    let turns = 0;
    const schedule = createSchedule({
      clock,
      random: () => 0.5,
      take: () => (turns > 0 ? --turns * 0 : 100),
      run: async (name) => {
        ran.push(name);
        return 1_000_000;
      },
    });
    for (const name of ['a', 'b', 'c', 'd', 'e']) schedule.add(name);
    schedule.soon('d');
    schedule.soon('e');
    for (let turn = 0; turn < 5; turn++) {
      turns = 1;
      await clock.advance(100);
    }
    expect(ran).toEqual(['d', 'a', 'e', 'b', 'c']);
    schedule.stop();
    expect(clock.timers).toBe(0);
  });

  test('runs one name once at a time, and once more after it was asked for meanwhile', async () => {
    const clock = new VirtualClock();
    let running = 0;
    let most = 0;
    const ends: (() => void)[] = [];
    const schedule = createSchedule({
      clock,
      random: () => 0.5,
      take: () => 0,
      run: () => {
        most = Math.max(most, ++running);
        return new Promise((resolve) =>
          ends.push(() => {
            running--;
            resolve(60_000);
          }),
        );
      },
    });
    schedule.add('a');
    await clock.advance(0);
    for (let times = 0; times < 5; times++) schedule.soon('a');
    await clock.advance(10_000);
    expect(ends).toHaveLength(1);
    ends[0]?.();
    await clock.advance(1);
    expect(ends).toHaveLength(2);
    ends[1]?.();
    await clock.advance(59_000);
    expect(ends).toHaveLength(2);
    await clock.advance(2_000);
    expect([ends.length, most]).toEqual([3, 1]);
    schedule.stop();
  });
});
