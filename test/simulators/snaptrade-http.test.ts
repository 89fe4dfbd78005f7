import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { SnaptradeSimulatorOptions } from '../../src/simulators/snaptrade.js';
import { snaptradeConfig } from '../../src/venues/snaptrade/options.js';
import { VirtualClock } from '../support/virtual-clock.js';
import { type Asked, ask, CLIENT_ID, harness, list, signed, sourceOf, stateOf, userOf } from './snaptrade-client.js';

const { start, closeAll } = harness();
afterEach(closeAll);

const BAD_SIGNATURE = { default_detail: 'Unable to verify signature sent', default_code: '1076' };
const BAD_USER = { detail: 'Invalid userID or userSecret provided', status_code: 401, code: '1083' };
const NO_CONNECTION = { default_detail: 'The requested resource does not exist.', default_code: '1011' };
const NO_PATH = { detail: 'Not found.' };
const NOBODY = '00000000-0000-4000-8000-000000000000';

async function onVirtualTime(options: SnaptradeSimulatorOptions = {}) {
  const clock = new VirtualClock();
  const simulator = await start({ clock, ...options });
  const request = (operation: string, asked: Asked = {}) => ask(simulator, operation, { nowMs: clock.now(), ...asked });
  const rows = (asked: Asked = {}) => list(simulator, { nowMs: clock.now(), ...asked });
  return { clock, simulator, request, rows };
}

describe('the signature', () => {
  test.each(['', '/api/v1'] as const)('is taken over the path as requested, under "%s"', async (base) => {
    const simulator = await start();
    expect((await ask(simulator, '/authorizations', { base })).status).toBe(200);
  });

  test('of the other path is refused, as an SDK whose base it does not sign would send', async () => {
    const simulator = await start();
    const swap = await ask(simulator, '/authorizations', { change: { path: (path) => `/api/v1${path}` } });
    expect({ status: swap.status, body: swap.body }).toEqual({ status: 401, body: BAD_SIGNATURE });
  });

  test.each([
    ['with parameters in another order', (query: string) => query.split('&').reverse().join('&')],
    ['with one parameter more', (query: string) => `${query}&x=1`],
    ['with other encoding of the same', (query: string) => query.replace('SIMULATOR-CLIENT', 'SIMULATOR%2DCLIENT')],
    ['with another customer', (query: string) => query.replace('CUSTOMER-1', 'CUSTOMER-2')],
  ])('is refused over a query %s', async (_, query) => {
    const simulator = await start();
    expect(await ask(simulator, '/authorizations', { change: { query } })).toMatchObject({
      status: 401,
      body: BAD_SIGNATURE,
    });
  });

  test('is taken over a query in any encoding and order, as long as it is the one that was signed', async () => {
    const { simulator, clock } = await onVirtualTime();
    const { userId, userSecret } = userOf(simulator);
    const query = `userSecret=${userSecret}&timestamp=${clock.now() / 1_000}&userId=${userId}&clientId=SIMULATOR%2DCLIENT&note=a+b%20c`;
    const headers = { signature: signed('/authorizations', query) };
    expect((await fetch(`${simulator.url}/authorizations?${query}`, { headers })).status).toBe(200);
  });

  test('is refused where it is missing, of another key, or over another text', async () => {
    const simulator = await start();
    for (const signature of [null, '', 'AAAA', signed('/authorizations', '', 'OTHER')]) {
      expect(await ask(simulator, '/authorizations', { change: { signature } })).toMatchObject({
        status: 401,
        body: BAD_SIGNATURE,
      });
    }
    expect(stateOf(simulator).requests.refusals).toEqual({ '401 1076': 4 });
  });

  test.each([
    [-301, 401],
    [-300, 200],
    [300, 200],
    [301, 401],
  ])('of a clock that is %d s off: %d', async (seconds, status) => {
    const { clock, request } = await onVirtualTime();
    expect((await request('/authorizations', { nowMs: clock.now() + seconds * 1_000 })).status).toBe(status);
  });

  test('covers a body, and one that is {} is signed as none', async () => {
    const { simulator, clock } = await onVirtualTime();
    const { userId, userSecret } = userOf(simulator);
    const [row] = await list(simulator, { nowMs: clock.now() });
    const path = `/authorizations/${row?.id}/refresh`;
    const query = new URLSearchParams({ clientId: CLIENT_ID, timestamp: `${clock.now() / 1_000}`, userId, userSecret });
    const post = async (body: string) =>
      (
        await fetch(`${simulator.url}${path}?${query}`, {
          method: 'POST',
          headers: { signature: signed(path, String(query)), 'content-type': 'application/json' },
          body,
        })
      ).status;
    expect(await post('{"a":1}')).toBe(401);
    expect(await post('{')).toBe(400);
    expect(await post('{}')).toBe(200);
  });

  test('with another client id is no one’s', async () => {
    const simulator = await start();
    const answered = await ask(simulator, '/authorizations', { more: { clientId: 'SOMEBODY' } });
    expect(answered).toMatchObject({ status: 401, body: { detail: 'Invalid clientId provided', status_code: 401 } });
  });
});

