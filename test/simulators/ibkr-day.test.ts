import { afterEach, describe, expect, test } from 'vitest';
import { playScenario } from '../../src/simulators/faults.js';
import { ibkrDay } from '../../src/simulators/scenarios/day-ibkr.js';
import { VirtualClock } from '../support/virtual-clock.js';
import { flags, harness, stateOf } from './ibkr-client.js';

const { start, api, connect, closeAll } = harness();
afterEach(closeAll);

const times = ibkrDay.steps.map(({ atMs }) => atMs);
const roundMs = ibkrDay.repeatMs ?? 0;
const TICKLE_MS = 10_000;

describe("IBKR's day", () => {
  test('begins within 20 s, goes on in order, and leaves the last incident time before it starts again', () => {
    expect(times[0]).toBeLessThanOrEqual(20_000);
    expect(times).toEqual([...times].sort((one, other) => one - other));
    expect(roundMs).toBeGreaterThan((times.at(-1) ?? 0) + 60_000);
  });

  test('has every incident that a relay must show', () => {
    expect(new Set(ibkrDay.steps.map(({ fault }) => fault))).toEqual(
      new Set([
        ...['competing', 'bridge_drift', 'tickle_failure', 'ws_only_down', 'notice', 'established_lag'],
        ...['nightly_reset', 'maintenance', 'session_expiry'],
      ]),
    );
  });

  test('has faults and parameters that the simulator takes, two rounds long, and undoes what would last', async () => {
    const clock = new VirtualClock();
    const simulator = await start({ clock });
    playScenario(simulator, ibkrDay, clock);
    await clock.advance(2 * roundMs - 1);
    expect(stateOf(simulator)).toMatchObject({ sso: { valid: true }, brokerage: { heldByOther: false } });
    const gateway = api(simulator);
    expect((await gateway.init(false)).body).toMatchObject({ passed: true });
    // Whoever tickled meanwhile would have spent the failing one of each round.
    simulator.fault('tickle_failure', { count: 0 });
    expect((await gateway.tickle()).body).toMatchObject({ iserver: { authStatus: flags() } });
  });

  test('contests the session and gives it back, then drifts, for a client that tickles and opens', async () => {
    const clock = new VirtualClock();
    const simulator = await start({ clock });
    playScenario(simulator, ibkrDay, clock);
    const gateway = api(simulator);
    const client = await connect(simulator, `api=${await gateway.session()}`);
    const seen: unknown[] = [];
    for (let at = TICKLE_MS; at <= 150_000; at += TICKLE_MS) {
      await clock.advance(TICKLE_MS);
      const { body } = await gateway.status();
      const { authenticated, competing, fail } = { ...flags(), fail: '', ...Object(body) };
      const told = authenticated ? 'ready' : competing ? 'competing' : fail === '' ? 'idle' : fail;
      if (seen.at(-1) !== told) seen.push(told);
      if (told === 'idle' || told === 'no bridge') await gateway.init(false);
    }
    expect(seen).toEqual(['ready', 'competing', 'idle', 'ready', 'no bridge', 'ready']);
    await client.wait('sts', 6);
    expect(client.statuses().slice(1)).toMatchObject([
      ...[{ competing: true }, { authenticated: false }, { competing: false }, { authenticated: true }, flags()],
    ]);
  });
});
