import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { startDeribitSimulator } from '../../src/simulators/deribit.js';
import type { Simulator } from '../../src/simulators/simulator.js';
import { until, VirtualClock } from '../support/virtual-clock.js';
import { harness, logIn, loginOf, refusedUpgrade, stateOf } from './deribit-client.js';

const { start, connect, closeAll } = harness();
afterEach(closeAll);

describe('replies', () => {
  test('echo string and number ids as they came, and have none where there was none', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    client.send({ jsonrpc: '2.0', id: 'a-1', method: 'public/test' });
    client.send({ jsonrpc: '2.0', id: 7, method: 'public/test' });
    client.send({ jsonrpc: '2.0', method: 'public/test' });
    await client.fence();
    expect(client.frames.slice(0, 3).map(({ id, result }) => [id, result])).toEqual([
      ['a-1', { version: '1.2.26' }],
      [7, { version: '1.2.26' }],
      [undefined, { version: '1.2.26' }],
    ]);
  });

  test('say when they came in and went out, in whole µs of the venue, and that this is a test network', async () => {
    const clock = new VirtualClock();
    const simulator = await start({ clock });
    const client = await connect(simulator);
    const stamped = z.object({ usIn: z.int(), usOut: z.int(), usDiff: z.int(), testnet: z.literal(true) });
    const { usIn, usOut, usDiff } = stamped.parse(await client.call('public/test'));
    expect(Math.floor(usIn / 1_000)).toBe(clock.now());
    expect(usOut - usIn).toBe(usDiff);
    expect(usDiff).toBeGreaterThan(0);
    expect(await client.result('public/get_time')).toBe(clock.now());
  });

  test('to hello, test and status are those of the vendor', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    expect(await client.result('public/hello', { client_name: 'a', client_version: '1' })).toEqual({
      version: '1.2.26',
    });
    expect((await client.call('public/hello', {})).error).toMatchObject({
      code: -32602,
      data: { param: 'client_name' },
    });
    expect((await client.call('public/test', { expected_result: 'exception' })).error).toMatchObject({ code: 11094 });
    expect(await client.result('public/status')).toEqual({ locked: 'false', locked_indices: [] });
    simulator.fault('lock_index', { index: 'btc_usd' });
    expect(await client.result('public/status')).toEqual({ locked: 'partial', locked_indices: ['btc_usd'] });
    simulator.fault('lock_platform');
    expect(await client.result('public/status')).toMatchObject({ locked: 'true' });
  });
});

describe('errors', () => {
  test('an unknown method is -32601, with the id', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    for (const method of ['public/nothing', 'toString', '__proto__']) {
      expect((await client.call(method)).error).toEqual({ code: -32601, message: 'Method not found' });
    }
    expect(stateOf(simulator).requests.methods).toEqual({ unknown: 3 });
  });

  test('what is not JSON is 11050 without an id, and the socket stays open', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    client.send('not json');
    await client.fence();
    expect(client.texts[0]).toMatch(
      /^\{"jsonrpc":"2\.0","error":\{"code":11050,"data":"invalid json","message":"bad_request"\},"usIn":\d+,"usOut":\d+,"usDiff":\d+,"testnet":true\}$/,
    );
  });

  test('batches and frames that are no request are 11050, positional parameters are invalid', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    client.send([{ jsonrpc: '2.0', id: 1, method: 'public/test' }]);
    client.send({ jsonrpc: '2.0', id: 2 });
    client.send('null');
    client.send({ jsonrpc: '2.0', id: 3, method: 'public/test', params: [1] });
    await client.fence();
    expect(client.frames.slice(0, 4).map(({ id, error }) => [id, error?.code])).toEqual([
      [undefined, 11050],
      [2, 11050],
      [undefined, 11050],
      [3, -32602],
    ]);
  });

  test('public requests without a login are 11056 while they are switched off', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    await client.result('public/subscribe', { channels: ['platform_state.public_methods_state'] });
    simulator.fault('public_methods', { allowed: false });
    expect((await client.call('public/get_time')).error).toMatchObject({ code: 11056 });
    expect(client.heard('platform_state.public_methods_state').at(-1)).toEqual({
      allow_unauthenticated_public_requests: false,
    });
    await logIn(client, simulator);
    await client.fence();
  });
});

