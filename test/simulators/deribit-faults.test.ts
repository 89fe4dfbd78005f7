import { afterEach, describe, expect, test } from 'vitest';
import WebSocket from 'ws';
import { until, VirtualClock } from '../support/virtual-clock.js';
import { connectClient, harness, logIn, loginOf, refusedUpgrade, stateOf } from './deribit-client.js';

const { start, connect, closeAll } = harness();
afterEach(closeAll);

const PRIVATE = 'private/get_user_locks';

/** A simulator on virtual time, and a client of it that logged in as the relay would. */
async function live() {
  const clock = new VirtualClock();
  const simulator = await start({ clock });
  const client = await connect(simulator);
  await logIn(client, simulator, 'session:relay');
  return { clock, simulator, client };
}

async function locked() {
  const made = await live();
  await made.client.result('private/subscribe', { channels: ['user.lock'] });
  return made;
}

test('every fault says what it does, and refuses parameters that it does not know', async () => {
  const simulator = await start();
  expect(simulator.faults.map(({ name }) => name)).toEqual(
    expect.arrayContaining([
      ...['silence', 'drop', 'close', 'half_open', 'slow', 'garbage', 'unknown_value', 'oversized', 'token_expiry'],
      ...['eviction', 'bad_credentials', 'refuse_upgrade', 'too_many_requests', 'maintenance', 'lock_index'],
      ...['unlock_index', 'lock_platform', 'lock_account', 'unlock_account', 'access_log', 'missing_channel'],
      ...['duplicate_frame', 'reordered_reply', 'bad_protection', 'clock_skew', 'cod_drift'],
    ]),
  );
  for (const { name, summary } of simulator.faults) {
    expect(summary, name).toMatch(/\.$/);
    expect(() => simulator.fault(name, { nonsense: 1 }), name).toThrow(
      expect.objectContaining({ code: 'invalid_params', message: expect.stringContaining(name) }),
    );
  }
});

test('a fault over HTTP is the fault itself', async () => {
  const { simulator, client } = await locked();
  const control = simulator.url.replace('ws:', 'http:').replace('/ws/api/v2', '/_sim');
  const body = JSON.stringify({ fault: 'lock_account', params: { currency: 'ETH' } });
  expect((await fetch(`${control}/faults`, { method: 'POST', body })).status).toBe(200);
  await client.fence();
  expect(client.heard('user.lock')).toEqual([{ locked: true, currency: 'ETH' }]);
  expect(await (await fetch(control)).json()).toMatchObject({ venue: 'deribit', state: { connections: [{ id: 1 }] } });
});

describe('silence', () => {
  test('loses what is sent meanwhile, carries out what is asked, and ends by itself', async () => {
    const { clock, simulator, client } = await locked();
    simulator.fault('silence', { forMs: 20_000 });
    client.send({ jsonrpc: '2.0', id: 'lost', method: 'private/enable_cancel_on_disconnect' });
    simulator.fault('lock_account', { currency: 'BTC' });
    await until(() => stateOf(simulator).connections[0]?.protected, 'the request to be carried out');
    await clock.advance(20_000);
    await client.fence();
    expect(client.frames.some(({ id }) => id === 'lost')).toBe(false);
    expect(client.heard('user.lock')).toEqual([]);
  });

  test('makes no test_request that nobody could hear, and makes up for it at its end', async () => {
    const { clock, simulator, client } = await live();
    await client.result('public/set_heartbeat', { interval: 10 });
    simulator.fault('silence', { forMs: 40_000 });
    await clock.advance(39_999);
    expect(client.heartbeats()).toEqual([]);
    expect(client.ended).toBeUndefined();
    await clock.advance(1);
    await client.result('public/test');
    expect(client.heartbeats()[0]).toBe('test_request');
  });

  test('without an end lasts; a socket that is opened meanwhile works', async () => {
    const { clock, simulator, client } = await live();
    simulator.fault('silence');
    const before = client.texts.length;
    client.send({ jsonrpc: '2.0', id: 'x', method: 'public/test' });
    await clock.advance(10_000);
    const other = await connect(simulator);
    await other.fence();
    expect(client.texts).toHaveLength(before);
  });

  test('takes the sockets of one session alone where it is told to', async () => {
    const { simulator, client } = await live();
    const other = await connect(simulator);
    simulator.fault('drop', { session: 'public' });
    expect((await other.closed()).code).toBe(1006);
    await client.fence();
  });
});

