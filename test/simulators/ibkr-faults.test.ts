import { once } from 'node:events';
import { connect as connectTls } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import { until, VirtualClock } from '../support/virtual-clock.js';
import { flags, harness, stateOf } from './ibkr-client.js';

const { start, api, connect, refused, closeAll } = harness();
afterEach(closeAll);

/** A simulator on virtual time and a greeted socket; a tickle was asked a second ago. */
async function live() {
  const clock = new VirtualClock();
  const simulator = await start({ clock });
  const gateway = api(simulator);
  const session = await gateway.session();
  const client = await connect(simulator, `api=${session}`);
  await client.wait('sts');
  await clock.advance(1_000);
  return { clock, simulator, gateway, session, client };
}

const GREETING = 3;
const LOST = flags({ authenticated: false, established: false });

test('every fault says what it does, and refuses parameters that it does not know', async () => {
  const simulator = await start();
  expect(simulator.faults.map(({ name }) => name).toSorted()).toEqual(
    [
      ...['silence', 'drop', 'close', 'half_open', 'slow', 'garbage', 'oversized', 'unknown_value', 'session_expiry'],
      ...['competing', 'bridge_drift', 'nightly_reset', 'too_many_requests', 'maintenance', 'http_down', 'log_in'],
      ...['missing_fields', 'duplicate_frame', 'reordered_frame', 'refuse_init', 'reauthenticate_gone', 'ws_only_down'],
      ...['tickle_failure', 'established_lag', 'notice'],
    ].toSorted(),
  );
  for (const { name, summary } of simulator.faults) {
    expect(summary, name).toMatch(/\.$/);
    expect(() => simulator.fault(name, { nonsense: 1 }), name).toThrow(
      expect.objectContaining({ code: 'invalid_params', message: expect.stringContaining(name) }),
    );
  }
});

