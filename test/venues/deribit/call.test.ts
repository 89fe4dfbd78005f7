import { describe, expect, test } from 'vitest';
import type { Json } from '../../../src/model/json.js';
import { channelFrame, startSource, type World } from './world.js';

async function started(...how: Parameters<typeof startSource>): Promise<World> {
  const world = await startSource(...how);
  world.told();
  world.asked();
  return world;
}
const call = (world: World, method: string, params?: Json): Promise<Json> =>
  world.venue.call?.(method, params) ?? Promise.reject(new Error('no call'));

describe('call', () => {
  test('goes over the source’s own socket, and answers with the venue’s result', async () => {
    const world = await started();
    world.script.answers.set('private/buy', () => ({ result: { order: { order_id: '74311538594' }, trades: [] } }));
    const params = { instrument_name: 'BTC-PERPETUAL', amount: 10, type: 'market' };
    expect(await call(world, 'private/buy', params)).toEqual({ order: { order_id: '74311538594' }, trades: [] });
    expect(world.requests.at(-1)).toEqual({ method: 'private/buy', params });
  });

  test('rejects with the venue’s error, and with an unknown outcome where the socket goes first', async () => {
    const world = await started();
    world.script.answers.set('private/buy', () => ({ error: { code: 10009, message: 'not_enough_funds' } }));
    await expect(call(world, 'private/buy', {})).rejects.toMatchObject({ code: 'venue_error', venueCode: 10009 });
    world.script.answers.set('private/buy', () => 'silence');
    const cut = call(world, 'private/buy', {});
    cut.catch(() => undefined);
    await world.drop();
    await expect(cut).rejects.toMatchObject({ code: 'venue_timeout' });
    await expect(call(world, 'private/buy', {})).rejects.toMatchObject({ code: 'source_unavailable' });
  });

  test('of a private method before the login is refused here', async () => {
    const world = await started({}, { script: { answers: new Map([['public/auth', () => 'silence']]) } });
    await expect(call(world, 'private/get_positions', {})).rejects.toMatchObject({ code: 'source_unavailable' });
    expect(await call(world, 'public/get_time')).toBe('ok');
    const open = await started({ credentials: 'none', scope: 'connection' });
    await expect(call(open, 'private/get_positions', {})).rejects.toMatchObject({ code: 'conflict' });
  });

  test('refused for a dead token is asked again after a new login: it was not carried out', async () => {
    const world = await started();
    await world.clock.advance(20_000);
    let refusals = 1;
    world.script.answers.set('private/buy', () =>
      refusals-- > 0 ? { error: { code: 13009, message: 'unauthorized' } } : { result: 'bought' },
    );
    expect(await call(world, 'private/buy', {})).toBe('bought');
    expect(world.requests.filter(({ method }) => method === 'private/buy')).toHaveLength(2);
    // A token of the caller's own is the caller's own trouble.
    refusals = 1;
    await expect(call(world, 'private/buy', { access_token: 'theirs' })).rejects.toMatchObject({ venueCode: 13009 });
  });

  test('cannot spend the venue’s credits: what is too much is refused, not sent late', async () => {
    const world = await started();
    const calls = Array.from({ length: 200 }, () => call(world, 'public/get_time'));
    const outcomes = await Promise.allSettled(calls);
    const refused = outcomes.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    expect(refused.length).toBeGreaterThan(100);
    expect(refused[0]).toMatchObject({ code: 'rate_limited', data: { retryAfterMs: expect.any(Number) } });
    await world.clock.advance(1_000);
    expect(await call(world, 'public/get_time')).toBe('ok');
  });

  test('of heartbeat, protection and logout runs the command’s code, and answers in the venue’s shape', async () => {
    const world = await started();
    expect(await call(world, 'public/set_heartbeat', { interval: 20 })).toBe('ok');
    expect(await call(world, 'private/enable_cancel_on_disconnect')).toBe('ok');
    expect(await call(world, 'private/get_cancel_on_disconnect', { scope: 'account' })).toEqual({
      scope: 'account',
      enabled: false,
    });
    expect(world.memory.get('wishes')).toEqual({ heartbeatSeconds: 20, protection: { connection: true } });
    expect(world.told().slice(0, 5)).toEqual([
      'bot heartbeat.armed 20000',
      'bot session.updated',
      'bot session.updated',
      'bot protection.armed connection',
      'bot protection.disarmed account',
    ]);
    expect(await call(world, 'public/disable_heartbeat')).toBe('ok');
    expect(await call(world, 'private/logout')).toBeNull();
    expect(world.told()).toContain('bot session.closed user');
  });

  test.each(['public/auth', 'public/unsubscribe_all', 'private/unsubscribe_all'])(
    '%s would end what the feed lives by, and is refused',
    async (method) => {
      const world = await started();
      await expect(call(world, method, {})).rejects.toMatchObject({ code: 'conflict' });
      expect(world.asked()).toEqual([]);
    },
  );

  test('cannot unsubscribe what the feed reads', async () => {
    const world = await started();
    const params = { channels: ['user.lock'] };
    await expect(call(world, 'private/unsubscribe', params)).rejects.toMatchObject({ code: 'conflict' });
    expect(await call(world, 'private/unsubscribe', { channels: ['user.orders.any.any.raw'] })).toBe('ok');
  });

  test('may subscribe to more: those frames are no fault', async () => {
    const world = await started();
    await call(world, 'private/subscribe', { channels: ['user.orders.any.any.raw'] });
    await world.receive(channelFrame('user.orders.any.any.raw', { order_id: '1' }));
    expect(world.told()).toEqual([]);
    await world.receive(channelFrame('user.trades.any.any.raw', []));
    expect(world.told()).toEqual(['- source.fault unknown_frame']);
  });
});

test('an unknown command is not found, and params that do not fit are said so', async () => {
  const world = await started();
  await expect(world.command('dance')).rejects.toMatchObject({ code: 'not_found' });
  await expect(world.command('reconnect', { orders: 'maybe' })).rejects.toMatchObject({ code: 'invalid_params' });
});

test('the commands that act are those of the protocol, and each says what it does', async () => {
  const { venue } = await startSource({}, { start: false });
  expect(venue.commands.filter(({ acts }) => acts).map(({ command }) => command)).toEqual([
    'set_heartbeat',
    'disable_heartbeat',
    'enable_cancel_on_disconnect',
    'disable_cancel_on_disconnect',
    'reauthenticate',
    'reconnect',
    'logout',
  ]);
  expect(venue.commands.every(({ summary }) => summary.endsWith('.'))).toBe(true);
});
