import { describe, expect, test } from 'vitest';
import { startSource } from './world.js';

/** What follows a login, in the order in which it leaves. */
const CONFIRM = [
  'public/subscribe platform_state,platform_state.public_methods_state',
  'private/subscribe user.access_log,user.lock',
  'public/status',
  'private/get_user_locks',
];
const READ = ['private/get_cancel_on_disconnect connection', 'private/get_cancel_on_disconnect account'];

describe('a first connection', () => {
  test('arms the heartbeat in the turn in which it opens, logs in, subscribes, reads back', async () => {
    const world = await startSource({}, { open: false });
    expect(world.told()).toEqual(['bot session.opening']);
    world.network.last.open();
    // Before anything has come back: an idle socket is dropped by the venue within a minute.
    expect(world.asked()).toEqual(['public/hello', 'public/set_heartbeat 10']);
    await world.clock.advance(0);
    expect(world.asked()).toEqual(['public/auth client_credentials', ...CONFIRM, ...READ]);
    expect(world.told()).toEqual([
      '- link.up',
      'bot heartbeat.armed 10000',
      'bot session.opened api',
      '- venue.normal',
      '- account.unlocked all',
      'bot protection.disarmed connection',
      'bot protection.disarmed account',
    ]);
  });

  test('says what the venue granted, until when, and where', async () => {
    const world = await startSource({ scope: 'session:bot trade:read' });
    const opened = world.facts.find(({ type }) => type === 'session.opened');
    expect(opened?.data).toEqual({
      kind: 'api',
      role: 'trading',
      environment: 'test',
      expiresAt: '2026-11-23T08:15:00.000Z',
      scope: 'account:read_write mainaccount session:bot trade:read_write',
      attributes: {},
    });
    expect(world.facts.find(({ type }) => type === 'link.up')?.data).toEqual({
      carrier: 'ws',
      generation: 1,
      url: 'wss://www.deribit.com/ws/api/v2',
    });
  });

  test('in connection scope is the session `connection`', async () => {
    const world = await startSource({ scope: 'connection' }, { script: { sid: undefined, scope: 'connection' } });
    expect(world.told()).toContain('connection session.opened api');
    expect(world.requests.find(({ method }) => method === 'public/auth')?.params).toMatchObject({
      scope: 'connection',
    });
  });

  test('without credentials hears the public channels, and never asks to be let in', async () => {
    const world = await startSource({ credentials: 'none', scope: 'connection' });
    expect(world.asked()).toEqual([
      'public/hello',
      'public/set_heartbeat 10',
      'public/subscribe platform_state,platform_state.public_methods_state',
      'public/status',
    ]);
    expect(world.told()).toEqual([
      'public session.opening',
      '- link.up',
      'public heartbeat.armed 10000',
      'public session.opened public',
      '- venue.normal',
    ]);
  });

  test('leaves the heartbeat off where 0 is configured, says so, and asks for a sign of life by itself', async () => {
    const world = await startSource({ heartbeatSeconds: 0 });
    expect(world.asked()).not.toContain('public/set_heartbeat 10');
    expect(world.told()).toContain('bot heartbeat.disarmed');
    await world.clock.advance(30_000);
    expect(world.asked()).toContain('public/test');
  });

  test('enables or disables protection of the connection where that is configured, and of the account never', async () => {
    for (const [cancelOnDisconnect, method] of [
      ['enable', 'private/enable_cancel_on_disconnect connection'],
      ['disable', 'private/disable_cancel_on_disconnect connection'],
    ] as const) {
      const world = await startSource({ cancelOnDisconnect });
      const asked = world.asked().filter((line) => line.includes('cancel_on_disconnect'));
      expect(asked).toEqual([method, ...READ]);
    }
  });
});

describe('what the venue confirms', () => {
  test('is compared with what was asked: a channel left out is a fault, in whatever order the others come', async () => {
    const world = await startSource({}, { script: { refused: new Set(['user.lock', 'platform_state']) } });
    expect(world.told().filter((line) => line.includes('fault'))).toEqual([
      '- source.fault channel_refused',
      '- source.fault channel_refused',
    ]);
    const samples = world.facts.flatMap(({ type, data }) => (type === 'source.fault' ? [data.sample] : []));
    expect(samples).toEqual(['platform_state', 'user.lock']);
  });

  test('is asked for again every minute where no channel tells it', async () => {
    const world = await startSource({}, { script: { refused: new Set(['user.lock', 'platform_state']) } });
    world.told();
    world.script.userLocks = [{ currency: 'BTC', locked: true }];
    world.script.locked = 'true';
    await world.clock.advance(60_000);
    expect(world.told()).toEqual([
      '- account.locked BTC',
      '- venue.locked',
      'bot protection.disarmed connection',
      'bot protection.disarmed account',
    ]);
  });

  test('that it will not tell the locks of the account is a note, and no account is said to be free', async () => {
    const world = await startSource(
      {},
      {
        script: {
          answers: new Map([['private/get_user_locks', () => ({ error: { code: 13403, message: 'scope_exceeded' } })]]),
        },
      },
    );
    const told = world.told();
    expect(told).toContain('- source.fault channel_refused');
    expect(told.filter((line) => line.includes('account.'))).toEqual([]);
  });

  test('that a scope was not granted is a fault, and the session goes on', async () => {
    const world = await startSource({ scope: 'session:bot custody:read' });
    const fault = world.facts.find(({ type }) => type === 'source.fault');
    expect(fault?.data).toEqual({ what: 'inconsistent', sample: 'scopes not granted: custody:read' });
    expect(world.told()).toContain('bot session.opened api');
  });

  test('a burst of 151 indices at subscription makes no event', async () => {
    const burst = Array.from({ length: 151 }, (_, one) => ({
      jsonrpc: '2.0',
      method: 'subscription',
      params: { channel: 'platform_state', data: { locked: false, price_index: `c${one}_usdc`, reasons: [] } },
    }));
    const world = await startSource({}, { script: { burst } });
    expect(world.told().filter((line) => line.includes('venue.'))).toEqual(['- venue.normal']);
  });
});

describe('an environment that is not the configured one', () => {
  test('stops before a secret is sent', async () => {
    const world = await startSource({ environment: 'live' });
    expect(world.told()).toEqual([
      'bot session.opening',
      '- link.up',
      'bot heartbeat.armed 10000',
      'bot session.attention check_credentials',
      '- link.down 1000 the environment is not the configured one relay',
    ]);
    expect(world.network.last.sent.join()).not.toContain('AMANDASECRET');
    await world.clock.advance(3_600_000);
    expect(world.network.sockets).toHaveLength(1);
  });

  test('is none where it fits', async () => {
    const world = await startSource({ environment: 'live' }, { script: { testnet: false } });
    expect(world.facts.find(({ type }) => type === 'session.opened')?.data).toMatchObject({ environment: 'live' });
  });
});

test('no secret, token or sid is in a fact, in the memory or in the log', async () => {
  const world = await startSource();
  await world.receive('{"access_token":"1796961742820.ACCESS');
  await world.drop();
  await world.reopen();
  const everything = JSON.stringify([world.batches, [...world.memory], world.logged]);
  for (const secret of ['AMANDASECRET', 'ACCESS', 'REFRESH', 'SID-ONE']) expect(everything).not.toContain(secret);
});
