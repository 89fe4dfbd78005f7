import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { Json } from '../../src/model/json.js';
import { VirtualClock } from '../support/virtual-clock.js';
import {
  ask,
  command,
  form,
  harness,
  hmac,
  logInWith,
  sessionIds,
  sidOf,
  signedV3,
  stateOf,
} from './tradernet-client.js';

const { start, connect, closeAll } = harness();
afterEach(closeAll);

const UNKNOWN_USER = { error: 'User is not found', code: 7 };
const UNSUPPORTED = { errMsg: 'Unsupported query method', code: 2 };

async function onVirtualTime() {
  const clock = new VirtualClock();
  return { clock, simulator: await start({ clock }) };
}

const ids = (list: Json): readonly number[] =>
  z
    .array(z.looseObject({ id: z.number() }))
    .parse(list)
    .map(({ id }) => id);

describe('check-login-password', () => {
  test('gives a SID in the body and as a cookie, with the user beside it', async () => {
    const simulator = await start();
    const { status, body, headers } = await logInWith(simulator);
    expect(status).toBe(200);
    const { SID } = z.strictObject({ SID: z.string().min(20), userId: z.literal(2_000_000_001) }).parse(body);
    expect(headers.getSetCookie()).toEqual([`SID=${SID}; path=/; HttpOnly`, 'uid=2000000001; path=/; HttpOnly']);
    expect(await command(simulator, 'getSidInfo', SID)).toEqual({ SID, user_id: 2_000_000_001, error: null });
  });

  test('takes a form in parts too', async () => {
    const simulator = await start();
    const parts = new FormData();
    parts.append('login', 'desk@example.test');
    parts.append('password', 'SIMULATOR-PASSWORD');
    const { body } = await ask(simulator, '/api/check-login-password', { method: 'POST', body: parts });
    expect(body).toMatchObject({ SID: expect.any(String) });
  });

  test.each([{ password: 'wrong' }, { login: 'nobody@example.test' }, { login: '', password: '' }])(
    'refuses %j with HTTP 200, an error and no cookie',
    async (changes) => {
      const { status, body, headers } = await logInWith(await start(), changes);
      expect({ status, body }).toEqual({ status: 200, body: { error: 'Invalid login or password', code: 12 } });
      expect(headers.getSetCookie()).toEqual([]);
    },
  );

  test('takes five requests a minute, good and bad ones alike, and then says how long to wait', async () => {
    const { clock, simulator } = await onVirtualTime();
    await logInWith(simulator, { password: 'wrong' });
    await clock.advance(20_000);
    for (let login = 0; login < 4; login++) expect((await logInWith(simulator)).status).toBe(200);
    const { status, headers, body } = await logInWith(simulator);
    expect(status).toBe(429);
    expect(headers.get('retry-after')).toBe('40');
    expect(body).toEqual({
      error: 'Too many requests',
      errMsg: 'Your request limit has been exceeded. Please try again later',
      code: 429,
    });
    await clock.advance(40_000);
    expect((await logInWith(simulator)).status).toBe(200);
    expect((await logInWith(simulator)).status).toBe(429);
    expect(stateOf(simulator).requests.refusals).toEqual({ 12: 1, 429: 2 });
  });

  test('a SID lives two weeks with rememberMe, and a day without', async () => {
    const { clock, simulator } = await onVirtualTime();
    const remembered = await sidOf(simulator);
    const { SID } = z.object({ SID: z.string() }).parse((await logInWith(simulator, { rememberMe: '' })).body);
    await clock.advance(86_400_000);
    expect(await command(simulator, 'getSidInfo', SID)).toEqual(UNKNOWN_USER);
    expect(await command(simulator, 'getSidInfo', remembered)).toMatchObject({ SID: remembered });
    await clock.advance(13 * 86_400_000);
    expect(await command(simulator, 'getSidInfo', remembered)).toEqual(UNKNOWN_USER);
  });
});

