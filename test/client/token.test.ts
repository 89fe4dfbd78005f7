import { afterEach, describe, expect, test } from 'vitest';
import { createRenewal } from '../../src/client/renewal.js';
import { VirtualClock } from '../support/virtual-clock.js';
import type { ModelRelay } from './model-relay.js';
import { closeStages, expectNothingLeft, stage } from './stage.js';

afterEach(closeStages);

const DAY_MS = 86_400_000;
const tokensSent = (relay: ModelRelay) => relay.asked('auth').map(({ params }) => params.token);

test('a token is sent by `auth`, before anything else, and nowhere else', async () => {
  const on = await stage({ token: 's3cret', prepare: (relay) => (relay.token = 's3cret') });
  on.events('deribit.>');
  await on.settle();
  expect(on.relay.requests.map(({ method }) => method)).toEqual(['auth', 'subscribe']);
  expect(JSON.stringify([on.relay.network.last.url, on.relay.network.last.protocols])).not.toContain('s3cret');
  expect(on.status.state).toBe('open');
});

test('a relay that wants none is handed none', async () => {
  const on = await stage({ token: 's3cret' });
  expect(on.relay.requests).toEqual([]);
  expect(on.status.state).toBe('open');
});

test('a relay that wants one of a client without stops it with a clear error', async () => {
  const on = await stage({ prepare: (relay) => (relay.token = 's3cret') });
  expect(on.status).toMatchObject({
    state: 'closed',
    error: { code: 'unauthenticated', message: 'the relay wants a token' },
  });
  await on.advance(60_000);
  expect(on.relay.network.sockets).toHaveLength(1);
});

test('a text that is refused stops the client, and is not repeated in what it says', async () => {
  const on = await stage({ token: 'wr0ng', prepare: (relay) => (relay.token = 's3cret') });
  expect(on.status).toMatchObject({ state: 'closed', code: 4401, error: { code: 'unauthenticated' } });
  expect(JSON.stringify(on.statuses)).not.toContain('wr0ng');
  await expectNothingLeft(on);
});

test('a text that expires stops the client when the relay says so', async () => {
  const on = await stage({
    token: 's3cret',
    prepare(relay) {
      relay.token = 's3cret';
      relay.grant = { identity: 'desk', expiresInMs: 60_000 };
    },
  });
  on.relay.announce('token_expiring', { inMs: 60_000 });
  await on.advance(60_000);
  expect(tokensSent(on.relay)).toEqual(['s3cret']);
  on.relay.hangUp(4401, 'the token has expired');
  expect(on.status).toMatchObject({ state: 'closed', error: { message: expect.stringContaining('has expired') } });
});

