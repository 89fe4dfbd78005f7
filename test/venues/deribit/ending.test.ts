import { describe, expect, test } from 'vitest';
import { settle } from '../../support/virtual-clock.js';
import { channelFrame, startSource, type World } from './world.js';

const PROTECTED = { cancelOnDisconnect: 'enable' } as const;
const OWN = { scope: 'connection' } as const;
const OF_CONNECTION = { sid: undefined, scope: 'connection' } as const;

async function started(...how: Parameters<typeof startSource>): Promise<World> {
  const world = await startSource(...how);
  world.told();
  world.asked();
  return world;
}

describe('stop', () => {
  test('leaving the orders logs out and keeps the tokens of a named session; nothing is triggered', async () => {
    const world = await started(PROTECTED);
    let completed = false;
    world.venue.facts$.subscribe({ complete: () => (completed = true) });
    await world.venue.stop({ orders: 'leave' });
    expect(world.asked()).toEqual(['private/logout false']);
    expect(world.told()).toEqual(['- link.down 1000 stopped relay']);
    expect(completed).toBe(true);
    await world.clock.advance(11_000); // the fake venue's own timer
    expect(world.clock.timers).toBe(0);
    const next = await startSource(PROTECTED, { memory: world.memory });
    expect(next.told()).toContain('bot session.restored');
    expect(next.told()).not.toContain('bot protection.triggered connection');
  });

  test('leaving the orders ends a connection’s own session, told before its link', async () => {
    const world = await started({ ...PROTECTED, ...OWN }, { script: OF_CONNECTION });
    await world.venue.stop({ orders: 'leave' });
    expect(world.asked()).toEqual(['private/logout true']);
    expect(world.told()).toEqual(['connection session.closed relay', '- link.down 1000 stopped relay']);
    const next = await startSource(OWN, { memory: world.memory, open: false });
    expect(next.told()).toEqual(['connection session.opening']);
  });

  test('cancelling the orders closes the socket, and says what the venue will do', async () => {
    const world = await started(PROTECTED);
    await world.venue.stop({ orders: 'cancel' });
    expect(world.asked()).toEqual([]);
    expect(world.network.last.closedBy).toBe('close');
    expect(world.told()).toEqual(['- link.down 1000 stopped relay', 'bot protection.triggered connection']);
  });

  test('does not wait longer than a second for the venue, and then does not say that the orders stay', async () => {
    const world = await started(PROTECTED);
    world.script.answers.set('private/logout', () => 'silence');
    const stopped = world.venue.stop({ orders: 'leave' });
    await world.clock.advance(999);
    expect(world.network.last.ended).toBe(false);
    await world.clock.advance(1);
    await stopped;
    expect(world.told()).toEqual(['- link.down 1006 stopped relay', 'bot protection.triggered connection']);
  });

  test('logs out with a new token where the old one has run out', async () => {
    const world = await started(PROTECTED);
    let refusals = 1;
    world.script.answers.set('private/logout', () =>
      refusals-- > 0 ? { error: { code: 13009, message: 'unauthorized' } } : undefined,
    );
    await world.venue.stop({ orders: 'leave' });
    expect(world.asked().filter((line) => /auth|logout/.test(line))).toEqual([
      'private/logout false',
      'public/auth client_credentials',
      'private/logout false',
    ]);
    expect(world.told().at(-1)).toBe('- link.down 1000 stopped relay');
    await world.clock.advance(3_600_000);
    expect(world.network.sockets).toHaveLength(1);
  });

  test('is the same whenever it comes: before start, while connecting, while waiting, twice', async () => {
    const idle = await startSource({}, { start: false });
    await idle.venue.stop({ orders: 'leave' });
    const connecting = await startSource({}, { open: false });
    await connecting.venue.stop({ orders: 'leave' });
    expect(connecting.network.last.closedBy).toBe('terminate');
    const waiting = await startSource();
    await waiting.drop();
    await Promise.all([waiting.venue.stop({ orders: 'leave' }), waiting.venue.stop({ orders: 'cancel' })]);
    await waiting.clock.advance(60_000);
    expect(waiting.network.sockets).toHaveLength(1);
    for (const world of [idle, connecting, waiting]) {
      expect(world.clock.timers).toBe(0);
      await expect(world.command('reconnect')).rejects.toMatchObject({ code: 'closed' });
    }
  });

  test('without credentials just closes', async () => {
    const world = await started({ credentials: 'none', ...OWN });
    await world.venue.stop({ orders: 'leave' });
    expect(world.asked()).toEqual([]);
    expect(world.told()).toEqual(['public session.closed relay', '- link.down 1000 stopped relay']);
  });
});

