import { describe, expect, test } from 'vitest';
import { createPoll } from '../../src/net/poll.js';
import { seededRandom } from '../../src/net/timer.js';
import { VirtualClock } from '../support/virtual-clock.js';

/** A task that ends when the test says so. */
function manual(): {
  readonly task: () => Promise<void>;
  readonly running: () => number;
  end(fails?: boolean): void;
  readonly started: number[];
} & { clock: VirtualClock } {
  const clock = new VirtualClock();
  const ends: ((fails: boolean) => void)[] = [];
  const started: number[] = [];
  return {
    clock,
    started,
    task: () =>
      new Promise((resolve, reject) => {
        started.push(clock.monotonic());
        ends.push((fails) => (fails ? reject(new Error('failed')) : resolve()));
      }),
    running: () => ends.length,
    end: (fails = false) => ends.shift()?.(fails),
  };
}

const EVENLY = (): number => 0.5;

describe('a poll', () => {
  test('runs after one period, and then one period after each end', async () => {
    const clock = new VirtualClock();
    const at: number[] = [];
    const poll = createPoll({
      clock,
      random: EVENLY,
      everyMs: 1_000,
      task: async () => {
        at.push(clock.monotonic());
      },
    });
    poll.start();
    poll.start();
    await clock.advance(3_500);
    expect(at).toEqual([1_000, 2_000, 3_000]);
  });

  test('never runs twice at once, however long a run takes', async () => {
    const { clock, task, running, end, started } = manual();
    const poll = createPoll({ clock, random: EVENLY, everyMs: 1_000, task });
    poll.start();
    await clock.advance(60_000);
    expect(started).toEqual([1_000]);
    expect(running()).toBe(1);
    end();
    await clock.advance(999);
    expect(started).toEqual([1_000]);
    await clock.advance(1);
    expect(started).toEqual([1_000, 61_000]);
  });

  test('draws its period from everyMs × (1 ± jitter)', async () => {
    const clock = new VirtualClock();
    const at: number[] = [];
    createPoll({
      clock,
      random: seededRandom(7),
      everyMs: 1_000,
      jitter: 0.2,
      task: async () => {
        at.push(clock.monotonic());
      },
    }).start();
    await clock.advance(200_000);
    const periods = at.map((time, index) => time - (at[index - 1] ?? 0));
    expect(Math.min(...periods)).toBeGreaterThanOrEqual(800);
    expect(Math.max(...periods)).toBeLessThanOrEqual(1_200);
    expect(Math.max(...periods) - Math.min(...periods)).toBeGreaterThan(300);
  });

  test.each([
    ['rejects', async () => Promise.reject(new Error('failed'))],
    [
      'throws',
      () => {
        throw new Error('failed');
      },
    ],
  ])('goes on after a run that %s, after its own pause for that', async (_, fails) => {
    const clock = new VirtualClock();
    const at: number[] = [];
    const poll = createPoll({
      clock,
      random: EVENLY,
      everyMs: 1_000,
      afterFailureMs: 5_000,
      task() {
        at.push(clock.monotonic());
        return fails();
      },
    });
    poll.start();
    await clock.advance(11_000);
    expect(at).toEqual([1_000, 6_000, 11_000]);
  });

  test('runs now when asked, joins a run under way, and counts the next period from its end', async () => {
    const { clock, task, end, started } = manual();
    const poll = createPoll({ clock, random: EVENLY, everyMs: 1_000, task });
    poll.start();
    await clock.advance(400);
    const first = poll.now();
    const joined = poll.now();
    await clock.advance(300);
    end();
    await Promise.all([first, joined]);
    await clock.advance(999);
    expect(started).toEqual([400]);
    await clock.advance(1);
    expect(started).toEqual([400, 1_700]);
  });

  test('never rejects to whoever asked', async () => {
    const { clock, task, end } = manual();
    const poll = createPoll({ clock, random: EVENLY, everyMs: 1_000, task });
    const asked = poll.now();
    end(true);
    await expect(asked).resolves.toBeUndefined();
  });

  test('that is stopped runs no more, also where it was stopped in the middle of a run', async () => {
    const { clock, task, end, started } = manual();
    const poll = createPoll({ clock, random: EVENLY, everyMs: 1_000, task });
    poll.start();
    await clock.advance(1_000);
    poll.stop();
    end();
    await clock.advance(60_000);
    expect(started).toEqual([1_000]);
    expect(clock.timers).toBe(0);
    poll.start();
    await clock.advance(1_000);
    expect(started).toHaveLength(2);
    poll.stop();
  });

  test('that was not started runs once when asked, and does not begin to repeat', async () => {
    const { clock, task, end, started } = manual();
    const poll = createPoll({ clock, random: EVENLY, everyMs: 1_000, task });
    const asked = poll.now();
    end();
    await asked;
    await clock.advance(10_000);
    expect(started).toEqual([0]);
    expect(clock.timers).toBe(0);
  });
});