describe('the end of a socket', () => {
  test('drop: 1006 at once, and protected orders are cancelled', async () => {
    const { simulator, client } = await live();
    await client.result('private/enable_cancel_on_disconnect');
    await client.result('private/buy', { instrument_name: 'BTC-PERPETUAL', amount: 10, price: 1 });
    simulator.fault('drop');
    expect(await client.closed()).toEqual({ code: 1006, reason: '' });
    expect(stateOf(simulator).ended).toMatchObject([{ cause: 'fault', cancelledOrders: [expect.any(String)] }]);
    expect(stateOf(simulator).connections).toEqual([]);
  });

  test('close: the code and the reason that were asked for', async () => {
    const { simulator, client } = await live();
    simulator.fault('close', { code: 4321, reason: 'for a test' });
    expect(await client.closed()).toEqual({ code: 4321, reason: 'for a test' });
    for (const code of [999, 1005, 1006, 1015, 2999, 5000]) {
      expect(() => simulator.fault('close', { code })).toThrow('code');
    }
  });

  test('half_open: neither read nor written, no pong, TCP up; the venue ends it unseen and cancels its orders', async () => {
    const { clock, simulator, client } = await live();
    await client.result('public/set_heartbeat', { interval: 10 });
    await client.result('private/enable_cancel_on_disconnect');
    await client.result('private/buy', { instrument_name: 'BTC-PERPETUAL', amount: 10, price: 1 });
    let pongs = 0;
    client.socket.on('pong', () => pongs++);
    simulator.fault('half_open');
    const before = client.texts.length;
    client.send({ jsonrpc: '2.0', id: 'x', method: 'public/test' });
    client.socket.ping();
    await clock.advance(12_600);
    expect(stateOf(simulator).ended).toEqual([]);
    await clock.advance(10_000);
    expect(stateOf(simulator).ended).toMatchObject([{ cause: 'heartbeat', cancelledOrders: [expect.any(String)] }]);
    expect([client.texts.length, pongs, client.ended]).toEqual([before, 0, undefined]);
    expect(client.socket.readyState).toBe(WebSocket.OPEN);
  });

  test('too_many_requests: 10028 to the next request, then the end; no credits for as long as it says', async () => {
    const { clock, simulator, client } = await live();
    simulator.fault('too_many_requests', { forMs: 3_000 });
    expect((await client.call('public/test')).error).toEqual({ code: 10028, message: 'too_many_requests' });
    expect((await client.closed()).code).toBe(1006);
    const again = await connect(simulator);
    await logIn(again, simulator, 'session:relay');
    expect((await again.call(PRIVATE)).error?.code).toBe(10028);
    await again.closed();
    await clock.advance(3_000);
    const late = await connect(simulator);
    await logIn(late, simulator, 'session:relay');
    await late.result(PRIVATE);
  });

  test('refuse_upgrade: 429 so many times, with Retry-After where that is said', async () => {
    const simulator = await start();
    simulator.fault('refuse_upgrade', { count: 2, retryAfterSeconds: 7 });
    expect(await refusedUpgrade(simulator.url)).toEqual({ status: 429, retryAfter: '7' });
    expect(await refusedUpgrade(simulator.url)).toEqual({ status: 429, retryAfter: '7' });
    await (await connect(simulator)).fence();
    simulator.fault('refuse_upgrade');
    expect(await refusedUpgrade(simulator.url)).toEqual({ status: 429, retryAfter: undefined });
  });

  test('maintenance: announced, then 11051 without an id and the end, then 503 until it is over', async () => {
    const { clock, simulator, client } = await live();
    await client.result('public/subscribe', { channels: ['platform_state'] });
    simulator.fault('maintenance', { afterMs: 4_000, forMs: 9_000 });
    await client.fence();
    expect(client.heard('platform_state').at(-1)).toEqual({ maintenance: true });
    const late = await connect(simulator);
    await late.result('public/subscribe', { channels: ['platform_state'] });
    await late.fence();
    expect(late.heard('platform_state')[0]).toEqual({ maintenance: true });
    await clock.advance(4_000);
    expect((await client.closed()).code).toBe(1006);
    expect(client.texts.at(-1)).toBe('{"jsonrpc":"2.0","error":{"code":11051,"message":"system_maintenance"}}');
    expect((await refusedUpgrade(simulator.url)).status).toBe(503);
    const http = simulator.url.replace('ws:', 'http:').replace('/ws/', '/');
    expect((await fetch(`${http}/public/test`)).status).toBe(503);
    await clock.advance(9_000);
    const back = await connect(simulator);
    await back.result('public/subscribe', { channels: ['platform_state'] });
    await back.fence();
    expect(back.heard('platform_state')).not.toContainEqual({ maintenance: true });
  });
});