describe('limits', () => {
  test('the 33rd connection of an address is refused at the upgrade with 429, until one is free', async () => {
    const simulator = await start();
    const clients = [];
    for (let number = 1; number <= 32; number++) clients.push(await connect(simulator));
    expect(await refusedUpgrade(simulator.url)).toEqual({ status: 429, retryAfter: undefined });
    clients[0]?.socket.terminate();
    await until(() => stateOf(simulator).connections.length === 31, 'the end of the first');
    const late = await connect(simulator);
    await late.fence();
    expect(stateOf(simulator).refusedUpgrades).toEqual({ 429: 1 });
  });

  test('credits that are used up are 10028 and the end of the connection; they come back', async () => {
    const clock = new VirtualClock();
    const simulator = await start({ clock });
    const client = await connect(simulator);
    for (let number = 1; number <= 100; number++) client.send({ jsonrpc: '2.0', id: number, method: 'public/test' });
    client.send({ jsonrpc: '2.0', id: 101, method: 'public/test' });
    client.send({ jsonrpc: '2.0', id: 102, method: 'public/test' });
    expect((await client.closed()).code).toBe(1006);
    expect(client.frames.find(({ id }) => id === 100)?.result).toBeDefined();
    expect(client.frames.at(-1)).toMatchObject({ id: 101, error: { code: 10028, message: 'too_many_requests' } });
    const early = await connect(simulator);
    expect((await early.call('public/test')).error?.code).toBe(10028);
    await clock.advance(50);
    const late = await connect(simulator);
    await late.result('public/test');
  });

  test('subscriptions have a pool of their own', async () => {
    const simulator = await start({ clock: new VirtualClock() });
    const client = await connect(simulator);
    for (let number = 1; number <= 10; number++)
      await client.result('public/subscribe', { channels: ['announcements'] });
    expect((await client.call('public/subscribe', { channels: ['announcements'] })).error?.code).toBe(10028);
    await client.closed();
  });

  test('a login spends the credits of its account, whatever the connection', async () => {
    const simulator = await start({ clock: new VirtualClock() });
    const [one, other, stranger] = [await connect(simulator), await connect(simulator), await connect(simulator)];
    await logIn(one, simulator);
    await logIn(other, simulator);
    for (let number = 1; number <= 100; number++) await one.result('public/test');
    expect((await other.call('public/test')).error?.code).toBe(10028);
    await stranger.result('public/test');
  });
});

describe('over HTTP', () => {
  const at = (simulator: Simulator, path: string) =>
    `${simulator.url.replace('ws:', 'http:').replace('/ws/', '/')}/${path}`;
  const answer = z.looseObject({
    result: z.unknown().optional(),
    error: z.object({ code: z.number(), message: z.string() }).optional(),
  });
  async function get(simulator: Simulator, path: string, headers: Record<string, string> = {}) {
    const reply = await fetch(at(simulator, path), { headers });
    return { status: reply.status, ...answer.parse(await reply.json()) };
  }

  test.each([
    'public/set_heartbeat?interval=60',
    'public/disable_heartbeat',
    'private/enable_cancel_on_disconnect',
    'private/disable_cancel_on_disconnect',
    'private/logout',
    'private/subscribe?channels=["user.lock"]',
  ])('%s is 10030: it works on a WebSocket only', async (path) => {
    const simulator = await start();
    expect(await get(simulator, path)).toMatchObject({
      status: 400,
      error: { code: 10030, message: 'must_be_websocket_request' },
    });
  });

  test('public and private methods are answered, with Basic credentials and with a bearer token', async () => {
    const simulator = await start();
    const { client_id: id, client_secret: secret } = loginOf(simulator);
    expect(await get(simulator, 'public/test')).toMatchObject({ status: 200, result: { version: '1.2.26' } });
    const basic = { authorization: `Basic ${btoa(`${id}:${secret}`)}` };
    expect(await get(simulator, 'private/cancel_all', basic)).toMatchObject({ status: 200, result: 0 });
    expect(await get(simulator, 'private/get_cancel_on_disconnect?scope=account', basic)).toMatchObject({
      result: { scope: 'account', enabled: false },
    });
    expect(await get(simulator, 'private/get_cancel_on_disconnect', basic)).toMatchObject({ error: { code: 10030 } });
    const client = await connect(simulator);
    const { access_token: token } = await logIn(client, simulator, 'session:a');
    expect(await get(simulator, 'private/get_open_orders', { authorization: `Bearer ${token}` })).toMatchObject({
      status: 200,
      result: [],
    });
    const { access_token: bound } = await logIn(client, simulator);
    expect(await get(simulator, 'private/get_open_orders', { authorization: `Bearer ${bound}` })).toMatchObject({
      status: 401,
      error: { code: 13009 },
    });
  });

  test('wrong credentials are 13004, none 13009, an unknown method -32601', async () => {
    const simulator = await start();
    const wrong = { authorization: `Basic ${btoa('SIMULATOR:wrong')}` };
    expect(await get(simulator, 'private/cancel_all', wrong)).toMatchObject({ status: 401, error: { code: 13004 } });
    expect(await get(simulator, 'private/cancel_all')).toMatchObject({ status: 401, error: { code: 13009 } });
    expect(await get(simulator, 'public/nothing')).toMatchObject({ status: 400, error: { code: -32601 } });
  });

  test('a JSON-RPC request is taken as the body of a POST', async () => {
    const simulator = await start();
    const post = async (body: string) => {
      const reply = await fetch(at(simulator, ''), { method: 'POST', body });
      return { status: reply.status, ...answer.parse(await reply.json()) };
    };
    expect(await post('{"jsonrpc":"2.0","id":"x","method":"public/test"}')).toMatchObject({ status: 200, id: 'x' });
    expect(await post('nonsense')).toMatchObject({ status: 400, error: { code: 11050 } });
    expect(await post(' '.repeat(70_000))).toMatchObject({ status: 400, error: { code: 11050 } });
  });

  test('orders that were placed so are cancelled by no disconnect', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    const { access_token: token } = await logIn(client, simulator, 'session:a');
    await client.result('private/enable_cancel_on_disconnect');
    const query = 'private/buy?instrument_name=BTC-PERPETUAL&amount=10&price=1';
    expect(await get(simulator, query, { authorization: `Bearer ${token}` })).toMatchObject({ status: 200 });
    client.socket.close();
    await client.closed();
    const other = await connect(simulator);
    await logIn(other, simulator);
    expect(await other.result('private/get_open_orders')).toHaveLength(1);
  });
});

