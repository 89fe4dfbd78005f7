import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { until, VirtualClock } from '../support/virtual-clock.js';
import { type Asked, ask, CLIENT_ID, harness, list, stateOf, userOf } from './snaptrade-client.js';

const { start, closeAll } = harness();
afterEach(closeAll);

async function live() {
  const clock = new VirtualClock();
  const simulator = await start({ clock });
  const request = (operation = '/authorizations', asked: Asked = {}) =>
    ask(simulator, operation, { nowMs: clock.now(), ...asked });
  const rows = (asked: Asked = {}) => list(simulator, { nowMs: clock.now(), ...asked });
  const events = async () =>
    z
      .array(z.looseObject({ session_event_type: z.string(), brokerage_authorization_id: z.string().nullable() }))
      .parse((await request('/sessionEvents', { user: null, more: { PartnerClientId: CLIENT_ID } })).body);
  return { clock, simulator, request, rows, events };
}

test('every fault is there, with what it does', async () => {
  const { simulator } = await live();
  const names = simulator.faults.map(({ name }) => name);
  expect(new Set(names)).toEqual(
    new Set([
      ...['silence', 'http_down', 'slow', 'garbage', 'oversized', 'unknown_value', 'bad_signature', 'venue_error'],
      ...['too_many_requests', 'error_spelling', 'session_events_gone', 'partial_list', 'api_era'],
      ...['break_connection', 'fix_connection', 'disable_connection', 'add_connection', 'delete_connection'],
      ...['session_event', 'brokerage_maintenance', 'brokerage_degraded'],
      ...['webhook', 'duplicate_webhook', 'late_webhook', 'bad_webhook', 'reordered_webhooks', 'webhooks_off'],
      ...['fresh_repeats', 'webhook_schema', 'webhook_url'],
    ]),
  );
  for (const { summary } of simulator.faults) expect(summary).toMatch(/\.$/);
  expect(() => simulator.fault('break_connection', { conection: 'x' })).toThrow('conection');
  expect(() => simulator.fault('tsunami')).toThrow('no fault tsunami');
});

test('a fault can be triggered over HTTP, and the state be read', async () => {
  const { simulator, rows } = await live();
  const triggered = await fetch(`${simulator.url}/_sim/faults`, {
    method: 'POST',
    body: JSON.stringify({ fault: 'break_connection' }),
  });
  expect(triggered.status).toBe(200);
  expect(await rows()).toMatchObject([{ disabled: true }, {}]);
  const told = await (await fetch(`${simulator.url}/_sim`)).json();
  expect(told).toMatchObject({ venue: 'snaptrade', state: { connections: { total: 4, disabled: 1 } } });
});

