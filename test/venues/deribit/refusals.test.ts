import { describe, expect, test } from 'vitest';
import { startSource, type World } from './world.js';

const MINUTE_MS = 60_000;
const BAD = { error: { code: 13004, message: 'invalid_credentials' } } as const;

const logins = (world: World): number => world.requests.filter(({ method }) => method === 'public/auth').length;
const lines = (world: World, ...families: readonly string[]): readonly string[] =>
  world.told().filter((line) => families.some((family) => line.includes(family)));

async function refused(...[options = {}, how = {}]: Parameters<typeof startSource>): Promise<World> {
  return startSource(options, { ...how, script: { ...how.script, answers: new Map([['public/auth', () => BAD]]) } });
}

describe('credentials that never worked', () => {
  test('are tried once; then a person is asked, and the source stops', async () => {
    const world = await refused();
    expect(world.told()).toEqual([
      'bot session.opening',
      '- link.up',
      'bot heartbeat.armed 10000',
      'bot session.attention check_credentials',
      '- link.down 1000 the login was refused relay',
    ]);
    await world.clock.advance(24 * 60 * MINUTE_MS);
    expect(logins(world)).toBe(1);
    expect(world.network.live).toBe(0);
    expect(world.clock.timers).toBe(0);
  });

  test('are tried again when somebody says reconnect', async () => {
    const world = await refused();
    world.script.answers.clear();
    world.told();
    const reconnected = world.command('reconnect');
    await world.open();
    expect(await reconnected).toEqual({ generation: 2 });
    expect(lines(world, 'session.')).toEqual(['bot session.opening', 'bot session.opened api']);
  });

  test('tell whoever said reconnect what the venue said', async () => {
    const world = await refused();
    const reconnected = world.command('reconnect');
    reconnected.catch(() => undefined);
    await world.open();
    await expect(reconnected).rejects.toMatchObject({ code: 'venue_error', venueCode: 13004 });
  });

  test('signed by a clock that is off are the clock’s fault', async () => {
    const world = await refused(
      { credentials: { clientId: 'AMANDA', clientSecret: 'AMANDASECRET', grant: 'client_signature' } },
      { script: { skewMs: 90_000 } },
    );
    expect(lines(world, 'attention')).toEqual(['bot session.attention check_clock']);
  });

  test('that want a second factor say so', async () => {
    const world = await startSource(
      {},
      {
        script: {
          answers: new Map([
            ['public/auth', () => ({ error: { code: 13668, message: 'security_key_authorization_error' } })],
          ]),
        },
      },
    );
    expect(lines(world, 'attention')).toEqual(['bot session.attention two_factor']);
  });
});

