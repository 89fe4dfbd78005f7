import { afterEach, describe, expect, test } from 'vitest';
import { connect, SessionRelayError } from '../../src/client/index.js';
import { HEARTBEAT_MS } from './model-relay.js';
import { closeStages, expectNothingLeft, ids, OPENED, stage } from './stage.js';

afterEach(closeStages);

describe('close codes', () => {
  test.each([
    [1003, 'internal'],
    [1007, 'internal'],
    [1009, 'internal'],
    [4400, 'internal'],
    [4403, 'forbidden'],
    [4401, 'unauthenticated'],
  ])('%i: the client stops, and every stream says why', async (code, why) => {
    const on = await stage({ prepare: (relay) => void relay.answers.set('command', () => undefined) });
    const events = on.events('deribit.>');
    const states = on.states('deribit.>');
    const safety = on.safety();
    const command = on.client.command('deribit.main', 'read').catch((thrown: unknown) => thrown);
    await on.settle();
    on.relay.hangUp(code, 'because');
    await on.advance(600_000);
    expect(on.relay.network.sockets).toHaveLength(1);
    expect(on.status).toMatchObject({ state: 'closed', willRetry: false, code, error: { code: why } });
    expect(on.status).toMatchObject({ reason: expect.stringContaining('because') });
    expect([events.error, states.error]).toMatchObject([{ code: why }, { code: why }]);
    expect(states.last?.view).toBe('unreachable');
    expect([safety.last?.reasons, safety.completed]).toEqual([['relay_unreachable'], true]);
    expect(await command).toMatchObject({ code: why, data: { outcome: 'unknown' } });
    expect(on.events('deribit.>').error).toMatchObject({ code: why });
    await expect(on.client.command('deribit.main', 'read')).rejects.toMatchObject({ data: { outcome: 'not_done' } });
    await expectNothingLeft(on);
  });

  test.each([
    [1000, 0, 1_000],
    [1001, 0, 1_000],
    [1006, 0, 1_000],
    [1012, 0, 1_000],
    [4408, 0, 1_000],
    [4429, 2_500, 5_000],
    [4500, 2_500, 5_000],
  ])('%i: comes back and resumes, between %i and %i ms later', async (code, least, most) => {
    const on = await stage();
    const events = on.events('deribit.>');
    await on.settle();
    on.relay.happen('session.opened', OPENED);
    on.relay.hangUp(code, 'because');
    expect(on.status).toMatchObject({ state: 'unreachable', willRetry: true, code, attempt: 1 });
    on.relay.happen('session.lost', { reason: 'link_down' });
    await on.advance(Math.max(0, least - 1));
    expect(on.relay.network.sockets).toHaveLength(1);
    await on.advance(most - least + 1);
    expect(on.relay.network.sockets).toHaveLength(2);
    expect(on.relay.asked('subscribe').at(-1)?.params).toEqual({
      channels: [{ channel: 'deribit.>', since: '1-1' }],
      snapshot: false,
    });
    expect(ids(events.values)).toEqual(['1-1', '1-2']);
    expect(on.status.state).toBe('open');
  });
});

describe('a relay that is out of reach', () => {
  test('is tried with full jitter under a ceiling that doubles up to 30 s, for as long as it takes', async () => {
    const draws: number[] = [];
    const on = await stage({
      prepare: (relay) => (relay.network.isDown = true),
      random() {
        draws.push(draws.length);
        return 0.999;
      },
    });
    await on.advance(600_000);
    const waits = on.statuses.flatMap((status) => (status.state === 'unreachable' ? [status] : []));
    const delays = waits.map(({ attempt, retryAtMs }, index) => {
      expect(attempt).toBe(index + 1);
      return retryAtMs;
    });
    const gaps = delays.slice(1).map((at, index) => at - (delays[index] ?? 0));
    expect(gaps.slice(0, 5)).toEqual([1_998, 3_996, 7_992, 15_984, 29_970]);
    expect(gaps.slice(5).every((gap) => gap === 29_970)).toBe(true);
    expect(on.relay.network.live).toBe(0);
    on.relay.network.isDown = false;
    await on.advance(30_000);
    expect(on.status.state).toBe('open');
    await expectNothingLeft(on);
  });

  test('attempts count on until the connection was well for a minute', async () => {
    const on = await stage();
    for (let n = 0; n < 3; n++) {
      on.relay.hangUp(1006);
      expect(on.status).toMatchObject({ attempt: n + 1 });
      await on.advance(8_000);
      expect(on.status.state).toBe('open');
    }
    await on.advance(60_000);
    on.relay.hangUp(1006);
    expect(on.status).toMatchObject({ attempt: 1 });
  });

  test('one that accepts and says nothing is given up after 20 s', async () => {
    const on = await stage({ prepare: (relay) => (relay.network.onOpen = () => undefined) });
    await on.advance(19_999);
    expect(on.status.state).toBe('connecting');
    await on.advance(1);
    expect(on.status).toMatchObject({ state: 'unreachable', reason: 'it said no welcome' });
  });

  test('retryNow tries at once, and only while it waits', async () => {
    const on = await stage({ prepare: (relay) => (relay.network.isDown = true), random: () => 0.9 });
    on.relay.network.isDown = false;
    on.client.retryNow();
    await on.settle();
    expect(on.status.state).toBe('open');
    on.client.retryNow();
    await on.settle();
    expect(on.relay.network.sockets).toHaveLength(2);
  });

  test('a WebSocket that cannot be made is an outage, not a crash', async () => {
    const on = await stage({
      WebSocket: class {
        constructor() {
          throw new Error('blocked by the page');
        }
      } as never,
    });
    await on.advance(0);
    expect(on.status).toMatchObject({ state: 'unreachable', reason: 'blocked by the page' });
    await expectNothingLeft(on);
  });

  test('one of another protocol is not tried again', async () => {
    const on = await stage({ prepare: (relay) => (relay.welcome = { protocol: 2 }) });
    expect(on.status).toMatchObject({ state: 'closed', error: { code: 'not_available' } });
  });
});

