import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { until, VirtualClock } from '../support/virtual-clock.js';
import {
  ask,
  command,
  form,
  harness,
  logInWith,
  type RawClient,
  refusedUpgrade,
  sessionIds,
  sidOf,
  signedV3,
  sourceOf,
  stateOf,
} from './tradernet-client.js';

const { start, connect, closeAll } = harness();
afterEach(closeAll);

const UNKNOWN_USER = { error: 'User is not found', code: 7 };
const DEMO = { isDemo: true, mode: 'demo' };

/** A simulator on virtual time, its customer's SID, and a socket that has asked for the list. */
async function live() {
  const clock = new VirtualClock();
  const simulator = await start({ clock });
  const sid = await sidOf(simulator);
  const client = await connect(simulator, `?SID=${sid}`);
  client.send(['sessions']);
  await client.wait('sessions');
  return { clock, simulator, sid, client };
}

const wstm = (client: RawClient, index: number): string => z.string().parse(client.frames.at(index)?.[2]);

test('every fault says what it does, and refuses parameters that it does not know', async () => {
  const simulator = await start();
  expect(simulator.faults.map(({ name }) => name).toSorted()).toEqual(
    [
      ...['silence', 'drop', 'close', 'half_open', 'slow', 'garbage', 'oversized', 'unknown_value', 'token_expiry'],
      ...['eviction', 'bad_credentials', 'refuse_upgrade', 'too_many_requests', 'maintenance', 'demo_user_data'],
      ...['missing_row', 'duplicate_frame', 'reordered_reply', 'open_session', 'extend_session', 'close_session'],
      ...['two_factor', 'http_down', 'inconsistent_expire', 'plain_frames', 'sessions_command'],
    ].toSorted(),
  );
  for (const { name, summary } of simulator.faults) {
    expect(summary, name).toMatch(/\.$/);
    expect(() => simulator.fault(name, { nonsense: 1 }), name).toThrow(
      expect.objectContaining({ code: 'invalid_params', message: expect.stringContaining(name) }),
    );
  }
});

test('a fault over HTTP is the fault itself, and /_sim tells the state', async () => {
  const { simulator, client } = await live();
  const body = JSON.stringify({ fault: 'open_session', params: { safetyTypeId: 8 } });
  expect(await ask(simulator, '/_sim/faults', { method: 'POST', body })).toMatchObject({ status: 200 });
  await client.wait('sessions', 2);
  expect((await ask(simulator, '/_sim')).body).toMatchObject({
    venue: 'tradernet',
    state: { connections: [{ id: 1 }], sessions: [{}, {}, { safetyTypeId: 8 }] },
  });
});