describe('customers', () => {
  test('are known by id and secret', async () => {
    const simulator = await start();
    const customer = userOf(simulator);
    for (const user of [{ ...customer, userSecret: 'wrong' }, { ...customer, userId: 'nobody' }, null]) {
      expect(await ask(simulator, '/authorizations', { user })).toMatchObject({ status: 401, body: BAD_USER });
    }
  });

  test('have the connections that are theirs, and cannot reach those of another', async () => {
    const simulator = await start();
    const [mine = [], theirs = []] = [
      await list(simulator, { user: userOf(simulator, 1) }),
      await list(simulator, { user: userOf(simulator, 2) }),
    ];
    expect([mine.length, theirs.length]).toEqual([2, 2]);
    expect(new Set([...mine, ...theirs].map(({ id }) => id)).size).toBe(4);
    for (const method of ['GET', 'DELETE']) {
      expect(await ask(simulator, `/authorizations/${theirs[0]?.id}`, { method })).toMatchObject({
        status: 404,
        body: NO_CONNECTION,
      });
    }
    expect(stateOf(simulator).connections.total).toBe(4);
  });

  test('of a personal key there is one, whom no request names', async () => {
    const simulator = await start({ personal: true });
    expect(simulator.source).toMatchObject({ venue: 'snaptrade', id: 'partner', personal: true });
    expect(simulator.source).not.toHaveProperty('users');
    expect(await list(simulator, { user: null })).toHaveLength(4);
  });
});

