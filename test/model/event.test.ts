import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EVENT_TYPES, type EventType, sessionEvent, timestamp, timestampOf } from '../../src/model/event.js';
import { json } from '../../src/model/json.js';
import { anyData, eventOf } from '../support/events.js';

/** One example of each type of PROTOCOL.md §2, with its required fields alone, as a subscriber would receive it. */
const EXAMPLES: { readonly [T in EventType]: object } = {
  'link.up': { carrier: 'ws', generation: 3, url: 'wss://test.deribit.com/ws/api/v2' },
  'link.down': { carrier: 'ws', generation: 3, code: 1006, reason: '', clean: false, initiator: 'network' },
  'link.retrying': { carrier: 'http', generation: 3, attempt: 2, delayMs: 1_204.5 },
  'session.opening': {},
  'session.opened': { kind: 'api', role: 'trading' },
  'session.renewed': { how: 'refresh', expiresAt: '2026-11-22T14:15:02.123Z' },
  'session.restored': {},
  'session.stale': { reason: 'link_down' },
  'session.updated': { changed: { wishes: { heartbeat: 30 } } },
  'session.expiring': { expiresAt: '2026-11-22T14:15:02.123Z', inMs: 60_000, renewable: false },
  'session.expired': { expiresAt: '2026-11-22T14:15:02.123Z' },
  'session.closed': { by: 'venue' },
  'session.lost': { reason: 'evicted', code: 4000 },
  'session.contested': {},
  'session.attention': { action: 'two_factor', instructions: 'Confirm the login on the phone.' },
  'session.step': { step: 'MFA_REQUESTED' },
  'session.removed': {},
  'heartbeat.armed': { intervalMs: 10_000 },
  'heartbeat.disarmed': {},
  'heartbeat.missed': { missed: 1, silentMs: 17_003, intervalMs: 10_000 },
  'heartbeat.resumed': { silentMs: 18_100 },
  'heartbeat.pulse': {},
  'protection.armed': { mechanism: 'cancel_on_disconnect', scope: 'connection', readAt: '2026-11-22T13:15:02.123Z' },
  'protection.disarmed': { mechanism: 'cancel_on_disconnect', scope: 'account', readAt: '2026-11-22T13:15:02.123Z' },
  'protection.unknown': { mechanism: 'cancel_on_disconnect', scope: 'account', readAt: '2026-11-22T13:15:02.123Z' },
  'protection.triggered': { mechanism: 'cancel_on_disconnect', scope: 'connection', certain: false },
  'venue.maintenance': { announced: true },
  'venue.locked': {},
  'venue.degraded': { what: 'btc_usd' },
  'venue.normal': { what: 'btc_usd' },
  'account.locked': { what: 'all' },
  'account.unlocked': { what: 'BTC' },
  'source.throttled': { untilAt: '2026-11-22T13:25:02.123Z' },
  'source.unthrottled': {},
  'source.fault': { what: 'channel_refused', sample: 'user.access_log' },
  'access.logged': { action: 'new_api_key' },
  'safety.changed': { level: 'at_risk', reasons: ['heartbeat_missed'], notes: [], previous: 'safe' },
  'command.accepted': { command: 'reconnect', by: 'desk-ui', requestId: 'r-1' },
  'command.succeeded': { command: 'reconnect', by: 'desk-ui', requestId: 'r-1' },
  'command.failed': { command: 'reconnect', by: 'desk-ui', requestId: 'r-1', error: { code: 4409, message: 'no' } },
  'command.unknown': { command: 'reconnect', by: 'desk-ui', requestId: 'r-1' },
};

function wire(type: string, data: object): unknown {
  return JSON.parse(JSON.stringify({ ...eventOf('session.opening', {}), type, data }));
}