describe('the socket', () => {
  test('silence loses what is sent meanwhile, pongs and keepAlives too, and ends by itself', async () => {
    const { clock, simulator, client } = await live();
    let pongs = 0;
    client.socket.on('pong', () => {
      pongs += 1;
    });
    simulator.fault('silence', { forMs: 60_000 });
    client.socket.ping();
    client.send(['sessions']);
    await until(() => stateOf(simulator).requests.socket.sessions === 2, 'the question to be read');
    simulator.fault('open_session');
    await clock.advance(60_000);
    await client.fence();
    expect(pongs).toBe(1);
    expect(client.frames).toHaveLength(2);
    simulator.fault('open_session');
    await client.wait('sessions', 2);
    expect(client.lists()[1]).toHaveLength(4);
  });

  test('silence without an end lasts; a socket that is opened meanwhile works', async () => {
    const { clock, simulator, client } = await live();
    simulator.fault('silence');
    await clock.advance(600_000);
    const other = await connect(simulator);
    await other.fence();
    expect(client.frames).toHaveLength(2);
  });

  test('drop: 1006 at once', async () => {
    const { simulator, client } = await live();
    simulator.fault('drop');
    expect(await client.closed()).toEqual({ code: 1006, reason: '' });
    expect(stateOf(simulator)).toMatchObject({ connections: [], ended: [{ connection: 1, cause: 'fault' }] });
  });

  test('close: the code and the reason that were asked for', async () => {
    const { simulator, client } = await live();
    simulator.fault('close', { code: 4321, reason: 'for a test' });
    expect(await client.closed()).toEqual({ code: 4321, reason: 'for a test' });
    for (const code of [999, 1005, 1006, 1015, 2999, 5000]) {
      expect(() => simulator.fault('close', { code })).toThrow('code');
    }
  });

  test('half_open: neither list nor pong nor close frame comes, and TCP stays up', async () => {
    const { clock, simulator, client } = await live();
    let pongs = 0;
    client.socket.on('pong', () => {
      pongs += 1;
    });
    simulator.fault('half_open');
    client.socket.ping();
    client.send(['sessions']);
    client.socket.close(1000);
    simulator.fault('open_session');
    await clock.advance(120_000);
    const other = await connect(simulator);
    await other.fence();
    expect(pongs).toBe(0);
    expect(client.frames).toHaveLength(2);
    expect(client.ended).toBeUndefined();
    expect(stateOf(simulator)).toMatchObject({
      connections: [{ id: 1, halfOpen: true }, { id: 2 }],
      requests: { socket: { sessions: 1 } },
    });
  });

  test('slow: every frame later by so much and in order, HTTP not at all, until it ends', async () => {
    const { clock, simulator, sid, client } = await live();
    simulator.fault('slow', { delayMs: 3_000, forMs: 2_000 });
    simulator.fault('open_session');
    expect(await command(simulator, 'getSecuritySessions', sid)).toHaveLength(3);
    await clock.advance(2_500);
    simulator.fault('open_session');
    await clock.advance(499);
    await client.fence();
    expect(client.heard('sessions')).toHaveLength(1);
    await clock.advance(1);
    await client.wait('sessions', 3);
    expect(client.lists().map(({ length }) => length)).toEqual([2, 3, 4]);
    expect(wstm(client, -2)).toBe('wstm=2026-11-23T08:00:00.000Z');
    simulator.fault('slow', { delayMs: 9_000 });
    simulator.fault('slow', { delayMs: 0 });
    simulator.fault('open_session');
    await client.wait('sessions', 4);
  });

  test('garbage: a frame that is no JSON, and the socket lives', async () => {
    const { simulator, client } = await live();
    simulator.fault('garbage');
    await until(() => client.texts.length === 3, 'the garbage');
    expect(() => JSON.parse(client.texts[2] ?? '')).toThrow(SyntaxError);
    simulator.fault('garbage', { text: '{"sessions":[]}' });
    await until(() => client.texts.at(-1) === '{"sessions":[]}', 'the other garbage');
    await client.fence();
  });

  test('oversized: as long as was asked for; longer than a client takes without being asked', async () => {
    const { simulator, client } = await live();
    simulator.fault('oversized', { bytes: 1_000 });
    await client.wait('news');
    expect(client.texts.at(-1)?.length).toBeGreaterThan(1_000);
    simulator.fault('oversized');
    await until(() => (client.texts.at(-1)?.length ?? 0) > 16 * 1024 * 1024, 'the large one');
  });

  test('unknown_value: an unknown event in one, two and three elements', async () => {
    const { simulator, client } = await live();
    simulator.fault('unknown_value', { what: 'event' });
    await until(() => client.texts.length === 5, 'the events');
    expect(client.texts.slice(2)).toEqual([
      '["tides"]',
      '["tides",{"high":true}]',
      '["tides",{"high":true},"wstm=2026-11-23T08:00:00.000Z"]',
    ]);
  });

  test('unknown_value: an unknown safety type, and fields that no page knows', async () => {
    const { simulator, client } = await live();
    simulator.fault('unknown_value', { what: 'safety_type' });
    await client.wait('sessions', 2);
    expect(client.heard('sessions')[1]).toMatchObject([{}, {}, { safety_type_id: 99 }]);
    simulator.fault('unknown_value', { what: 'fields' });
    await client.wait('sessions', 3);
    expect(client.heard('userData')[1]).toMatchObject({ mode: 'prod', mood: 'odd' });
    expect(client.heard('sessions')[2]).toMatchObject([{ mood: 'odd' }, { mood: 'odd' }, { mood: 'odd' }]);
    expect(client.lists()[2]).toEqual(client.lists()[1]);
  });

  test('duplicate_frame: the last frame once more, as it was', async () => {
    const { clock, simulator, client } = await live();
    await clock.advance(5_000);
    simulator.fault('duplicate_frame');
    await until(() => client.texts.length === 3, 'the duplicate');
    expect(client.texts[2]).toBe(client.texts[1]);
  });

  test('reordered_reply: the next list is followed by the one before it, with its older time', async () => {
    const { clock, simulator, client } = await live();
    await clock.advance(5_000);
    simulator.fault('reordered_reply');
    simulator.fault('open_session');
    await client.wait('sessions', 3);
    expect(client.lists().map(({ length }) => length)).toEqual([2, 3, 2]);
    expect([wstm(client, -2), wstm(client, -1)]).toEqual([
      'wstm=2026-11-23T08:00:05.000Z',
      'wstm=2026-11-23T08:00:00.000Z',
    ]);
    simulator.fault('open_session');
    await client.wait('sessions', 4);
    await client.fence();
    expect(client.lists().slice(3)).toEqual([sessionIds(simulator)]);
  });

  test('reordered_reply of userData: the next socket gets a list before it, the one after that does not', async () => {
    const { simulator, sid } = await live();
    simulator.fault('reordered_reply', { what: 'user_data' });
    for (const expected of [['sessions', 'userData'], ['userData']]) {
      const client = await connect(simulator, `?SID=${sid}`);
      await client.wait('userData');
      expect(client.frames.map(([name]) => name)).toEqual(expected);
    }
  });

  test('plain_frames: frames as the pages show them, without the time of the server', async () => {
    const { clock, simulator, client } = await live();
    simulator.fault('plain_frames', { forMs: 61_000 });
    await clock.advance(60_000);
    await client.wait('keepAlive');
    expect(client.texts.at(-1)).toBe('["keepAlive",[]]');
    simulator.fault('open_session');
    await client.wait('sessions', 2);
    expect(client.frames.at(-1)).toHaveLength(2);
    await clock.advance(60_000);
    await client.wait('keepAlive', 2);
    expect(client.frames.at(-1)).toHaveLength(3);
  });

  test('sessions_command: one word is answered, the other passed over', async () => {
    const { simulator, client } = await live();
    simulator.fault('sessions_command', { accepts: 'session' });
    client.send(['sessions']);
    await client.fence();
    expect(client.heard('sessions')).toHaveLength(1);
    client.send(['session']);
    await client.wait('sessions', 2);
  });

  test.each([
    [{}, { status: 429, retryAfter: undefined }],
    [{ retryAfterSeconds: 7 }, { status: 429, retryAfter: '7' }],
    [{ status: 403 }, { status: 403, retryAfter: undefined }],
  ])('refuse_upgrade %j: the next socket is refused, the one after it is not', async (params, expected) => {
    const { simulator } = await live();
    simulator.fault('refuse_upgrade', params);
    expect(await refusedUpgrade(simulator.url)).toEqual(expected);
    await connect(simulator);
    simulator.fault('refuse_upgrade', { count: 2 });
    await refusedUpgrade(simulator.url);
    await refusedUpgrade(simulator.url);
    await connect(simulator);
  });
});

