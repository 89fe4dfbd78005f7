import { afterEach, describe, expect, test } from 'vitest';
import { PENALTY_MS } from '../../../src/venues/ibkr/http-line.js';
import { settle } from '../../support/virtual-clock.js';
import {
  ACCESS_DENIED,
  ALL_FALSE,
  LOGIN_PAGE,
  NO_BRIDGE,
  READY,
  ROUND_MS,
  SESSION,
  startLive,
  startSource,
  tickleAnswer,
  validAnswer,
  type World,
} from './source.js';

let world: World | undefined;
afterEach(async () => {
  await world?.venue.stop({ orders: 'leave' });
  world = undefined;
});

describe('from nothing to a live source', () => {
  test('the login is told before the brokerage session, and each only when the venue has said it', async () => {
    world = startSource();
    expect(world.told()).toEqual(['sso session.opening']);
    await settle();
    expect(world.told()).toEqual(['- link.up http#1', 'sso session.opened', 'brokerage session.opened']);
    expect(world.asked()).toEqual(['GET /sso/validate', 'POST /tickle', 'POST /iserver/auth/status']);
    const [sso, brokerage] = world.facts.filter(({ type }) => type === 'session.opened');
    expect(sso?.data).toMatchObject({ kind: 'sso', role: 'watch', environment: 'paper' });
    expect(brokerage?.data).toEqual({
      kind: 'brokerage',
      role: 'trading',
      environment: 'paper',
      parent: 'ibkr.gw.sso',
      attributes: { serverName: 'JifN00000', serverVersion: 'Build 10.34.1a' },
    });
  });

  test('no credential reaches a fact or the memory', async () => {
    world = await startLive();
    await world.clock.advance(ROUND_MS);
    const said = JSON.stringify([world.facts, [...world.memory]]);
    expect(said).not.toContain(SESSION);
    expect(said).not.toContain('feedface');
  });

  test('nor does one that the venue or a library puts into a reason', async () => {
    world = await startLive({ websocket: true, headers: { authorization: 'Basic ZGVzazpzZWNyZXQ=' } });
    world.network.last.open();
    world.network.last.end({ code: 1008, reason: `no such session ${SESSION}`, clean: true });
    world.http.answer = () => ({ text: `proxy: bad credentials Basic ZGVzazpzZWNyZXQ= for ${SESSION}`, status: 500 });
    await world.clock.advance(2 * ROUND_MS);
    const said = JSON.stringify(world.facts);
    expect(said).toContain('[redacted]');
    expect(said).not.toContain(SESSION);
    expect(said).not.toContain('ZGVzazpzZWNyZXQ');
    await expect(world.command('auth_status')).rejects.toSatisfy((error) => !String(error).includes(SESSION));
  });

  test('a tickle that is green proves no brokerage session: the status does', async () => {
    world = startSource({}, { gateway: { status: { json: NO_BRIDGE }, init: { json: NO_BRIDGE } } });
    await settle();
    expect(world.told()).toEqual([
      'sso session.opening',
      '- link.up http#1',
      'sso session.opened',
      'brokerage session.lost no_bridge',
    ]);
  });

  test('a status without its fields says nothing of the brokerage session', async () => {
    world = startSource({}, { gateway: { status: { json: { message: '' } } } });
    await settle();
    expect(world.told()).toEqual(['sso session.opening', '- link.up http#1', 'sso session.opened']);
  });

  test('a status that an older gateway gives, without `established`, is a session that works', async () => {
    const { established: _, ...old } = READY;
    world = startSource({}, { gateway: { status: { json: old } } });
    await settle();
    expect(world.told().at(-1)).toBe('brokerage session.opened');
  });

  test('a login of another kind than the configured one asks for a person and hides the brokerage session', async () => {
    world = startSource({ environment: 'live' });
    await settle();
    expect(world.told()).toEqual([
      'sso session.opening',
      '- link.up http#1',
      'sso session.attention check_credentials',
    ]);
    world.gateway.validate = validAnswer({ LOGIN_TYPE: 1 });
    await world.clock.advance(301_000 + ROUND_MS);
    expect(world.told()).toEqual(['sso session.opened', 'brokerage session.opened']);
  });
});