describe('the API', () => {
  test('silence: requests are never answered, and later ones are', async () => {
    const { clock, simulator, request } = await live();
    simulator.fault('silence', { forMs: 20_000 });
    const gone = new AbortController();
    const hanging = request('/authorizations', { signal: gone.signal }).catch(() => 'gave up');
    await until(() => stateOf(simulator).requests.unanswered === 1, 'the request');
    await clock.advance(20_000);
    expect((await request()).status).toBe(200);
    gone.abort();
    expect(await hanging).toBe('gave up');
  });

  test('http_down: connections end without an answer', async () => {
    const { clock, simulator, request } = await live();
    simulator.fault('http_down', { forMs: 20_000 });
    await expect(request()).rejects.toThrow();
    await clock.advance(20_000);
    expect((await request()).status).toBe(200);
  });

  test('slow: the answer is late, though what was asked for is done', async () => {
    const { clock, simulator, request, rows } = await live();
    const [first] = await rows();
    simulator.fault('slow', { delayMs: 5_000 });
    let status = 0;
    const late = request(`/authorizations/${first?.id}`, { method: 'DELETE' }).then((answered) => {
      status = answered.status;
    });
    await until(() => stateOf(simulator).connections.total === 3, 'the removal');
    await clock.advance(4_999);
    expect(status).toBe(0);
    await clock.advance(1);
    await late;
    expect(status).toBe(204);
    simulator.fault('slow', { delayMs: 0 });
    expect((await request()).status).toBe(200);
  });

  test('garbage: so many answers are no JSON, also where there would be none', async () => {
    const { simulator, request, rows } = await live();
    simulator.fault('garbage', { count: 2 });
    for (let time = 0; time < 2; time++) {
      const { status, body, text } = await request();
      expect({ status, body }).toEqual({ status: 200, body: undefined });
      expect(text).toContain('<html>');
    }
    expect((await request()).body).toHaveLength(2);
    simulator.fault('garbage', { text: '[{"id":' });
    expect((await request()).text).toBe('[{"id":');
    const [first] = await rows();
    simulator.fault('garbage');
    const removed = await request(`/authorizations/${first?.id}`, { method: 'DELETE' });
    expect(removed).toMatchObject({ status: 200, text: expect.stringContaining('<html>') });
    expect(await rows()).toHaveLength(1);
  });

  test('oversized: the answer is as long as was asked for, and still what it was', async () => {
    const { simulator, request } = await live();
    simulator.fault('oversized', { bytes: 100_000 });
    const answered = await request();
    expect(answered.text.length).toBe(100_000);
    expect(answered.body).toHaveLength(2);
    simulator.fault('oversized');
    expect((await request()).text.length).toBeGreaterThan(16 * 1024 * 1024);
    expect((await request()).text.length).toBeLessThan(10_000);
  });

  test('bad_signature: 401 for right ones, for so long', async () => {
    const { clock, simulator, request } = await live();
    simulator.fault('bad_signature', { forMs: 10_000 });
    expect(await request()).toMatchObject({ status: 401, body: { default_code: '1076' } });
    await clock.advance(10_000);
    expect((await request()).status).toBe(200);
  });

  test('too_many_requests: 429 with what is left of it, in headers and text', async () => {
    const { clock, simulator, request } = await live();
    simulator.fault('too_many_requests', { forMs: 20_000 });
    await clock.advance(5_500);
    const { status, body, headers } = await request();
    expect(status).toBe(429);
    expect(body).toMatchObject({ detail: 'Request was throttled. Expected available in 15 seconds.', code: '0000' });
    expect(headers.get('x-ratelimit-remaining')).toBe('0');
    expect(headers.get('x-ratelimit-reset')).toBe('15');
    await clock.advance(14_500);
    expect((await request()).status).toBe(200);
  });

  test.each([
    [400, { default_detail: expect.any(String) }],
    [401, { default_detail: expect.any(String), default_code: '1076' }],
    [402, { detail: expect.any(String), code: '3003' }],
    [403, { default_detail: expect.any(String), default_code: '1066' }],
    [404, { default_detail: expect.any(String), default_code: '1011' }],
    [425, { detail: expect.any(String), code: '3012' }],
    [500, { detail: expect.any(String), status_code: 500, code: '1000' }],
    [501, { error: expect.any(String) }],
    [503, { detail: expect.any(String), code: '3002' }],
  ])('venue_error %d: the next request is refused as the vendor spells it', async (status, body) => {
    const { simulator, request } = await live();
    simulator.fault('venue_error', { status });
    const refused = await request();
    expect({ status: refused.status, body: refused.body }).toEqual({ status, body });
    expect((await request()).status).toBe(200);
  });

  test('error_spelling: every error is spelled in one way, until it is not', async () => {
    const { simulator, request } = await live();
    const detail = 'Unable to verify signature sent';
    const refused = () => request('/authorizations', { change: { signature: null } });
    for (const [as, expected] of [
      ['default', { default_detail: detail, default_code: '1076' }],
      ['detail', { detail, code: '1076' }],
      ['status', { detail, status_code: 401, code: '1076' }],
      ['error', { error: detail }],
      ['number', { detail, code: 1076 }],
    ] as const) {
      simulator.fault('error_spelling', { as });
      expect((await refused()).body).toEqual(expected);
    }
    simulator.fault('error_spelling', { as: 'text' });
    expect(await refused()).toMatchObject({ status: 401, text: detail, body: undefined });
    simulator.fault('error_spelling');
    expect((await refused()).body).toEqual({ default_detail: detail, default_code: '1076' });
  });

  test.each([404, 405, 410, 501])('session_events_gone: %d and nothing else is gone', async (status) => {
    const { clock, simulator, request } = await live();
    simulator.fault('session_events_gone', { status, forMs: 10_000 });
    const asked = { user: null, more: { PartnerClientId: CLIENT_ID } };
    expect((await request('/sessionEvents', asked)).status).toBe(status);
    expect((await request()).status).toBe(200);
    await clock.advance(10_000);
    expect((await request('/sessionEvents', asked)).status).toBe(200);
  });

  test('api_era: the old one and the new one, while it runs', async () => {
    const { simulator, request } = await live();
    simulator.fault('api_era', { era: 'old' });
    expect((await request()).status).toBe(404);
    simulator.fault('api_era', { era: 'new' });
    expect((await request()).status).toBe(200);
    expect((await request('/authorizations', { base: '/api/v1' })).status).toBe(404);
  });
});

describe('lists', () => {
  test('partial_list as missing_row: one that exists is not in its list, is there alone, and comes back', async () => {
    const { clock, simulator, request, rows } = await live();
    const [first, second] = await rows();
    simulator.fault('partial_list', { connection: first?.id ?? '', forMs: 10_000 });
    expect((await rows()).map(({ id }) => id)).toEqual([second?.id]);
    expect(await rows({ user: userOf(simulator, 2) })).toHaveLength(2);
    expect((await request(`/authorizations/${first?.id}`)).status).toBe(200);
    await clock.advance(10_000);
    expect(await rows()).toHaveLength(2);
  });

  test('partial_list as error_body: an error with status 200', async () => {
    const { clock, simulator, request } = await live();
    simulator.fault('partial_list', { as: 'error_body', forMs: 10_000 });
    expect(await request()).toMatchObject({ status: 200, body: { detail: expect.any(String), code: '1000' } });
    await clock.advance(10_000);
    expect((await request()).body).toHaveLength(2);
  });

  test('partial_list as status_500', async () => {
    const { simulator, request } = await live();
    simulator.fault('partial_list', { as: 'status_500' });
    expect(await request()).toMatchObject({ status: 500, body: { code: '1000' } });
  });
});

