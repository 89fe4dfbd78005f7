import { describe, expect, test } from 'vitest';
import { settle } from '../../support/virtual-clock.js';
import { BROKEN, brokerIn, ID, OTHER_ID, row, startLive, type World } from './world.js';

async function poll(world: World, rows: readonly unknown[]): Promise<readonly string[]> {
  world.rows = rows;
  await world.clock.advance(70_000);
  return world.told();
}

describe('the list of connections', () => {
  test('is signed, asked for on the user’s behalf, and opens each connection by its type', async () => {
    const world = await startLive({}, [row(), row(OTHER_ID, { type: 'read' })]);
    expect(world.told()).toEqual(['- link.up http#1', 'A session.opened trading', 'B session.opened watch']);
    const [request] = world.http.requests;
    expect(request?.url).toMatch(
      /^https:\/\/api\.snaptrade\.com\/authorizations\?clientId=PARTNER&userId=customer-1&userSecret=secret-of-customer-1&timestamp=\d{10}$/,
    );
    expect(world.facts[1]).toEqual({
      source: 'partner',
      session: ID,
      type: 'session.opened',
      key: 'opened:0',
      data: {
        kind: 'connection',
        role: 'trading',
        venueTime: '2026-11-20T10:00:00.000Z',
        attributes: {
          type: 'trade',
          brokerage: 'EXAMPLE',
          brokerageName: 'Example Broker',
          dataFreshness: 'realtime',
        },
      },
    });
  });

  test('that says the same again says nothing', async () => {
    const world = await startLive({}, [row()]);
    world.told();
    expect(await poll(world, [row()])).toEqual([]);
    expect(await poll(world, [{ ...row(), something_new: 1 }])).toEqual([]);
    expect(world.lists()).toBeGreaterThanOrEqual(3);
  });

  test('tells a broken connection as lost and for a person to link again, then as restored', async () => {
    const world = await startLive({}, [row()]);
    world.told();
    expect(await poll(world, [row(ID, BROKEN)])).toEqual([
      'A session.lost connection_broken',
      'A session.attention relink',
    ]);
    expect(world.facts.at(-2)).toMatchObject({
      key: 'lost:0.1',
      data: { reason: 'connection_broken', venueTime: '2026-11-23T08:01:00.250Z' },
    });
    expect(world.facts.at(-1)?.data).toMatchObject({ instructions: expect.stringContaining(`reconnect=${ID}`) });
    expect(await poll(world, [row(ID, BROKEN)])).toEqual([]);
    expect(await poll(world, [row()])).toEqual(['A session.restored']);
    expect(await poll(world, [row(ID, BROKEN)])).toEqual([
      'A session.lost connection_broken',
      'A session.attention relink',
    ]);
    expect(world.facts.at(-2)?.key).toBe('lost:0.2');
  });

  test('tells one that is broken when it is first seen as opened, lost and for a person to link again', async () => {
    const world = await startLive({}, [row(ID, BROKEN)]);
    expect(world.told()).toEqual([
      '- link.up http#1',
      'A session.opened trading',
      'A session.lost connection_broken',
      'A session.attention relink',
    ]);
  });

  test('closes what is gone from it, and only then: neither a failure nor a list that is half read does', async () => {
    const world = await startLive({}, [row(), row(OTHER_ID)]);
    world.told();
    world.answer = () => ({ json: { detail: 'broken' }, status: 500 });
    await world.clock.advance(61_000);
    expect(world.told()).toEqual([]);
    world.answer = () => ({ text: '<html>' });
    await world.clock.advance(5_000);
    world.answer = undefined;
    world.rows = [row(), { id: 17 }];
    await world.clock.advance(70_000);
    expect(world.told().filter((line) => line.includes('closed'))).toEqual([]);
    expect(await poll(world, [row()])).toEqual(['B session.closed by:unknown']);
    expect(world.facts.at(-1)?.key).toBe('closed:0');
  });

  test('opens one that comes back as a new life, with a name of its own', async () => {
    const world = await startLive({}, [row()]);
    await poll(world, []);
    world.told();
    expect(await poll(world, [row()])).toEqual(['A session.opened trading']);
    expect(world.facts.at(-1)?.key).toBe('opened:1');
    expect(await poll(world, [])).toEqual(['A session.closed by:unknown']);
    expect(world.facts.at(-1)?.key).toBe('closed:1');
  });

  test('does not say whether a connection works where the flag cannot be read', async () => {
    const world = await startLive({}, [row()]);
    world.told();
    expect(await poll(world, [row(ID, { disabled: 'yes' }), row(OTHER_ID, { disabled: undefined })])).toEqual([
      '- source.fault bad_frame',
    ]);
    expect(await poll(world, [row(), row(OTHER_ID)])).toEqual(['B session.opened trading']);
  });

  test('tells changed attributes, and a changed type as another opening: the role follows it', async () => {
    const world = await startLive({}, [row()]);
    world.told();
    expect(await poll(world, [row(ID, { data_freshness_mode: 'delayed' })])).toEqual([
      'A session.updated dataFreshness',
    ]);
    expect(await poll(world, [row(ID, { type: 'read', data_freshness_mode: 'delayed' })])).toEqual([
      'A session.opened watch',
    ]);
    expect(world.facts.at(-1)?.data).toMatchObject({ reason: 'type_changed', attributes: { type: 'read' } });
  });

  test('tells a broker’s own trouble as the venue’s, not as a broken connection', async () => {
    const world = await startLive({}, [row()]);
    world.told();
    expect(await poll(world, [row(ID, brokerIn({ is_degraded: true }))])).toEqual([
      '- venue.degraded EXAMPLE degraded',
    ]);
    expect(await poll(world, [row(ID, brokerIn({ is_degraded: true, maintenance_mode: true }))])).toEqual([
      '- venue.degraded EXAMPLE maintenance',
    ]);
    expect(await poll(world, [row()])).toEqual(['- venue.normal EXAMPLE']);
    await poll(world, [row(ID, brokerIn({ enabled: false }))]);
    expect(await poll(world, [])).toEqual(['A session.closed by:unknown', '- venue.normal EXAMPLE no_connection']);
  });

  test('of a sandbox is of the environment test, and a person is asked where the source is configured as live', async () => {
    const world = await startLive({ environment: 'live' }, [row(ID, brokerIn({ slug: 'SANDBOX' }))]);
    expect(world.told()).toEqual([
      '- link.up http#1',
      'A session.opened trading',
      '- session.attention check_credentials',
    ]);
    expect(world.facts[1]?.data).toMatchObject({ environment: 'test' });
  });

  test('is watched where the source is configured to watch', async () => {
    const world = await startLive({ safety: { role: 'watch' } }, [row()]);
    expect(world.told()).toContain('A session.opened watch');
    expect(world.venue.sources()[0]?.role).toBe('watch');
  });
});

