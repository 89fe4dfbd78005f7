import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Clock } from '../../src/net/clock.js';
import { createLiveness, type Liveness } from '../../src/net/liveness.js';
import { VirtualClock } from '../support/virtual-clock.js';

interface Watched {
  readonly clock: VirtualClock;
  readonly liveness: Liveness;
  /** What it said, with the second in which it said it. */
  readonly said: string[];
}

function watched(options: { readonly answersAfterMs?: number } = {}): Watched {
  const clock = new VirtualClock();
  const said: string[] = [];
  const say = (what: string): void => {
    said.push(`${clock.monotonic() / 1_000} ${what}`);
  };
  const liveness: Liveness = createLiveness({
    clock,
    ask() {
      say('ask');
      if (options.answersAfterMs !== undefined) clock.setTimer(() => liveness.seen(), options.answersAfterMs);
    },
    missed: ({ silentMs, missed, intervalMs }) => say(`missed ${missed} after ${silentMs} of ${intervalMs}`),
    resumed: ({ silentMs }) => say(`resumed after ${silentMs}`),
    dead: ({ silentMs }) => say(`dead after ${silentMs}`),
  });
  return { clock, liveness, said };
}

describe('with the venue’s heartbeat armed', () => {
  test('silence is missed and asked about after 1.5 intervals + 2 s, and dead 10 s later, once', async () => {
    const { clock, liveness, said } = watched();
    liveness.arm(10_000);
    await clock.advance(16_999);
    expect(said).toEqual([]);
    await clock.advance(1);
    expect(said).toEqual(['17 missed 1 after 17000 of 10000', '17 ask']);
    await clock.advance(9_999);
    expect(said).toHaveLength(2);
    await clock.advance(600_000);
    expect(said.slice(2)).toEqual(['27 dead after 27000']);
    expect(clock.timers).toBe(0);
  });

  test('an answer resumes it, and the next silence counts from that answer', async () => {
    const { clock, liveness, said } = watched({ answersAfterMs: 3_000 });
    liveness.arm(10_000);
    await clock.advance(40_000);
    expect(said).toEqual([
      '17 missed 1 after 17000 of 10000',
      '17 ask',
      '20 resumed after 20000',
      '37 missed 1 after 17000 of 10000',
      '37 ask',
      '40 resumed after 20000',
    ]);
  });

  test('any frame within the bound keeps it quiet', async () => {
    const { clock, liveness, said } = watched();
    liveness.arm(10_000);
    for (let second = 0; second < 600; second += 16) {
      await clock.advance(16_000);
      liveness.seen();
    }
    expect(said).toEqual([]);
  });

  test('an answer in the last millisecond is an answer', async () => {
    const { clock, liveness, said } = watched({ answersAfterMs: 9_999 });
    liveness.arm(10_000);
    await clock.advance(27_000);
    expect(said.at(-1)).toBe('26.999 resumed after 26999');
  });
});

describe('without the venue’s heartbeat', () => {
  test('it asks after every 30 s of silence, which is no news while it is answered', async () => {
    const { clock, said } = watched({ answersAfterMs: 150 });
    await clock.advance(95_000);
    expect(said).toEqual(['30 ask', '60.15 ask', '90.3 ask']);
  });

  test('an unanswered question is missed and dead at once', async () => {
    const { clock, said } = watched();
    await clock.advance(100_000);
    expect(said).toEqual(['30 ask', '40 missed 1 after 40000 of 30000', '40 dead after 40000']);
  });
});