describe('the login', () => {
  test('token_expiry: HTTP does not know the user, the next socket is demo, and a live one stays as it is', async () => {
    const { simulator, sid, client } = await live();
    simulator.fault('token_expiry');
    expect(await command(simulator, 'getSidInfo', sid)).toEqual(UNKNOWN_USER);
    expect(await command(simulator, 'getSecuritySessions', sid)).toEqual(UNKNOWN_USER);
    expect(await (await connect(simulator, `?SID=${sid}`)).wait('userData')).toMatchObject(DEMO);
    simulator.fault('open_session');
    await client.wait('sessions', 2);
    expect(client.heard('userData')).toHaveLength(1);
    expect(await command(simulator, 'getSecuritySessions', await sidOf(simulator))).toHaveLength(3);
  });

  test('eviction: the SID dies and the socket is told that it is a demo one, without sessions from then on', async () => {
    const { simulator, sid, client } = await live();
    simulator.fault('eviction');
    expect(await client.wait('userData', 2)).toMatchObject(DEMO);
    expect(await command(simulator, 'getSidInfo', sid)).toEqual(UNKNOWN_USER);
    simulator.fault('open_session');
    client.send(['sessions']);
    await client.wait('sessions', 2);
    expect(client.lists()[1]).toEqual([]);
    expect(stateOf(simulator)).toMatchObject({ logins: 0, connections: [{ mode: 'demo', subscribed: false }] });
  });

  test('demo_user_data: the socket is told so, while the SID and the subscription live', async () => {
    const { simulator, sid, client } = await live();
    simulator.fault('demo_user_data');
    expect(await client.wait('userData', 2)).toMatchObject(DEMO);
    expect(await command(simulator, 'getSidInfo', sid)).toMatchObject({ SID: sid });
    simulator.fault('open_session');
    await client.wait('sessions', 2);
  });

  test('bad_credentials: neither password nor key for so long, and a SID that lives goes on', async () => {
    const { clock, simulator, sid } = await live();
    simulator.fault('bad_credentials', { forMs: 30_000 });
    expect(await logInWith(simulator)).toMatchObject({ status: 200, body: { error: expect.any(String), code: 12 } });
    const signed = () => ask(simulator, '/api/getSidInfo', { headers: signedV3(simulator, '', clock.now()) });
    expect((await signed()).body).toEqual({ error: 'Invalid api key provided', code: 12 });
    expect(await command(simulator, 'getSidInfo', sid)).toMatchObject({ SID: sid });
    await clock.advance(30_000);
    expect((await logInWith(simulator)).body).toMatchObject({ SID: expect.any(String) });
    expect((await signed()).body).toMatchObject({ SID: null });
  });

  test('two_factor: a login asks for a code and goes on with it, once', async () => {
    const { simulator } = await live();
    simulator.fault('two_factor');
    const asked = z
      .strictObject({ error: z.string().min(1), mode: z.literal('sms'), auth_code_id: z.string() })
      .parse((await logInWith(simulator)).body);
    const goOn = (sms: string) =>
      ask(
        simulator,
        '/api/check-login-password',
        form({ mode: 'sms', auth_code_id: asked.auth_code_id, sms, rememberMe: '1' }),
      );
    expect((await goOn('000000')).body).toEqual({ error: 'Bad code', code: 14 });
    expect((await goOn(simulator.phoneCode)).body).toMatchObject({ SID: expect.any(String) });
    expect((await goOn(simulator.phoneCode)).body).toEqual({ error: 'Bad code', code: 14 });
    expect(stateOf(simulator).logins).toBe(2);
  });

  test('two_factor with forMs 0 ends', async () => {
    const { simulator } = await live();
    simulator.fault('two_factor');
    simulator.fault('two_factor', { forMs: 0 });
    expect((await logInWith(simulator)).body).toMatchObject({ SID: expect.any(String) });
  });
});

