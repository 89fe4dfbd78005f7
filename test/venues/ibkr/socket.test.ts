import { afterEach, describe, expect, test } from 'vitest';
import { settle } from '../../support/virtual-clock.js';
import {
  ACCESS_DENIED,
  beat,
  greet,
  NO_BRIDGE,
  READY,
  ROUND_MS,
  SESSION,
  startLive,
  startSource,
  tickleAnswer,
  type World,
} from './source.js';

let world: World | undefined;
afterEach(async () => {
  await world?.venue.stop({ orders: 'leave' });
  world = undefined;
});

const ON = { websocket: true } as const;

function cookieOf(at: World): string | undefined {
  return at.network.last.options.headers?.cookie;
}

describe('the socket', () => {
  test('is opened with the session that the tickle names, as JSON in a cookie, and with a User-Agent', async () => {
    world = startSource(ON);
    expect(world.network.sockets).toHaveLength(0);
    await settle();
    expect(world.network.last.url).toBe('wss://localhost:5000/v1/api/ws');
    expect(world.network.last.options.headers).toEqual({
      'user-agent': 'session-relay',
      cookie: `api={"session":"${SESSION}"}`,
    });
    greet(world);
    expect(world.told()).toEqual([
      'sso session.opening',
      '- link.up http#1',
      'sso session.opened',
      'brokerage session.opened',
      '- link.up ws#1',
    ]);
  });

  test('is tried with the plain cookie where the first form is refused, and the other way round', async () => {
    world = await startLive(ON);
    world.network.last.end({ code: 0, refused: { status: 401, headers: {} } });
    await world.clock.advance(60_000);
    expect(cookieOf(world)).toBe(`api=${SESSION}`);
    world.network.last.end({ code: 0, refused: { status: 401, headers: {} } });
    await world.clock.advance(60_000);
    expect(cookieOf(world)).toBe(`api={"session":"${SESSION}"}`);
  });

  test('says its session as a frame where the venue waits for it', async () => {
    world = await startLive(ON);
    world.network.last.open();
    expect(world.network.last.sent).toEqual([]);
    world.network.last.receive({ message: 'waiting for session' });
    expect(world.network.last.sent).toEqual([`{"session":"${SESSION}"}`]);
    world.network.last.receive("Topic unknown '{\"s'");
    expect(world.told()).toEqual(['- link.up ws#1']);
  });

  test('says its session as the first frame, without a cookie, where that is configured', async () => {
    world = await startLive({ ...ON, websocketAuth: 'frame' });
    expect(cookieOf(world)).toBeUndefined();
    world.network.last.open();
    expect(world.network.last.sent).toEqual([`{"session":"${SESSION}"}`]);
  });

  test('without a greeting within 10 s is ended and opened in another form', async () => {
    world = await startLive(ON);
    world.network.last.open();
    await world.clock.advance(10_000);
    expect(world.told()).toEqual(['- link.up ws#1', '- link.down ws#1 1000 relay', '- link.retrying ws#1']);
    await world.clock.advance(5_000);
    expect(cookieOf(world)).toBe(`api=${SESSION}`);
    expect(world.network.live).toBe(1);
  });

  test('may drop while the tickle is green: nothing goes stale and no session is spoken of', async () => {
    world = await startLive(ON);
    greet(world);
    await settle();
    world.told();
    world.network.last.end({ code: 1006 });
    await world.clock.advance(ROUND_MS);
    const told = world.told();
    expect(told.slice(0, 2)).toEqual(['- link.down ws#1 1006 network', '- link.retrying ws#1']);
    expect(told.filter((line) => line.includes('session.'))).toEqual([]);
    expect(world.venue.sources()[0]?.provedBy).toEqual({ sso: ['http'], brokerage: ['http'] });
  });

  test('is dead after 25 s of silence, asked at 17 s, and never one of two', async () => {
    world = await startLive(ON);
    greet(world);
    await settle();
    world.told();
    await beat(world, 30_000);
    expect(world.told()).toEqual([]);
    await world.clock.advance(16_999);
    expect(world.network.last.pings).toBe(0);
    await world.clock.advance(1);
    expect(world.network.last.pings).toBe(1);
    await world.clock.advance(7_999);
    expect(world.told()).toEqual([]);
    await world.clock.advance(1);
    expect(world.told()).toEqual(['- link.down ws#1 1006 relay', '- link.retrying ws#1']);
    const down = world.facts.findLast(({ type }) => type === 'link.down');
    expect(down?.data.reason).toBe('silent for 25 s');
    await world.clock.advance(5_000);
    expect(world.network.live).toBe(1);
    expect(world.network.sockets).toHaveLength(2);
  });

  test('is kept with `tic` at least once a minute, which replaces no tickle', async () => {
    world = await startLive(ON);
    greet(world);
    await settle();
    world.asked();
    await beat(world, 300_000);
    expect(world.network.last.sent.filter((text) => text === 'tic').length).toBeGreaterThanOrEqual(5);
    expect(world.asked().filter((line) => line === 'POST /tickle').length).toBeGreaterThanOrEqual(4);
  });

  test('the four answers to one `tic` are one sign of life', async () => {
    world = await startLive(ON);
    greet(world);
    const before = world.facts.length;
    const tic = { topic: 'tic', alive: true, id: SESSION, lastAccessed: 1_795_420_800_000 };
    for (let times = 0; times < 4; times++) world.network.last.receive(tic);
    expect(world.facts.slice(before).map(({ type }) => type)).toEqual(['heartbeat.pulse']);
    world.network.last.receive({ ...tic, lastAccessed: 1_795_420_845_000 });
    expect(world.facts.slice(before)).toHaveLength(2);
  });

  test('a `tic` whose session is dead asks for one round, though it comes four times', async () => {
    world = await startLive(ON);
    greet(world);
    await world.clock.advance(5_000);
    world.asked();
    for (let times = 0; times < 4; times++) {
      world.network.last.receive({ topic: 'tic', alive: false, lastAccessed: 1_795_420_800_000 });
    }
    await world.clock.advance(5_000);
    expect(world.asked()).toEqual(['POST /tickle', 'POST /iserver/auth/status']);
  });

  test('of a session that is another one by now is opened anew', async () => {
    world = await startLive(ON);
    greet(world);
    await settle();
    world.told();
    world.gateway.tickle = tickleAnswer({ session: 'ffffffffffffffffffffffffffffffff' });
    await beat(world, ROUND_MS);
    await world.clock.advance(2_000);
    expect(world.told()).toEqual(['- link.down ws#1 1000 relay', '- link.retrying ws#1']);
    expect(cookieOf(world)).toBe('api={"session":"ffffffffffffffffffffffffffffffff"}');
    expect(world.network.live).toBe(1);
  });

  test('a heartbeat is a sign of life with the time of the venue', async () => {
    world = await startLive(ON);
    greet(world);
    world.network.last.receive({ topic: 'system', hb: Date.UTC(2026, 10, 23, 8, 0, 10) });
    expect(world.facts.at(-1)).toMatchObject({
      session: 'sso',
      type: 'heartbeat.pulse',
      data: { venueTime: '2026-11-23T08:00:10.000Z' },
    });
  });

  test('notices and bulletins, as one or as a list, and topics that are known make no event; others are told once', async () => {
    world = await startLive(ON);
    greet(world);
    await settle();
    world.told();
    const { last } = world.network;
    last.receive({ topic: 'ntf', args: { id: '1', title: 'Notice', text: 'text', url: '' } });
    last.receive({ topic: 'ntf', args: [{ id: '2', title: 'Notice', text: 'text' }] });
    last.receive({ topic: 'blt', args: { id: 3, message: 'text' } });
    last.receive({ topic: 'ech+hb' });
    expect(world.told()).toEqual([]);
    last.receive({ topic: 'smd+265598', args: {} });
    last.receive({ topic: 'smd+265598', args: {} });
    last.receive('not JSON');
    expect(world.told()).toEqual(['- source.fault unknown_frame', '- source.fault bad_frame']);
  });

  test('is closed by a stop, and waits for nothing afterwards', async () => {
    world = await startLive(ON);
    greet(world);
    await settle();
    world.told();
    await world.venue.stop({ orders: 'leave' });
    expect(world.told()).toEqual(['- link.down ws#1 1000 relay', '- link.down http#1 1000 relay']);
    expect(world.clock.timers).toBe(0);
  });

  test('refused with 429 is the penalty of the whole source', async () => {
    world = await startLive(ON);
    world.network.last.end({ code: 0, refused: { status: 429, headers: {} } });
    expect(world.told()).toEqual([
      '- link.down ws#1 0 venue',
      '- source.throttled',
      'sso session.stale throttled',
      'brokerage session.stale throttled',
    ]);
    await world.clock.advance(599_000);
    expect(world.network.sockets).toHaveLength(1);
    await world.clock.advance(2_000);
    expect(world.network.sockets).toHaveLength(2);
  });
});

