import { afterEach, describe, expect, test } from 'vitest';
import { tradernetDay } from '../../src/simulators/scenarios/day-tradernet.js';
import { scenarioOf } from '../../src/simulators/scenarios/index.js';
import { VirtualClock } from '../support/virtual-clock.js';
import { harness, refusedUpgrade, sessionIds, sidOf, stateOf } from './tradernet-client.js';

const { start, connect, closeAll } = harness();
afterEach(closeAll);

const times = tradernetDay.steps.map(({ atMs }) => atMs);
const roundMs = tradernetDay.repeatMs ?? 0;
/** After one of these the relay has to log in anew. */
const LOSES_LOGIN: ReadonlySet<string> = new Set(['token_expiry', 'eviction', 'demo_user_data']);
/** The relay logs in anew by itself so often within so long, and spreads its repeats by up to a minute. */
const RELOGINS = 3;
const WINDOW_MS = 900_000;
const SPREAD_MS = 60_000;

describe("Tradernet's day", () => {
  test('is what `day` plays', () => {
    expect(scenarioOf('day', 'tradernet')).toBe(tradernetDay);
    expect(scenarioOf('quiet', 'tradernet')).toBeUndefined();
  });

  test('begins within 12 s, goes on in order, and leaves the last incident time before it starts again', () => {
    expect(times[0]).toBeLessThanOrEqual(12_000);
    expect(times).toEqual([...times].sort((one, other) => one - other));
    expect(roundMs).toBeGreaterThan((times.at(-1) ?? 0) + 60_000);
  });

  test('has every incident that a relay must show', () => {
    expect(new Set(tradernetDay.steps.map(({ fault }) => fault))).toEqual(
      new Set([
        ...['open_session', 'extend_session', 'close_session', 'drop', 'token_expiry', 'missing_row'],
        ...['too_many_requests', 'maintenance', 'unknown_value', 'http_down', 'demo_user_data', 'refuse_upgrade'],
      ]),
    );
  });

  test('never loses a login more often than a relay repeats one by itself, however many rounds it plays', () => {
    const lost = [0, 1, 2, 3].flatMap((round) =>
      tradernetDay.steps.filter(({ fault }) => LOSES_LOGIN.has(fault)).map(({ atMs }) => atMs + round * roundMs),
    );
    expect(lost.length).toBeGreaterThan(RELOGINS);
    for (const [index, at] of lost.entries()) {
      const later = lost[index + RELOGINS] ?? Number.POSITIVE_INFINITY;
      expect(later - at).toBeGreaterThan(WINDOW_MS + SPREAD_MS);
    }
  });

  test('undoes what would last: after two rounds the sessions are those of the start, and nothing is refused', async () => {
    const clock = new VirtualClock();
    const simulator = await start({ clock, scenario: 'day' });
    const before = sessionIds(simulator);
    await clock.advance(2 * roundMs - 1);
    expect(sessionIds(simulator)).toEqual(before);
    // Nobody came to be refused.
    expect((await refusedUpgrade(simulator.url)).status).toBe(429);
    const socket = await connect(simulator, `?SID=${await sidOf(simulator)}`);
    expect(await socket.wait('userData')).toMatchObject({ mode: 'prod' });
  });

  test('plays two rounds alike', async () => {
    const clock = new VirtualClock();
    const simulator = await start({ clock, scenario: 'day' });
    for (let round = 0; round < 2; round++) {
      const client = await connect(simulator, `?SID=${await sidOf(simulator)}`);
      client.send(['sessions']);
      await client.wait('sessions');
      await clock.advance(8_000);
      await client.wait('sessions', 2);
      await clock.advance(14_000);
      await client.wait('sessions', 3);
      await clock.advance(43_000);
      expect((await client.closed()).code).toBe(1006);
      expect(client.lists().map(({ length }) => length)).toEqual([2, 3, 3, 4]);
      await clock.advance(roundMs - 65_000);
      expect(stateOf(simulator).connections).toEqual([]);
      expect((await refusedUpgrade(simulator.url)).status).toBe(429);
    }
  });
});