describe('frames', () => {
  test('slow: each arrives so much later, none overtakes another, and 0 ends it', async () => {
    const { clock, simulator, client } = await live();
    const before = client.texts.length;
    simulator.fault('slow', { delayMs: 3_000 });
    for (const id of [1, 2]) client.send({ jsonrpc: '2.0', id, method: 'public/test' });
    await until(() => stateOf(simulator).requests.methods['public/test'] === 2, 'both requests');
    simulator.fault('slow', { delayMs: 0 });
    client.send({ jsonrpc: '2.0', id: 3, method: 'public/test' });
    await until(() => stateOf(simulator).requests.methods['public/test'] === 3, 'the third request');
    await clock.advance(2_999);
    expect(client.texts).toHaveLength(before);
    await clock.advance(1);
    await client.fence();
    expect(client.frames.slice(before, before + 3).map(({ id }) => id)).toEqual([1, 2, 3]);
  });

  test('slow: ends by itself, and delays also the end of the socket', async () => {
    const { clock, simulator, client } = await locked();
    simulator.fault('slow', { delayMs: 1_000, forMs: 5_000 });
    await clock.advance(5_000);
    await client.fence();
    simulator.fault('slow', { delayMs: 1_000 });
    simulator.fault('lock_account');
    simulator.fault('close');
    await clock.advance(999);
    expect(client.heard('user.lock')).toEqual([]);
    await clock.advance(1);
    expect((await client.closed()).code).toBe(1001);
    expect(client.heard('user.lock')).toEqual([{ locked: true, currency: 'ALL' }]);
  });

  test('garbage: a frame that is not JSON, and the stream goes on', async () => {
    const { simulator, client } = await live();
    simulator.fault('garbage');
    simulator.fault('garbage', { text: '<html>' });
    await client.fence();
    const [cut = '', html] = client.texts.slice(-3);
    expect(() => JSON.parse(cut)).toThrow();
    expect(html).toBe('<html>');
  });

  test('unknown_value: a heartbeat, a platform_state and a channel that nobody knows, or one of them', async () => {
    const { simulator, client } = await live();
    simulator.fault('unknown_value');
    await client.fence();
    expect(client.heartbeats()).toEqual(['murmur']);
    expect(client.heard('platform_state')).toEqual([{ price_index: 'btc_usd', locked: 'perhaps', mood: 'odd' }]);
    expect(client.heard('platform_state.tides')).toEqual([{ high: true }]);
    simulator.fault('unknown_value', { what: 'heartbeat' });
    await client.fence();
    expect(client.heartbeats()).toHaveLength(2);
    expect(client.heard('platform_state')).toHaveLength(1);
  });

  test('oversized: a client that takes 16 MiB ends with 1009', async () => {
    const { simulator } = await live();
    const client = new WebSocket(simulator.url, { maxPayload: 16 * 1024 * 1024, perMessageDeflate: false });
    const failed = new Promise<string>((resolve) => client.on('error', (error) => resolve(error.message)));
    await new Promise((resolve) => client.once('open', resolve));
    simulator.fault('oversized');
    expect(await failed).toContain('Max payload size exceeded');
  });

  test('duplicate_frame: the last notification once more, or the next one twice', async () => {
    const { simulator, client } = await locked();
    simulator.fault('duplicate_frame');
    simulator.fault('lock_account', { currency: 'BTC' });
    await client.fence();
    expect(client.heard('user.lock')).toEqual(Array(2).fill({ locked: true, currency: 'BTC' }));
    simulator.fault('duplicate_frame');
    await client.fence();
    expect(client.heard('user.lock')).toHaveLength(3);
  });

  test('reordered_reply: the next two replies change places, and no others', async () => {
    const { simulator, client } = await live();
    const before = client.frames.length;
    simulator.fault('reordered_reply');
    for (const id of [1, 2, 3]) client.send({ jsonrpc: '2.0', id, method: 'public/test' });
    await client.fence();
    expect(client.frames.slice(before, before + 3).map(({ id }) => id)).toEqual([2, 1, 3]);
  });

  test('reordered_reply: a client that asks one thing at a time has its answer within a second', async () => {
    const { clock, simulator, client } = await live();
    simulator.fault('reordered_reply');
    const asked = client.call('public/test');
    await until(() => stateOf(simulator).requests.methods['public/test'] === 1, 'the request');
    await clock.advance(1_000);
    expect((await asked).result).toEqual({ version: '1.2.26' });
  });
});