describe('an event', () => {
  test.each(Object.entries(EXAMPLES))('of the type %s is parsed', (type, data) => {
    expect(sessionEvent.parse(wire(type, data))).toEqual(wire(type, data));
  });

  test('has an example here for every type of the vocabulary, and no other', () => {
    expect(Object.keys(EXAMPLES).toSorted()).toEqual([...EVENT_TYPES].toSorted());
  });

  test.each(EVENT_TYPES)('of the type %s is parsed whatever its data, through JSON and back', (type) => {
    fc.assert(
      fc.property(anyData[type], (data) => {
        const sent = wire(type, data);
        expect(sessionEvent.parse(sent)).toEqual(sent);
      }),
      { numRuns: 30 },
    );
  });

  test.each(Object.entries(EXAMPLES).filter(([, data]) => Object.keys(data).length > 0))(
    'of the type %s is refused without one of its required fields',
    (type, data) => {
      const optional = new Set(['expiresAt of session.renewed', 'code of session.lost', 'what of venue.degraded']);
      for (const field of ['what of venue.normal', 'sample of source.fault', 'error of command.failed'])
        optional.add(field);
      for (const name of Object.keys(data)) {
        if (optional.has(`${name} of ${type}`)) continue;
        const { [name]: _, ...rest } = data as Record<string, unknown>;
        expect(sessionEvent.safeParse(wire(type, rest)).success, `${type} without ${name}`).toBe(false);
      }
    },
  );

  test('passes with fields that this version does not know, and keeps them', () => {
    const sent = { ...(wire('link.down', { ...EXAMPLES['link.down'], proxy: 'eu-1' }) as object), traceparent: '00-1' };
    expect(sessionEvent.parse(sent)).toEqual(sent);
  });

  test.each(['session.opened.again', 'session', '', 'SESSION.OPENED', 'quote.updated', 'toString', '__proto__'])(
    'of an unknown type is refused: %j',
    (type) => {
      expect(sessionEvent.safeParse(wire(type, {})).success).toBe(false);
    },
  );

  test.each([
    ['link.up', { carrier: 'pigeon' }],
    ['link.up', { generation: -1 }],
    ['session.opened', { kind: 'source' }],
    ['session.opened', { role: 'owner' }],
    ['session.opened', { environment: 'prod' }],
    ['session.opened', { expiresAt: '2026-11-22' }],
    ['session.stale', { reason: 'tired' }],
    ['protection.triggered', { certain: true }],
    ['source.fault', { sample: 'x'.repeat(257) }],
    ['safety.changed', { level: 'fine' }],
    ['heartbeat.armed', { intervalMs: '10' }],
  ] as const)('of the type %s is refused with %j', (type, wrong) => {
    expect(sessionEvent.safeParse(wire(type, { ...EXAMPLES[type], ...wrong })).success).toBe(false);
  });
});

describe('a time', () => {
  test('is RFC 3339 in UTC with milliseconds for every moment, and reads back as the same ms', () => {
    fc.assert(
      fc.property(fc.integer({ min: -62_167_219_200_000, max: 253_402_300_799_999 }), (ms) => {
        expect(timestamp.parse(timestampOf(ms))).toBe(timestampOf(ms));
        expect(Date.parse(timestampOf(ms))).toBe(ms);
      }),
    );
  });

  test('is the calendar’s, whatever moment was written before it', () => {
    const near = fc.integer({ min: -1, max: 2_001 });
    const moment = fc.oneof(
      near,
      near.map((ms) => ms - 0.5),
      near.map((ms) => ms - 1e9),
      fc.double({ noNaN: true }),
      fc.integer(),
    );
    fc.assert(
      fc.property(fc.array(moment, { minLength: 2, maxLength: 20 }), (moments) => {
        const wanted = (ms: number): string =>
          new Date(Math.min(253_402_300_799_999, Math.max(-62_167_219_200_000, ms))).toISOString();
        expect(moments.map(timestampOf)).toEqual(moments.map(wanted));
      }),
    );
  });

  test('that was refused leaves the next one right', () => {
    const before = timestampOf(1_000);
    expect(() => timestampOf(Number.NaN)).toThrow(RangeError);
    expect(timestampOf(1_001)).toBe(before.replace('.000Z', '.001Z'));
  });

  test('beyond what RFC 3339 can say becomes the last moment that it can: an absurd end of a venue stops nothing', () => {
    for (const ms of [253_402_300_800_000, 8.64e15, 1e20, Number.POSITIVE_INFINITY]) {
      expect(timestampOf(ms)).toBe('9999-12-31T23:59:59.999Z');
    }
    expect(timestampOf(-1e20)).toBe('0000-01-01T00:00:00.000Z');
    expect(() => timestampOf(Number.NaN)).toThrow(RangeError);
  });

  test.each([
    '2026-11-22T13:15:02Z',
    '2026-11-22T13:15:02.123+00:00',
    '2026-11-22 13:15:02.123Z',
    '2026-13-22T13:15:02.123Z',
    '2026-11-22T25:15:02.123Z',
    '2026-11-22T13:15:02.123Z\n',
  ])('in another form is refused: %j', (text) => {
    expect(timestamp.safeParse(text).success).toBe(false);
  });
});

describe('JSON', () => {
  test('is what JSON can say, and nothing else', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const parsed: unknown = JSON.parse(JSON.stringify(value));
        expect(json.parse(parsed)).toEqual(parsed);
      }),
    );
    for (const other of [undefined, Number.NaN, 1n, () => 1, new Map()])
      expect(json.safeParse(other).success).toBe(false);
  });
});
