import { createHmac } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { signatureOf } from '../../src/simulators/deribit/login.js';
import type { Simulator } from '../../src/simulators/simulator.js';
import { VirtualClock } from '../support/virtual-clock.js';
import { type DeribitClient, harness, logIn, loginOf, stateOf, tokensFrom } from './deribit-client.js';

const { start, connect, closeAll } = harness();
afterEach(closeAll);

const PRIVATE = 'private/get_user_locks';
const unauthorized = (reason: string, param = 'access_token') => ({
  code: 13009,
  message: 'unauthorized',
  data: { reason, param },
});
const INVALID_CREDENTIALS = { code: 13004, message: 'invalid_credentials' };

async function errorOf(client: DeribitClient, method: string, params = {}) {
  return (await client.call(method, params)).error;
}

describe('client_credentials', () => {
  test('answer with the members of the recorded frame, in its order', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    await client.call('public/auth', loginOf(simulator));
    const text = client.texts[0] ?? '';
    expect(Object.keys(JSON.parse(text))).toEqual(['jsonrpc', 'id', 'result', 'usIn', 'usOut', 'usDiff', 'testnet']);
    expect(Object.keys(JSON.parse(text).result)).toEqual([
      'enabled_features',
      'access_token',
      'expires_in',
      'refresh_token',
      'scope',
      'token_type',
    ]);
    expect(JSON.parse(text).result.expires_in).toBe(31_536_000);
  });

  test('that are wrong are 13004, whichever of the two it is', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    const login = loginOf(simulator);
    expect(await errorOf(client, 'public/auth', { ...login, client_secret: 'wrong' })).toEqual(INVALID_CREDENTIALS);
    expect(await errorOf(client, 'public/auth', { ...login, client_id: 'wrong' })).toEqual(INVALID_CREDENTIALS);
    expect(await errorOf(client, PRIVATE)).toEqual(unauthorized('invalid_token'));
  });

  test('with a grant type that there is not, or without a secret, are invalid parameters', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    const first = await errorOf(client, 'public/auth', { grant_type: 'password' });
    expect(first).toMatchObject({ code: -32602, message: 'Invalid params', data: { param: 'grant_type' } });
    const second = await errorOf(client, 'public/auth', { grant_type: 'client_credentials', client_id: 'a' });
    expect(second).toMatchObject({ code: -32602, data: { param: 'client_secret' } });
  });

  test('echo `state`', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    expect(await client.result('public/auth', { ...loginOf(simulator), state: 'mine' })).toMatchObject({
      state: 'mine',
    });
  });
});

describe('client_signature', () => {
  const sign = (simulator: Simulator, timestamp: number, nonce: string, data = '') => {
    const { client_id: id, client_secret: secret } = loginOf(simulator);
    const signature = createHmac('sha256', String(secret)).update(`${timestamp}\n${nonce}\n${data}`).digest('hex');
    return { grant_type: 'client_signature', client_id: String(id), timestamp, nonce, data, signature };
  };

  test("the formula reproduces the vendor's own vector", () => {
    // The page spells its secret so.
    expect(signatureOf('AMANDASECRECT', 1_576_074_319_000, '1iqt2wls', '')).toBe(
      '56590594f97921b09b18f166befe0d1319b198bbcdad7ca73382de2f88fe9aa1',
    );
  });

  test('is accepted up to 60 s off in both directions, and 13004 beyond', async () => {
    const clock = new VirtualClock();
    const simulator = await start({ clock });
    const client = await connect(simulator);
    const at = (offset: number, nonce: string) =>
      client.call('public/auth', sign(simulator, clock.now() + offset, nonce));
    expect((await at(0, 'a')).error).toBeUndefined();
    expect((await at(-60_000, 'b')).error).toBeUndefined();
    expect((await at(60_000, 'c')).error).toBeUndefined();
    expect((await at(-60_001, 'd')).error).toEqual(INVALID_CREDENTIALS);
    expect((await at(60_001, 'e')).error).toEqual(INVALID_CREDENTIALS);
  });

  test('spends its nonce, also when it is used again with another timestamp', async () => {
    const clock = new VirtualClock();
    const simulator = await start({ clock });
    const client = await connect(simulator);
    expect((await client.call('public/auth', sign(simulator, clock.now(), 'once'))).error).toBeUndefined();
    expect((await client.call('public/auth', sign(simulator, clock.now(), 'once'))).error).toEqual(INVALID_CREDENTIALS);
    expect((await client.call('public/auth', sign(simulator, clock.now() + 5, 'once'))).error).toEqual(
      INVALID_CREDENTIALS,
    );
  });

  test('over other data than was sent is 13004', async () => {
    const clock = new VirtualClock();
    const simulator = await start({ clock });
    const client = await connect(simulator);
    const signed = sign(simulator, clock.now(), 'n', 'one');
    expect(await errorOf(client, 'public/auth', { ...signed, data: 'other' })).toEqual(INVALID_CREDENTIALS);
  });
});