describe('connections', () => {
  test('the oldest that works breaks, the last broken one is fixed, the youngest is deleted', async () => {
    const { simulator } = await live();
    const disabled = () => stateOf(simulator).connections.rows.flatMap((row, index) => (row.disabled ? [index] : []));
    simulator.fault('break_connection');
    simulator.fault('break_connection');
    expect(disabled()).toEqual([0, 1]);
    simulator.fault('fix_connection');
    expect(disabled()).toEqual([0]);
    simulator.fault('break_connection', { user: 'customer-2' });
    expect(disabled()).toEqual([0, 1]);
    simulator.fault('fix_connection', { user: 'customer-1' });
    expect(disabled()).toEqual([1]);
    const before = stateOf(simulator).connections.rows;
    simulator.fault('delete_connection');
    expect(stateOf(simulator).connections.rows).toEqual(before.slice(0, -1));
    simulator.fault('delete_connection', { connection: before[1]?.id ?? '' });
    expect(() => simulator.fault('fix_connection')).toThrow('there is no connection');
  });

  test('one that is named is meant, and one that is not there is refused', async () => {
    const { simulator, rows } = await live();
    const [, second] = await rows();
    simulator.fault('break_connection', { connection: second?.id ?? '' });
    expect(await rows()).toMatchObject([{ disabled: false }, { disabled: true }]);
    for (const fault of ['break_connection', 'disable_connection', 'fix_connection', 'delete_connection']) {
      expect(() => simulator.fault(fault, { connection: 'nobody' })).toThrow('there is no connection nobody');
      expect(() => simulator.fault(fault, { user: 'nobody' })).toThrow('there is no user nobody');
    }
    simulator.fault('fix_connection');
    expect(() => simulator.fault('fix_connection')).toThrow('there is no connection');
    expect(() => simulator.fault('add_connection', { brokerage: 'NONE' })).toThrow('there is no brokerage NONE');
  });

  test('add_connection: of the customer, brokerage and type that were asked for', async () => {
    const { simulator, rows } = await live();
    simulator.fault('add_connection', {
      user: 'customer-2',
      brokerage: 'SANDBOX',
      type: 'read',
      freshness: 'realtime',
    });
    expect((await rows({ user: userOf(simulator, 2) })).at(-1)).toMatchObject({
      brokerage: { slug: 'SANDBOX' },
      type: 'read',
      data_freshness_mode: 'realtime',
      created_date: '2026-11-23T08:00:00.000000Z',
    });
  });

  test('session_event: about the last disabled connection, where there is one and none is named', async () => {
    const { simulator, rows, events } = await live();
    const [first] = await rows();
    simulator.fault('session_event');
    simulator.fault('disable_connection');
    simulator.fault('session_event', { type: 'BROKERAGE_RECONNECT_INITIATED' });
    const found = await events();
    const connectionOf = (type: string) =>
      found.find(({ session_event_type }) => session_event_type === type)?.brokerage_authorization_id;
    expect(connectionOf('SESSION_STARTED')).toBeNull();
    expect(connectionOf('BROKERAGE_RECONNECT_INITIATED')).toBe(first?.id);
    expect(() => simulator.fault('session_event', { type: 'JUGGLING' })).toThrow('type');
  });

  test('unknown_value: a portal step that nobody knows, and rows with unknown values and fields', async () => {
    const { simulator, rows, events } = await live();
    simulator.fault('unknown_value');
    expect(await events()).toMatchObject([{ session_event_type: 'PALM_READING' }]);
    simulator.fault('unknown_value', { what: 'rows' });
    expect(await rows()).toMatchObject([{ type: 'manage', data_freshness_mode: 'hourly', mood: 'odd' }, {}]);
    simulator.fault('unknown_value', { what: 'rows', forMs: 0 });
    expect((await rows())[0]).not.toHaveProperty('mood');
  });

  test.each([
    ['brokerage_maintenance', 'maintenance_mode'],
    ['brokerage_degraded', 'is_degraded'],
  ])('%s: every connection at the brokerage says so, and no other', async (fault, field) => {
    const { clock, simulator, rows } = await live();
    const flags = async () => (await rows()).map(({ brokerage }) => brokerage[field]);
    simulator.fault(fault, { forMs: 10_000 });
    expect(await flags()).toEqual([true, false]);
    simulator.fault(fault, { brokerage: 'EXAMPLE-BOERSE' });
    expect(await flags()).toEqual([true, true]);
    await clock.advance(10_000);
    expect(await flags()).toEqual([false, true]);
    simulator.fault(fault, { brokerage: 'EXAMPLE-BOERSE', forMs: 0 });
    expect(await flags()).toEqual([false, false]);
  });
});
