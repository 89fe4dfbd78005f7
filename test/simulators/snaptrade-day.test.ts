import { afterEach, describe, expect, test } from 'vitest';
import { SessionRelayError } from '../../src/errors.js';
import { playScenario } from '../../src/simulators/faults.js';
import { snaptradeDay } from '../../src/simulators/scenarios/day-snaptrade.js';
import { skippingMissing } from '../../src/simulators/snaptrade/targets.js';
import { until, VirtualClock } from '../support/virtual-clock.js';
import { ask, CLIENT_ID, type Hook, harness, list, plainSignature, sourceOf, stateOf } from './snaptrade-client.js';

const { start, receive, closeAll } = harness();
afterEach(closeAll);

const times = snaptradeDay.steps.map(({ atMs }) => atMs);
const roundMs = snaptradeDay.repeatMs ?? 0;

async function live() {
  const clock = new VirtualClock();
  const heard = await receive();
  const simulator = await start({ clock, webhookUrl: heard.url });
  const playing = playScenario(simulator, snaptradeDay, clock);
  return { clock, heard, simulator, playing };
}

describe("SnapTrade's day", () => {
  test('begins within 20 s, goes on in order, and leaves the last incident time before it starts again', () => {
    expect(times[0]).toBeLessThanOrEqual(20_000);
    expect(times).toEqual([...times].sort((one, other) => one - other));
    expect(roundMs).toBeGreaterThan((times.at(-1) ?? 0) + 30_000);
  });

  test('has every incident that a relay must show', () => {
    expect(new Set(snaptradeDay.steps.map(({ fault }) => fault))).toEqual(
      new Set([
        ...['break_connection', 'fix_connection', 'disable_connection', 'add_connection', 'delete_connection'],
        ...['session_event', 'brokerage_degraded', 'brokerage_maintenance', 'partial_list', 'too_many_requests'],
        ...['duplicate_webhook', 'late_webhook', 'bad_webhook', 'webhook', 'unknown_value', 'http_down', 'silence'],
      ]),
    );
  });

  test('shows a connection broken and fixed by webhook, by poll alone, and by poll before the webhook', async () => {
    const { clock, heard, simulator } = await live();
    const disabled = () => stateOf(simulator).connections.disabled;
    const at = async (ms: number) => {
      await clock.advance(ms - (clock.now() - Date.UTC(2026, 10, 23, 8)));
      return [disabled(), stateOf(simulator).webhooks.sent + stateOf(simulator).webhooks.waiting];
    };
    expect(await at(9_999)).toEqual([0, 0]);
    expect(await at(10_000)).toEqual([1, 1]);
    expect(await at(28_000)).toEqual([0, 2]);
    expect(await at(45_000)).toEqual([1, 2]);
    expect(await at(65_000)).toEqual([0, 2]);
    expect(await at(85_000)).toEqual([1, 2]);
    expect(await at(97_000)).toEqual([1, 3]);
    expect(await at(110_000)).toEqual([0, 3]);
    expect(await at(122_000)).toEqual([0, 4]);
    expect(await at(130_000)).toEqual([0, 5]);
    const hooks = await heard.wait(5);
    expect(hooks.map(({ payload }) => payload.eventType)).toEqual([
      'CONNECTION_BROKEN',
      'CONNECTION_FIXED',
      'CONNECTION_BROKEN',
      'CONNECTION_FIXED',
      'CONNECTION_FIXED',
    ]);
    expect(hooks[4]).toEqual(hooks[3]);
  });

  test('leaves time to poll between a change without a webhook and the next', () => {
    for (const [index, { atMs, fault, params }] of snaptradeDay.steps.entries()) {
      if (fault !== 'disable_connection' && params?.webhook !== false) continue;
      const next = snaptradeDay.steps.slice(index + 1).find((step) => /break|fix|disable/.test(step.fault));
      expect((next?.atMs ?? roundMs) - atMs).toBeGreaterThan(3 * 5_000);
    }
  });

  test('undoes what would last: after two rounds the connections are those of the start, and everything is answered', async () => {
    const { clock, heard, simulator, playing } = await live();
    const before = stateOf(simulator).connections;
    const conditions = stateOf(simulator).conditions;
    await clock.advance(2 * roundMs - 1);
    playing.stop();
    expect(stateOf(simulator).connections).toEqual(before);
    expect(stateOf(simulator).conditions).toEqual(conditions);
    const { users } = sourceOf(simulator);
    for (const user of users) expect(await list(simulator, { user, nowMs: clock.now() })).toHaveLength(2);
    const events = await ask(simulator, '/sessionEvents', {
      user: null,
      nowMs: clock.now(),
      more: { PartnerClientId: CLIENT_ID },
    });
    expect(events.body).toHaveLength(8);
    await until(() => stateOf(simulator).webhooks.waiting === 0, 'the webhooks');
    await heard.wait(20);
    const isGenuine = ({ signature, payload }: Hook) => signature === plainSignature(payload);
    expect(heard.hooks.filter((hook) => !isGenuine(hook))).toHaveLength(2);
  });

  test('goes on without what a relay has removed, and without customers that there are not', async () => {
    const clock = new VirtualClock();
    const simulator = await start({ clock, users: 1, connections: 1 });
    const playing = playScenario(skippingMissing(simulator), snaptradeDay, clock);
    await clock.advance(10_000);
    expect(stateOf(simulator).connections).toMatchObject({ total: 1, disabled: 1 });
    simulator.fault('delete_connection');
    await clock.advance(2 * roundMs);
    playing.stop();
    expect(stateOf(simulator).connections.total).toBe(0);
  });

  test('does not go on past a step that is wrong', () => {
    const scripted = skippingMissing({
      fault() {
        throw new SessionRelayError('invalid_params', 'no fault tsunami');
      },
    });
    expect(() => scripted.fault('tsunami')).toThrow('tsunami');
  });
});