describe('the rhythm', () => {
  test('a tickle comes every 60 s within 10 %, the status after each, and the login is validated every 5 minutes', async () => {
    world = await startLive();
    await world.clock.advance(3_600_000);
    const asked = world.asked();
    const tickles = asked.filter((line) => line === 'POST /tickle').length;
    expect(tickles).toBeGreaterThanOrEqual(54);
    expect(tickles).toBeLessThanOrEqual(67);
    expect(asked.filter((line) => line === 'POST /iserver/auth/status')).toHaveLength(tickles);
    const validations = asked.filter((line) => line === 'GET /sso/validate').length;
    expect(validations).toBeGreaterThanOrEqual(9);
    expect(validations).toBeLessThanOrEqual(12);
    expect(asked).toHaveLength(tickles * 2 + validations);
    expect(world.told()).toEqual([]);
  });

  test('every POST carries the length of its body or none, and every request a User-Agent', async () => {
    world = await startLive({ headers: { 'X-Proxy': 'a' } }, { gateway: { status: { json: ALL_FALSE } } });
    for (const { headers } of world.http.requests) {
      expect(headers).toMatchObject({ 'user-agent': 'session-relay', 'x-proxy': 'a' });
    }
    const init = world.http.requests.find(({ url }) => url.endsWith('/ssodh/init'));
    expect(init).toMatchObject({ method: 'POST', body: '{"publish":true,"compete":false}' });
  });

  test('the status is asked with GET where that is configured', async () => {
    world = startSource({ authStatus: { method: 'GET' } });
    await settle();
    expect(world.asked()).toContain('GET /iserver/auth/status');
  });

  test('one failed tickle is no outage: it is repeated after 5 s and nothing is told', async () => {
    world = await startLive();
    world.nextTickles.push({ json: { error: 'failed to process request' } });
    await world.clock.advance(ROUND_MS);
    const { asked, clock } = world;
    const before = asked();
    if (before.length === 1) await clock.advance(5_000);
    expect([...before, ...asked()]).toEqual(['POST /tickle', 'POST /tickle', 'POST /iserver/auth/status']);
    expect(world.told()).toEqual([]);
  });

  test('three failed answers in a row are an outage, and what works afterwards is told again', async () => {
    world = await startLive();
    const failure = { text: 'Internal Server Error', status: 500 };
    world.nextTickles.push(failure, failure);
    await world.clock.advance(2 * ROUND_MS);
    expect(world.told()).toEqual([]);
    world.nextTickles.push(failure, failure, failure);
    await world.clock.advance(2 * ROUND_MS);
    expect(world.told()).toEqual([
      '- link.down http#1 1006 venue',
      '- link.retrying http#1',
      '- link.up http#2',
      'sso session.restored',
      'brokerage session.restored',
    ]);
  });

  test('a gateway that cannot be dialled twice is gone; it is tried again after 5 s to 5 min', async () => {
    world = await startLive();
    world.gateway.tickle = 'unreachable';
    await world.clock.advance(ROUND_MS + 5_000);
    expect(world.told().slice(0, 2)).toEqual(['- link.down http#1 1006 network', '- link.retrying http#1']);
    await world.clock.advance(3_600_000);
    const delays = world.facts.flatMap((fact) => (fact.type === 'link.retrying' ? [fact.data.delayMs] : []));
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(5_000);
    expect(Math.max(...delays)).toBeLessThanOrEqual(300_000);
    expect(Math.max(...delays)).toBeGreaterThan(60_000);
  });

  test('a validation that never left is asked again with the next round', async () => {
    let there = false;
    world = startSource({}, { answer: () => (there ? undefined : 'unreachable') });
    await settle();
    there = true;
    await world.clock.advance(20_000);
    const opened = world.facts.find(({ type }) => type === 'session.opened');
    expect(opened?.data).toMatchObject({ kind: 'sso', environment: 'paper' });
  });

  test('a gateway that was never there is told at once', async () => {
    world = startSource({}, { answer: () => 'unreachable' });
    await settle();
    expect(world.told()).toEqual(['sso session.opening', '- link.down http#1 0 network', '- link.retrying http#1']);
  });

  test('a status that three times says nothing leaves the brokerage session stale, and the next one restores it', async () => {
    world = await startLive();
    world.gateway.status = { json: {} };
    await world.clock.advance(2 * ROUND_MS);
    expect(world.told()).toEqual([]);
    await world.clock.advance(ROUND_MS);
    expect(world.told()).toEqual(['brokerage session.stale link_down']);
    world.gateway.status = { json: READY };
    await world.clock.advance(ROUND_MS);
    expect(world.told()).toEqual(['brokerage session.restored']);
  });
});

test('a tickle that is three times refused for no reason of the login leaves both unseen', async () => {
  world = await startLive();
  const gone = { text: '<html><body><h1>Resource not found</h1></body></html>', status: 404 };
  Object.assign(world.gateway, { tickle: gone, status: gone });
  await world.clock.advance(3 * ROUND_MS);
  expect(world.told()).toEqual([
    '- source.fault unknown_value',
    '- source.fault unknown_value',
    'sso session.stale link_down',
    'brokerage session.stale link_down',
  ]);
});