describe('version 1', () => {
  test('lists the sessions to GET and to POST, and takes the SID from the cookie too', async () => {
    const simulator = await start();
    const SID = await sidOf(simulator);
    const expected = sessionIds(simulator);
    expect(ids(await command(simulator, 'getSecuritySessions', SID))).toEqual(expected);
    const q = JSON.stringify({ cmd: 'getSecuritySessions', SID, params: [] });
    expect(ids((await ask(simulator, '/api/', form({ q }))).body)).toEqual(expected);
    const bare = JSON.stringify({ cmd: 'getSecuritySessions', params: {} });
    const cookie = { cookie: `uid=1; SID=${SID}` };
    expect(ids((await ask(simulator, '/api/', form({ q: bare }, cookie))).body)).toEqual(expected);
  });

  test('says the same list as the socket', async () => {
    const { simulator } = await onVirtualTime();
    const SID = await sidOf(simulator);
    const client = await connect(simulator, `?SID=${SID}`);
    client.send(['sessions']);
    expect(await command(simulator, 'getSecuritySessions', SID)).toEqual(await client.wait('sessions'));
  });

  test('says that the user is not found without a SID and with a bad one', async () => {
    const simulator = await start();
    expect(await command(simulator, 'getSecuritySessions')).toEqual(UNKNOWN_USER);
    expect(await command(simulator, 'getSidInfo', 'nonsense')).toEqual(UNKNOWN_USER);
  });

  test('names its errors as the pages do, with HTTP 200', async () => {
    const simulator = await start();
    const SID = await sidOf(simulator);
    expect(await command(simulator, 'getQuotesOfTheDay', SID)).toEqual(UNSUPPORTED);
    expect(await command(simulator, 'toString', SID)).toEqual(UNSUPPORTED);
    expect(await ask(simulator, '/api/?q=%7B')).toMatchObject({ status: 200, body: { errMsg: 'Bad json', code: 2 } });
    expect(await ask(simulator, '/api/?q=%7B%7D')).toMatchObject({ status: 200, body: UNSUPPORTED });
    expect(await ask(simulator, '/api/')).toMatchObject({ status: 200, body: { errMsg: 'Bad json', code: 2 } });
    expect(await ask(simulator, '/api/check-login-password')).toMatchObject({ status: 200, body: UNSUPPORTED });
    expect(stateOf(simulator).requests.http).toMatchObject({ unknown: 2 });
  });

  test('refuses a body that is too large, and is nowhere else', async () => {
    const simulator = await start();
    const q = 'x'.repeat(64 * 1024);
    expect((await ask(simulator, '/api/', form({ q }))).status).toBe(413);
    expect((await ask(simulator, '/elsewhere')).status).toBe(404);
  });
});

describe('signatures', () => {
  test('version 3 signs the body and the time of a POST, and the time alone of a GET', async () => {
    const { clock, simulator } = await onVirtualTime();
    const expected = sessionIds(simulator);
    const path = '/api/getSecuritySessions';
    const empty = { method: 'POST', headers: signedV3(simulator, '', clock.now()) };
    expect(ids((await ask(simulator, path, empty)).body)).toEqual(expected);
    const body = '{"params":{}}';
    const full = { method: 'POST', body, headers: signedV3(simulator, body, clock.now()) };
    expect(ids((await ask(simulator, path, full)).body)).toEqual(expected);
    const get = { headers: signedV3(simulator, '', clock.now()) };
    expect(ids((await ask(simulator, `${path}?a=1`, get)).body)).toEqual(expected);
    expect((await ask(simulator, '/api/getSidInfo', get)).body).toEqual({
      SID: null,
      user_id: 2_000_000_001,
      error: null,
    });
  });

  test('version 3 refuses a body that was changed, a time that is old, another key, and no signature', async () => {
    const { clock, simulator } = await onVirtualTime();
    const send = async (headers: Record<string, string>, body = '') =>
      (await ask(simulator, '/api/getSidInfo', { method: 'POST', headers, ...(body === '' ? {} : { body }) })).body;
    const signed = signedV3(simulator, '', clock.now());
    expect(await send(signed, '{"a":1}')).toEqual({ error: 'Bad signature', code: 4 });
    expect(await send(signedV3(simulator, '', clock.now() - 301_000))).toEqual({ error: 'Bad signature', code: 4 });
    expect(await send({ ...signed, 'X-NtApi-PublicKey': 'OTHER' })).toEqual({
      error: 'Invalid api key provided',
      code: 12,
    });
    expect(await send({})).toEqual(UNKNOWN_USER);
    expect(await send({ cookie: `SID=${await sidOf(simulator)}` })).toMatchObject({ user_id: 2_000_000_001 });
  });

  test('version 2 signs all fields, sorted at every depth, and takes a nonce once', async () => {
    const simulator = await start();
    const { publicKey, secretKey } = simulator.apiKey;
    const fields = {
      cmd: 'openSecuritySession',
      apiKey: publicKey,
      nonce: '17',
      'params[validationKey]': '111111',
      'params[safetyTypeId]': '3',
    };
    const text = `apiKey=${publicKey}&cmd=openSecuritySession&nonce=17&params=safetyTypeId=3&validationKey=111111`;
    const send = async (changes: Record<string, string>, sig: string) =>
      (await ask(simulator, '/api/v2/cmd/openSecuritySession', form({ ...fields, ...changes }, { 'X-NtApi-Sig': sig })))
        .body;
    const badSignature = { error: 'Bad signature', code: 4 };
    expect(await send({ 'params[safetyTypeId]': '4' }, hmac(secretKey, text))).toEqual(badSignature);
    expect(await send({}, hmac('other', text))).toEqual(badSignature);
    // The signature is good: what is refused is the code, which nobody asked for.
    expect(await send({}, hmac(secretKey, text))).toEqual({ error: 'Bad code', code: 14 });
    expect(await send({}, hmac(secretKey, text))).toEqual(badSignature);
    expect(await send({ nonce: 'x' }, hmac(secretKey, text))).toEqual({ errMsg: 'Bad params: nonce', code: 5 });
    expect(await send({ cmd: 'getSidInfo' }, hmac(secretKey, text))).toEqual({ errMsg: 'Bad params: cmd', code: 5 });
  });
});

