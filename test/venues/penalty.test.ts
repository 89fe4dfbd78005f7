import { describe, expect, test } from 'vitest';
import type { Json } from '../../src/model/json.js';
import { createPenalty } from '../../src/venues/penalty.js';
import { VirtualClock } from '../support/virtual-clock.js';

/** A penalty, what was told of it (with the memory of the same batch), and the memory that a journal would hold. */
function start(clock = new VirtualClock(), mostMs = 600_000) {
  const told: string[] = [];
  const memory = new Map<string, Json>();
  const penalty = createPenalty({
    clock,
    mostMs,
    tell({ type, data }, remembered) {
      told.push(`${type}${'untilAt' in data ? ` ${data.untilAt.slice(11, 19)}` : ''} ${JSON.stringify(remembered)}`);
      for (const [key, value] of Object.entries(remembered)) memory.set(key, value);
    },
    moved: (isOn) => told.push(isOn ? 'on' : 'off'),
  });
  return { clock, penalty, memory, take: () => told.splice(0) };
}

const UNTIL = Date.UTC(2026, 10, 23, 8, 1, 0);

describe('a penalty', () => {
  test('is told and remembered at once, lasts so long, and ends once', async () => {
    const { clock, penalty, take } = start();
    penalty.impose(60_000);
    expect(take()).toEqual([`source.throttled 08:01:00 {"throttledUntilMs":${UNTIL}}`, 'on']);
    await clock.advance(59_999);
    expect(penalty.leftMs()).toBe(1);
    expect(take()).toEqual([]);
    await clock.advance(1);
    expect(take()).toEqual(['source.unthrottled {"throttledUntilMs":null}', 'off']);
    expect(clock.timers).toBe(0);
  });

  test('becomes longer and never shorter', async () => {
    const { clock, penalty, take } = start();
    penalty.impose(60_000);
    penalty.impose(30_000);
    expect(take()).toHaveLength(2);
    penalty.impose(120_000);
    expect(take()).toEqual([`source.throttled 08:02:00 {"throttledUntilMs":${UNTIL + 60_000}}`]);
    await clock.advance(120_000);
    expect(take()).toHaveLength(2);
  });

  test('lasts as long as is believed at most, and not at all for a time that is over', async () => {
    const { penalty, take } = start(new VirtualClock(), 1_000);
    penalty.impose(86_400_000);
    expect(penalty.leftMs()).toBe(1_000);
    take();
    const { penalty: none, clock, take: said } = start();
    none.impose(-5);
    await clock.advance(0);
    expect(none.leftMs()).toBe(0);
    expect(said().at(-1)).toBe('off');
  });

  test('goes on in the next life, to the same end whatever was lost between', async () => {
    const first = start();
    first.penalty.impose(60_000);
    await first.clock.advance(20_000);
    first.penalty.stop();
    const second = start(first.clock);
    expect(second.penalty.remembered(first.memory)).toBe(40_000);
    second.penalty.resume(first.memory);
    expect(second.take()[0]).toBe(`source.throttled 08:01:00 {"throttledUntilMs":${UNTIL}}`);
    await first.clock.advance(40_000);
    expect(second.take()).toEqual(['source.unthrottled {"throttledUntilMs":null}', 'off']);
    expect(first.take()).toHaveLength(2);
  });

  test('that ended in between is over, and said to be', async () => {
    const first = start();
    first.penalty.impose(60_000);
    first.penalty.stop();
    await first.clock.advance(61_000);
    const second = start(first.clock);
    expect(second.penalty.remembered(first.memory)).toBe(0);
    second.penalty.resume(first.memory);
    expect(second.take()).toEqual(['source.unthrottled {"throttledUntilMs":null}']);
    expect(second.penalty.leftMs()).toBe(0);
  });

  test('of which nothing usable is remembered is none', () => {
    const { penalty, take } = start();
    penalty.resume(undefined);
    penalty.resume(new Map([['throttledUntilMs', null]]));
    penalty.resume(new Map([['throttledUntilMs', 'soon']]));
    expect(take()).toEqual([]);
  });
});
