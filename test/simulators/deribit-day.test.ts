import { afterEach, describe, expect, test } from 'vitest';
import { deribitDay } from '../../src/simulators/scenarios/day-deribit.js';
import { scenarioOf } from '../../src/simulators/scenarios/index.js';
import { VirtualClock } from '../support/virtual-clock.js';
import { harness, stateOf } from './deribit-client.js';

const { start, connect, closeAll } = harness();
afterEach(closeAll);

const times = deribitDay.steps.map(({ atMs }) => atMs);

describe("Deribit's day", () => {
  test('is what `day` plays, and there is no other of its name', () => {
    expect(scenarioOf('day', 'deribit')).toBe(deribitDay);
    expect(scenarioOf('quiet', 'deribit')).toBeUndefined();
    expect(() => scenarioOf('toString', 'deribit')).toThrow('there is no scenario toString');
  });

  test('begins within 10 s, goes on in order, and leaves the last incident time before it starts again', () => {
    expect(times[0]).toBeLessThanOrEqual(10_000);
    expect([...times].sort((one, other) => one - other)).toEqual(times);
    expect(deribitDay.repeatMs).toBeGreaterThan((times.at(-1) ?? 0) + 10_000);
  });

  test('has every incident that a relay must show', () => {
    const faults = new Set(deribitDay.steps.map(({ fault }) => fault));
    for (const fault of [
      'drop',
      'lock_index',
      'silence',
      'maintenance',
      'token_expiry',
      'access_log',
      'lock_account',
      'eviction',
    ]) {
      expect(faults).toContain(fault);
    }
  });

  test('undoes what would last: after a round nothing is locked', async () => {
    const clock = new VirtualClock();
    const simulator = await start({ clock, scenario: 'day' });
    await clock.advance((deribitDay.repeatMs ?? 0) - 1);
    expect(simulator.state()).toMatchObject({
      platform: { locked: 'false', locked_indices: [], maintenance: 'none' },
      accounts: [{ locks: [] }, { locks: [] }],
    });
  });

  test('plays two rounds alike', async () => {
    const clock = new VirtualClock();
    const simulator = await start({ clock, scenario: 'day' });
    for (let round = 0; round < 2; round++) {
      await clock.advance(6_000);
      expect(simulator.state()).toMatchObject({ platform: { locked: 'partial', locked_indices: ['btc_usd'] } });
      const client = await connect(simulator);
      await clock.advance(19_000);
      expect((await client.closed()).code).toBe(1006);
      expect(stateOf(simulator).ended.at(-1)).toMatchObject({ cause: 'fault' });
      await clock.advance((deribitDay.repeatMs ?? 0) - 25_000);
    }
  });
});
