import { describe, expect, test } from 'vitest';
import type { FakeAnswer } from '../../support/fake-http.js';
import { BROKEN, ID, KEY, OTHER_ID, row, startLive, USER, type World } from './world.js';

/** Answers requests by `METHOD /path`; the rest as usual. */
function route(world: World, routes: Record<string, FakeAnswer>): void {
  world.answer = (request, url) => routes[`${request.method} ${url.pathname}`];
}

function asked(world: World): readonly string[] {
  return world.http.requests.map(({ method, url }) => `${method} ${new URL(url).pathname}`);
}

describe('commands', () => {
  test('say which of them act', async () => {
    const world = await startLive();
    expect(world.venue.commands.map(({ command, acts }) => `${command}${acts ? '!' : ''}`)).toEqual([
      'list_connections',
      'get_connection',
      'refresh_connection!',
      'disable_connection!',
      'remove_connection!',
      'session_events',
    ]);
  });

  test('list_connections answers with the list, and takes it in', async () => {
    const world = await startLive({}, [row()]);
    world.told();
    world.rows = [row(ID, BROKEN)];
    expect(await world.command('list_connections')).toEqual({
      connections: [
        {
          connection: ID,
          disabled: true,
          type: 'trade',
          name: 'Connection-1',
          dataFreshness: 'realtime',
          createdAt: '2026-11-20T10:00:00.000Z',
          disabledAt: '2026-11-23T08:01:00.250Z',
          brokerage: 'EXAMPLE',
          brokerageName: 'Example Broker',
        },
      ],
    });
    expect(world.told()).toEqual(['A session.lost connection_broken', 'A session.attention relink']);
  });

  test('get_connection reads one, takes it in, and closes no other', async () => {
    const world = await startLive({}, [row(), row(OTHER_ID)]);
    world.told();
    route(world, { [`GET /authorizations/${ID}`]: { json: row(ID, BROKEN) } });
    expect(await world.command('get_connection', {}, ID)).toMatchObject({ connection: ID, disabled: true });
    expect(await world.command('get_connection', { connection: ID })).toMatchObject({ connection: ID });
    expect(world.told()).toEqual(['A session.lost connection_broken', 'A session.attention relink']);
  });

  test('about one connection want to know which', async () => {
    const world = await startLive({}, [row()]);
    for (const command of ['get_connection', 'refresh_connection', 'disable_connection', 'remove_connection']) {
      await expect(world.command(command)).rejects.toMatchObject({ code: 'invalid_params' });
      await expect(world.command(command, { connection: OTHER_ID }, ID)).rejects.toMatchObject({
        code: 'invalid_params',
      });
      await expect(world.command(command, {}, 'portal-1')).rejects.toMatchObject({ code: 'invalid_params' });
    }
    expect(asked(world)).toEqual(['GET /authorizations']);
  });

  test('refresh_connection is sent when asked for, never by the relay itself', async () => {
    const world = await startLive({}, [row()]);
    await world.clock.advance(3_600_000);
    expect(asked(world).every((line) => line === 'GET /authorizations')).toBe(true);
    route(world, { [`POST /authorizations/${ID}/refresh`]: { json: { detail: 'Connection refresh scheduled.' } } });
    expect(await world.command('refresh_connection', {}, ID)).toEqual({
      connection: ID,
      detail: 'Connection refresh scheduled.',
    });
  });

  test.each([
    [
      402,
      { detail: 'Unable to sync with brokerage account because the connection is disabled.', code: '3003' },
      '3003',
    ],
    [403, { detail: 'The feature is not enabled.', code: 1141 }, '1141'],
    [404, { default_detail: 'Not found', default_code: 1011 }, '1011'],
    [501, { error: 'Not implemented' }, 501],
    [400, 'nothing that is an object', 400],
  ])('say %d in the venue’s words and code, with the X-Request-ID', async (status, json, code) => {
    const world = await startLive({}, [row()]);
    const answer = { json, status, headers: { 'x-request-id': 'b1946ac9-req' } };
    route(world, { [`POST /authorizations/${ID}/refresh`]: answer });
    const error = await world.command('refresh_connection', {}, ID).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'venue_error', data: { code, venueRequestId: 'b1946ac9-req' } });
    expect(String(error)).toContain('X-Request-ID b1946ac9-req');
  });

  test('that the venue allows only later are rate limited, and say nothing of the source', async () => {
    const world = await startLive({}, [row()]);
    world.told();
    const json = { detail: 'Connection refreshed too recently, please wait.', status_code: 429, code: 'throttled' };
    route(world, { [`POST /authorizations/${ID}/refresh`]: { json, status: 429 } });
    await expect(world.command('refresh_connection', {}, ID)).rejects.toMatchObject({ code: 'rate_limited' });
    expect(world.told()).toEqual([]);
    await expect(world.command('list_connections')).resolves.toBeDefined();
  });

  test('whose answer does not come are unknown, and those that were not sent are not', async () => {
    const world = await startLive({}, [row()]);
    route(world, { [`POST /authorizations/${ID}/disable`]: 'timeout' });
    await expect(world.command('disable_connection', {}, ID)).rejects.toMatchObject({ code: 'venue_timeout' });
    route(world, { [`POST /authorizations/${ID}/disable`]: { text: 'bad gateway', status: 502 } });
    await expect(world.command('disable_connection', {}, ID)).rejects.toMatchObject({ code: 'venue_timeout' });
    route(world, { [`POST /authorizations/${ID}/disable`]: 'unreachable' });
    await expect(world.command('disable_connection', {}, ID)).rejects.toMatchObject({ code: 'source_unavailable' });
  });

  test('disable_connection is followed by a list that shows what became of it', async () => {
    const world = await startLive({}, [row()]);
    await world.clock.advance(5_000);
    world.told();
    route(world, { [`POST /authorizations/${ID}/disable`]: { json: { detail: 'Connection disabled' } } });
    await world.command('disable_connection', {}, ID);
    world.rows = [row(ID, BROKEN)];
    await world.clock.advance(1_000);
    expect(world.told()).toEqual(['A session.lost connection_broken', 'A session.attention relink']);
  });

  test('remove_connection uses today’s operation, and its end is the user’s', async () => {
    const world = await startLive({}, [row()]);
    await world.clock.advance(5_000);
    world.told();
    route(world, { [`DELETE /connection/${ID}`]: { json: { detail: 'Deletion scheduled', connection_id: ID } } });
    expect(await world.command('remove_connection', {}, ID)).toEqual({
      connection: ID,
      detail: 'Deletion scheduled',
      pending: true,
    });
    world.rows = [];
    await world.clock.advance(1_000);
    expect(world.told()).toEqual(['A session.closed by:user']);
  });

  test('remove_connection falls back to the older operation where the venue has not the newer, and remembers', async () => {
    const world = await startLive({}, [row(), row(OTHER_ID)]);
    route(world, {
      [`DELETE /authorizations/${ID}`]: { text: '', status: 204 },
      [`DELETE /authorizations/${OTHER_ID}`]: { text: '', status: 204 },
    });
    expect(await world.command('remove_connection', {}, ID)).toEqual({ connection: ID, detail: '', pending: false });
    await world.command('remove_connection', {}, OTHER_ID);
    expect(asked(world).filter((line) => line.startsWith('DELETE'))).toEqual([
      `DELETE /connection/${ID}`,
      `DELETE /authorizations/${ID}`,
      `DELETE /authorizations/${OTHER_ID}`,
    ]);
  });

  test('remove_connection tries no second operation where the first may have been carried out', async () => {
    const world = await startLive({}, [row()]);
    route(world, { [`DELETE /connection/${ID}`]: 'timeout' });
    await expect(world.command('remove_connection', {}, ID)).rejects.toMatchObject({ code: 'venue_timeout' });
    expect(asked(world).filter((line) => line.startsWith('DELETE'))).toHaveLength(1);
  });

  test('are refused for a source that is not there, before the start and after the end', async () => {
    const world = await startLive({}, []);
    const call = { source: 'partner~nobody', command: 'list_connections', params: {} };
    await expect(world.venue.command(call)).rejects.toMatchObject({ code: 'not_found' });
    await world.venue.stop({ orders: 'leave' });
    await expect(world.command('list_connections')).rejects.toMatchObject({ code: 'closed' });
  });

  test('and their errors hold no secret, though the venue repeats it', async () => {
    const world = await startLive({}, [row()]);
    const json = { detail: `bad user ${USER.userId} ${USER.userSecret} key ${KEY}`, code: '1083' };
    route(world, { [`POST /authorizations/${ID}/refresh`]: { json, status: 400 } });
    const error = await world.command('refresh_connection', {}, ID).catch((thrown: unknown) => thrown);
    const text = `${String(error)} ${JSON.stringify(error)}`;
    for (const secret of [USER.userId, USER.userSecret, KEY]) expect(text).not.toContain(secret);
    expect(text).toContain('[redacted]');
  });
});