describe('scopes', () => {
  test('are a set in an order of their own; connection scope where no session is named', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    const { scope, sid } = await logIn(client, simulator);
    expect(new Set(scope.split(' '))).toEqual(
      new Set([
        'connection',
        'mainaccount',
        'account:read_write',
        'trade:read_write',
        'wallet:read',
        'block_trade:read',
        'block_rfq:read',
      ]),
    );
    expect(sid).toBeUndefined();
    const orders = new Set<string>();
    for (let turn = 0; turn < 8; turn++) orders.add((await logIn(client, simulator)).scope);
    expect(orders.size).toBeGreaterThan(1);
  });

  test('narrow what a token may: beyond it is 13403', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    await logIn(client, simulator, 'account:read trade:none');
    expect((await client.call('private/get_cancel_on_disconnect')).error).toBeUndefined();
    expect(await errorOf(client, 'private/enable_cancel_on_disconnect')).toMatchObject({
      code: 13403,
      message: 'scope_exceeded',
    });
    expect(await errorOf(client, 'private/get_open_orders')).toMatchObject({ code: 13403 });
  });

  test('`expires:N` shortens the life, and an expired token is 13009', async () => {
    const clock = new VirtualClock();
    const simulator = await start({ clock });
    const client = await connect(simulator);
    const { expires_in: seconds, access_token: token } = await logIn(client, simulator, 'session:a expires:30');
    expect(seconds).toBe(30);
    expect(token.split('.')[0]).toBe(String(clock.now() + 30_000));
    await clock.advance(29_999);
    expect(await errorOf(client, PRIVATE)).toBeUndefined();
    await clock.advance(1);
    expect(await errorOf(client, PRIVATE)).toEqual(unauthorized('token has expired'));
    expect(await errorOf(client, PRIVATE, { access_token: token })).toEqual(unauthorized('token has expired'));
  });

  test('`ip:` keeps a token from other addresses', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    await logIn(client, simulator, 'ip:192.0.2.1');
    expect(await errorOf(client, PRIVATE)).toEqual(unauthorized('invalid_token'));
    await logIn(client, simulator, 'ip:127.0.0.1');
    expect(await errorOf(client, PRIVATE)).toBeUndefined();
  });
});

describe('connection scope', () => {
  test('tokens are 13009 on another socket', async () => {
    const simulator = await start();
    const [one, other] = [await connect(simulator), await connect(simulator)];
    const { access_token: token, refresh_token: refresh } = await logIn(one, simulator);
    expect(await errorOf(one, PRIVATE, { access_token: token })).toBeUndefined();
    expect(await errorOf(other, PRIVATE, { access_token: token })).toEqual(unauthorized('invalid_token'));
    expect(await errorOf(other, 'public/auth', { grant_type: 'refresh_token', refresh_token: refresh })).toEqual(
      unauthorized('invalid_token', 'refresh_token'),
    );
  });

  test('a refresh gives a new pair and ends the old one', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    const old = await logIn(client, simulator);
    const asked = { grant_type: 'refresh_token', refresh_token: old.refresh_token };
    const renewed = tokensFrom(await client.result('public/auth', asked));
    expect(renewed.access_token).not.toBe(old.access_token);
    expect(renewed.refresh_token).not.toBe(old.refresh_token);
    expect(await errorOf(client, PRIVATE, { access_token: renewed.access_token })).toBeUndefined();
    expect(await errorOf(client, PRIVATE, { access_token: old.access_token })).toEqual(unauthorized('invalid_token'));
    expect(await errorOf(client, 'public/auth', asked)).toEqual(unauthorized('invalid_token', 'refresh_token'));
    expect(await errorOf(client, PRIVATE)).toBeUndefined();
  });
});