describe('login', () => {
  test('token_expiry: the next use is 13009, and the refresh token is dead, too', async () => {
    const { simulator, client } = await live();
    const { refresh_token: refresh, sid } = await logIn(client, simulator, 'session:relay');
    simulator.fault('token_expiry');
    expect((await client.call(PRIVATE)).error).toEqual({
      code: 13009,
      message: 'unauthorized',
      data: { reason: 'token has expired', param: 'access_token' },
    });
    expect(
      (await client.call('public/auth', { grant_type: 'refresh_token', refresh_token: refresh })).error?.code,
    ).toBe(13009);
    expect((await logIn(client, simulator, 'session:relay')).sid).toBe(sid);
    await client.result(PRIVATE);
  });

  test('token_expiry: with refreshTokens false a renewal mends it', async () => {
    const { simulator, client } = await live();
    const { refresh_token: refresh } = await logIn(client, simulator, 'session:relay');
    simulator.fault('token_expiry', { refreshTokens: false });
    expect((await client.call(PRIVATE)).error?.code).toBe(13009);
    await client.result('public/auth', { grant_type: 'refresh_token', refresh_token: refresh });
    await client.result(PRIVATE);
  });

  test.each([
    ['drop', 1006],
    ['close', 1000],
  ] as const)('eviction: the tokens die and the socket ends (%s)', async (socket, code) => {
    const { simulator, client } = await live();
    const bystander = await connect(simulator);
    await logIn(bystander, simulator, 'session:other');
    const { access_token: token, sid } = await logIn(client, simulator, 'session:relay');
    simulator.fault('eviction', { session: 'relay', socket });
    expect((await client.closed()).code).toBe(code);
    expect((await bystander.call(PRIVATE, { access_token: token })).error?.code).toBe(13009);
    expect((await logIn(bystander, simulator, 'session:relay')).sid).not.toBe(sid);
    expect(stateOf(simulator).ended).toMatchObject([{ cause: 'eviction' }]);
  });

  test('eviction: a socket that is kept has no login and no private channel any more', async () => {
    const { simulator, client } = await locked();
    simulator.fault('eviction', { socket: 'keep' });
    expect((await client.call(PRIVATE)).error).toMatchObject({ code: 13009, data: { reason: 'invalid_token' } });
    simulator.fault('lock_account');
    await client.fence();
    expect(client.heard('user.lock')).toEqual([]);
  });

  test('bad_credentials: 13004 to every grant, for as long as it says or until it is ended', async () => {
    const { clock, simulator, client } = await live();
    const { refresh_token: refresh } = await logIn(client, simulator, 'session:relay');
    const login = async () => (await client.call('public/auth', loginOf(simulator, 'session:relay'))).error?.code;
    simulator.fault('bad_credentials', { forMs: 2_000 });
    expect(await login()).toBe(13004);
    expect(
      (await client.call('public/auth', { grant_type: 'refresh_token', refresh_token: refresh })).error?.code,
    ).toBe(13004);
    await clock.advance(2_000);
    expect(await login()).toBeUndefined();
    simulator.fault('bad_credentials');
    await clock.advance(100);
    expect(await login()).toBe(13004);
    simulator.fault('bad_credentials', { forMs: 0 });
    expect(await login()).toBeUndefined();
  });
});

