import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTls } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { createHttpClient } from '../../src/net/undici-http.js';
import { connectWs } from '../../src/net/ws-socket.js';
import { createUsername } from '../../src/simulators/ibkr.js';
import { until, VirtualClock } from '../support/virtual-clock.js';
import { flags, harness, stateOf } from './ibkr-client.js';

const { start, api, connect, closeAll } = harness();
afterEach(closeAll);

const ibkrSource = z.looseObject({ tls: z.object({ fingerprint: z.string() }) });
const NOTHING = { authenticated: false, established: false, competing: false, connected: false, MAC: null };
const FORCE_COMPETE = 'Force compete capability must be used together with compete flag';
const server = { serverName: expect.stringMatching(/^JifZ\d{5}$/), serverVersion: expect.stringMatching(/^Build /) };
const MAC = expect.stringMatching(/^([0-9A-F]{2}:){5}[0-9A-F]{2}$/);
const full = (changes = {}) => ({
  ...flags(changes),
  message: '',
  MAC,
  serverInfo: server,
  hardware_info: expect.stringMatching(/^[0-9a-f]{8}\|/),
});

async function live(options: Parameters<typeof start>[0] = {}) {
  const clock = new VirtualClock();
  const simulator = await start({ clock, ...options });
  return { clock, simulator, gateway: api(simulator) };
}

