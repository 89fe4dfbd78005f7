import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { harness, logIn, stateOf } from './deribit-client.js';

const { start, connect, closeAll } = harness();
afterEach(closeAll);

const names = z.array(z.string());
const indexFrame = z.strictObject({ locked: z.boolean(), price_index: z.string(), reasons: z.array(z.string()) });

describe('subscribe', () => {
  test('leaves out what there is not, without an error', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    expect(await client.result('public/subscribe', { channels: ['no.such.channel'] })).toEqual([]);
    expect(
      await client.result('public/subscribe', { channels: ['announcements', 'deribit_price_index.tulip_usd'] }),
    ).toEqual(['announcements']);
  });

  test('confirms in an order of its own', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    const channels = [
      'platform_state',
      'platform_state.public_methods_state',
      'announcements',
      'deribit_price_index.btc_usd',
    ];
    const orders = new Set<string>();
    for (let turn = 0; turn < 8; turn++) {
      const confirmed = names.parse(await client.result('public/subscribe', { channels }));
      expect(new Set(confirmed)).toEqual(new Set(channels));
      orders.add(confirmed.join());
    }
    expect(orders.size).toBeGreaterThan(1);
  });

  test('to platform_state is followed by one frame an index, and a second time by none', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    simulator.fault('lock_index', { index: 'eth_usd', reasons: ['price_deviation'] });
    expect(await client.result('public/subscribe', { channels: ['platform_state'] })).toEqual(['platform_state']);
    await client.fence();
    const frames = client.heard('platform_state').map((data) => indexFrame.parse(data));
    expect(frames.length).toBeGreaterThan(30);
    expect(new Set(frames.map(({ price_index: index }) => index)).size).toBe(frames.length);
    expect(frames.filter(({ locked }) => locked)).toEqual([
      { locked: true, price_index: 'eth_usd', reasons: ['price_deviation'] },
    ]);
    expect(await client.result('public/subscribe', { channels: ['platform_state'] })).toEqual(['platform_state']);
    await client.fence();
    expect(client.heard('platform_state')).toHaveLength(frames.length);
  });

  test('to platform_state is confirmed before its first frame, which has the recorded shape', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    await client.result('public/subscribe', { channels: ['platform_state'] });
    await client.fence();
    expect(client.frames[0]?.result).toEqual(['platform_state']);
    expect(client.texts[1]).toMatch(
      /^\{"jsonrpc":"2\.0","method":"subscription","params":\{"channel":"platform_state","data":\{"locked":false,"price_index":"\w+","reasons":\[\]\}\}\}$/,
    );
  });

  test('to public_methods_state says what it is now', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    await client.result('public/subscribe', { channels: ['platform_state.public_methods_state'] });
    await client.fence();
    expect(client.heard('platform_state.public_methods_state')).toEqual([
      { allow_unauthenticated_public_requests: true },
    ]);
  });

  test('to a raw feed without a login is 13778', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    expect((await client.call('public/subscribe', { channels: ['book.BTC-PERPETUAL.raw'] })).error).toEqual({
      code: 13778,
      message: 'raw_subscriptions_not_available_for_unauthorized',
    });
  });

  test('to more than 500 channels, or to none, is an invalid parameter', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    const many = Array.from({ length: 501 }, (_, index) => `c${index}`);
    for (const channels of [many, [], 'announcements']) {
      expect((await client.call('public/subscribe', { channels })).error).toMatchObject({
        code: -32602,
        data: { param: 'channels' },
      });
    }
  });
});

describe('private channels', () => {
  test('without a login are 13009', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    expect((await client.call('private/subscribe', { channels: ['user.lock'] })).error).toMatchObject({
      code: 13009,
      message: 'unauthorized',
      data: { reason: 'invalid_token' },
    });
  });

  test('are left out of public/subscribe, and of what the scope does not cover', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    await logIn(client, simulator, 'trade:none');
    expect(await client.result('public/subscribe', { channels: ['user.lock'] })).toEqual([]);
    const channels = ['user.lock', 'user.orders.any.any.raw'];
    expect(await client.result('private/subscribe', { channels })).toEqual(['user.lock']);
  });

  test('carry the label that they were subscribed with, in every frame', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    await logIn(client, simulator);
    await client.result('private/subscribe', { channels: ['user.lock'], label: 'desk' });
    simulator.fault('lock_account');
    await client.fence();
    expect(client.frames.find(({ method }) => method === 'subscription')?.params).toMatchObject({ label: 'desk' });
    const tooLong = { channels: ['user.access_log'], label: 'seventeen letters' };
    expect((await client.call('private/subscribe', tooLong)).error).toMatchObject({
      code: -32602,
      data: { param: 'label' },
    });
  });

  test('are told to every connection of the account and to no other', async () => {
    const simulator = await start();
    const [one, two, stranger] = [await connect(simulator), await connect(simulator), await connect(simulator)];
    for (const client of [one, two]) {
      await logIn(client, simulator);
      await client.result('private/subscribe', { channels: ['user.access_log'] });
    }
    simulator.fault('access_log', { log: 'disabled_api_key', data: 'SIMULATOR' });
    for (const client of [one, two, stranger]) await client.fence();
    const told = { log: 'disabled_api_key', data: 'SIMULATOR', id: expect.any(Number), ip: expect.any(String) };
    expect(one.heard('user.access_log')).toMatchObject([told]);
    expect(two.heard('user.access_log')).toMatchObject([told]);
    expect(stranger.texts.some((text) => text.includes('subscription'))).toBe(false);
  });
});

describe('unsubscribe', () => {
  test('names what it ended, and ends it', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    await client.result('public/subscribe', { channels: ['platform_state', 'announcements'] });
    await client.fence();
    const before = client.heard('platform_state').length;
    expect(await client.result('public/unsubscribe', { channels: ['platform_state', 'never.was'] })).toEqual([
      'platform_state',
    ]);
    simulator.fault('lock_index');
    await client.fence();
    expect(client.heard('platform_state')).toHaveLength(before);
    expect(stateOf(simulator).connections[0]?.channels).toEqual(['announcements']);
  });

  test('all, public or private, ends the channels of that kind alone', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    await logIn(client, simulator);
    await client.result('private/subscribe', { channels: ['user.lock', 'announcements'] });
    expect(await client.result('public/unsubscribe_all')).toBe('ok');
    expect(stateOf(simulator).connections[0]?.channels).toEqual(['user.lock']);
    expect(await client.result('private/unsubscribe_all')).toBe('ok');
    expect(stateOf(simulator).connections[0]?.channels).toEqual([]);
  });
});

describe('what can be asked of the account', () => {
  test('its locks, in the shape of the vendor', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    await logIn(client, simulator);
    expect(await client.result('private/get_user_locks')).toEqual([]);
    simulator.fault('lock_account', { currency: 'BTC' });
    expect(await client.result('private/get_user_locks')).toEqual([
      { message: 'locked in one currency', locked: true, currency: 'BTC' },
    ]);
    simulator.fault('unlock_account', { currency: 'BTC' });
    expect(await client.result('private/get_user_locks')).toEqual([]);
  });

  test('its security log, newest first, with `result` where the channel says `log`', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    await logIn(client, simulator);
    simulator.fault('access_log', { log: 'failure', ip: '203.0.113.1' });
    expect(await client.result('private/get_access_log', { count: 1 })).toMatchObject({
      records_total: 2,
      data: [{ result: 'failure', ip: '203.0.113.1' }],
    });
    expect(await client.result('private/get_access_log', { offset: 1 })).toMatchObject({
      data: [{ result: 'success' }],
    });
  });
});