describe('HTTP', () => {
  test('too_many_requests: 429 with the time that is left, while the socket lives', async () => {
    const { clock, simulator, sid, client } = await live();
    simulator.fault('too_many_requests', { forMs: 20_000 });
    await clock.advance(5_500);
    const q = encodeURIComponent(JSON.stringify({ cmd: 'getSidInfo', SID: sid }));
    const { status, headers, body } = await ask(simulator, `/api/?q=${q}`);
    expect({ status, retryAfter: headers.get('retry-after') }).toEqual({ status: 429, retryAfter: '15' });
    expect(body).toMatchObject({ code: 429, errMsg: expect.stringContaining('limit') });
    expect((await logInWith(simulator)).status).toBe(429);
    await client.fence();
    await clock.advance(14_500);
    expect(await command(simulator, 'getSidInfo', sid)).toMatchObject({ SID: sid });
  });

  test('maintenance: sockets end without a close frame, HTTP and upgrades are 503, and the SID outlives it', async () => {
    const { clock, simulator, sid, client } = await live();
    simulator.fault('maintenance', { forMs: 20_000 });
    expect(await client.closed()).toEqual({ code: 1006, reason: '' });
    expect(stateOf(simulator).ended).toEqual([{ connection: 1, cause: 'maintenance' }]);
    expect(await refusedUpgrade(simulator.url)).toEqual({ status: 503, retryAfter: undefined });
    expect(await logInWith(simulator)).toMatchObject({ status: 503, body: null });
    expect((await ask(simulator, '/socket.io/?EIO=4&transport=polling')).status).toBe(503);
    expect((await ask(simulator, '/_sim')).status).toBe(200);
    await clock.advance(20_000);
    expect(await (await connect(simulator, `?SID=${sid}`)).wait('userData')).toMatchObject({ mode: 'prod' });
  });

  test('http_down: requests end without an answer, while the socket lives', async () => {
    const { clock, simulator, sid, client } = await live();
    simulator.fault('http_down', { forMs: 20_000 });
    await expect(fetch(`${sourceOf(simulator).httpUrl}/api/?q=1`)).rejects.toThrow();
    simulator.fault('open_session');
    await client.wait('sessions', 2);
    await clock.advance(20_000);
    expect(await command(simulator, 'getSidInfo', sid)).toMatchObject({ SID: sid });
  });
});