describe('the source', () => {
  test('is a ready entry, whose fingerprint is that of the certificate on the port', async () => {
    const { simulator } = await live();
    const fingerprint = new X509Certificate(simulator.ca).fingerprint256;
    expect(simulator.source).toEqual({
      venue: 'ibkr',
      id: 'gateway',
      url: simulator.url,
      tls: { fingerprint },
      tickleSeconds: 10,
      initRetry: { from: '15s', to: '60s' },
      environment: 'paper',
    });
    expect(simulator.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+\/v1\/api$/);
    const { hostname, port } = new URL(simulator.url);
    const socket = connectTls({ host: hostname, port: Number(port), rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    expect(socket.getPeerX509Certificate()?.fingerprint256).toBe(fingerprint);
    socket.destroy();
  });

  test('has a certificate for the names of this machine, signed by itself, that lasts', async () => {
    const certificate = new X509Certificate((await live()).simulator.ca);
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    for (const host of ['127.0.0.1', '::1']) expect(certificate.checkIP(host)).toBe(host);
    expect(certificate.checkHost('localhost')).toBe('localhost');
    expect(new Date(certificate.validTo).getFullYear()).toBe(2120);
  });

  test("opens to the project's own HTTP client and socket, which pin the fingerprint before anything is sent", async () => {
    const { simulator } = await live();
    const { tls } = ibkrSource.parse(simulator.source);
    const http = createHttpClient({ tls });
    const reply = await http.request({ method: 'POST', url: `${simulator.url}/tickle` });
    const { session } = z.object({ session: z.string() }).parse(JSON.parse(reply.body));
    const texts: string[] = [];
    const socket = connectWs(
      `${simulator.url.replace('https:', 'wss:')}/ws`,
      { tls, headers: { cookie: `api={"session":"${session}"}` } },
      { opened: () => {}, message: (text) => texts.push(text), pong: () => {}, ended: () => {} },
    );
    await until(() => texts.length === 3, 'the greeting');
    socket.terminate();
    await http.close();
    const strict = createHttpClient({});
    await expect(strict.request({ method: 'POST', url: `${simulator.url}/tickle` })).rejects.toMatchObject({
      code: 'source_unavailable',
    });
    await strict.close();
    expect(stateOf(simulator).requests.http).toEqual({ tickle: 1 });
  });

  test('closes with everything on it, twice without harm, and leaves no timer behind', async () => {
    const { clock, simulator, gateway } = await live();
    const client = await connect(simulator, `api=${await gateway.session()}`);
    simulator.fault('competing', { forMs: 60_000, retakesAfterMs: 1_000 });
    simulator.fault('session_expiry', { forMs: 60_000 });
    await Promise.all([simulator.close(), simulator.close()]);
    expect((await client.closed()).code).toBe(1006);
    await clock.advance(0);
    expect(clock.timers).toBe(0);
  });

  test('a port that is taken is port_in_use, and leaves no timer behind', async () => {
    const { simulator } = await live();
    const clock = new VirtualClock();
    await expect(start({ clock, port: Number(new URL(simulator.url).port) })).rejects.toMatchObject({
      code: 'port_in_use',
    });
    expect(clock.timers).toBe(0);
  });
});

describe('the six operations while all is well', () => {
  test('tickle: the session, ms that are left, and the nested status without `fail`', async () => {
    const { gateway } = await live();
    expect(await gateway.tickle()).toMatchObject({
      status: 200,
      headers: { 'content-type': 'application/json; charset=utf-8' },
      body: {
        session: expect.stringMatching(/^[0-9a-f]{32}$/),
        ssoExpires: 587_000,
        collission: false,
        userId: expect.any(Number),
        hmds: { error: 'no bridge' },
        iserver: { authStatus: full() },
      },
    });
    expect(Object.keys(z.looseObject({}).parse((await gateway.status()).body))).toEqual([
      ...['authenticated', 'established', 'competing', 'connected', 'message', 'MAC', 'serverInfo', 'hardware_info'],
      'fail',
    ]);
  });

  test('ssoExpires falls by the clock, no tickle resets it, and it renews itself near zero', async () => {
    const { clock, gateway } = await live();
    const left = async () => z.object({ ssoExpires: z.number() }).parse((await gateway.tickle()).body).ssoExpires;
    for (const expected of [587_000, 387_000, 187_000]) {
      expect(await left()).toBe(expected);
      await clock.advance(200_000);
    }
    // 600 s after the login: 42 s were left after 545 s.
    expect(await left()).toBe(587_000 - 55_000);
  });

  test('auth/status answers POST and GET alike', async () => {
    const { gateway } = await live();
    const expected = { ...full(), fail: '' };
    expect((await gateway.status()).body).toEqual(expected);
    expect((await gateway.ask('GET', '/iserver/auth/status')).body).toEqual(expected);
  });

  test('init of a session that is open changes nothing', async () => {
    const { simulator, gateway } = await live();
    expect(await gateway.init(false)).toMatchObject({ status: 200, body: { passed: true, ...full() } });
    expect(stateOf(simulator).brokerage.phase).toBe('ready');
  });

  test('validate: RESULT, and what the page lists beside it', async () => {
    const { clock, gateway } = await live();
    expect((await gateway.validate()).body).toMatchObject({
      RESULT: true,
      AUTH_TIME: clock.now(),
      EXPIRES: 587_000,
      LOGIN_TYPE: 2,
      lastAccessed: clock.now(),
      features: { env: 'PROD' },
      region: 'NJ',
    });
  });

  test('a live account says so', async () => {
    const { simulator, gateway } = await live({ paper: false });
    expect((await gateway.validate()).body).toMatchObject({ LOGIN_TYPE: 1 });
    expect(simulator.source).toMatchObject({ environment: 'live' });
  });

  test.each(['GET', 'POST'] as const)('reauthenticate by %s is triggered, and carried out later', async (method) => {
    const { clock, simulator, gateway } = await live({ open: false });
    expect((await gateway.status()).body).toMatchObject(flags({ authenticated: false, established: false }));
    expect((await gateway.ask(method, '/iserver/reauthenticate')).body).toEqual({ message: 'triggered' });
    expect(stateOf(simulator).brokerage.phase).toBe('idle');
    await clock.advance(1_000);
    expect(stateOf(simulator).brokerage.phase).toBe('loading');
    await clock.advance(3_000);
    expect((await gateway.status()).body).toMatchObject(flags());
  });

  test('logout: both tiers are gone, and the answers are those that were recorded after one', async () => {
    const { simulator, gateway } = await live();
    expect(await gateway.ask('POST', '/logout')).toMatchObject({ status: 200, body: { status: true } });
    expect(await gateway.status()).toMatchObject({ status: 200, body: NOTHING });
    expect(Object.keys(z.looseObject({}).parse((await gateway.status()).body))).toEqual(Object.keys(NOTHING));
    expect(await gateway.tickle()).toMatchObject({ status: 200, body: { error: 'no session' } });
    expect(await gateway.validate()).toMatchObject({ status: 200, body: { RESULT: false } });
    expect(await gateway.init(true)).toMatchObject({ status: 401, text: 'access denied' });
    expect(stateOf(simulator)).toMatchObject({ sso: { valid: false }, brokerage: { phase: 'closed' } });
  });

  test('the generation of 2.9 has no `established`, and confirms a logout in other words', async () => {
    const { gateway } = await live({ generation: '2.9' });
    expect((await gateway.status()).body).toEqual({
      ...{ authenticated: true, competing: false, connected: true, message: '', MAC, fail: '' },
    });
    expect((await gateway.tickle()).body).toMatchObject({ iserver: { tickle: true, authStatus: { connected: true } } });
    expect((await gateway.ask('POST', '/logout')).body).toEqual({ confirmed: true });
  });
});

describe('init', () => {
  test('opens: authenticated at once, established later', async () => {
    const { clock, gateway } = await live({ open: false });
    expect((await gateway.init(false)).body).toEqual({ passed: true, ...full({ established: false }) });
    await clock.advance(2_999);
    expect((await gateway.status()).body).toMatchObject(flags({ established: false }));
    await clock.advance(1);
    expect((await gateway.status()).body).toMatchObject(flags());
  });

  test('without `compete` against another login: not passed, `competing` false, and the reason in `fail`', async () => {
    const { clock, simulator, gateway } = await live();
    simulator.fault('competing');
    await clock.advance(2_000);
    expect(await gateway.init(false)).toMatchObject({ status: 200 });
    expect((await gateway.init(false)).body).toEqual({
      ...{ passed: false, authenticated: false, connected: true, competing: false },
    });
    expect((await gateway.status()).body).toMatchObject({
      authenticated: false,
      competing: false,
      fail: FORCE_COMPETE,
    });
    expect(await gateway.ask('GET', '/iserver/accounts')).toMatchObject({
      status: 401,
      body: { error: 'not authenticated' },
    });
    expect((await gateway.ask('GET', '/portfolio/accounts')).status).toBe(200);
  });

  test('with `compete` takes it from the other login', async () => {
    const { clock, simulator, gateway } = await live();
    simulator.fault('competing');
    await clock.advance(2_000);
    expect(stateOf(simulator).brokerage).toEqual({ phase: 'evicted', heldByOther: true });
    expect((await gateway.init(true)).body).toMatchObject({ passed: true, authenticated: true });
    await clock.advance(3_000);
    expect(stateOf(simulator).brokerage).toEqual({ phase: 'ready', heldByOther: false });
  });

  test('without a body is refused in the words for a missing `compete`', async () => {
    const { simulator, gateway } = await live({ open: false });
    expect(await gateway.ask('POST', '/iserver/auth/ssodh/init')).toMatchObject({
      status: 200,
      body: { authenticated: false, fail: FORCE_COMPETE },
    });
    expect(stateOf(simulator).brokerage.phase).toBe('idle');
  });

  test.each([{ publish: false, compete: true }, ['publish'], { publish: 'yes' }])('%j is 500', async (body) => {
    const { gateway } = await live();
    expect((await gateway.ask('POST', '/iserver/auth/ssodh/init', body)).status).toBe(500);
  });

  test('two gateways of one username take it from each other, and the other one is free when one closes', async () => {
    const username = createUsername();
    const one = await live({ username });
    const other = await live({ username });
    expect(stateOf(other.simulator).brokerage.phase).toBe('idle');
    expect((await other.gateway.init(false)).body).toMatchObject({ passed: false });
    expect((await other.gateway.init(true)).body).toMatchObject({ passed: true });
    expect((await one.gateway.status()).body).toMatchObject(flags({ competing: true }));
    await one.clock.advance(2_000);
    expect((await one.gateway.status()).body).toMatchObject({ authenticated: false, competing: true });
    await other.simulator.close();
    expect((await one.gateway.status()).body).toMatchObject({ authenticated: false, competing: false, fail: '' });
    expect((await one.gateway.init(false)).body).toMatchObject({ passed: true });
  });
});

describe('time', () => {
  test('without a request the brokerage session ends after five minutes, and the login lives', async () => {
    const { clock, simulator, gateway } = await live();
    await clock.advance(299_999);
    await gateway.tickle();
    await clock.advance(299_999);
    expect(stateOf(simulator).brokerage.phase).toBe('ready');
    await clock.advance(1);
    expect((await gateway.status()).body).toMatchObject(flags({ authenticated: false, established: false }));
    expect((await gateway.validate()).body).toMatchObject({ RESULT: true });
  });

  test.each([
    ['want of requests', undefined],
    ['a reset', 'nightly_reset'],
    ['the end of the login', 'session_expiry'],
  ])('what ended by %s is free for another gateway of the username', async (_, fault) => {
    const username = createUsername();
    const one = await live({ username });
    const other = await live({ username });
    expect((await other.gateway.init(false)).body).toMatchObject({ passed: false });
    if (fault === undefined) await one.clock.advance(300_000);
    else one.simulator.fault(fault);
    expect((await other.gateway.init(false)).body).toMatchObject({ passed: true });
  });

  test('a new login lasts a day of its own', async () => {
    const { clock, simulator, gateway } = await live();
    await clock.advance(12 * 3_600_000);
    simulator.fault('log_in');
    await clock.advance(24 * 3_600_000 - 1);
    expect((await gateway.validate()).status).toBe(200);
    await clock.advance(1);
    expect((await gateway.tickle()).status).toBe(401);
  });

  test('a login lasts a day at most, whatever is asked', async () => {
    const { clock, gateway } = await live();
    for (let minutes = 0; minutes < 24 * 60; minutes += 4) {
      expect((await gateway.tickle()).status).toBe(200);
      await clock.advance(240_000);
    }
    expect(await gateway.tickle()).toMatchObject({ status: 401, text: 'access denied' });
    expect(await gateway.validate()).toMatchObject({ status: 401 });
  });
});

describe('pacing', () => {
  test('a second tickle within a second, and everything is 429 for ten minutes', async () => {
    const { clock, simulator, gateway } = await live();
    await gateway.tickle();
    await clock.advance(1_000);
    expect((await gateway.tickle()).status).toBe(200);
    expect((await gateway.tickle()).status).toBe(429);
    await clock.advance(599_999);
    expect((await gateway.validate()).status).toBe(429);
    expect((await gateway.status()).status).toBe(429);
    await clock.advance(1);
    expect((await gateway.validate()).status).toBe(200);
    expect(stateOf(simulator).conditions.penalised).toBe(false);
  });

  test('validate once a minute', async () => {
    const { clock, gateway } = await live();
    expect((await gateway.validate()).status).toBe(200);
    await clock.advance(60_000);
    expect((await gateway.validate()).status).toBe(200);
    await clock.advance(30_000);
    expect((await gateway.validate()).status).toBe(429);
  });

  test('ten requests a second', async () => {
    const { clock, gateway } = await live();
    const statuses: number[] = [];
    for (let count = 0; count < 10; count++) statuses.push((await gateway.status()).status);
    await clock.advance(1_000);
    for (let count = 0; count < 11; count++) statuses.push((await gateway.status()).status);
    expect(statuses).toEqual([...Array<number>(20).fill(200), 429]);
  });
});

describe('the edge', () => {
  test('a POST without Content-Length is 411', async () => {
    const { simulator } = await live();
    const { hostname, port } = new URL(simulator.url);
    const socket = connectTls({ host: hostname, port: Number(port), ca: simulator.ca });
    let text = '';
    socket.on('data', (data) => {
      text += String(data);
    });
    const head = `POST /v1/api/tickle HTTP/1.1\r\nHost: ${hostname}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`;
    socket.write(head);
    await until(() => text.includes('Length Required'), 'the answer');
    expect(text).toMatch(/^HTTP\/1\.1 411 /);
    socket.destroy();
  });

  test.each([
    ['POST', '/reauthenticate'],
    ['GET', '/tickle'],
    ['GET', '/constructor'],
    ['POST', '/sso/validate'],
  ] as const)('%s %s is no resource', async (method, path) => {
    expect(await api(await start()).ask(method, path)).toMatchObject({
      status: 404,
      headers: { 'content-type': 'text/html; charset=utf-8' },
      text: '<html><body><h1>Resource not found</h1></body></html>',
    });
  });

  test('/_sim is on the same port, tells no session, and triggers faults', async () => {
    const { simulator, gateway } = await live();
    const session = await gateway.session();
    const told = await gateway.origin('GET', '/_sim');
    expect(told.body).toMatchObject({
      venue: 'ibkr',
      state: { sso: { valid: true }, requests: { http: { tickle: 1 } } },
    });
    expect(told.text).not.toContain(session);
    const body = JSON.stringify({ fault: 'nightly_reset', params: { forMs: 5_000 } });
    expect((await gateway.origin('POST', '/_sim/faults', body)).status).toBe(200);
    expect(stateOf(simulator).brokerage.phase).toBe('resetting');
  });

  test('the same seed draws the same machine and session, another seed others', async () => {
    const bodies = [];
    for (const seed of [7, 7, 8]) bodies.push((await (await live({ seed })).gateway.tickle()).text);
    expect(bodies[1]).toBe(bodies[0]);
    expect(bodies[2]).not.toBe(bodies[0]);
  });
});