describe('a connection', () => {
  test('has the fields of the vendor’s spec, in a list and alone', async () => {
    const { request, rows } = await onVirtualTime();
    const [first] = await rows();
    const shape = z.strictObject({
      id: z.uuid(),
      created_date: z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/),
      updated_date: z.string(),
      brokerage: z.strictObject({
        id: z.uuid(),
        slug: z.string(),
        name: z.string(),
        display_name: z.string(),
        description: z.string(),
        aws_s3_logo_url: z.null(),
        aws_s3_square_logo_url: z.null(),
        url: z.string(),
        enabled: z.literal(true),
        maintenance_mode: z.literal(false),
        is_degraded: z.literal(false),
        allows_trading: z.boolean(),
        brokerage_type: z.object({ name: z.string() }),
        open_url: z.null(),
      }),
      name: z.string(),
      type: z.enum(['read', 'trade']),
      disabled: z.literal(false),
      disabled_date: z.null(),
      meta: z.object({}),
      is_eligible_for_payout: z.boolean(),
      data_freshness_mode: z.enum(['realtime', 'delayed']),
    });
    expect(shape.safeParse(first).error).toBeUndefined();
    expect((await request(`/authorizations/${first?.id}`)).body).toEqual(first);
  });

  test('that is disabled says since when, with a space, microseconds and an offset, and still answers 200', async () => {
    const { clock, simulator, request, rows } = await onVirtualTime({ users: 1 });
    for (let broken = 0; broken < 4; broken++) simulator.fault('disable_connection');
    const disabled = await rows();
    for (const { disabled_date } of disabled) {
      expect(disabled_date).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d$/);
      const iso = (disabled_date ?? '').replace(' ', 'T').replace('000', '');
      expect(Date.parse(iso)).toBe(clock.now());
    }
    await clock.advance(3_600_000);
    const [first] = disabled;
    expect(await request(`/authorizations/${first?.id}`)).toMatchObject({ status: 200, body: { disabled: true } });
    expect(await request(`/authorizations/${first?.id}/accounts`)).toMatchObject({
      status: 200,
      body: [{ sync_status: { holdings: { last_successful_sync: '2026-11-23T08:00:00.000000Z' } } }],
    });
  });

  test.each(['GET', 'DELETE'])('that is none is not found, and what is no UUID is refused (%s)', async (method) => {
    const { request } = await onVirtualTime();
    expect(await request(`/authorizations/${NOBODY}`, { method })).toMatchObject({ status: 404, body: NO_CONNECTION });
    expect((await request('/authorizations/twelve', { method })).status).toBe(400);
  });
});

describe('refresh', () => {
  test('is scheduled, and refused when it comes again too soon', async () => {
    const { clock, request, rows } = await onVirtualTime();
    const [first] = await rows();
    const refresh = () => request(`/authorizations/${first?.id}/refresh`, { method: 'POST' });
    expect(await refresh()).toMatchObject({ status: 200, body: { detail: expect.any(String) } });
    await clock.advance(59_000);
    expect(await refresh()).toMatchObject({
      status: 429,
      body: { detail: expect.stringContaining('refreshed too recently'), status_code: 429, code: 'throttled' },
    });
    await clock.advance(1_000);
    expect((await refresh()).status).toBe(200);
  });

  test('of a disabled connection, and of one on a realtime plan, is refused', async () => {
    const { simulator, request, rows } = await onVirtualTime({ users: 1, connections: 1 });
    simulator.fault('add_connection', { freshness: 'realtime' });
    simulator.fault('disable_connection');
    const [disabled, realtime] = await rows();
    expect(await request(`/authorizations/${disabled?.id}/refresh`, { method: 'POST' })).toMatchObject({
      status: 402,
      body: { detail: expect.any(String), code: '3003' },
    });
    expect(await request(`/authorizations/${realtime?.id}/refresh`, { method: 'POST' })).toMatchObject({
      status: 403,
      body: { detail: expect.any(String), code: '1141' },
    });
  });
});

test('disable disables once', async () => {
  const { request, rows } = await onVirtualTime();
  const [first] = await rows();
  const disable = () => request(`/authorizations/${first?.id}/disable`, { method: 'POST' });
  expect((await disable()).status).toBe(200);
  expect((await rows()).map(({ disabled }) => disabled)).toEqual([true, false]);
  expect(await disable()).toMatchObject({ status: 402, body: { code: '3011' } });
});

describe('remove', () => {
  test('by the old endpoint is done when it is answered', async () => {
    const { request, rows } = await onVirtualTime();
    const [first, second] = await rows();
    expect(await request(`/authorizations/${first?.id}`, { method: 'DELETE' })).toMatchObject({
      status: 204,
      text: '',
    });
    expect((await rows()).map(({ id }) => id)).toEqual([second?.id]);
    expect((await request(`/authorizations/${first?.id}`, { method: 'DELETE' })).status).toBe(404);
  });

  test('by the new endpoint is done after a while', async () => {
    const { clock, request, rows } = await onVirtualTime();
    const [first] = await rows();
    expect(await request(`/connection/${first?.id}`, { method: 'DELETE' })).toMatchObject({
      status: 200,
      body: { detail: expect.any(String), connection_id: first?.id },
    });
    await clock.advance(1_999);
    expect(await rows()).toHaveLength(2);
    await clock.advance(1);
    expect(await rows()).toHaveLength(1);
  });
});