describe('a venue that cannot be asked', () => {
  test('is an outage at the second failure in a row, and its end confirms each connection', async () => {
    const world = await startLive({}, [row(), row(OTHER_ID, BROKEN)]);
    world.told();
    world.answer = () => 'unreachable';
    await world.clock.advance(66_000);
    expect(world.told()).toEqual([]);
    await world.clock.advance(20_000);
    expect(world.told()).toEqual(['- link.down http#1 1006 network']);
    world.answer = undefined;
    await world.clock.advance(70_000);
    expect(world.told()).toEqual(['- link.up http#2', 'A session.restored', 'B session.attention relink']);
    expect(world.facts.slice(-2).map(({ key }) => key)).toEqual([undefined, undefined]);
  });

  test('is down from the beginning where the first list fails', async () => {
    const world = await startLive({}, [row()], { answer: () => 'timeout' });
    expect(world.told()).toEqual(['- link.down http#1 0 network']);
    world.answer = undefined;
    await world.clock.advance(20_000);
    expect(world.told()).toEqual(['- link.up http#2', 'A session.opened trading']);
  });

  test('that answers and shows no list leaves the connections unseen after two', async () => {
    const world = await startLive({}, [row()]);
    world.told();
    world.answer = () => ({ json: { detail: 'The brokerage is down.', code: '3002' }, status: 503 });
    await world.clock.advance(90_000);
    expect(world.told()).toEqual(['- source.fault channel_refused', 'A session.stale link_down']);
    world.answer = undefined;
    await world.clock.advance(70_000);
    expect(world.told()).toEqual(['A session.restored']);
  });

  test('that refuses the credentials asks for a person once, and is tried again after 5, 15 and 30 minutes', async () => {
    const world = await startLive({}, [row()]);
    world.told();
    const before = world.lists();
    world.answer = () => ({
      json: { default_detail: 'Unable to verify signature sent', default_code: '1076' },
      status: 401,
      headers: { 'x-request-id': 'req-1' },
    });
    await world.clock.advance(70_000);
    expect(world.told()).toEqual(['- session.attention check_credentials', 'A session.stale link_down']);
    expect(world.facts.at(-2)?.data).toMatchObject({ instructions: expect.stringContaining('1076') });
    await world.clock.advance(60 * 60_000);
    expect(world.lists() - before).toBe(4);
    expect(world.told()).toEqual([]);
    world.answer = undefined;
    await world.clock.advance(31 * 60_000 * 1.1);
    expect(world.told()).toEqual(['- session.restored', 'A session.restored']);
  });

  test('whose clock differs from the relay’s says that the clock is to be checked', async () => {
    const world = await startLive({}, [row()], {
      answer: () => ({
        json: { detail: 'Unable to verify signature sent', code: 1076 },
        status: 401,
        headers: { date: new Date(Date.UTC(2026, 10, 23, 8, 5, 0)).toUTCString() },
      }),
    });
    expect(world.told()).toEqual(['- link.up http#1', '- session.attention check_clock']);
  });

  test('that never answers leaves the connections unseen once the grace is over, though nothing fails', async () => {
    const world = await startLive({}, [row()]);
    world.told();
    world.answer = () => 'never';
    await world.clock.advance(14 * 60_000);
    expect(world.told()).toEqual([]);
    await world.clock.advance(3 * 60_000);
    expect(world.told()).toEqual(['A session.stale throttled']);
  });

  test('that throttles is left alone for as long as it says', async () => {
    const world = await startLive({}, [row()]);
    world.told();
    world.answer = () => ({
      json: { detail: 'Request was throttled. Expected available in 90 seconds.', status_code: 429, code: '0000' },
      status: 429,
    });
    await world.clock.advance(66_000);
    expect(world.told()).toEqual(['- source.throttled']);
    const sent = world.http.requests.length;
    await expect(world.command('list_connections')).rejects.toMatchObject({ code: 'rate_limited' });
    world.answer = undefined;
    await world.clock.advance(70_000);
    expect(world.http.requests.length).toBe(sent);
    await world.clock.advance(60_000);
    expect(world.told()).toEqual(['- source.unthrottled']);
    expect(world.http.requests.length).toBeGreaterThan(sent);
  });

  test('is asked nothing after stop, which says that the link ends', async () => {
    const world = await startLive({}, [row()]);
    world.told();
    await world.venue.stop({ orders: 'leave' });
    expect(world.told()).toEqual(['- link.down http#1 1000 relay']);
    const sent = world.http.requests.length;
    await world.clock.advance(600_000);
    expect(world.http.requests.length).toBe(sent);
    expect(world.clock.timers).toBe(0);
    expect(world.http.closed).toBe(true);
  });
});

describe('a restart', () => {
  test('confirms what is known instead of telling it again', async () => {
    const before = await startLive({}, [row(), row(OTHER_ID, BROKEN)]);
    const after = await startLive({}, [row(ID, BROKEN), row(OTHER_ID, BROKEN)], { memory: before.memory });
    expect(after.told()).toEqual([
      '- link.up http#1',
      'A session.lost connection_broken',
      'A session.attention relink',
      'B session.attention relink',
    ]);
    expect(after.facts[1]?.key).toBe('lost:0.1');
    const gone = await startLive({}, [row()], { memory: after.memory });
    expect(gone.told()).toEqual(['- link.up http#1', 'B session.closed by:unknown', 'A session.restored']);
  });

  test('remembers no credential', async () => {
    const world = await startLive({}, [row()]);
    await settle();
    const text = JSON.stringify([...world.memory, ...world.facts]);
    expect(text).not.toContain('secret-of-customer-1');
    expect(text).not.toContain('consumer-key');
    expect(text).not.toContain('customer-1');
  });
});