describe('the socket', () => {
  test('silence loses beats and pongs, and ends by itself', async () => {
    const { clock, simulator, client } = await live();
    let pongs = 0;
    client.socket.on('pong', () => {
      pongs += 1;
    });
    simulator.fault('silence', { forMs: 28_000 });
    client.socket.ping();
    client.send('tic');
    await until(() => stateOf(simulator).requests.socket.tic === 1, 'the tic to be read');
    await clock.advance(28_000);
    await client.fence();
    expect(pongs).toBe(1);
    expect(client.texts).toHaveLength(GREETING);
    await clock.advance(10_000);
    await client.wait('system', 2);
  });

  test('drop: 1006 at once, under TLS too, and HTTP goes on', async () => {
    const { simulator, gateway, client } = await live();
    simulator.fault('drop');
    expect(await client.closed()).toEqual({ code: 1006, reason: '' });
    expect((await gateway.status()).status).toBe(200);
    expect(stateOf(simulator)).toMatchObject({ connections: [], ended: [{ connection: 1, cause: 'fault' }] });
  });

  test('drop is a reset: what a client sees below its socket is ECONNRESET', async () => {
    const { simulator } = await live();
    const { hostname, port } = new URL(simulator.url);
    const tls = connectTls({ host: hostname, port: Number(port), ca: simulator.ca });
    const failed = once(tls, 'error');
    tls.write(
      [
        ...['GET /v1/api/ws HTTP/1.1', `Host: ${hostname}`, 'Connection: Upgrade', 'Upgrade: websocket'],
        ...['Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==', '', ''],
      ].join('\r\n'),
    );
    await once(tls, 'data');
    simulator.fault('drop');
    expect(await failed).toMatchObject([{ code: 'ECONNRESET' }]);
  });

  test('close: the code and the reason that were asked for', async () => {
    const { simulator, client } = await live();
    simulator.fault('close', { code: 4321, reason: 'for a test' });
    expect(await client.closed()).toEqual({ code: 4321, reason: 'for a test' });
    expect(() => simulator.fault('close', { code: 1006 })).toThrow('code');
  });

  test('half_open: neither beat nor pong nor close frame comes, TCP stays up, and a new socket works', async () => {
    const { clock, simulator, session, client } = await live();
    let pongs = 0;
    client.socket.on('pong', () => {
      pongs += 1;
    });
    simulator.fault('half_open');
    client.socket.ping();
    client.socket.close(1000);
    await clock.advance(60_000);
    const other = await connect(simulator, `api=${session}`);
    await other.wait('sts');
    await other.fence();
    expect(pongs).toBe(0);
    expect(client.texts).toHaveLength(GREETING);
    expect(client.ended).toBeUndefined();
    expect(stateOf(simulator).connections).toEqual([
      { id: 1, authenticated: true, halfOpen: true },
      { id: 2, authenticated: true, halfOpen: false },
    ]);
  });

  test('slow: frames later by so much and in order; answers too, unless the sockets alone are', async () => {
    const { clock, simulator, gateway, client } = await live();
    simulator.fault('slow', { delayMs: 5_000, of: 'ws' });
    client.send('tic');
    expect((await gateway.status()).status).toBe(200);
    await client.fence();
    await clock.advance(4_999);
    await client.fence();
    expect(client.heard('tic')).toEqual([]);
    await clock.advance(1);
    await client.wait('tic', 4);
    simulator.fault('slow', { delayMs: 2_000, forMs: 60_000 });
    let answered = false;
    const asking = gateway.status().then(() => {
      answered = true;
    });
    await until(() => stateOf(simulator).requests.http.auth_status === 2, 'the request');
    await clock.advance(1_999);
    expect(answered).toBe(false);
    await clock.advance(1);
    await asking;
    simulator.fault('slow', { delayMs: 0 });
    expect((await gateway.status()).status).toBe(200);
  });

  test('garbage: a frame that is no JSON, or an answer over HTTP that is none', async () => {
    const { simulator, gateway, client } = await live();
    simulator.fault('garbage');
    await until(() => client.texts.length === GREETING + 1, 'the garbage');
    expect(() => JSON.parse(client.texts.at(-1) ?? '')).toThrow(SyntaxError);
    simulator.fault('garbage', { over: 'http', text: '{"session":' });
    expect(await gateway.tickle()).toMatchObject({ status: 200, text: '{"session":' });
    expect((await gateway.status()).body).toMatchObject(flags());
    await client.fence();
  });

  test('oversized: as long as was asked for; longer than a client takes without being asked', async () => {
    const { simulator, client } = await live();
    simulator.fault('oversized', { bytes: 1_000 });
    await client.wait('ntf');
    expect(client.texts.at(-1)?.length).toBeGreaterThan(1_000);
    simulator.fault('oversized');
    await until(() => (client.texts.at(-1)?.length ?? 0) > 16 * 1024 * 1024, 'the large one');
  });

  test('unknown_value: an unknown topic, and fields that no page knows for so long', async () => {
    const { clock, simulator, gateway, client } = await live();
    simulator.fault('unknown_value', { forMs: 5_000 });
    expect(await client.wait('tides')).toEqual({ topic: 'tides', args: { high: true } });
    expect(await client.wait('sts', 2)).toMatchObject({ args: { mood: 'odd' } });
    expect((await gateway.status()).body).toMatchObject({ ...flags(), mood: 'odd' });
    expect((await gateway.validate()).body).toMatchObject({ RESULT: true, mood: 'odd' });
    await clock.advance(5_000);
    expect((await gateway.status()).body).not.toHaveProperty('mood');
  });

  test('duplicate_frame: the last frame once more, as it was', async () => {
    const { simulator, client } = await live();
    simulator.fault('duplicate_frame');
    await client.wait('sts', 2);
    expect(client.texts.at(-1)).toBe(client.texts.at(-2));
  });

  test('reordered_frame: the next status comes after the one that followed it', async () => {
    const { clock, simulator, client } = await live();
    simulator.fault('reordered_frame');
    simulator.fault('competing');
    await clock.advance(2_000);
    await client.wait('sts', 3);
    expect(client.statuses().slice(1)).toEqual([{ authenticated: false }, { competing: true }]);
  });

  test('ws_only_down: sockets end and are refused with 503 for so long, while tickle is green', async () => {
    const { clock, simulator, gateway, session, client } = await live();
    simulator.fault('ws_only_down', { forMs: 20_000 });
    expect((await client.closed()).code).toBe(1006);
    expect(await refused(simulator)).toBe(503);
    expect((await gateway.tickle()).body).toMatchObject({ iserver: { authStatus: flags() } });
    await clock.advance(20_000);
    await (await connect(simulator, `api=${session}`)).wait('sts');
    expect(stateOf(simulator).refusedUpgrades).toEqual({ 503: 1 });
  });

  test.each([
    [{}, { topic: 'blt', args: { id: 'SIMULATOR-1', message: expect.any(String) } }],
    [
      { topic: 'ntf', text: 'Soon.', asList: true },
      { topic: 'ntf', args: [{ id: 'SIMULATOR-1', text: 'Soon.', title: 'Notice', url: '' }] },
    ],
  ])('notice %j', async (params, expected) => {
    const { simulator, client } = await live();
    simulator.fault('notice', params);
    expect(await client.wait(expected.topic)).toEqual(expected);
  });
});