describe('arming', () => {
  test('takes effect from the last sign of life, not from the moment of arming', async () => {
    const { clock, liveness, said } = watched();
    await clock.advance(12_000);
    liveness.arm(10_000);
    await clock.advance(5_000);
    expect(said).toEqual(['17 missed 1 after 17000 of 10000', '17 ask']);
  });

  test('a shorter interval than the present silence is missed at once', async () => {
    const { clock, liveness, said } = watched();
    liveness.arm(60_000);
    await clock.advance(50_000);
    liveness.arm(10_000);
    await clock.advance(0);
    expect(said).toEqual(['50 missed 1 after 50000 of 10000', '50 ask']);
  });

  test('a longer interval, or none, gives more time', async () => {
    const { clock, liveness, said } = watched();
    liveness.arm(10_000);
    await clock.advance(16_000);
    liveness.arm(30_000);
    await clock.advance(13_000);
    liveness.arm(null);
    await clock.advance(500);
    expect(said).toEqual([]);
    await clock.advance(500);
    expect(said).toEqual(['30 ask']);
  });

  test('leaves a question that is open as it is: the answer is still due', async () => {
    const { clock, liveness, said } = watched();
    liveness.arm(10_000);
    await clock.advance(20_000);
    liveness.arm(3_600_000);
    await clock.advance(7_000);
    expect(said.at(-1)).toBe('27 dead after 27000');
  });

  test('brings nothing back that is dead or stopped', async () => {
    for (const end of ['dead', 'stopped']) {
      const { clock, liveness, said } = watched();
      if (end === 'dead') await clock.advance(40_000);
      else liveness.stop();
      said.length = 0;
      liveness.arm(10_000);
      liveness.seen();
      await clock.advance(600_000);
      expect(said).toEqual([]);
      expect(clock.timers).toBe(0);
    }
  });
});

test('a jump of the wall clock is no silence', async () => {
  const { clock, liveness, said } = watched();
  liveness.arm(10_000);
  await clock.advance(10_000);
  clock.jump(86_400_000);
  await clock.advance(6_999);
  expect(said).toEqual([]);
});

test('whatever comes when, it asks at the bound, never calls a venue dead that spoke within 10 s of the question, and always one that did not', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1, maxLength: 12 }), async (pauses) => {
      const { clock, liveness, said } = watched();
      liveness.arm(10_000);
      let isDead: boolean = false;
      for (const pause of pauses) {
        await clock.advance(pause);
        const wanted: boolean = isDead || pause >= 27_000;
        expect(said.some((one) => one.includes('dead'))).toBe(wanted);
        if (!isDead) expect(said.filter((one) => one.includes('ask'))).toHaveLength(pause >= 17_000 ? 1 : 0);
        isDead = wanted;
        liveness.seen();
        if (!isDead) {
          expect(said.filter((one) => one.includes('resumed'))).toHaveLength(pause >= 17_000 ? 1 : 0);
          said.length = 0;
        }
      }
    }),
    { numRuns: 50 },
  );
});

describe('a process that was too busy to read its sockets', () => {
  /** Timers that fire late, as after a long pause: frames that have arrived are read one turn later. */
  function late(byMs: number): { readonly clock: VirtualClock; readonly port: Clock } {
    const clock = new VirtualClock();
    let first = true;
    return {
      clock,
      port: {
        now: () => clock.now(),
        monotonic: () => clock.monotonic(),
        setTimer(task, delayMs) {
          const extra = first ? byMs : 0;
          first = false;
          return clock.setTimer(task, delayMs + extra);
        },
      },
    };
  }

  test('does not take its own pause for silence when the frame is there', async () => {
    const { clock, port } = late(20_000);
    const said: string[] = [];
    const liveness = createLiveness({
      clock: port,
      ask: () => said.push('ask'),
      missed: () => said.push('missed'),
      resumed: () => said.push('resumed'),
      dead: () => said.push('dead'),
    });
    // The frame is handed over in the turn after the late timer, as the event loop does it.
    clock.setTimer(() => setImmediate(() => liveness.seen()), 50_000);
    await clock.advance(50_000);
    await clock.advance(1_000);
    expect(said).toEqual([]);
  });

  test('sees real silence all the same', async () => {
    const { clock, port } = late(20_000);
    const said: string[] = [];
    createLiveness({
      clock: port,
      ask: () => said.push('ask'),
      missed: () => said.push('missed'),
      resumed: () => said.push('resumed'),
      dead: () => said.push('dead'),
    });
    await clock.advance(61_000);
    expect(said).toEqual(['ask', 'missed', 'dead']);
  });
});