describe('reconnect', () => {
  test('of a protected connection wants to know what becomes of its orders', async () => {
    const world = await started(PROTECTED);
    await expect(world.command('reconnect')).rejects.toMatchObject({ code: 'conflict', data: { why: 'protected' } });
    expect(world.network.last.isOpen).toBe(true);
    expect(world.asked()).toEqual([]);
  });

  test('leaving them logs out first, and triggers nothing', async () => {
    const world = await started(PROTECTED);
    const reconnected = world.command('reconnect', { orders: 'leave' });
    await settle();
    await world.open();
    expect(await reconnected).toEqual({ generation: 2 });
    expect(world.told()).toEqual([
      '- link.down 1000 a new connection was asked for relay',
      '- link.up',
      'bot heartbeat.armed 10000',
      '- venue.normal',
      '- account.unlocked all',
      'bot protection.armed connection',
      'bot protection.disarmed account',
      'bot session.restored',
      'bot session.renewed reauthenticate',
    ]);
  });

  test('cancelling them closes, and triggers', async () => {
    const world = await started(PROTECTED);
    const reconnected = world.command('reconnect', { orders: 'cancel' });
    await settle();
    await world.open();
    await reconnected;
    expect(world.told().slice(0, 3)).toEqual([
      '- link.down 1000 a new connection was asked for relay',
      'bot protection.triggered connection',
      '- link.up',
    ]);
  });

  test('does not hear what the old connection says while it closes', async () => {
    const world = await started();
    const reconnected = world.command('reconnect', { orders: 'cancel' });
    world.network.last.receive(channelFrame('user.lock', { locked: true, currency: 'ALL' }));
    await settle();
    await world.open();
    await reconnected;
    expect(world.told()).not.toContain('- account.locked all');
  });

  test('of one that was never read counts it as protected', async () => {
    const world = await started(
      {},
      { script: { answers: new Map([['private/get_cancel_on_disconnect', () => 'silence']]) } },
    );
    await expect(world.command('reconnect')).rejects.toMatchObject({ code: 'conflict' });
  });

  test('of an unprotected one needs nothing', async () => {
    const world = await started();
    const reconnected = world.command('reconnect');
    await settle();
    await world.open();
    expect(await reconnected).toEqual({ generation: 2 });
    expect(world.network.live).toBe(1);
  });

  test('does not close what the venue does not let go: the outcome is unknown, the socket lives', async () => {
    const world = await started(PROTECTED);
    world.script.answers.set('private/logout', () => 'silence');
    const reconnected = world.command('reconnect', { orders: 'leave' });
    reconnected.catch(() => undefined);
    await world.clock.advance(10_000);
    await expect(reconnected).rejects.toMatchObject({ code: 'venue_timeout' });
    expect(world.network.last.isOpen).toBe(true);
    world.told();
    await world.drop();
    expect(world.told()).toEqual([
      '- link.down 1006 network',
      'bot protection.triggered connection',
      '- link.retrying',
    ]);
  });

  test('cuts the wait for the next attempt short', async () => {
    const world = await started();
    await world.drop();
    const reconnected = world.command('reconnect');
    await settle();
    expect(world.network.sockets).toHaveLength(2);
    await world.open();
    expect(await reconnected).toEqual({ generation: 2 });
    await world.clock.advance(31_000);
    expect(world.network.sockets).toHaveLength(2);
  });

  test('that does not connect says so', async () => {
    const world = await started();
    await world.drop();
    const reconnected = world.command('reconnect');
    reconnected.catch(() => undefined);
    await settle();
    world.network.last.end({ error: 'ECONNREFUSED' });
    await expect(reconnected).rejects.toMatchObject({ code: 'source_unavailable' });
  });

  test('does not break the venue’s penalty', async () => {
    const world = await started();
    await world.receive({ jsonrpc: '2.0', error: { code: 10028, message: 'too_many_requests' } });
    await world.drop();
    await expect(world.command('reconnect')).rejects.toMatchObject({
      code: 'rate_limited',
      data: { retryAfterMs: 10_000 },
    });
  });
});

describe('logout', () => {
  test('closes the session for whoever asked, and nothing logs in until it is asked for', async () => {
    const world = await started(PROTECTED);
    expect(await world.command('logout')).toEqual({ loggedOut: true });
    expect(world.asked()).toEqual(['private/logout true']);
    expect(world.told()).toEqual(['bot session.closed user', '- link.down 1000 logged out relay']);
    await world.clock.advance(3_600_000);
    expect(world.network.sockets).toHaveLength(1);

    const again = world.command('reauthenticate');
    await settle();
    await world.open();
    expect(await again).toMatchObject({ expiresAt: expect.any(String) });
    expect(world.told().filter((line) => line.startsWith('bot session.'))).toEqual([
      'bot session.opening',
      'bot session.opened api',
    ]);
  });

  test('holds over a restart of the relay', async () => {
    const first = await started();
    await first.command('logout');
    const world = await startSource({}, { memory: first.memory, open: false });
    await world.clock.advance(60_000);
    expect(world.network.sockets).toHaveLength(0);
    expect(world.told()).toEqual([]);
    const reconnected = world.command('reconnect');
    await settle();
    await world.open();
    await reconnected;
    const third = await startSource({}, { memory: world.memory, open: false });
    expect(third.network.sockets).toHaveLength(1);
  });

  test('while nothing is connected holds all the same', async () => {
    const world = await started();
    await world.drop();
    world.told();
    await world.command('logout');
    expect(world.told()).toEqual(['bot session.closed user']);
    await world.clock.advance(60_000);
    expect(world.network.sockets).toHaveLength(1);
  });

  test('that the venue refuses leaves the session as it is', async () => {
    const world = await started(PROTECTED);
    world.script.answers.set('private/logout', () => ({ error: { code: 11094, message: 'internal_server_error' } }));
    await expect(world.command('logout')).rejects.toMatchObject({ code: 'venue_error' });
    expect(world.told()).toEqual([]);
    await world.drop();
    expect(world.told()[0]).toBe('- link.down 1006 network');
    expect(world.told()).toEqual([]);
    await world.reopen();
    expect(world.told()).toContain('bot session.restored');
  });
});
