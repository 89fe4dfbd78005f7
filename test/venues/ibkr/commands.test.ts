import { afterEach, describe, expect, test } from 'vitest';
import { settle } from '../../support/virtual-clock.js';
import {
  ACCESS_DENIED,
  ALL_FALSE,
  greet,
  LOGIN_PAGE,
  NO_BRIDGE,
  NOT_PASSED,
  READY,
  ROUND_MS,
  SESSION,
  startLive,
  startSource,
  validAnswer,
  type World,
} from './source.js';

let world: World | undefined;
afterEach(async () => {
  await world?.venue.stop({ orders: 'leave' });
  world = undefined;
});

describe('the commands', () => {
  test('are the six operations; those that act say so', async () => {
    world = await startLive();
    const acts = Object.fromEntries(world.venue.commands.map(({ command, acts: does }) => [command, does]));
    expect(acts).toEqual({
      init: true,
      reauthenticate: true,
      logout: true,
      auth_status: false,
      validate_sso: false,
      tickle: false,
    });
  });

  test('tickle answers without the session, which is a credential', async () => {
    world = await startLive();
    await world.clock.advance(2_000);
    const result = await world.command('tickle');
    expect(result).toMatchObject({ ssoExpiresMs: 460_311, collision: false, brokerage: { authenticated: true } });
    expect(JSON.stringify(result)).not.toContain(SESSION);
  });

  test('two tickles are never less than a second apart, whoever asks for them', async () => {
    world = await startLive();
    const at: number[] = [];
    const { clock, http } = world;
    const { answer } = http;
    http.answer = (request) => {
      if (request.url.endsWith('/tickle')) at.push(clock.monotonic());
      return answer(request);
    };
    const both = Promise.all([world.command('tickle'), world.command('tickle')]);
    await clock.advance(3_000);
    await both;
    expect(at).toEqual([1_200, 2_400]);
  });

  test('auth_status answers what the venue says, and is taken in', async () => {
    world = await startLive();
    world.gateway.status = { json: { ...READY, competing: true } };
    await expect(world.command('auth_status')).resolves.toEqual({
      authenticated: true,
      connected: true,
      established: true,
      competing: true,
      message: '',
      serverName: 'JifN00000',
      serverVersion: 'Build 10.34.1a',
    });
    expect(world.told()).toEqual(['brokerage session.contested']);
  });

  test('validate_sso is asked at most once a minute', async () => {
    world = await startLive();
    await expect(world.command('validate_sso')).rejects.toMatchObject({
      code: 'rate_limited',
      data: { retryAfterMs: 61_000 },
    });
    await world.clock.advance(61_000);
    world.asked();
    await expect(world.command('validate_sso')).resolves.toMatchObject({ result: true, environment: 'paper' });
    expect(world.asked()).toEqual(['GET /sso/validate']);
  });

  test('init is without compete unless it is asked for, and tells what came of it', async () => {
    world = await startLive();
    world.gateway.init = { json: NOT_PASSED };
    await expect(world.command('init')).resolves.toMatchObject({ passed: false });
    expect(world.told()).toEqual(['brokerage session.contested']);
    world.gateway.init = { json: { passed: true, ...READY } };
    await world.clock.advance(2_000);
    await expect(world.command('init', { compete: true })).resolves.toMatchObject({ passed: true });
    const bodies = world.http.requests.flatMap(({ body }) => (body === undefined ? [] : [body]));
    expect(bodies.at(-1)).toBe('{"publish":true,"compete":true}');
    await settle();
    expect(world.told()).toEqual(['brokerage session.restored']);
  });

  test('init with params that do not fit is refused before anything is asked', async () => {
    world = await startLive();
    await expect(world.command('init', { compete: 'yes' })).rejects.toMatchObject({ code: 'invalid_params' });
    expect(world.asked()).toEqual([]);
  });

  test('reauthenticate is triggered with GET, or with POST where that is configured', async () => {
    world = await startLive();
    await expect(world.command('reauthenticate')).resolves.toEqual({ triggered: true, message: 'triggered' });
    expect(world.asked()[0]).toBe('GET /iserver/reauthenticate');
    await world.venue.stop({ orders: 'leave' });
    world = await startLive({ reauthenticate: { method: 'POST' } });
    await world.command('reauthenticate');
    expect(world.asked()[0]).toBe('POST /iserver/reauthenticate');
  });

  test('reauthenticate is an init where the gateway has it no more', async () => {
    world = await startLive();
    world.gateway.reauthenticate = { text: '<html><body><h1>Resource not found</h1></body></html>', status: 404 };
    await expect(world.command('reauthenticate')).resolves.toMatchObject({ authenticated: true });
    expect(world.asked().slice(0, 2)).toEqual(['GET /iserver/reauthenticate', 'POST /iserver/auth/ssodh/init']);
  });

  test.each([
    ['a refusal of the venue', ACCESS_DENIED, { code: 'venue_error', data: { code: 401, message: 'access denied' } }],
    ['a login page', LOGIN_PAGE, { code: 'venue_error', data: { code: 302 } }],
    [
      'a failure of the venue',
      { text: 'Service Unavailable', status: 503 },
      { code: 'venue_error', data: { code: 503 } },
    ],
    ['a gateway that is not there', 'unreachable', { code: 'source_unavailable' }],
    ['an answer that did not come', 'timeout', { code: 'venue_timeout' }],
    ['an answer that is none', { text: 'hello' }, { code: 'venue_timeout' }],
    ['429', { text: '', status: 429 }, { code: 'rate_limited', data: { retryAfterMs: 600_000 } }],
  ] as const)('%s is the error that it is', async (_name, answer, error) => {
    world = await startLive();
    world.gateway.init = answer;
    await expect(world.command('init')).rejects.toMatchObject(error);
  });

  test('an unknown command, a source that is not started and one that is stopped are refused', async () => {
    world = startSource({}, { start: false });
    await expect(world.command('tickle')).rejects.toMatchObject({ code: 'source_unavailable' });
    await expect(world.command('reconnect')).rejects.toMatchObject({ code: 'not_found' });
    world.venue.start();
    await world.venue.stop({ orders: 'leave' });
    await expect(world.command('tickle')).rejects.toMatchObject({ code: 'closed' });
  });
});