describe('named sessions', () => {
  test('are good on every socket, keep their sid, and do without a token where they logged in', async () => {
    const simulator = await start();
    const [one, other] = [await connect(simulator), await connect(simulator)];
    const first = await logIn(one, simulator, 'session:relay');
    expect(first.sid).toEqual(expect.any(String));
    expect(first.scope.split(' ')).toContain('session:relay');
    expect(first.scope.split(' ')).not.toContain('connection');
    expect(await errorOf(other, PRIVATE)).toEqual(unauthorized('invalid_token'));
    expect(await errorOf(other, PRIVATE, { access_token: first.access_token })).toBeUndefined();
    expect((await logIn(other, simulator, 'session:relay')).sid).toBe(first.sid);
    expect(stateOf(simulator).sessions.map(({ name }) => name)).toEqual(['relay']);
  });

  test('are renewed in place: the same sid, and the old access token lives on', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    const old = await logIn(client, simulator, 'session:relay expires:900');
    const renewed = tokensFrom(
      await client.result('public/auth', { grant_type: 'refresh_token', refresh_token: old.refresh_token }),
    );
    expect(renewed.sid).toBe(old.sid);
    expect(renewed.expires_in).toBe(900);
    expect(await errorOf(client, PRIVATE, { access_token: old.access_token })).toBeUndefined();
  });

  test('a seventeenth evicts the one that was not renewed for the longest time, tokens and all', async () => {
    const clock = new VirtualClock();
    const simulator = await start({ clock });
    const [first, second, other] = [await connect(simulator), await connect(simulator), await connect(simulator)];
    const evicted = await logIn(first, simulator, 'session:s1');
    const kept = await logIn(second, simulator, 'session:s2');
    for (let number = 3; number <= 16; number++) {
      await clock.advance(1_000);
      await logIn(other, simulator, `session:s${number}`);
    }
    await second.result('public/auth', { grant_type: 'refresh_token', refresh_token: kept.refresh_token });
    expect(first.ended).toBeUndefined();
    await logIn(other, simulator, 'session:s17');
    expect(await first.closed()).toEqual({ code: 1006, reason: '' });
    expect(second.ended).toBeUndefined();
    expect(await errorOf(other, PRIVATE, { access_token: evicted.access_token })).toEqual(
      unauthorized('invalid_token'),
    );
    expect(await errorOf(other, PRIVATE, { access_token: kept.access_token })).toBeUndefined();
    expect(stateOf(simulator).sessions).toHaveLength(16);
    expect((await logIn(other, simulator, 'session:s1')).sid).not.toBe(evicted.sid);
  });

  test('that ran out make room before one that lives', async () => {
    const clock = new VirtualClock();
    const simulator = await start({ clock });
    const [first, other] = [await connect(simulator), await connect(simulator)];
    await logIn(first, simulator, 'session:old');
    await clock.advance(1_000);
    await logIn(other, simulator, 'session:short expires:10');
    for (let number = 3; number <= 16; number++) await logIn(other, simulator, `session:s${number}`);
    await clock.advance(10_000);
    await logIn(other, simulator, 'session:s17');
    await first.fence();
    const names = stateOf(simulator).sessions.map(({ name }) => name);
    expect(names).toContain('old');
    expect(names).not.toContain('short');
  });
});