describe('a function', () => {
  test('is asked before each connection, once more after a refusal, and a second refusal stops the client', async () => {
    let asked = 0;
    const on = await stage({
      token: () => `token-${++asked}`,
      prepare: (relay) => (relay.token = 'token-2'),
    });
    await on.advance(2_000);
    expect(tokensSent(on.relay)).toEqual(['token-1', 'token-2']);
    expect(on.status.state).toBe('open');
    on.relay.hangUp(1006);
    await on.advance(10_000);
    expect(tokensSent(on.relay)).toEqual(['token-1', 'token-2', 'token-3', 'token-4']);
    expect(on.status).toMatchObject({ state: 'closed', error: { code: 'unauthenticated' } });
  });

  test('closed with 4401 it gets a new one and resumes', async () => {
    let asked = 0;
    const on = await stage({
      token: async () => `token-${++asked}`,
      prepare: (relay) => (relay.token = 'token-1'),
    });
    on.relay.token = 'token-2';
    on.relay.hangUp(4401, 'the token has expired');
    await on.advance(2_000);
    expect(on.status.state).toBe('open');
  });

  test.each([
    ['an hour', 3_600_000],
    ['half a minute', 30_000],
  ])('a token of %s is renewed before it expires, on the same connection', async (_, expiresInMs) => {
    let asked = 0;
    const on = await stage({
      token: () => {
        asked++;
        return 'good';
      },
      random: () => 0.5,
      prepare(relay) {
        relay.token = 'good';
        relay.grant = { identity: 'desk', expiresInMs };
      },
    });
    await on.advance(expiresInMs * 0.79);
    expect(asked).toBe(1);
    await on.advance(expiresInMs * 0.02);
    expect(asked).toBe(2);
    await on.advance(expiresInMs * 0.78);
    expect(asked).toBe(2);
    await on.advance(expiresInMs * 0.02);
    expect(asked).toBe(3);
    expect(on.status.state).toBe('open');
    expect(on.relay.network.sockets).toHaveLength(1);
    await expectNothingLeft(on);
  });

  test('a token of a year is renewed in its last quarter, not at once, though timers of Node end after 24 days', async () => {
    const clock = new VirtualClock();
    const delays: number[] = [];
    let renewed = 0;
    const renewal = createRenewal({
      clock: {
        now: () => clock.now(),
        monotonic: () => clock.monotonic(),
        setTimer(task, ms) {
          delays.push(ms);
          return clock.setTimer(task, ms);
        },
      },
      random: () => 0,
      renew: () => renewed++,
      failed: () => undefined,
    });
    renewal.expires(365 * DAY_MS);
    // One timer for all of it: the client's clock is `systemClock`, which keeps delays of any length.
    expect(delays).toEqual([365 * DAY_MS * 0.75]);
    await clock.advance(365 * DAY_MS * 0.75 - 1);
    expect(renewed).toBe(0);
    await clock.advance(1);
    expect(renewed).toBe(1);
  });

  test('`token_expiring` renews at once, also where our own clock is wrong', async () => {
    let asked = 0;
    const on = await stage({
      token: () => {
        asked++;
        return 'good';
      },
      prepare(relay) {
        relay.token = 'good';
        relay.grant = { identity: 'desk', expiresInMs: 3_600_000 };
      },
    });
    on.clock.jump(-3_000_000);
    on.relay.announce('token_expiring', { inMs: 60_000 });
    await on.settle();
    expect(asked).toBe(2);
  });

  test('a wall clock that is an hour off does not move the renewal', async () => {
    let asked = 0;
    const on = await stage({
      token: () => {
        asked++;
        return 'good';
      },
      prepare(relay) {
        relay.token = 'good';
        relay.grant = { identity: 'desk', expiresInMs: 3_600_000 };
        relay.welcome = { now: '2026-11-23T07:00:00.000Z' };
        const answered = relay.clock.now() - 3_600_000;
        relay.answers.set('auth', () => ({
          result: { identity: 'desk', expiresAt: new Date(answered + 3_600_000).toISOString() },
        }));
      },
    });
    await on.advance(3_600_000 * 0.74);
    expect(asked).toBe(1);
    await on.advance(3_600_000 * 0.12);
    expect(asked).toBe(2);
  });

  test('one that fails while a token still serves is asked again until it expires', async () => {
    let asked = 0;
    const on = await stage({
      token: () => {
        asked++;
        if (asked > 1 && asked < 5) throw new Error('the identity provider is down, and this is s3cret');
        return 'good';
      },
      prepare(relay) {
        relay.token = 'good';
        relay.grant = { identity: 'desk', expiresInMs: 600_000 };
      },
    });
    await on.advance(599_000);
    expect(asked).toBe(5);
    expect(on.status.state).toBe('open');
    expect(on.notices.map(({ kind }) => kind)).toEqual(['token', 'token', 'token']);
    expect(JSON.stringify(on.notices)).not.toContain('s3cret');
  });

  test('one that fails before a connection is asked again with back-off', async () => {
    let asked = 0;
    const on = await stage({
      token: () => (++asked < 3 ? Promise.reject(new Error('down')) : 'good'),
      prepare: (relay) => (relay.token = 'good'),
    });
    expect(on.status).toMatchObject({ state: 'unreachable', code: 0 });
    await on.advance(10_000);
    expect(on.status.state).toBe('open');
    expect(on.relay.network.sockets).toHaveLength(1);
  });

  test('one that never answers is not waited for beyond 30 s', async () => {
    const on = await stage({ token: () => new Promise(() => undefined), prepare: (relay) => (relay.token = 'good') });
    await on.advance(29_999);
    expect(on.status.state).toBe('connecting');
    await on.advance(1);
    expect(on.status).toMatchObject({ state: 'unreachable', reason: 'no token could be had' });
    await expectNothingLeft(on);
  });

  test('what comes after the end is dropped', async () => {
    let give = (_: string): void => undefined;
    const on = await stage({
      token: () =>
        new Promise<string>((resolve) => {
          give = resolve;
        }),
      prepare: (relay) => (relay.token = 'good'),
    });
    void on.client.close();
    give('good');
    await on.settle();
    expect(on.relay.network.sockets).toHaveLength(0);
    await on.advance(60_000);
    expect(on.clock.timers).toBe(0);
  });
});

test('a new token asks again for what the old one did not allow, and channels that it ends are subscribed anew', async () => {
  let allowed = false;
  const on = await stage({
    token: () => 'good',
    prepare(relay) {
      relay.token = 'good';
      relay.grant = { identity: 'desk', expiresInMs: 600_000 };
      relay.answers.set('subscribe', ({ params }) => {
        if (allowed) return undefined;
        const channel = (params.channels as readonly string[])[0] ?? '';
        return { error: { code: 4403, message: 'not allowed', data: { channel } } };
      });
    },
  });
  const safety = on.safety();
  await on.settle();
  expect(safety.last?.reasons).toEqual(['not_granted']);
  allowed = true;
  on.relay.answers.clear();
  on.relay.announce('token_expiring', { inMs: 60_000 });
  await on.settle();
  expect(safety.last?.reasons).toEqual(['not_found']);
  on.relay.unsubscribe('deribit.main.relay.>');
  expect(safety.last?.reasons).toEqual(['replaying']);
  await on.advance(100);
  expect(safety.last?.reasons).toEqual(['not_found']);
});