describe('security sessions', () => {
  test('getAuthInfo with an API key opens one of type 14, and later prolongs it; with a SID it opens none', async () => {
    const { clock, simulator } = await onVirtualTime();
    const expected = { login: 'desk@example.test', mode: 'prod', trade: true, error: null };
    const before = sessionIds(simulator);
    expect(await command(simulator, 'getAuthInfo', await sidOf(simulator))).toEqual(expected);
    expect(sessionIds(simulator)).toEqual(before);
    const byKey = async () =>
      (await ask(simulator, '/api/getAuthInfo', { method: 'POST', headers: signedV3(simulator, '', clock.now()) }))
        .body;
    expect(await byKey()).toEqual(expected);
    const [, , first] = stateOf(simulator).sessions;
    expect(first).toMatchObject({ safetyTypeId: 14, expiresAt: '2026-11-24T08:00:00.000Z' });
    await clock.advance(3_600_000);
    await byKey();
    expect(stateOf(simulator).sessions.slice(2)).toEqual([{ ...first, expiresAt: '2026-11-24T09:00:00.000Z' }]);
  });

  test('a code is asked for, typed in, and opens one; the socket hears of it', async () => {
    const { clock, simulator } = await onVirtualTime();
    const SID = await sidOf(simulator);
    const client = await connect(simulator, `?SID=${SID}`);
    client.send(['sessions']);
    await client.wait('sessions');
    const texts = {
      sent: expect.any(String),
      error: null,
      repeat: 'Resending',
      footer: expect.any(String),
      link: null,
    };
    expect(await command(simulator, 'getSecuritySessionCode', SID)).toEqual({
      ...{ channel: 'sms', delay: 60, isRepeatAvailable: true, isInputAvailable: true, isSent: true },
      texts,
    });
    expect(await command(simulator, 'getSecuritySessionCode', SID)).toMatchObject({ isSent: false });
    expect(await command(simulator, 'checkSecuritySessionCode', SID, { validationKey: '000000' })).toMatchObject({
      success: false,
      isAttemptAvailable: true,
      sessions: null,
      texts: { error: 'Bad code' },
    });
    expect(sessionIds(simulator)).toHaveLength(2);
    const opened = await command(simulator, 'checkSecuritySessionCode', SID, { validationKey: simulator.phoneCode });
    expect(opened).toMatchObject({ success: true, texts: { error: null } });
    expect(z.object({ sessions: z.unknown() }).parse(opened).sessions).toEqual(await client.wait('sessions', 2));
    expect(stateOf(simulator).sessions.at(-1)).toMatchObject({ safetyTypeId: 3 });
    await clock.advance(60_000);
    expect(await command(simulator, 'getSecuritySessionCode', SID)).toMatchObject({ isSent: true });
    const params = { safetyTypeId: 17, validationKey: simulator.phoneCode };
    expect(await command(simulator, 'openSecuritySession', SID, params)).toMatchObject({
      success: true,
      sessions: [{ safety_type_id: 17 }],
    });
    expect(await command(simulator, 'openSecuritySession', SID, params)).toEqual({ error: 'Bad code', code: 14 });
    expect(await command(simulator, 'getSidInfo', SID)).toMatchObject({ SID });
  });

  test('three wrong codes end the attempts until another is sent', async () => {
    const { clock, simulator } = await onVirtualTime();
    const SID = await sidOf(simulator);
    const check = (validationKey: string) => command(simulator, 'checkSecuritySessionCode', SID, { validationKey });
    await command(simulator, 'getSecuritySessionCode', SID);
    expect(await check('1')).toMatchObject({ isAttemptAvailable: true });
    expect(await check('2')).toMatchObject({ isAttemptAvailable: true });
    expect(await check('3')).toMatchObject({ isAttemptAvailable: false });
    expect(await check(simulator.phoneCode)).toMatchObject({ success: false });
    await clock.advance(60_000);
    await command(simulator, 'getSecuritySessionCode', SID);
    expect(await check(simulator.phoneCode)).toMatchObject({ success: true });
    expect(await command(simulator, 'checkSecuritySessionCode', SID, {})).toEqual({
      errMsg: 'Bad params: validationKey',
      code: 5,
    });
  });
});