describe('security sessions', () => {
  test('open, extend and close are told on the socket and over HTTP alike', async () => {
    const { simulator, sid, client } = await live();
    simulator.fault('open_session', { safetyTypeId: 17, lifeSeconds: 90 });
    await client.wait('sessions', 2);
    expect(client.heard('sessions')[1]).toMatchObject([
      {},
      {},
      {
        safety_type_id: 17,
        key_current: 'QR',
        start_datetime: '2026-11-23T08:00:00.000',
        expire_datetime: '2026-11-23T08:01:30.000',
        expire: 90,
      },
    ]);
    simulator.fault('extend_session', { bySeconds: 30 });
    await client.wait('sessions', 3);
    expect(client.heard('sessions')[2]).toMatchObject([
      {},
      {},
      { expire_datetime: '2026-11-23T08:02:00.000', expire: 120 },
    ]);
    expect(await command(simulator, 'getSecuritySessions', sid)).toEqual(client.heard('sessions')[2]);
    simulator.fault('close_session');
    await client.wait('sessions', 4);
    expect(client.lists()[3]).toEqual(client.lists()[0]);
  });

  test('one that is named is meant, and one that is not there is refused', async () => {
    const { simulator, client } = await live();
    const [first = 0, second = 0] = sessionIds(simulator);
    simulator.fault('close_session', { id: first });
    await client.wait('sessions', 2);
    expect(client.lists()[1]).toEqual([second]);
    for (const fault of ['close_session', 'extend_session', 'missing_row']) {
      expect(() => simulator.fault(fault, { id: first })).toThrow(`there is no session ${first}`);
    }
    simulator.fault('close_session');
    await client.wait('sessions', 3);
    expect(client.lists()[2]).toEqual([]);
    expect(() => simulator.fault('close_session')).toThrow('there is no session');
  });

  test('missing_row: a list without a session that lives, everywhere, and then the full one', async () => {
    const { clock, simulator, sid, client } = await live();
    const all = sessionIds(simulator);
    simulator.fault('missing_row', { forMs: 8_000 });
    await client.wait('sessions', 2);
    expect(client.lists()[1]).toEqual(all.slice(0, 1));
    expect(await command(simulator, 'getSecuritySessions', sid)).toHaveLength(1);
    expect(stateOf(simulator).sessions).toMatchObject([{ withheld: false }, { withheld: true }]);
    await clock.advance(8_000);
    await client.wait('sessions', 3);
    expect(client.lists()[2]).toEqual(all);
  });

  test('missing_row permanently: it never comes back, though it lives', async () => {
    const { clock, simulator, client } = await live();
    const [first = 0] = sessionIds(simulator);
    simulator.fault('missing_row', { id: first, permanently: true });
    await clock.advance(3_600_000);
    simulator.fault('open_session');
    await client.wait('sessions', 3);
    expect(client.lists()[2]).toEqual(sessionIds(simulator).filter((id) => id !== first));
  });

  test.each([
    ['milliseconds', 90_000],
    ['zero', 0],
    ['negative', -90],
  ] as const)('inconsistent_expire as %s: the row contradicts itself, until it ends', async (as, expected) => {
    const { clock, simulator, client } = await live();
    simulator.fault('open_session', { lifeSeconds: 90 });
    simulator.fault('inconsistent_expire', { as, forMs: 10_000 });
    await client.wait('sessions', 3);
    expect(client.heard('sessions')[2]).toMatchObject([
      {},
      {},
      { expire: expected, expire_datetime: '2026-11-23T08:01:30.000' },
    ]);
    await clock.advance(10_000);
    await client.wait('sessions', 4);
    expect(client.heard('sessions')[3]).toMatchObject([{}, {}, { expire: 80 }]);
  });
});
