import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { Simulator } from '../../src/simulators/simulator.js';
import { until, VirtualClock } from '../support/virtual-clock.js';
import { type DeribitClient, harness, logIn, stateOf } from './deribit-client.js';

const { start, connect, closeAll } = harness();
afterEach(closeAll);

const ENABLE = 'private/enable_cancel_on_disconnect';
const DISABLE = 'private/disable_cancel_on_disconnect';
const GET = 'private/get_cancel_on_disconnect';

const placed = z.object({ order: z.object({ order_id: z.string() }), trades: z.array(z.never()) });

async function order(client: DeribitClient, instrument = 'BTC-PERPETUAL'): Promise<string> {
  const result = await client.result('private/buy', {
    instrument_name: instrument,
    amount: 10,
    price: 90_000,
    type: 'limit',
  });
  return placed.parse(result).order.order_id;
}

/** A client that logged in, and another of the same account that watches. */
async function pair(simulator: Simulator) {
  const client = await connect(simulator);
  const watcher = await connect(simulator);
  await logIn(client, simulator, 'session:bot');
  await logIn(watcher, simulator, 'session:watch');
  return { client, watcher };
}

async function endOf(simulator: Simulator, connection: number) {
  return until(() => stateOf(simulator).ended.find((one) => one.connection === connection), `the end of ${connection}`);
}

describe('cancel-on-disconnect', () => {
  test('is read back as it was set, by scope, and is off at first', async () => {
    const simulator = await start();
    const { client } = await pair(simulator);
    expect(await client.result(GET)).toEqual({ scope: 'connection', enabled: false });
    expect(await client.result(GET, { scope: 'account' })).toEqual({ scope: 'account', enabled: false });
    expect(await client.result(ENABLE)).toBe('ok');
    expect(await client.result(GET)).toEqual({ scope: 'connection', enabled: true });
    expect(await client.result(GET, { scope: 'account' })).toEqual({ scope: 'account', enabled: false });
    expect(await client.result(DISABLE)).toBe('ok');
    expect(await client.result(GET)).toEqual({ scope: 'connection', enabled: false });
    expect((await client.call(GET, { scope: 'desk' })).error).toMatchObject({ code: -32602, data: { param: 'scope' } });
  });

  test('cancels what its own connection placed when that closes, and nothing else', async () => {
    const simulator = await start();
    const { client, watcher } = await pair(simulator);
    await client.result(ENABLE);
    await watcher.result('private/subscribe', {
      channels: ['user.orders.any.any.raw', 'user.changes.BTC-PERPETUAL.raw'],
    });
    const [mine, also, others] = [await order(client), await order(client, 'ETH-PERPETUAL'), await order(watcher)];
    client.socket.close(1000);
    await client.closed();
    expect(await endOf(simulator, 1)).toEqual({ connection: 1, cause: 'client_close', cancelledOrders: [mine, also] });
    await watcher.fence();
    expect(await watcher.result('private/get_open_orders')).toMatchObject([{ order_id: others }]);
    const cancelled = { order_state: 'cancelled', cancel_reason: 'cancel_on_disconnect' };
    expect(watcher.heard('user.orders.any.any.raw').slice(-2)).toMatchObject([
      { order_id: mine, ...cancelled },
      { order_id: also, ...cancelled },
    ]);
    expect(watcher.heard('user.changes.BTC-PERPETUAL.raw').at(-1)).toMatchObject({
      instrument_name: 'BTC-PERPETUAL',
      orders: [{ order_id: mine, ...cancelled }],
      trades: [],
      positions: [],
    });
  });

  test('cancels when the connection is lost, too', async () => {
    const simulator = await start();
    const { client } = await pair(simulator);
    await client.result(ENABLE);
    const mine = await order(client);
    client.socket.terminate();
    expect(await endOf(simulator, 1)).toEqual({ connection: 1, cause: 'client_gone', cancelledOrders: [mine] });
  });

  test('cancels when the heartbeat goes unanswered', async () => {
    const clock = new VirtualClock();
    const simulator = await start({ clock });
    const { client } = await pair(simulator);
    await client.result(ENABLE);
    await client.result('public/set_heartbeat', { interval: 10 });
    const mine = await order(client);
    await clock.advance(22_600);
    expect((await client.closed()).code).toBe(4000);
    expect(await endOf(simulator, 1)).toEqual({ connection: 1, cause: 'heartbeat', cancelledOrders: [mine] });
  });

  test('cancels nothing after private/logout', async () => {
    const simulator = await start();
    const { client, watcher } = await pair(simulator);
    await client.result(ENABLE);
    const mine = await order(client);
    client.send({ jsonrpc: '2.0', id: 1, method: 'private/logout' });
    await client.closed();
    expect(await endOf(simulator, 1)).toEqual({ connection: 1, cause: 'logout', cancelledOrders: [] });
    expect(await watcher.result('private/get_open_orders')).toMatchObject([{ order_id: mine }]);
  });

  test('cancels nothing where it is off', async () => {
    const simulator = await start();
    const { client } = await pair(simulator);
    await order(client);
    client.socket.close();
    expect(await endOf(simulator, 1)).toMatchObject({ cancelledOrders: [] });
  });

  test('in account scope covers the connection itself and those that are opened later, not those that are open', async () => {
    const simulator = await start();
    const { client, watcher } = await pair(simulator);
    await client.result(ENABLE, { scope: 'account' });
    expect(await client.result(GET)).toEqual({ scope: 'connection', enabled: true });
    expect(await watcher.result(GET)).toEqual({ scope: 'connection', enabled: false });
    expect(await watcher.result(GET, { scope: 'account' })).toEqual({ scope: 'account', enabled: true });
    const later = await connect(simulator);
    await logIn(later, simulator);
    expect(await later.result(GET)).toEqual({ scope: 'connection', enabled: true });
    const mine = await order(later);
    later.socket.close();
    expect(await endOf(simulator, 3)).toMatchObject({ cancelledOrders: [mine] });
  });

  test('in account scope is switched off for the connection and for later ones', async () => {
    const simulator = await start();
    const { client } = await pair(simulator);
    await client.result(ENABLE, { scope: 'account' });
    await client.result(DISABLE, { scope: 'account' });
    expect(await client.result(GET)).toEqual({ scope: 'connection', enabled: false });
    const later = await connect(simulator);
    await logIn(later, simulator);
    expect(await later.result(GET)).toEqual({ scope: 'connection', enabled: false });
  });

  test('in connection scope stays switched off when the connection logs in again', async () => {
    const simulator = await start();
    const { client } = await pair(simulator);
    await client.result(ENABLE, { scope: 'account' });
    await client.result(DISABLE);
    await logIn(client, simulator, 'session:bot');
    expect(await client.result(GET)).toEqual({ scope: 'connection', enabled: false });
  });
});