describe('venue and account', () => {
  test('lock_index and unlock_index: one frame for each change, none for what is so already', async () => {
    const { simulator, client } = await live();
    await client.result('public/subscribe', { channels: ['platform_state'] });
    await client.fence();
    const before = client.heard('platform_state').length;
    simulator.fault('lock_index', { index: 'btc_usd', reasons: ['odd'] });
    simulator.fault('lock_index', { index: 'btc_usd' });
    simulator.fault('unlock_index', { index: 'btc_usd' });
    await client.fence();
    expect(client.heard('platform_state').slice(before)).toEqual([
      { locked: true, price_index: 'btc_usd', reasons: ['odd'] },
      { locked: false, price_index: 'btc_usd', reasons: [] },
    ]);
    expect(() => simulator.fault('lock_index', { index: 'tulip_usd' })).toThrow('there is no index tulip_usd');
  });

  test('lock_platform: every index, for as long as it says', async () => {
    const { clock, simulator, client } = await live();
    simulator.fault('lock_platform', { forMs: 1_000 });
    expect(await client.result('public/status')).toMatchObject({ locked: 'true' });
    await clock.advance(1_000);
    expect(await client.result('public/status')).toEqual({ locked: 'false', locked_indices: [] });
  });

  test('lock_account and unlock_account: user.lock says which currency', async () => {
    const { simulator, client } = await locked();
    simulator.fault('lock_account', { currency: 'ETH' });
    simulator.fault('unlock_account', { currency: 'ETH' });
    await client.fence();
    expect(client.heard('user.lock')).toEqual([
      { locked: true, currency: 'ETH' },
      { locked: false, currency: 'ETH' },
    ]);
  });

  test('missing_channel: one confirmation leaves it out, the next does not', async () => {
    const { simulator, client } = await live();
    const channels = ['platform_state', 'announcements'];
    simulator.fault('missing_channel', { channel: 'announcements' });
    expect(await client.result('public/subscribe', { channels })).toEqual(['platform_state']);
    expect(await client.result('public/subscribe', { channels })).toHaveLength(2);
    simulator.fault('missing_channel');
    expect(await client.result('public/subscribe', { channels })).toHaveLength(1);
  });

  test('bad_protection: reading cancel-on-disconnect fails, setting it does not', async () => {
    const { clock, simulator, client } = await live();
    simulator.fault('bad_protection', { forMs: 1_000 });
    expect((await client.call('private/get_cancel_on_disconnect')).error).toEqual({
      code: 10049,
      message: 'cancel_on_disconnect_failed',
    });
    expect(await client.result('private/enable_cancel_on_disconnect')).toBe('ok');
    await clock.advance(1_000);
    expect(await client.result('private/get_cancel_on_disconnect')).toEqual({ scope: 'connection', enabled: true });
  });

  test("clock_skew: the venue's times are off, and it judges signatures by them", async () => {
    const { clock, simulator, client } = await live();
    simulator.fault('clock_skew', { ms: -90_000 });
    expect(await client.result('public/get_time')).toBe(clock.now() - 90_000);
    const { usOut } = await client.call('public/test');
    expect(Math.round(Number(usOut) / 1_000_000)).toBe(Math.round((clock.now() - 90_000) / 1_000));
    simulator.fault('clock_skew', { ms: 0 });
    expect(await client.result('public/get_time')).toBe(clock.now());
  });

  test("cod_drift: the account's default changes under a connection that keeps its own", async () => {
    const { simulator, client } = await live();
    const read = async (scope: string) => client.result('private/get_cancel_on_disconnect', { scope });
    simulator.fault('cod_drift');
    expect(await read('account')).toEqual({ scope: 'account', enabled: true });
    expect(await read('connection')).toEqual({ scope: 'connection', enabled: false });
    simulator.fault('cod_drift', { enabled: true });
    expect(await read('account')).toEqual({ scope: 'account', enabled: true });
    simulator.fault('cod_drift');
    expect(await read('account')).toEqual({ scope: 'account', enabled: false });
  });
});

test('a simulator whose clients are all gone still takes every fault', async () => {
  const simulator = await start();
  const client = await connectClient(simulator.url);
  client.socket.terminate();
  await until(() => stateOf(simulator).connections.length === 0, 'the end of the connection');
  for (const { name } of simulator.faults) {
    if (name === 'public_methods') simulator.fault(name, { allowed: true });
    else if (name === 'slow') simulator.fault(name, { delayMs: 1 });
    else if (name === 'clock_skew') simulator.fault(name, { ms: 1 });
    else simulator.fault(name);
  }
});
