import { once } from 'node:events';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { createHeartbeat } from '../../src/simulators/deribit/heartbeat.js';
import { VirtualClock } from '../support/virtual-clock.js';
import { harness, stateOf } from './deribit-client.js';

const { start, connect, closeAll } = harness();
afterEach(closeAll);

async function live(seed = 1) {
  const clock = new VirtualClock();
  const simulator = await start({ clock, seed });
  const client = await connect(simulator);
  await client.result('public/set_heartbeat', { interval: 10 });
  return { clock, simulator, client };
}

/** Whatever is drawn, the extremes included. */
const draw = fc.oneof(
  fc.constantFrom(0, 1 - Number.EPSILON),
  fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
);

test('at any interval and whatever is drawn, a test_request comes when the recording says', async () => {
  const draws = fc.array(draw, { minLength: 5, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 10, max: 3_600 }), draws, async (interval, drawn) => {
      const clock = new VirtualClock();
      const at: number[] = [];
      const left = [...drawn];
      const heartbeat = createHeartbeat({
        clock,
        random: () => left.shift() ?? 0,
        silenced: () => false,
        request() {
          at.push(clock.monotonic());
          heartbeat.answered();
        },
        unanswered: () => expect.unreachable(),
      });
      heartbeat.set(interval);
      await clock.advance(5 * (interval * 1_000 + 700));
      heartbeat.stop();
      expect(clock.timers).toBe(0);
      expect(at.length).toBeGreaterThanOrEqual(4);
      at.forEach((time, index) => {
        const [least, most] = index === 0 ? [2_000, 2_600] : [600, 700];
        const overtime = time - (at[index - 1] ?? 0) - interval * 1_000;
        expect(overtime).toBeGreaterThanOrEqual(least - 0.001);
        expect(overtime).toBeLessThanOrEqual(most + 0.001);
      });
    }),
    { numRuns: 40 },
  );
});

describe('the heartbeat', () => {
  test('asks first 12.0 to 12.6 s after it was set, with a heartbeat frame beside it on an idle socket', async () => {
    const { clock, client } = await live();
    await clock.advance(12_000);
    await client.fence();
    expect(client.heartbeats()).toEqual([]);
    await clock.advance(600);
    await client.fence();
    expect(client.heartbeats()).toEqual(['test_request', 'heartbeat']);
    expect(client.texts).toContain('{"params":{"type":"test_request"},"method":"heartbeat","jsonrpc":"2.0"}');
    expect(client.texts).toContain('{"params":{"type":"heartbeat"},"method":"heartbeat","jsonrpc":"2.0"}');
  });

  test('asks again every 10.6 to 10.7 s, for as long as it is answered', async () => {
    const { clock, client } = await live();
    await clock.advance(12_600);
    await client.result('public/test');
    for (let turn = 1; turn <= 5; turn++) {
      const before = client.heartbeats().length;
      // From the latest possible moment of the last one to the earliest of the next, then to its latest.
      await clock.advance(10_000 - 100 * (turn - 1));
      await client.fence();
      expect(client.heartbeats()).toHaveLength(before);
      await clock.advance(700 + 100 * (turn - 1));
      await client.result('public/test');
      expect(client.heartbeats()).toHaveLength(before + 2);
    }
  });

  test('closes with 4000 one interval after a test_request that nobody answered', async () => {
    const { clock, simulator, client } = await live();
    await clock.advance(12_600);
    await client.fence();
    await clock.advance(9_399);
    await client.fence();
    expect(client.ended).toBeUndefined();
    await clock.advance(601);
    expect(await client.closed()).toEqual({ code: 4000, reason: 'heartbeat close' });
    expect(stateOf(simulator).ended).toEqual([{ connection: 1, cause: 'heartbeat', cancelledOrders: [] }]);
  });

  test('is not answered by any request but public/test', async () => {
    const { clock, client } = await live();
    await clock.advance(12_600);
    await client.result('public/get_time');
    await clock.advance(10_000);
    expect((await client.closed()).code).toBe(4000);
  });

  test('has no heartbeat frame beside the request on a busy socket', async () => {
    const { clock, client } = await live();
    await client.result('public/subscribe', { channels: ['deribit_price_index.btc_usd'] });
    for (let second = 0; second < 40; second++) {
      await clock.advance(1_000);
      await client.result('public/test');
    }
    expect(new Set(client.heartbeats())).toEqual(new Set(['test_request']));
    expect(client.heartbeats().length).toBeGreaterThanOrEqual(3);
    expect(client.heard('deribit_price_index.btc_usd').length).toBeGreaterThanOrEqual(39);
  });

  test('below 10 s is an invalid parameter, and so is none', async () => {
    const { client } = await live();
    expect((await client.call('public/set_heartbeat', { interval: 9.9 })).error).toEqual({
      code: -32602,
      message: 'Invalid params',
      data: { reason: 'must be at least 10', param: 'interval' },
    });
    expect((await client.call('public/set_heartbeat', {})).error).toMatchObject({
      code: -32602,
      data: { param: 'interval' },
    });
  });

  test('scales with its interval, and setting it again begins anew', async () => {
    const { clock, client } = await live();
    await clock.advance(11_000);
    await client.result('public/set_heartbeat', { interval: 30 });
    await clock.advance(31_999);
    await client.fence();
    expect(client.heartbeats()).toEqual([]);
    await clock.advance(601);
    await client.fence();
    expect(client.heartbeats()).toContain('test_request');
    await clock.advance(29_300);
    await client.fence();
    expect(client.ended).toBeUndefined();
    await clock.advance(700);
    expect((await client.closed()).code).toBe(4000);
  });

  test('stops when it is disabled, also with a request unanswered', async () => {
    const { clock, client } = await live();
    await clock.advance(12_600);
    await client.fence();
    expect(await client.result('public/disable_heartbeat')).toBe('ok');
    const before = client.heartbeats().length;
    await clock.advance(50_000);
    await client.fence();
    expect(client.heartbeats()).toHaveLength(before);
    expect(client.ended).toBeUndefined();
  });

  test('belongs to its connection: the next one has none', async () => {
    const { clock, simulator } = await live();
    const other = await connect(simulator);
    await other.result('public/subscribe', { channels: ['announcements'] });
    await clock.advance(60_000);
    await other.fence();
    expect(other.heartbeats()).toEqual([]);
  });
});