describe('credentials that have worked before', () => {
  test('are tried again after 5, 15 and 30 minutes, on the connection that stays, and then no more', async () => {
    const world = await startSource();
    await world.drop();
    world.script.answers.set('public/auth', () => BAD);
    await world.reopen();
    const start = world.clock.monotonic();
    const tries: number[] = [];
    world.script.answers.set('public/auth', () => {
      tries.push(Math.round((world.clock.monotonic() - start) / MINUTE_MS));
      return BAD;
    });
    world.told();
    await world.clock.advance(300 * MINUTE_MS);
    expect(tries).toEqual([5, 20, 50]);
    expect(world.network.sockets).toHaveLength(2);
    expect(lines(world, 'link.')).toEqual(['- link.down 1000 the login was refused relay']);
  });

  test('leave the venue’s level in sight while they wait', async () => {
    const world = await startSource();
    await world.drop();
    world.script.answers.set('public/auth', () => BAD);
    world.told();
    await world.reopen();
    expect(world.told()).toEqual([
      '- link.up',
      'bot heartbeat.armed 10000',
      'bot session.attention check_credentials',
      '- venue.normal',
    ]);
  });

  test('are not tried sooner because the socket dropped meanwhile', async () => {
    const world = await startSource();
    await world.drop();
    world.script.answers.set('public/auth', () => BAD);
    await world.reopen();
    const before = logins(world);
    await world.drop();
    await world.reopen();
    await world.clock.advance(MINUTE_MS);
    expect(logins(world)).toBe(before);
  });

  test('mend: the same session is restored', async () => {
    const world = await startSource();
    await world.drop();
    world.script.answers.set('public/auth', () => BAD);
    await world.reopen();
    world.script.answers.clear();
    world.told();
    await world.clock.advance(5 * MINUTE_MS);
    expect(lines(world, 'session.')).toEqual(['bot session.restored', 'bot session.renewed reauthenticate']);
  });

  test('refused on a protected connection never close it', async () => {
    const world = await startSource({ cancelOnDisconnect: 'enable' }, { script: { expiresIn: 600 } });
    world.script.answers.set('public/auth', () => BAD);
    world.told();
    await world.clock.advance(300 * MINUTE_MS);
    expect(world.network.last.isOpen).toBe(true);
    // Renewal at 480 s, the warning at 540 s, the end at 600 s; tries after 5, 15 and 30 minutes more.
    expect(lines(world, 'link.', 'session.')).toEqual([
      'bot session.attention check_credentials',
      'bot session.expiring renewal_failed',
      'bot session.expired',
      'bot session.attention check_credentials',
      'bot session.attention check_credentials',
      'bot session.attention check_credentials',
      'bot session.attention check_credentials',
    ]);
  });

  test('of before a restart are known', async () => {
    const first = await startSource();
    const world = await refused({}, { memory: first.memory });
    expect(world.network.last.isOpen).toBe(true);
    const other = await refused(
      { credentials: { clientId: 'ANOTHER', clientSecret: 'SECRET' } },
      { memory: first.memory },
    );
    expect(other.network.live).toBe(0);
  });

  test('in connection scope, after a drop: the session is lost before a person is asked', async () => {
    const world = await startSource({ scope: 'connection' }, { script: { sid: undefined, scope: 'connection' } });
    await world.drop();
    world.script.answers.set('public/auth', () => BAD);
    world.told();
    await world.reopen();
    expect(lines(world, 'session.')).toEqual([
      'connection session.lost link_down',
      'connection session.attention check_credentials',
    ]);
  });
});

describe('the venue’s penalty', () => {
  test('10028: throttled until its credits are back; the socket ends; nothing is sent before', async () => {
    const world = await startSource();
    world.told();
    world.script.answers.set('private/get_account_summary', () => ({
      error: { code: 10028, message: 'too_many_requests' },
    }));
    await expect(world.venue.call?.('private/get_account_summary', { currency: 'BTC' })).rejects.toMatchObject({
      venueCode: 10028,
    });
    expect(world.facts.at(-1)).toMatchObject({
      type: 'source.throttled',
      data: { untilAt: '2026-11-23T08:00:10.000Z' },
    });
    await expect(world.venue.call?.('public/get_time')).rejects.toMatchObject({ code: 'rate_limited' });
    await world.drop();
    await world.clock.advance(9_900);
    expect(world.network.sockets).toHaveLength(1);
    await world.clock.advance(200);
    await world.open();
    expect(world.told().slice(0, 5)).toEqual([
      '- source.throttled',
      '- link.down 1006 venue',
      '- link.retrying',
      '- source.unthrottled',
      '- link.up',
    ]);
  });

  test('grows while it repeats', async () => {
    const world = await startSource();
    const untils: number[] = [];
    for (let round = 0; round < 3; round++) {
      await world.receive({ jsonrpc: '2.0', error: { code: 10028, message: 'too_many_requests' } });
      const fact = world.facts.findLast(({ type }) => type === 'source.throttled');
      if (fact?.type === 'source.throttled') untils.push(Date.parse(fact.data.untilAt) - world.clock.now());
      await world.clock.advance(45_000);
    }
    expect(untils).toEqual([10_000, 20_000, 40_000]);
  });

  test('outlives a restart of the relay: it is waited out, and its end is told', async () => {
    const first = await startSource();
    await first.receive({ jsonrpc: '2.0', error: { code: 10028, message: 'too_many_requests' } });
    const world = await startSource({}, { memory: first.memory, open: false });
    expect(world.told()).toEqual(['- source.throttled']);
    expect(world.network.sockets).toHaveLength(0);
    await world.clock.advance(10_000);
    expect(world.told()).toEqual(['- source.unthrottled']);
    expect(world.network.sockets).toHaveLength(1);

    const until = Date.UTC(2026, 10, 23, 7);
    const later = await startSource({}, { memory: new Map([['throttledUntilMs', until]]), open: false });
    expect(later.told()).toEqual(['- source.unthrottled', 'bot session.opening']);
  });

  test.each([
    ['7', 7_000],
    ['Mon, 23 Nov 2026 08:00:20 GMT', 19_500],
    [undefined, 10_000],
  ])('429 at the upgrade with Retry-After %s waits so long', async (header, waitMs) => {
    const world = await startSource();
    await world.drop();
    await world.clock.advance(500);
    world.told();
    const headers: Record<string, string> = header === undefined ? {} : { 'retry-after': header };
    world.network.last.end({ reason: 'the upgrade was refused with 429', refused: { status: 429, headers } });
    expect(world.told()).toEqual([
      '- link.down 0 the upgrade was refused with 429 venue',
      '- source.throttled',
      '- link.retrying',
    ]);
    await world.clock.advance(waitMs - 100);
    expect(world.network.sockets).toHaveLength(2);
    await world.clock.advance(200);
    expect(world.network.sockets).toHaveLength(3);
  });
});

