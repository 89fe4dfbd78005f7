import { describe, expect, test } from 'vitest';
import { type Asked, startSource, type World } from './world.js';

const refuseRefresh = ({ params }: Asked) =>
  params.grant_type === 'refresh_token' ? { error: { code: 13009, message: 'unauthorized' } } : undefined;

function logins(world: World): readonly string[] {
  return world.asked().filter((line) => line.startsWith('public/auth'));
}
function session(world: World): readonly string[] {
  return world.told().filter((line) => line.startsWith('bot session.'));
}

async function started(...how: Parameters<typeof startSource>): Promise<World> {
  const world = await startSource(...how);
  world.told();
  world.asked();
  return world;
}

describe('a token', () => {
  test('is renewed at 80 % of the life that the venue stated, each time with the newest refresh token', async () => {
    const world = await started({}, { script: { expiresIn: 100 } });
    await world.clock.advance(79_900);
    expect(logins(world)).toEqual([]);
    await world.clock.advance(200);
    expect(logins(world)).toEqual(['public/auth refresh_token']);
    await world.clock.advance(80_000);
    const tokens = world.requests.flatMap(({ params }) => params.refresh_token ?? []);
    expect(new Set(tokens).size).toBe(2);
    expect(session(world)).toEqual(['bot session.renewed refresh', 'bot session.renewed refresh']);
    const renewed = world.facts.find(({ type }) => type === 'session.renewed');
    expect(renewed?.data).toEqual({ how: 'refresh', expiresAt: '2026-11-23T08:03:00.000Z' });
  });

  test('of a year is not renewed at once', async () => {
    const world = await started({}, { script: { expiresIn: 31_536_000 } });
    await world.clock.advance(3_600_000);
    expect(logins(world)).toEqual([]);
  });

  test('whose renewal fails is replaced by a full login, and its refresh token is tried once', async () => {
    const world = await started({}, { script: { expiresIn: 100 } });
    world.script.answers.set('public/auth', refuseRefresh);
    await world.clock.advance(81_000);
    expect(logins(world)).toEqual(['public/auth refresh_token', 'public/auth client_credentials']);
    expect(session(world)).toEqual(['bot session.renewed reauthenticate']);
  });

  test('whose renewal is not answered is replaced too: whether it was spent is unknown', async () => {
    const world = await started({}, { script: { expiresIn: 100 } });
    world.script.answers.set('public/auth', ({ params }) =>
      params.grant_type === 'refresh_token' ? 'silence' : undefined,
    );
    await world.clock.advance(91_000);
    expect(logins(world)).toEqual(['public/auth refresh_token', 'public/auth client_credentials']);
  });

  test('that was given up on is not refreshed a second time, not even near its end', async () => {
    const world = await started({}, { script: { expiresIn: 36_000 } });
    world.script.answers.set('public/auth', () => ({ error: { code: 13004, message: 'invalid_credentials' } }));
    await world.clock.advance(36_000_000);
    const lines = logins(world);
    expect(lines.filter((line) => line.endsWith('refresh_token'))).toHaveLength(1);
    expect(lines).toHaveLength(5); // once at 80 %, at once in full, then after 5, 15 and 30 minutes
  });

  test('that cannot be renewed is warned of, then ends, then opens anew when the venue lets it', async () => {
    const world = await started({}, { script: { expiresIn: 100 } });
    world.script.answers.set('public/auth', () => ({ error: { code: 13028, message: 'temporarily_unavailable' } }));
    await world.clock.advance(101_000);
    expect(session(world)).toEqual(['bot session.expiring renewal_failed', 'bot session.expired']);
    expect(world.facts.find(({ type }) => type === 'session.expiring')?.data).toMatchObject({
      expiresAt: '2026-11-23T08:01:40.000Z',
      renewable: true,
    });
    expect(logins(world).filter((line) => line.endsWith('refresh_token'))).toHaveLength(1);
    world.script.answers.clear();
    await world.clock.advance(60_000);
    expect(session(world)[0]).toBe('bot session.opened api');
  });

  test('that is renewed in time is never warned of, however short its life', async () => {
    const world = await started({}, { script: { expiresIn: 20 } });
    await world.clock.advance(100_000);
    expect(session(world).every((line) => line === 'bot session.renewed refresh')).toBe(true);
  });

  test('of a connection that has ended is not renewed', async () => {
    const world = await started({}, { script: { expiresIn: 100 } });
    await world.drop();
    await world.reopen();
    world.asked();
    await world.clock.advance(79_000);
    expect(logins(world)).toEqual([]);
  });
});

describe('a token that the venue refuses', () => {
  const dead = { error: { code: 13009, message: 'unauthorized', data: { reason: 'token has expired' } } };

  test('is replaced once, and what it was refused for is read again', async () => {
    const world = await started();
    world.script.answers.set('private/get_cancel_on_disconnect', () => dead);
    world.script.answers.set('public/auth', () => {
      world.script.answers.clear();
      return undefined;
    });
    await world.clock.advance(60_000);
    expect(logins(world)).toEqual(['public/auth client_credentials']);
    expect(world.told()).toEqual([
      'bot session.renewed reauthenticate',
      'bot protection.disarmed connection',
      'bot protection.disarmed account',
    ]);
  });

  test('of a session that was replaced is the end of that session: lost, then opened', async () => {
    const world = await started();
    world.script.sid = 'SID-TWO';
    world.script.answers.set('private/get_cancel_on_disconnect', () => dead);
    world.script.answers.set('public/auth', () => {
      world.script.answers.clear();
      return undefined;
    });
    await world.clock.advance(60_000);
    expect(session(world)).toEqual(['bot session.lost session_replaced', 'bot session.opened api']);
  });

  test('right after a login is not what is wrong: nothing loops, and protection is unknown', async () => {
    const world = await started();
    world.script.answers.set('private/get_cancel_on_disconnect', () => dead);
    await world.clock.advance(119_000);
    expect(logins(world)).toEqual(['public/auth client_credentials']);
    expect(world.told()).toEqual([
      'bot session.renewed reauthenticate',
      'bot protection.unknown connection',
      'bot protection.unknown account',
    ]);
  });
});

describe('reauthenticate', () => {
  test('logs in anew in full on the same connection, and says until when', async () => {
    const world = await started();
    const result = await world.command('reauthenticate');
    expect(result).toEqual({
      expiresAt: '2026-11-23T08:15:00.000Z',
      scope: 'account:read_write mainaccount session:bot trade:read_write',
    });
    expect(logins(world)).toEqual(['public/auth client_credentials']);
    expect(session(world)).toEqual(['bot session.renewed reauthenticate']);
    expect(world.network.sockets).toHaveLength(1);
  });

  test('rejects with what the venue says', async () => {
    const world = await started();
    world.script.answers.set('public/auth', () => ({ error: { code: 13028, message: 'temporarily_unavailable' } }));
    await expect(world.command('reauthenticate')).rejects.toMatchObject({ code: 'venue_error', venueCode: 13028 });
  });

  test('of a source without credentials is a conflict', async () => {
    const world = await started({ credentials: 'none', scope: 'connection' });
    await expect(world.command('reauthenticate')).rejects.toMatchObject({ code: 'conflict' });
  });
});