describe('an idle socket', () => {
  test('without heartbeat and subscription ends after 60.5 s, without a close frame', async () => {
    const clock = new VirtualClock();
    const simulator = await start({ clock });
    const client = await connect(simulator);
    await clock.advance(60_499);
    expect(client.ended).toBeUndefined();
    await clock.advance(1);
    expect(await client.closed()).toEqual({ code: 1006, reason: '' });
    expect(stateOf(simulator).ended).toMatchObject([{ cause: 'idle' }]);
  });

  test('is kept by a request, for as long again', async () => {
    const clock = new VirtualClock();
    const simulator = await start({ clock });
    const client = await connect(simulator);
    await clock.advance(60_000);
    await client.fence();
    await clock.advance(60_000);
    await client.fence();
    await clock.advance(60_500);
    expect((await client.closed()).code).toBe(1006);
  });

  test('is kept by one quiet subscription, and ends after it was given up', async () => {
    const clock = new VirtualClock();
    const simulator = await start({ clock });
    const client = await connect(simulator);
    await client.result('public/subscribe', { channels: ['announcements'] });
    await clock.advance(122_000);
    await client.result('public/unsubscribe', { channels: ['announcements'] });
    await clock.advance(60_500);
    expect((await client.closed()).code).toBe(1006);
  });
});

test('a WebSocket ping is answered with its own data', async () => {
  const simulator = await start();
  const client = await connect(simulator);
  const pong = once(client.socket, 'pong');
  client.socket.ping('there?');
  expect(String((await pong)[0])).toBe('there?');
});

test('nothing of a simulator that was closed is left on its clock', async () => {
  const clock = new VirtualClock();
  const simulator = await start({ clock, scenario: 'day' });
  const client = await connect(simulator);
  await client.result('public/set_heartbeat', { interval: 10 });
  await client.result('public/subscribe', { channels: ['deribit_price_index.btc_usd'] });
  simulator.fault('silence', { forMs: 5_000 });
  simulator.fault('maintenance');
  expect(clock.timers).toBeGreaterThan(5);
  await simulator.close();
  await client.closed();
  expect(clock.timers).toBe(0);
});