describe('a login that is over', () => {
  test('a redirect to the login page is not followed and asks for a person once', async () => {
    world = await startLive();
    for (const what of ['tickle', 'status', 'validate', 'init'] as const) world.gateway[what] = LOGIN_PAGE;
    await world.clock.advance(10 * ROUND_MS);
    expect(world.told()).toEqual(['sso session.attention login']);
    const asked = world.asked();
    expect(new Set(asked)).toEqual(new Set(['POST /tickle', 'GET /sso/validate']));
    const attention = world.facts.find(({ type }) => type === 'session.attention');
    expect(attention?.data).toMatchObject({ action: 'login', url: 'https://localhost:5000/' });
  });

  test('after a person has logged in both sessions are told again', async () => {
    world = await startLive();
    for (const what of ['tickle', 'status', 'validate', 'init'] as const) world.gateway[what] = LOGIN_PAGE;
    await world.clock.advance(2 * ROUND_MS);
    Object.assign(world.gateway, { tickle: tickleAnswer(), status: { json: READY }, validate: validAnswer() });
    world.told();
    await world.clock.advance(2 * ROUND_MS);
    expect(world.told()).toEqual(['sso session.restored', 'brokerage session.restored']);
  });

  test('a refused tickle alone is no end: only with a refused validation is it one', async () => {
    world = await startLive({}, {});
    await world.clock.advance(ROUND_MS);
    world.gateway.tickle = ACCESS_DENIED;
    await world.clock.advance(ROUND_MS);
    expect(world.told()).toEqual([]);
    world.gateway.validate = ACCESS_DENIED;
    world.gateway.status = ACCESS_DENIED;
    await world.clock.advance(2 * ROUND_MS);
    expect(world.told()).toEqual(['sso session.attention login']);
  });

  test('a RESULT that is false is the end of the login, one that is missing is not', async () => {
    world = await startLive();
    world.gateway.validate = validAnswer({ RESULT: undefined });
    await world.clock.advance(6 * ROUND_MS);
    expect(world.told()).toEqual([]);
    world.gateway.validate = validAnswer({ RESULT: false });
    await world.clock.advance(6 * ROUND_MS);
    expect(world.told()).toEqual(['sso session.attention login']);
  });

  test('401 from /iserver with a refused validation is looked into at once, not with the next tickle', async () => {
    world = await startLive();
    await world.clock.advance(2 * ROUND_MS);
    for (const what of ['tickle', 'status', 'validate', 'init'] as const) world.gateway[what] = ACCESS_DENIED;
    world.asked();
    await expect(world.command('auth_status')).rejects.toMatchObject({ code: 'venue_error' });
    await world.clock.advance(2_000);
    expect(world.told()).toEqual(['sso session.attention login']);
    expect(world.asked()).not.toContain('POST /iserver/auth/ssodh/init');
  });

  test('401 from /iserver in a login that is valid is a brokerage session that is gone, not a login', async () => {
    world = await startLive();
    world.gateway.status = ACCESS_DENIED;
    world.gateway.init = ACCESS_DENIED;
    await world.clock.advance(ROUND_MS);
    expect(world.told()).toEqual(['brokerage session.lost no_bridge']);
    expect(world.asked()).toContain('GET /sso/validate');
  });
});