describe('private/logout', () => {
  test('is answered by nothing but the end of the socket, and ends every token of the session', async () => {
    const simulator = await start();
    const [client, other] = [await connect(simulator), await connect(simulator)];
    const { access_token: token, sid } = await logIn(client, simulator, 'session:relay');
    client.send({ jsonrpc: '2.0', id: 99, method: 'private/logout', params: {} });
    await client.closed();
    expect(client.frames.some(({ id }) => id === 99)).toBe(false);
    expect(stateOf(simulator).ended).toEqual([{ connection: 1, cause: 'logout', cancelledOrders: [] }]);
    expect(await errorOf(other, PRIVATE, { access_token: token })).toEqual(unauthorized('invalid_token'));
    expect((await logIn(other, simulator, 'session:relay')).sid).not.toBe(sid);
  });

  test('with invalidate_token false leaves the tokens good', async () => {
    const simulator = await start();
    const [client, other] = [await connect(simulator), await connect(simulator)];
    const { access_token: token, sid } = await logIn(client, simulator, 'session:relay');
    client.send({ jsonrpc: '2.0', id: 99, method: 'private/logout', params: { invalidate_token: false } });
    await client.closed();
    expect(await errorOf(other, PRIVATE, { access_token: token })).toBeUndefined();
    expect((await logIn(other, simulator, 'session:relay')).sid).toBe(sid);
  });

  test('without a login is 13009, and the socket stays', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    expect(await errorOf(client, 'private/logout')).toEqual(unauthorized('invalid_token'));
    await client.fence();
  });
});

describe('token utilities', () => {
  const subaccount = (simulator: Simulator): number => {
    const { accounts } = z.object({ accounts: z.array(z.object({ id: z.number() })) }).parse(simulator.state());
    return accounts.at(-1)?.id ?? 0;
  };

  test('public/exchange_token without a scope ends the old pair, and the socket goes on as the subaccount', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    const old = await logIn(client, simulator);
    const asked = { refresh_token: old.refresh_token, subject_id: subaccount(simulator) };
    const exchanged = tokensFrom(await client.result('public/exchange_token', asked));
    expect(await errorOf(client, PRIVATE, { access_token: old.access_token })).toEqual(unauthorized('invalid_token'));
    expect(await errorOf(client, PRIVATE, { access_token: exchanged.access_token })).toBeUndefined();
    const order = { instrument_name: 'BTC-PERPETUAL', amount: 10, price: 1 };
    expect(await client.result('private/buy', order)).toMatchObject({ order: { user_id: subaccount(simulator) } });
  });

  test('public/exchange_token with a session scope loses mainaccount and keeps the old pair', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    const old = await logIn(client, simulator, 'session:main');
    const exchanged = tokensFrom(
      await client.result('public/exchange_token', {
        refresh_token: old.refresh_token,
        subject_id: subaccount(simulator),
        scope: 'session:sub',
      }),
    );
    expect(exchanged.scope.split(' ')).toContain('session:sub');
    expect(exchanged.scope.split(' ')).not.toContain('mainaccount');
    expect(await errorOf(client, PRIVATE, { access_token: old.access_token })).toBeUndefined();
  });

  test('public/exchange_token for a subaccount that there is not is an invalid parameter', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    const { refresh_token: token } = await logIn(client, simulator);
    expect(await errorOf(client, 'public/exchange_token', { refresh_token: token, subject_id: 1 })).toMatchObject({
      code: -32602,
      data: { param: 'subject_id' },
    });
  });

  test('public/fork_token makes a second session of a named one, and of no other', async () => {
    const simulator = await start();
    const client = await connect(simulator);
    const old = await logIn(client, simulator, 'session:one');
    const forked = tokensFrom(
      await client.result('public/fork_token', { refresh_token: old.refresh_token, session_name: 'two' }),
    );
    expect(forked.sid).not.toBe(old.sid);
    expect(stateOf(simulator).sessions.map(({ name }) => name)).toEqual(['one', 'two']);
    const bound = await logIn(client, simulator);
    expect(
      await errorOf(client, 'public/fork_token', { refresh_token: bound.refresh_token, session_name: 'three' }),
    ).toMatchObject({ code: 13403 });
  });
});