describe('`sts`', () => {
  test('that takes the session away is told at once, and the status is asked', async () => {
    world = await startLive(ON);
    greet(world);
    await settle();
    await world.clock.advance(2_000);
    world.told();
    world.asked();
    world.gateway.status = { json: { ...READY, authenticated: false, established: false, competing: true } };
    world.network.last.receive({ topic: 'sts', args: { competing: true } });
    expect(world.told()).toEqual(['brokerage session.contested']);
    await settle();
    expect(world.asked()[0]).toBe('POST /iserver/auth/status');
    expect(world.told()).toEqual([]);
  });

  test('that does not say `authenticated` leaves it as it was', async () => {
    world = await startLive(ON);
    greet(world);
    await settle();
    world.told();
    world.network.last.receive({ topic: 'sts', args: { message: '', fail: '' } });
    world.network.last.receive({ topic: 'sts', args: {} });
    await settle();
    expect(world.told()).toEqual([]);
  });

  test('whose false is a text is a false', async () => {
    world = await startLive(ON);
    greet(world);
    await world.clock.advance(2_000);
    world.told();
    world.network.last.receive({ topic: 'sts', args: { authenticated: 'false' } });
    expect(world.told()).toEqual(['brokerage session.lost no_bridge']);
  });

  test('that says all is well does not end bridge drift: the status has the word', async () => {
    world = await startLive(ON, { gateway: { init: { json: NO_BRIDGE } } });
    greet(world);
    await settle();
    world.gateway.status = { json: NO_BRIDGE };
    await beat(world, ROUND_MS);
    expect(world.told()).toEqual(['- link.up ws#1', 'brokerage session.lost no_bridge']);
    world.network.last.receive({
      topic: 'sts',
      args: { authenticated: true, connected: true, established: true, competing: false, fail: '' },
    });
    await settle();
    expect(world.told()).toEqual([]);
    world.gateway.status = { json: READY };
    await world.clock.advance(2_000);
    world.network.last.receive({ topic: 'sts', args: { authenticated: true } });
    await settle();
    expect(world.told()).toEqual(['brokerage session.restored']);
  });

  test('is newer than an answer to what was asked before it', async () => {
    world = await startLive(ON);
    greet(world);
    await world.clock.advance(2_000);
    world.told();
    const { answer } = world.http;
    const held: ((said: { readonly json: unknown }) => void)[] = [];
    world.http.answer = (request) =>
      request.url.endsWith('/iserver/auth/status') ? new Promise((resolve) => held.push(resolve)) : answer(request);
    const asked = world.command('auth_status');
    await settle();
    world.network.last.receive({ topic: 'sts', args: { competing: true } });
    await settle();
    expect(held).toHaveLength(2);
    held[0]?.({ json: READY });
    await asked;
    expect(world.told()).toEqual(['brokerage session.contested']);
    held[1]?.({ json: READY });
    await settle();
    expect(world.told()).toEqual(['brokerage session.restored']);
  });

  test('that brings the end of the login to light asks for a whole round at once', async () => {
    world = await startLive(ON);
    greet(world);
    await beat(world, 70_000);
    world.told();
    for (const what of ['tickle', 'status', 'validate', 'init'] as const) world.gateway[what] = ACCESS_DENIED;
    world.network.last.receive({ topic: 'sts', args: { authenticated: false } });
    await world.clock.advance(2_000);
    expect(world.told()).toEqual(['brokerage session.lost no_bridge', 'sso session.attention login']);
  });
});