describe('orders', () => {
  test('rest until they are cancelled, one by one or all at once', async () => {
    const simulator = await start();
    const { client, watcher } = await pair(simulator);
    const [one, two, three] = [await order(client), await order(client), await order(watcher)];
    expect(await client.result('private/cancel', { order_id: one })).toMatchObject({
      order_id: one,
      order_state: 'cancelled',
      cancel_reason: 'user_request',
    });
    expect((await client.call('private/cancel', { order_id: one })).error).toMatchObject({ code: 10004 });
    expect(await client.result('private/get_open_orders')).toMatchObject([{ order_id: two }, { order_id: three }]);
    expect(await client.result('private/cancel_all')).toBe(2);
    expect(await client.result('private/get_open_orders')).toEqual([]);
    expect(await client.result('private/get_order_state', { order_id: two })).toMatchObject({
      order_state: 'cancelled',
    });
  });

  test('are told on the channels that want them, one by one or as a list', async () => {
    const simulator = await start();
    const { client, watcher } = await pair(simulator);
    const channels = ['user.orders.ETH-PERPETUAL.raw', 'user.orders.future.BTC.100ms', 'user.orders.any.USDC.raw'];
    expect(await watcher.result('private/subscribe', { channels })).toHaveLength(3);
    const mine = await order(client);
    await watcher.fence();
    expect(watcher.heard('user.orders.future.BTC.100ms')).toMatchObject([[{ order_id: mine, order_state: 'open' }]]);
    expect(watcher.heard('user.orders.ETH-PERPETUAL.raw')).toEqual([]);
    expect(watcher.heard('user.orders.any.USDC.raw')).toEqual([]);
  });

  test('that cannot be are refused with the code that says why', async () => {
    const simulator = await start();
    const { client } = await pair(simulator);
    const buy = async (params: { readonly [name: string]: string | number }) =>
      (await client.call('private/buy', { instrument_name: 'BTC-PERPETUAL', amount: 10, price: 1, ...params })).error;
    expect(await buy({ instrument_name: 'TULIP-PERPETUAL' })).toMatchObject({ code: 13020 });
    expect(await buy({ amount: 15 })).toMatchObject({ code: -32602, data: { param: 'amount' } });
    expect(await buy({ type: 'market' })).toMatchObject({ code: -32602, data: { param: 'type' } });
    simulator.fault('lock_index', { index: 'btc_usd' });
    expect(await buy({})).toMatchObject({ code: 10019 });
    simulator.fault('unlock_index');
    simulator.fault('lock_account', { currency: 'BTC' });
    expect(await buy({})).toMatchObject({ code: 11098, message: 'account_locked' });
    expect(await buy({ instrument_name: 'ETH-PERPETUAL' })).toBeUndefined();
  });
});