describe('logout', () => {
  /** What a gateway says after a logout (recorded), and how it refuses. */
  function loggedOut(at: World): void {
    Object.assign(at.gateway, {
      status: { json: ALL_FALSE },
      tickle: ACCESS_DENIED,
      validate: ACCESS_DENIED,
      init: ACCESS_DENIED,
    });
  }

  test.each([
    ['status', { status: true }],
    ['confirmed', { confirmed: true }],
  ])('closes both sessions, by the user, whether the venue answers %s', async (_name, answer) => {
    world = await startLive();
    world.gateway.logout = { json: answer };
    await expect(world.command('logout')).resolves.toEqual({ loggedOut: true });
    expect(world.told()).toEqual(['brokerage session.closed user', 'sso session.closed user']);
    const batch = world.batches.at(-1);
    expect(batch?.facts).toHaveLength(2);
    expect(batch?.memory).toMatchObject({ policy: { loggedOut: true } });
  });

  test('is followed by no login of the relay and no tickle, only by the question whether somebody has logged in', async () => {
    world = await startLive({ websocket: true });
    greet(world);
    await settle();
    world.told();
    await world.command('logout');
    loggedOut(world);
    await settle();
    world.asked();
    await world.clock.advance(3_600_000);
    expect(new Set(world.asked())).toEqual(new Set(['GET /sso/validate']));
    expect(world.told()).toEqual([
      'brokerage session.closed user',
      'sso session.closed user',
      '- link.down ws#1 1000 relay',
    ]);
    expect(world.network.live).toBe(0);
  });

  test('also across a restart', async () => {
    world = await startLive();
    await world.command('logout');
    await world.venue.stop({ orders: 'leave' });
    const { memory } = world;
    world = startSource({}, { memory, gateway: { validate: ACCESS_DENIED, tickle: ACCESS_DENIED } });
    await world.clock.advance(600_000);
    expect(world.told()).toEqual(['- link.up http#1']);
    expect(new Set(world.asked())).toEqual(new Set(['GET /sso/validate']));
  });

  test('ends when a person has logged in; the brokerage session is still not opened by the relay', async () => {
    world = await startLive();
    await world.command('logout');
    loggedOut(world);
    await world.clock.advance(2 * ROUND_MS);
    world.told();
    Object.assign(world.gateway, { validate: validAnswer(), tickle: startTickle, status: { json: NO_BRIDGE } });
    world.asked();
    await world.clock.advance(10 * ROUND_MS);
    expect(world.told()).toEqual(['sso session.opened']);
    expect(world.asked()).not.toContain('POST /iserver/auth/ssodh/init');
    world.gateway.init = () => {
      if (world !== undefined) world.gateway.status = { json: READY };
      return { json: READY };
    };
    await world.command('init');
    await settle();
    expect(world.told()).toEqual(['brokerage session.opened']);
  });

  test('an answer that was asked before it opens nothing again', async () => {
    world = await startLive();
    let release: (() => void) | undefined;
    const { answer } = world.http;
    world.http.answer = (request) => {
      if (!request.url.endsWith('/tickle') || release !== undefined) return answer(request);
      return new Promise((resolve) => {
        release = () => resolve(startTickle);
      });
    };
    await world.clock.advance(2_000);
    const tickled = world.command('tickle');
    await settle();
    await world.command('logout');
    world.told();
    release?.();
    await tickled;
    await settle();
    expect(world.told()).toEqual([]);
  });

  test('a validation that was asked before it opens nothing again', async () => {
    world = await startLive();
    await world.clock.advance(ROUND_MS);
    let release: (() => void) | undefined;
    const { answer } = world.http;
    world.http.answer = (request) => {
      if (!request.url.endsWith('/sso/validate') || release !== undefined) return answer(request);
      return new Promise((resolve) => {
        release = () => resolve(validAnswer());
      });
    };
    const validated = world.command('validate_sso');
    await settle();
    await world.command('logout');
    world.told();
    release?.();
    await validated;
    await settle();
    expect(world.told()).toEqual([]);
  });

  test('a tickle that is still green afterwards is no login: only a validation is', async () => {
    world = await startLive();
    await world.command('logout');
    world.told();
    await world.clock.advance(2_000);
    await world.command('tickle');
    await world.command('auth_status');
    expect(world.told()).toEqual([]);
  });

  test('what socket and status say of it before its own answer is no loss', async () => {
    world = await startLive({ websocket: true });
    greet(world);
    await world.clock.advance(2_000);
    world.told();
    let release: (() => void) | undefined;
    const { answer } = world.http;
    world.http.answer = (request) => {
      if (!request.url.endsWith('/logout')) return answer(request);
      return new Promise((resolve) => {
        release = () => resolve({ json: { status: true } });
      });
    };
    const leaving = world.command('logout');
    world.gateway.status = { json: ALL_FALSE };
    world.network.last.receive({ topic: 'sts', args: { authenticated: false } });
    await settle();
    expect(world.told()).toEqual([]);
    release?.();
    await leaving;
    expect(world.told().slice(0, 2)).toEqual(['brokerage session.closed user', 'sso session.closed user']);
  });

  test('nothing is initialised while it is under way', async () => {
    world = await startLive();
    let release: (() => void) | undefined;
    const { answer } = world.http;
    world.http.answer = (request) => {
      if (!request.url.endsWith('/logout')) return answer(request);
      return new Promise((resolve) => {
        release = () => resolve({ json: { status: true } });
      });
    };
    const leaving = world.command('logout');
    world.gateway.status = { json: NO_BRIDGE };
    await world.clock.advance(ROUND_MS);
    expect(world.asked()).toContain('POST /iserver/auth/status');
    expect(world.asked()).not.toContain('POST /iserver/auth/ssodh/init');
    release?.();
    await leaving;
    await world.clock.advance(ROUND_MS);
    expect(world.http.requests.some(({ url }) => url.endsWith('/ssodh/init'))).toBe(false);
  });

  test('that the venue refuses changes nothing', async () => {
    world = await startLive();
    world.gateway.logout = { json: { status: false } };
    await expect(world.command('logout')).rejects.toMatchObject({ code: 'venue_error' });
    world.gateway.status = { json: NO_BRIDGE };
    await world.clock.advance(ROUND_MS);
    expect(world.asked()).toContain('POST /iserver/auth/ssodh/init');
  });

  test('whose outcome is unknown is told so, closes nothing, and no init follows', async () => {
    world = await startLive();
    world.gateway.logout = 'timeout';
    await expect(world.command('logout')).rejects.toMatchObject({ code: 'venue_timeout' });
    expect(world.told()).toEqual([]);
    world.gateway.status = { json: NO_BRIDGE };
    await world.clock.advance(10 * ROUND_MS);
    expect(world.told()).toEqual(['brokerage session.lost no_bridge']);
    expect(world.asked()).not.toContain('POST /iserver/auth/ssodh/init');
  });
});

const startTickle = { json: { session: SESSION, iserver: { authStatus: READY } } };