describe('the login', () => {
  test('session_expiry: 401 for everything, and no session opens a socket', async () => {
    const { simulator, gateway } = await live();
    simulator.fault('session_expiry');
    for (const answer of [gateway.tickle(), gateway.status(), gateway.validate(), gateway.init(true)]) {
      expect(await answer).toMatchObject({
        ...{ status: 401, headers: { 'content-type': 'text/plain; charset=utf-8' }, text: 'access denied' },
      });
    }
    expect(stateOf(simulator)).toMatchObject({ sso: { valid: false }, brokerage: { phase: 'closed' } });
  });

  test('session_expiry as a redirect to a login page, until a person logs in after `forMs`', async () => {
    const { clock, simulator, gateway, session } = await live();
    simulator.fault('session_expiry', { as: 'redirect', forMs: 30_000 });
    const location = expect.stringMatching(/^\/sso\/Login/);
    expect(await gateway.tickle()).toMatchObject({ status: 302, headers: { location } });
    expect(await gateway.validate()).toMatchObject({ status: 302, headers: { location } });
    expect(await gateway.origin('GET', '/sso/Login?forwardTo=22')).toMatchObject({ status: 200 });
    await clock.advance(30_000);
    expect(await gateway.session()).not.toBe(session);
    await clock.advance(3_000);
    expect((await gateway.status()).body).toMatchObject(flags());
  });

  test('session_expiry in the words after a logout', async () => {
    const { simulator, gateway } = await live();
    simulator.fault('session_expiry', { as: 'no_session' });
    expect(await gateway.tickle()).toMatchObject({ status: 200, body: { error: 'no session' } });
    expect(await gateway.validate()).toMatchObject({ status: 200, body: { RESULT: false } });
  });

  test('log_in takes the brokerage session from another login', async () => {
    const { clock, simulator } = await live();
    simulator.fault('competing');
    await clock.advance(2_000);
    simulator.fault('log_in');
    await clock.advance(3_000);
    expect(stateOf(simulator).brokerage).toEqual({ phase: 'ready', heldByOther: false });
  });
});