describe('eras', () => {
  test('the old one has a prefix, its own way to remove, and rows without what came later', async () => {
    const { simulator, request, rows } = await onVirtualTime({ era: 'old' });
    expect(simulator.url).toMatch(/\/api\/v1$/);
    expect(await request('/authorizations')).toMatchObject({ status: 404, body: NO_PATH });
    const [first] = await rows({ base: '/api/v1' });
    expect(first).not.toHaveProperty('data_freshness_mode');
    expect(first?.brokerage).not.toHaveProperty('is_degraded');
    const old = { base: '/api/v1', method: 'DELETE' } as const;
    expect(await request(`/connection/${first?.id}`, old)).toMatchObject({ status: 404, body: NO_PATH });
    expect((await request(`/authorizations/${first?.id}`, old)).status).toBe(204);
    const events = await request('/sessionEvents', {
      base: '/api/v1',
      user: null,
      more: { PartnerClientId: CLIENT_ID },
    });
    expect(events).toMatchObject({ status: 200, body: [] });
  });

  test('the new one has no prefix, its own way to remove, and no sessionEvents', async () => {
    const { request, rows } = await onVirtualTime({ era: 'new' });
    expect((await request('/authorizations', { base: '/api/v1' })).status).toBe(404);
    const [first] = await rows();
    expect((await request(`/authorizations/${first?.id}`, { method: 'DELETE' })).status).toBe(405);
    expect((await request(`/connection/${first?.id}`, { method: 'DELETE' })).status).toBe(200);
    expect(await request('/sessionEvents', { more: { PartnerClientId: CLIENT_ID } })).toMatchObject({
      status: 404,
      body: NO_PATH,
    });
  });

  test('there is nothing at other paths, and no WebSocket', async () => {
    const { simulator, request } = await onVirtualTime();
    expect(await request('/holdings')).toMatchObject({ status: 404, body: NO_PATH });
    expect((await request('/authorizations', { method: 'POST' })).status).toBe(405);
    expect(stateOf(simulator).requests.asked).toEqual({ unknown: 2 });
  });
});