describe('maintenance', () => {
  test('is announced, begins with an error without an id, and is over when the venue answers again', async () => {
    const world = await startSource();
    world.told();
    await world.receive({
      jsonrpc: '2.0',
      method: 'subscription',
      params: { channel: 'platform_state', data: { maintenance: true } },
    });
    await world.receive({ jsonrpc: '2.0', error: { message: 'system_maintenance', code: 11051 } });
    await world.drop();
    expect(world.told()).toEqual([
      '- venue.maintenance true',
      '- venue.maintenance false',
      '- link.down 1006 venue',
      '- link.retrying',
    ]);
    await world.reopen();
    expect(lines(world, 'venue.')).toEqual(['- venue.normal']);
  });

  test('begins with the drop where nothing else says so', async () => {
    const world = await startSource();
    world.told();
    await world.receive({
      jsonrpc: '2.0',
      method: 'subscription',
      params: { channel: 'platform_state', data: { maintenance: true } },
    });
    await world.drop();
    expect(world.told()).toEqual([
      '- venue.maintenance true',
      '- link.down 1006 network',
      '- venue.maintenance false',
      '- link.retrying',
    ]);
  });

  test('refusing the login with an id is waited out, without asking a person', async () => {
    const world = await startSource(
      {},
      {
        script: {
          answers: new Map([['public/auth', () => ({ error: { code: 11051, message: 'system_maintenance' } })]]),
        },
      },
    );
    expect(lines(world, 'venue.', 'attention')).toEqual(['- venue.maintenance false']);
    world.script.answers.clear();
    await world.clock.advance(120_000);
    expect(lines(world, 'venue.', 'session.opened')).toEqual(['bot session.opened api', '- venue.normal']);
  });
});

test('a lock of the whole venue is found by asking, since frames tell of indices alone', async () => {
  const world = await startSource();
  world.told();
  const frame = (locked: boolean) => ({
    jsonrpc: '2.0',
    method: 'subscription',
    params: { channel: 'platform_state', data: { price_index: 'btc_usd', locked, reasons: [] } },
  });
  world.script.locked = 'true';
  world.script.lockedIndices = ['btc_usd'];
  await world.receive(frame(true));
  await world.clock.advance(1_000);
  expect(world.told()).toEqual(['- venue.degraded btc_usd', '- venue.locked']);
  world.script.locked = 'false';
  world.script.lockedIndices = [];
  await world.receive(frame(false));
  await world.clock.advance(1_000);
  expect(world.told()).toEqual(['- venue.normal btc_usd', '- venue.normal']);
});

test('requests of its own that the venue cannot answer now are repeated, not given up', async () => {
  let left = 2;
  const world = await startSource(
    {},
    {
      script: {
        answers: new Map([
          [
            'private/subscribe',
            () => (left-- > 0 ? { error: { code: 10041, message: 'settlement_in_progress' } } : undefined),
          ],
        ]),
      },
    },
  );
  await world.clock.advance(10_000);
  expect(lines(world, 'fault', 'account.')).toEqual(['- account.unlocked all']);
});