describe('the brokerage session', () => {
  test('competing: `competing` first, then `authenticated` flips, by socket and HTTP alike', async () => {
    const { clock, simulator, gateway, client } = await live();
    simulator.fault('competing');
    expect(await client.wait('sts', 2)).toEqual({ topic: 'sts', args: { competing: true } });
    expect((await gateway.status()).body).toMatchObject(flags({ competing: true }));
    await clock.advance(2_000);
    expect(await client.wait('sts', 3)).toEqual({ topic: 'sts', args: { authenticated: false } });
    expect((await gateway.status()).body).toMatchObject({ ...LOST, competing: true });
    expect((await gateway.tickle()).body).toMatchObject({ iserver: { authStatus: { ...LOST, competing: true } } });
  });

  test('competing with `forMs`: then it is nobody’s, and an init opens it', async () => {
    const { clock, simulator, gateway, client } = await live();
    simulator.fault('competing', { forMs: 20_000 });
    await clock.advance(20_000);
    await client.wait('sts', 4);
    expect(client.statuses().slice(1)).toEqual([{ competing: true }, { authenticated: false }, { competing: false }]);
    expect((await gateway.status()).body).toMatchObject({ ...LOST, fail: '' });
    expect((await gateway.init(false)).body).toMatchObject({ passed: true });
    await clock.advance(3_000);
    expect((await gateway.status()).body).toMatchObject(flags());
  });

  test('competing byUs takes it back, and with 0 the other logs out', async () => {
    const { clock, simulator, client } = await live();
    simulator.fault('competing');
    await clock.advance(2_000);
    simulator.fault('competing', { byUs: true });
    await client.wait('sts', 4);
    expect(client.statuses()[3]).toEqual({ authenticated: true, competing: false });
    await clock.advance(3_000);
    expect(await client.wait('sts', 5)).toMatchObject({ args: flags() });
    simulator.fault('competing');
    simulator.fault('competing', { forMs: 0 });
    expect(stateOf(simulator).brokerage).toEqual({ phase: 'idle', heldByOther: false });
    simulator.fault('session_expiry');
    expect(() => simulator.fault('competing', { byUs: true })).toThrow('log_in');
  });

  test('competing with `retakesAfterMs` takes it back each time, until the other logs out', async () => {
    const { clock, simulator, gateway } = await live();
    simulator.fault('competing', { retakesAfterMs: 10_000 });
    for (let round = 0; round < 2; round++) {
      await clock.advance(2_000);
      await gateway.init(true);
      await clock.advance(9_999);
      expect(stateOf(simulator).brokerage.heldByOther).toBe(false);
      await clock.advance(1);
      expect(stateOf(simulator).brokerage).toEqual({ phase: 'evicting', heldByOther: true });
    }
    simulator.fault('competing', { forMs: 0 });
    await gateway.init(false);
    await clock.advance(60_000);
    expect(stateOf(simulator).brokerage).toEqual({ phase: 'ready', heldByOther: false });
  });

  test('bridge_drift: tickle is green and auth/status is false, until an init', async () => {
    const { clock, simulator, gateway } = await live();
    simulator.fault('bridge_drift');
    await clock.advance(200_000);
    expect((await gateway.tickle()).body).toMatchObject({ iserver: { authStatus: flags() } });
    expect((await gateway.validate()).body).toMatchObject({ RESULT: true });
    expect((await gateway.status()).body).toEqual({
      ...{ authenticated: false, established: false, competing: false, connected: false },
      ...{ message: '', MAC: expect.any(String), fail: 'no bridge' },
    });
    expect(await gateway.ask('GET', '/iserver/accounts')).toMatchObject({ status: 400, body: { error: 'no bridge' } });
    expect((await gateway.init(false)).body).toMatchObject({ passed: true });
    expect((await gateway.status()).body).toMatchObject(flags());
  });

  test('bridge_drift ends by a reauthenticate, and when a person logs in', async () => {
    const { clock, simulator, gateway } = await live();
    simulator.fault('bridge_drift');
    await gateway.ask('GET', '/iserver/reauthenticate');
    await clock.advance(1_000);
    expect((await gateway.status()).body).toMatchObject({ fail: '' });
    simulator.fault('bridge_drift');
    simulator.fault('log_in');
    expect((await gateway.status()).body).toMatchObject({ fail: '' });
  });

  test('bridge_drift with `forMs` outlasts an init', async () => {
    const { clock, simulator, gateway } = await live();
    simulator.fault('bridge_drift', { forMs: 60_000 });
    expect(await gateway.init(false)).toMatchObject({ status: 400, body: { error: 'no bridge' } });
    expect((await gateway.ask('POST', '/iserver/reauthenticate')).status).toBe(200);
    await clock.advance(59_999);
    expect((await gateway.status()).body).toMatchObject({ fail: 'no bridge' });
    await clock.advance(1);
    expect((await gateway.status()).body).toMatchObject(flags());
  });

  test('nightly_reset: no bridge for so long, init 503, and an init is needed afterwards', async () => {
    const { clock, simulator, gateway, client } = await live();
    simulator.fault('nightly_reset', { forMs: 30_000 });
    await client.wait('sts', 2);
    expect(client.statuses()[1]).toEqual({ authenticated: false, fail: 'no bridge' });
    expect((await gateway.status()).body).toMatchObject({ connected: false, fail: 'no bridge' });
    expect((await gateway.init(false)).status).toBe(503);
    expect((await gateway.validate()).body).toMatchObject({ RESULT: true });
    await clock.advance(30_000);
    expect((await gateway.status()).body).toMatchObject({ ...LOST, fail: '' });
    expect((await gateway.init(false)).body).toMatchObject({ passed: true });
  });

  test('established_lag: authenticated for so long before it is established, from now on', async () => {
    const { clock, simulator, gateway } = await live();
    simulator.fault('established_lag', { ms: 90_000 });
    simulator.fault('nightly_reset', { forMs: 0 });
    await clock.advance(0);
    await gateway.init(false);
    await clock.advance(89_999);
    expect((await gateway.status()).body).toMatchObject(flags({ established: false }));
    await clock.advance(1);
    expect((await gateway.status()).body).toMatchObject(flags());
  });

  test.each([
    ['unavailable', { status: 503 }],
    ['server_error', { status: 500 }],
    ['access_denied', { status: 401, text: 'access denied' }],
    ['not_passed', { status: 200, body: { passed: false, authenticated: false } }],
  ])('refuse_init as %s: so many, and no more', async (as, expected) => {
    const { simulator, gateway } = await live();
    simulator.fault('refuse_init', { as, count: 2 });
    for (let times = 0; times < 2; times++) expect(await gateway.init(false)).toMatchObject(expected);
    expect((await gateway.init(false)).body).toMatchObject({ passed: true });
  });

  test('missing_fields: statuses lack them everywhere, and are themselves again afterwards', async () => {
    const { clock, simulator, gateway, client } = await live();
    simulator.fault('missing_fields', { fields: ['authenticated', 'connected', 'RESULT'], forMs: 30_000 });
    simulator.fault('competing', { forMs: 3_000 });
    await clock.advance(3_000);
    await client.wait('sts', 4);
    expect(client.statuses().slice(1)).toEqual([{ competing: true }, {}, { competing: false }]);
    for (const body of [(await gateway.status()).body, (await gateway.validate()).body]) {
      for (const name of ['authenticated', 'connected', 'RESULT']) expect(body).not.toHaveProperty(name);
    }
    expect((await gateway.tickle()).text).not.toContain('"authenticated"');
    await clock.advance(27_000);
    expect((await gateway.status()).body).toHaveProperty('authenticated');
  });
});