describe('sessionEvents', () => {
  const event = z.strictObject({
    id: z.uuid(),
    session_event_type: z.string(),
    session_id: z.uuid(),
    user_id: z.string(),
    created_date: z.string(),
    brokerage_status_code: z.number().nullable(),
    brokerage_authorization_id: z.uuid().nullable(),
  });

  async function withPortals() {
    const stage = await onVirtualTime();
    const { clock, simulator, request, rows } = stage;
    const [first] = await rows();
    const steps = [
      { user: 'customer-1' },
      { user: 'customer-1', type: 'BROKERAGE_AUTHENTICATION', statusCode: 401 },
      { user: 'customer-2' },
      { connection: first?.id ?? '', type: 'CONNECTION_SUCCESSFUL' },
      { user: 'customer-1' },
    ];
    for (const step of steps) {
      simulator.fault('session_event', step);
      await clock.advance(1_000);
    }
    const events = async (more: Readonly<Record<string, string>> = {}) => {
      const answered = await request('/sessionEvents', { user: null, more: { PartnerClientId: CLIENT_ID, ...more } });
      const found = z.array(event).parse(answered.body);
      return found.sort((one, other) => (one.created_date < other.created_date ? -1 : 1));
    };
    return { ...stage, first, events };
  }

  test('are the steps of every customer’s portals', async () => {
    const { events, first } = await withPortals();
    const found = await events();
    expect(found.map(({ user_id, session_event_type }) => [user_id.at(-1), session_event_type])).toEqual([
      ['1', 'SESSION_STARTED'],
      ['1', 'BROKERAGE_AUTHENTICATION'],
      ['2', 'SESSION_STARTED'],
      ['1', 'CONNECTION_SUCCESSFUL'],
      ['1', 'SESSION_STARTED'],
    ]);
    expect(found[1]?.brokerage_status_code).toBe(401);
    expect(found[3]?.brokerage_authorization_id).toBe(first?.id);
    expect(new Set(found.map(({ id }) => id)).size).toBe(5);
    const sessions = found.map(({ session_id }) => session_id);
    expect(sessions[1]).toBe(sessions[0]);
    expect(sessions[3]).toBe(sessions[0]);
    expect(new Set(sessions).size).toBe(3);
  });

  test('are in no order that anybody could rely on', async () => {
    const { request } = await withPortals();
    const orders = new Set<string>();
    for (let time = 0; time < 10; time++) {
      const { body } = await request('/sessionEvents', { user: null, more: { PartnerClientId: CLIENT_ID } });
      orders.add(
        z
          .array(event)
          .parse(body)
          .map(({ id }) => id)
          .join(),
      );
    }
    expect(orders.size).toBeGreaterThan(1);
  });

  test('can be asked for by customers and by portal sessions, with commas', async () => {
    const { events } = await withPortals();
    const all = await events();
    expect(await events({ userId: 'SIMULATOR-CUSTOMER-2' })).toEqual([all[2]]);
    expect(await events({ userId: 'SIMULATOR-CUSTOMER-1, SIMULATOR-CUSTOMER-2' })).toHaveLength(5);
    expect(await events({ userId: 'nobody' })).toEqual([]);
    const ids = [all[2]?.session_id, all[4]?.session_id].join();
    expect(await events({ sessionId: ids })).toEqual([all[2], all[4]]);
  });

  test('need the partner’s id with a capital P, and the right one', async () => {
    const { request } = await onVirtualTime();
    expect((await request('/sessionEvents', { user: null })).status).toBe(400);
    expect(await request('/sessionEvents', { user: null, more: { PartnerClientId: 'SOMEBODY' } })).toMatchObject({
      status: 403,
      body: { default_code: '1066' },
    });
  });

  test('are forgotten beyond a thousand', async () => {
    const { simulator, events } = await withPortals();
    for (let step = 0; step < 1_000; step++) simulator.fault('session_event', { user: 'customer-2' });
    expect(await events({ userId: 'SIMULATOR-CUSTOMER-1' })).toEqual([]);
    expect(await events()).toHaveLength(1_000);
  });
});

describe('the limit', () => {
  test('is 250 requests within a minute that moves, told in headers and in the text', async () => {
    const { clock, request } = await onVirtualTime();
    const headers = (answered: Awaited<ReturnType<typeof request>>) =>
      ['limit', 'remaining', 'reset'].map((name) => answered.headers.get(`x-ratelimit-${name}`));
    expect(headers(await request('/authorizations'))).toEqual(['250', '249', '60']);
    await clock.advance(20_000);
    await Promise.all(Array.from({ length: 249 }, () => request('/authorizations')));
    const refused = await request('/authorizations');
    expect(headers(refused)).toEqual(['250', '0', '40']);
    expect({ status: refused.status, body: refused.body }).toEqual({
      status: 429,
      body: {
        detail: 'Request was throttled. Expected available in 40 seconds.',
        status_code: 429,
        code: '0000',
      },
    });
    expect(refused.headers.get('retry-after')).toBeNull();
    await clock.advance(40_000);
    expect((await request('/authorizations')).status).toBe(200);
    expect((await request('/authorizations')).status).toBe(429);
    await clock.advance(20_000);
    expect(headers(await request('/authorizations'))[1]).toBe('248');
  });

  test('counts requests with a wrong signature, and can be another', async () => {
    const { request } = await onVirtualTime({ requestsPerMinute: 2 });
    for (let time = 0; time < 2; time++) {
      expect((await request('/authorizations', { change: { signature: null } })).status).toBe(401);
    }
    expect((await request('/authorizations')).status).toBe(429);
  });
});