describe('draining', () => {
  test('it moves when the relay said, with what came until then, and resumes', async () => {
    const on = await stage();
    const events = on.events('deribit.>');
    await on.settle();
    on.relay.announce('draining', { retryAfterMs: 7_000 });
    expect(on.status).toMatchObject({ state: 'draining', retryAtMs: on.clock.now() + 7_000 });
    on.relay.happen('session.opened', OPENED);
    await on.advance(6_999);
    expect(on.status.state).toBe('draining');
    await on.advance(1_001);
    expect(on.relay.network.sockets).toHaveLength(2);
    expect(on.relay.network.live).toBe(1);
    expect(on.relay.network.sockets[0]?.closedBy).toBe('close');
    on.relay.happen('session.lost', { reason: 'link_down' });
    expect(ids(events.values)).toEqual(['1-1', '1-2']);
  });

  test('sent away earlier, it comes back no sooner than it was told', async () => {
    const on = await stage();
    on.relay.announce('draining', { retryAfterMs: 7_000 });
    await on.advance(3_000);
    on.relay.hangUp(1001);
    await on.advance(3_999);
    expect(on.relay.network.sockets).toHaveLength(1);
    await on.advance(1_001);
    expect(on.relay.network.sockets).toHaveLength(2);
  });

  test('a relay that drains whoever comes is not run at', async () => {
    const on = await stage({
      prepare(relay) {
        relay.mangle = (message) =>
          message.id === undefined ? [message] : [message, { method: 'draining', params: { retryAfterMs: 0 } }];
      },
    });
    on.events('deribit.>');
    await on.advance(60_000);
    expect(on.relay.network.sockets.length).toBeLessThan(15);
  });
});

describe('the connection', () => {
  test('is one at a time', async () => {
    const on = await stage();
    on.events('deribit.>');
    for (let n = 0; n < 20; n++) {
      on.relay.hangUp([1006, 4500, 4408, 1001][n % 4] ?? 1006);
      await on.advance(700);
      expect(on.relay.network.live).toBeLessThanOrEqual(1);
    }
  });

  test('its round trip is measured at each heartbeat', async () => {
    const on = await stage();
    await on.advance(HEARTBEAT_MS);
    expect(on.status).toMatchObject({ state: 'open', rttMs: 0, heartbeatAtMs: on.clock.now() });
  });

  test('close says so, completes every stream, and nothing comes back', async () => {
    const on = await stage();
    const events = on.events('deribit.>');
    const states = on.states('deribit.>');
    await on.settle();
    const closed = on.client.close();
    expect(on.status).toMatchObject({ state: 'closed', willRetry: false, reason: 'closed' });
    expect([events.completed, states.completed]).toEqual([true, true]);
    await closed;
    await on.client.close();
    expect(on.relay.network.last.closedBy).toBe('close');
    expect(on.events('deribit.>').completed).toBe(true);
    await expect(on.client.command('deribit.main', 'read')).rejects.toMatchObject({ code: 'closed' });
    let late: unknown;
    on.client.status$.subscribe((status) => {
      late = status.state;
    });
    expect(late).toBe('closed');
    await expectNothingLeft(on);
  });

  test('close during the wait, and during the handshake', async () => {
    const down = await stage({ prepare: (relay) => (relay.network.isDown = true) });
    await expectNothingLeft(down);
    const silent = await stage({ prepare: (relay) => (relay.network.onOpen = () => undefined) });
    await expectNothingLeft(silent);
  });

  test('whoever closes it from within a stream is heard', async () => {
    const on = await stage();
    on.client.status$.subscribe(({ state }) => {
      if (state === 'unreachable') void on.client.close();
    });
    on.relay.hangUp(1006);
    await on.advance(60_000);
    expect(on.relay.network.sockets).toHaveLength(1);
    expect(on.status.state).toBe('closed');
  });
});

describe('the URL', () => {
  test.each([
    ['http://127.0.0.1:8080', 'ws://127.0.0.1:8080/v1/ws'],
    ['https://relay.test/', 'wss://relay.test/v1/ws'],
    ['wss://relay.test/v1/ws', 'wss://relay.test/v1/ws'],
    ['wss://relay.test/desk/v1/ws#top', 'wss://relay.test/desk/v1/ws'],
  ])('%s becomes %s', async (given, made) => {
    const on = await stage();
    const other = connect(given, { WebSocket: on.relay.network.WebSocket, clock: on.clock });
    expect(on.relay.network.last).toMatchObject({ url: made, protocols: ['session-relay.v1'] });
    await other.close();
  });

  test.each(['nowhere', 'ftp://relay.test', 'wss://relay.test/v1/ws?token=s3cret', 'wss://me:s3cret@relay.test'])(
    '%s is refused, and not repeated',
    (given) => {
      let thrown: unknown;
      try {
        connect(given, { WebSocket: class {} as never });
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toBeInstanceOf(SessionRelayError);
      expect(thrown).toMatchObject({ code: 'invalid_params', message: expect.not.stringContaining('s3cret') });
    },
  );
});