describe('HTTP', () => {
  test('too_many_requests: 429 for requests and upgrades, ten minutes unless told otherwise', async () => {
    const { clock, simulator, gateway, session, client } = await live();
    simulator.fault('too_many_requests');
    expect((await gateway.tickle()).status).toBe(429);
    expect(await refused(simulator)).toBe(429);
    await client.fence();
    await clock.advance(599_999);
    expect((await gateway.status()).status).toBe(429);
    await clock.advance(1);
    expect((await gateway.status()).status).toBe(200);
    await connect(simulator, `api=${session}`);
    simulator.fault('too_many_requests', { forMs: 60_000 });
    simulator.fault('too_many_requests', { forMs: 0 });
    expect((await gateway.tickle()).status).toBe(200);
  });

  test('maintenance: sockets end, 503 for so long, and the brokerage session has to be opened anew', async () => {
    const { clock, simulator, gateway, client } = await live();
    simulator.fault('maintenance', { forMs: 15_000 });
    expect((await client.closed()).code).toBe(1006);
    expect((await gateway.tickle()).status).toBe(503);
    expect(await refused(simulator)).toBe(503);
    await clock.advance(15_000);
    expect((await gateway.status()).body).toMatchObject(LOST);
    simulator.fault('maintenance', { forMs: 1_000, loginLost: true });
    await clock.advance(1_000);
    expect((await gateway.tickle()).status).toBe(302);
    expect(stateOf(simulator).ended).toEqual([{ connection: 1, cause: 'maintenance' }]);
  });

  test('http_down: no answer, nothing is carried out, and sockets live', async () => {
    const { clock, simulator, gateway, client } = await live();
    simulator.fault('http_down', { forMs: 10_000 });
    await expect(gateway.ask('POST', '/logout')).rejects.toThrow();
    await client.fence();
    await clock.advance(10_000);
    expect((await gateway.status()).body).toMatchObject(flags());
  });

  test.each(['cut_answer', 'hang'])('http_down as %s: carried out, and the answer is lost', async (as) => {
    const { simulator, gateway } = await live();
    simulator.fault('http_down', { as });
    const asking = gateway.ask('POST', '/logout');
    asking.catch(() => {});
    await until(() => stateOf(simulator).requests.http.logout === 1, 'the request');
    expect(stateOf(simulator).sso.valid).toBe(false);
    if (as === 'cut_answer') await expect(asking).rejects.toThrow();
    else expect(await Promise.race([asking, Promise.resolve('none')])).toBe('none');
    simulator.fault('http_down', { forMs: 0 });
    expect((await gateway.tickle()).body).toEqual({ error: 'no session' });
  });

  test.each([
    ['error', { status: 200, body: { error: 'failed to process request' } }],
    ['no_session', { status: 200, body: { error: 'no session' } }],
    ['server_error', { status: 500 }],
  ])('tickle_failure as %s: one, and the session lives', async (as, expected) => {
    const { clock, simulator, gateway } = await live();
    simulator.fault('tickle_failure', { as });
    expect(await gateway.tickle()).toMatchObject(expected);
    await clock.advance(5_000);
    expect((await gateway.tickle()).body).toMatchObject({ iserver: { authStatus: flags() } });
  });

  test('tickle_failure without an answer', async () => {
    const { simulator, gateway } = await live();
    simulator.fault('tickle_failure', { as: 'no_answer' });
    await expect(gateway.tickle()).rejects.toThrow();
    expect((await gateway.status()).body).toMatchObject(flags());
  });

  test('reauthenticate_gone: 404 as HTML, until it ends', async () => {
    const { clock, simulator, gateway } = await live();
    simulator.fault('reauthenticate_gone', { forMs: 30_000 });
    expect(await gateway.ask('GET', '/iserver/reauthenticate')).toMatchObject({
      ...{ status: 404, text: '<html><body><h1>Resource not found</h1></body></html>' },
    });
    await clock.advance(30_000);
    expect((await gateway.ask('GET', '/iserver/reauthenticate')).body).toEqual({ message: 'triggered' });
  });
});