describe('bringing the brokerage session back', () => {
  test('bridge drift is seen behind a green tickle, initialised without compete, and told as restored', async () => {
    world = await startLive();
    world.gateway.status = { json: NO_BRIDGE };
    world.gateway.init = (body) => {
      expect(body).toEqual({ publish: true, compete: false });
      if (world !== undefined) world.gateway.status = { json: READY };
      return { json: READY };
    };
    await world.clock.advance(ROUND_MS);
    expect(world.told()).toEqual(['brokerage session.lost no_bridge', 'brokerage session.restored']);
  });

  test.each([
    ['400 no bridge', { json: { error: 'no bridge' }, status: 400 }],
    ['400 Init session first', { text: 'Init session first', status: 400 }],
    ['200 with error no bridge', { json: { error: 'no bridge' } }],
    ['all false without a reason', { json: ALL_FALSE }],
  ] as const)('%s is a lost bridge', async (_name, answer) => {
    world = await startLive({}, {});
    world.gateway.status = answer;
    world.gateway.init = { json: NO_BRIDGE };
    await world.clock.advance(ROUND_MS);
    expect(world.told()).toEqual(['brokerage session.lost no_bridge']);
  });

  test('init is repeated with back-off from 1 to 30 minutes', async () => {
    world = await startLive();
    world.gateway.status = { json: NO_BRIDGE };
    const at: number[] = [];
    world.gateway.init = () => {
      at.push(world?.clock.monotonic() ?? 0);
      return { text: 'Service Unavailable', status: 503 };
    };
    await world.clock.advance(8 * 3_600_000);
    const gaps = at.slice(1).map((time, index) => time - (at[index] ?? 0));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(60_000);
    expect(Math.max(...gaps)).toBeGreaterThan(600_000);
    expect(at.length).toBeGreaterThan(10);
    expect(at.length).toBeLessThan(80);
    expect(world.told()).toEqual(['brokerage session.lost no_bridge']);
  });

  test('what it took to come back is no reason to wait once it is lost again', async () => {
    world = await startLive();
    world.gateway.status = { json: NO_BRIDGE };
    world.gateway.init = { text: 'Service Unavailable', status: 503 };
    await world.clock.advance(4 * 3_600_000);
    world.gateway.status = { json: READY };
    await world.clock.advance(3 * ROUND_MS);
    world.gateway.status = { json: NO_BRIDGE };
    world.asked();
    await world.clock.advance(ROUND_MS);
    expect(world.asked()).toContain('POST /iserver/auth/ssodh/init');
  });

  test('a session that is being established is waited for, for 90 s, before it is initialised anew', async () => {
    world = await startLive();
    world.gateway.status = { json: { ...READY, established: false } };
    await world.clock.advance(ROUND_MS);
    expect(world.told()).toEqual(['brokerage session.opening']);
    await world.clock.advance(80_000);
    expect(world.asked()).not.toContain('POST /iserver/auth/ssodh/init');
    await world.clock.advance(60_000);
    expect(world.asked()).toContain('POST /iserver/auth/ssodh/init');
    world.gateway.status = { json: READY };
    await world.clock.advance(10_000);
    expect(world.told()).toEqual(['brokerage session.restored']);
  });
});

describe('the penalty', () => {
  test('429 is ten minutes of silence, told, and both sessions are out of sight until it is over', async () => {
    world = await startLive();
    world.gateway.tickle = { text: 'Too Many Requests', status: 429 };
    await world.clock.advance(ROUND_MS);
    expect(world.told()).toEqual([
      '- source.throttled',
      'sso session.stale throttled',
      'brokerage session.stale throttled',
    ]);
    world.gateway.tickle = tickleAnswer();
    world.asked();
    await world.clock.advance(PENALTY_MS - ROUND_MS);
    expect(world.asked()).toEqual([]);
    await expect(world.command('auth_status')).rejects.toMatchObject({ code: 'rate_limited' });
    await world.clock.advance(ROUND_MS);
    expect(world.told()).toEqual(['- source.unthrottled', 'sso session.restored', 'brokerage session.restored']);
  });

  test('outlasts a restart', async () => {
    world = await startLive();
    world.gateway.tickle = { text: 'Too Many Requests', status: 429 };
    await world.clock.advance(ROUND_MS);
    const { memory, clock } = world;
    await world.venue.stop({ orders: 'leave' });
    world = startSource({}, { memory, clock });
    await clock.advance(PENALTY_MS - 2 * ROUND_MS);
    expect(world.asked()).toEqual([]);
    expect(world.told()).toEqual(['- source.throttled']);
    await clock.advance(3 * ROUND_MS);
    expect(world.told()).toEqual([
      '- source.unthrottled',
      '- link.up http#1',
      'sso session.restored',
      'brokerage session.restored',
    ]);
  });
});

describe('stopping and starting again', () => {
  test('stop leaves the login alive, and nothing is asked or waited for afterwards', async () => {
    world = await startLive();
    await world.venue.stop({ orders: 'leave' });
    expect(world.told()).toEqual(['- link.down http#1 1000 relay']);
    await world.clock.advance(600_000);
    expect(world.asked()).toEqual([]);
    expect(world.clock.timers).toBe(0);
    expect(world.http.closed).toBe(true);
  });

  test('the limit of validate outlasts a restart: one more within the minute would be the penalty', async () => {
    world = await startLive();
    const { memory, clock } = world;
    await world.venue.stop({ orders: 'leave' });
    await clock.advance(5_000);
    world = startSource({}, { memory, clock });
    await clock.advance(50_000);
    expect(world.asked()).not.toContain('GET /sso/validate');
    expect(world.told()).toEqual(['- link.up http#1', 'sso session.restored', 'brokerage session.restored']);
    await clock.advance(ROUND_MS);
    expect(world.asked()).toContain('GET /sso/validate');
  });

  test('after a restart both sessions are confirmed, not opened anew', async () => {
    world = await startLive();
    const { memory } = world;
    await world.venue.stop({ orders: 'leave' });
    world = startSource({}, { memory });
    await settle();
    // The life before may have asked just now.
    expect(world.asked()).toEqual([]);
    await world.clock.advance(1_200);
    expect(world.told()).toEqual(['- link.up http#1', 'sso session.restored', 'brokerage session.restored']);
  });
});