test('every answer has a request id of its own, refused or not', async () => {
  const { request } = await onVirtualTime();
  const ids = [
    await request('/authorizations'),
    await request('/authorizations', { change: { signature: null } }),
    await request('/nothing'),
  ].map(({ headers }) => headers.get('x-request-id'));
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{32}$/);
  expect(new Set(ids).size).toBe(3);
});

describe('many', () => {
  test('ten thousand connections of a thousand customers, all different and each in its list', async () => {
    const { simulator, request, rows } = await onVirtualTime({
      users: 1_000,
      connections: 10_000,
      requestsPerMinute: 5_000,
    });
    const seen = new Set<string>();
    for (const user of sourceOf(simulator).users) {
      const found = await rows({ user });
      expect(found).toHaveLength(10);
      for (const { id } of found) seen.add(id);
    }
    expect(seen.size).toBe(10_000);
    expect(stateOf(simulator).connections).toMatchObject({ total: 10_000 });
    expect(stateOf(simulator).connections.rows).toHaveLength(200);
    expect(() => simulator.fault('add_connection')).toThrow('10000 connections');
    expect((await request('/authorizations')).status).toBe(200);
  });

  test('ten thousand connections of one customer fit into one answer of 8 MiB', async () => {
    const { request } = await onVirtualTime({ users: 1, connections: 10_000 });
    const { text, body } = await request('/authorizations');
    expect(body).toHaveLength(10_000);
    expect(Buffer.byteLength(text)).toBeLessThan(8 * 1024 * 1024);
  });

  test('are the same for a seed, and others for another', async () => {
    const made = async (seed: number) => {
      const { simulator } = await onVirtualTime({ seed, users: 20, connections: 100 });
      return JSON.stringify([sourceOf(simulator).users, simulator.state()]);
    };
    expect(await made(7)).toBe(await made(7));
    expect(await made(7)).not.toBe(await made(8));
  });

  test('are polled no faster than the limit allows', async () => {
    const { simulator } = await onVirtualTime({ users: 1_000 });
    const { pollSeconds, users } = sourceOf(simulator);
    expect((users.length * 2 * 60) / pollSeconds).toBeLessThanOrEqual(250);
    expect(sourceOf((await onVirtualTime()).simulator).pollSeconds).toBe(5);
  });

  test.each([{ users: 0 }, { connections: -1 }, { connections: 10_001 }, { users: 1.5 }])(
    'are refused out of range: %j',
    async (options) => {
      await expect(start(options)).rejects.toMatchObject({ code: 'invalid_params' });
    },
  );
});

test.each<SnaptradeSimulatorOptions>([{}, { personal: true }, { era: 'old' }, { users: 10_000 }])(
  'with %j, the source is one that a relay’s configuration takes as it is',
  async (options) => {
    const { venue, ...rest } = (await start(options)).source;
    expect(venue).toBe('snaptrade');
    expect(snaptradeConfig.safeParse(rest).error).toBeUndefined();
  },
);

test('the state tells no key, no secret and no address of a webhook', async () => {
  const { simulator, request } = await onVirtualTime({ webhookUrl: 'http://127.0.0.1:9/hook-secret' });
  await request('/authorizations');
  const told = JSON.stringify(simulator.state());
  const { consumerKey } = z.object({ consumerKey: z.string() }).parse(simulator.source.credentials);
  for (const secret of [consumerKey, 'hook-secret', ...sourceOf(simulator).users.map(({ userSecret }) => userSecret)]) {
    expect(told).not.toContain(secret);
  }
});

test('a port that is taken is refused by its code', async () => {
  const { port } = new URL((await start()).url);
  await expect(start({ port: Number(port) })).rejects.toMatchObject({ code: 'port_in_use' });
});