describe('the server', () => {
  test('says port_in_use where its port is taken', async () => {
    const simulator = await start();
    const port = Number(new URL(simulator.url).port);
    await expect(startDeribitSimulator({ port })).rejects.toMatchObject({ code: 'port_in_use' });
  });

  test('says invalid_params for a scenario that there is not', async () => {
    await expect(startDeribitSimulator({ scenario: 'armageddon' })).rejects.toMatchObject({ code: 'invalid_params' });
  });

  test('takes sockets on its one path, and answers other paths with 404', async () => {
    const simulator = await start();
    expect(new URL(simulator.url).pathname).toBe('/ws/api/v2');
    expect((await refusedUpgrade(simulator.url.replace('/ws/api/v2', '/ws'))).status).toBe(404);
    expect((await fetch(simulator.url.replace('ws:', 'http:'))).status).toBe(404);
  });

  test('hands out a source with which one can log in, and a state without a credential', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    const { access_token: token, refresh_token: refresh, sid } = await logIn(client, simulator, 'session:relay');
    expect(simulator.source).toMatchObject({
      venue: 'deribit',
      id: 'main',
      url: simulator.url,
      scope: 'session:relay',
      heartbeatSeconds: 10,
      environment: 'test',
    });
    const state = JSON.stringify(simulator.state());
    for (const secret of [token, refresh, sid ?? '', String(loginOf(simulator).client_secret)]) {
      expect(state).not.toContain(secret);
    }
    expect(stateOf(simulator).connections).toEqual([
      { id: 1, session: 'relay', heartbeatSeconds: null, protected: false, channels: [] },
    ]);
  });

  test('is closed once, however often it is asked', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    await Promise.all([simulator.close(), simulator.close()]);
    await simulator.close();
    await client.closed();
    await expect(fetch(simulator.url.replace('ws:', 'http:'))).rejects.toThrow();
  });
});

describe('for a seed', () => {
  async function transcript(seed: number): Promise<readonly string[]> {
    const clock = new VirtualClock();
    const simulator = await start({ clock, seed });
    const client = await connect(simulator);
    await logIn(client, simulator, 'session:a');
    await client.result('public/set_heartbeat', { interval: 10 });
    await client.result('private/subscribe', {
      channels: ['platform_state', 'user.lock', 'deribit_price_index.eth_usd'],
    });
    await client.result('private/buy', { instrument_name: 'BTC-PERPETUAL', amount: 10, price: 90_000 });
    for (let second = 0; second < 25; second++) {
      await clock.advance(1_000);
      await client.result('public/test');
    }
    return client.texts;
  }

  test('every frame is the same, to the byte', async () => {
    expect(await transcript(7)).toEqual(await transcript(7));
  });

  test('and another seed gives others', async () => {
    expect(await transcript(7)).not.toEqual(await transcript(8));
  });
});
