import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EVENT_TYPES, type EventData, type EventType, type Pulse, type SessionEvent } from '../../src/model/event.js';
import { emptySourceState, fold, foldPulse, isSessionState, statusAfter } from '../../src/model/fold.js';
import type { SessionState, SourceState, State } from '../../src/model/session.js';
import { anyHappening, eventOf, journaled } from '../support/events.js';

const KEY = 'deribit.main.relay';
const SOURCE = 'deribit.main.-';

function foldAll(events: readonly SessionEvent[], from?: State): State | undefined {
  return events.reduce<State | undefined>((state, event) => fold(state, event), from);
}

type Told = readonly (readonly [EventType, object])[];

/** Folds facts of one session, told one after the other. */
function told(...facts: Told): SessionState {
  const state = foldAll(
    journaled(
      KEY,
      facts.map(([type, data]) => ({ type, data: data as never })),
    ),
  );
  if (state === undefined || !isSessionState(state)) throw new Error('no session state');
  return state;
}

function toldOfSource(...facts: Told): SourceState {
  const state = foldAll(
    journaled(
      SOURCE,
      facts.map(([type, data]) => ({ type, data: data as never })),
    ),
  );
  if (state === undefined || isSessionState(state)) throw new Error('no source state');
  return state;
}

const OPENED: readonly ['session.opened', EventData<'session.opened'>] = [
  'session.opened',
  { kind: 'api', role: 'trading', environment: 'test', scope: 'session:relay', expiresAt: '2026-11-24T08:00:00.000Z' },
];
const READ = { mechanism: 'cancel_on_disconnect', readAt: '2026-11-23T08:00:00.000Z' } as const;

describe('the status', () => {
  test.each([
    ['session.opening', {}, 'connecting'],
    ['session.opened', OPENED[1], 'active'],
    ['session.restored', {}, 'active'],
    ['session.expired', { expiresAt: '2026-11-23T08:00:00.000Z' }, 'expired'],
    ['session.closed', { by: 'user' }, 'closed'],
    ['session.lost', { reason: 'evicted' }, 'lost'],
    ['session.contested', {}, 'contested'],
    ['session.attention', { action: 'login', instructions: 'Log in.' }, 'attention'],
  ] as const)('after %s is what the table of types says', (type, data, status) => {
    expect(told(OPENED, [type, data]).status).toBe(status);
    expect(told(OPENED, ['session.contested', {}], [type, data]).status).toBe(status);
    expect(statusAfter(type)).toBe(status);
  });

  test('is moved by no other type', () => {
    const movers = new Set(EVENT_TYPES.filter((type) => statusAfter(type) !== undefined));
    const others = EVENT_TYPES.filter((type) => !movers.has(type) && type !== 'session.removed');
    fc.assert(
      fc.property(anyHappening(others), (happening) => {
        const [opened, next] = journaled(KEY, [{ type: OPENED[0], data: OPENED[1] }, happening]);
        if (opened === undefined || next === undefined) return;
        const before = fold(undefined, opened) as SessionState;
        const after = fold(before, next) as SessionState;
        expect(after.status).toBe('active');
        expect(after.statusSince).toEqual(before.statusSince);
      }),
    );
  });

  test('says since when it stands, and by which event; told again it stands since the first', () => {
    const state = told(
      OPENED,
      ['session.lost', { reason: 'a' }],
      ['session.updated', { changed: {} }],
      ['session.lost', { reason: 'b' }],
    );
    expect(state.statusSince).toEqual({ cursor: '1-2', at: '2026-11-23T08:00:00.010Z' });
  });
});

describe('staleness', () => {
  test('keeps what was said last, and says since when and why', () => {
    const state = told(OPENED, ['session.stale', { reason: 'link_down' }]);
    expect(state).toMatchObject({
      status: 'active',
      stale: true,
      staleSince: { reason: 'link_down', at: '2026-11-23T08:00:00.010Z' },
    });
  });

  test('that is told again is as old as it was, for the reason that it had', () => {
    const state = told(OPENED, ['session.stale', { reason: 'parent' }], ['session.stale', { reason: 'throttled' }]);
    expect(state.staleSince).toEqual({ reason: 'parent', at: '2026-11-23T08:00:00.010Z' });
  });

  test('is ended by every session event but stale, step and removed, and by nothing else', () => {
    fc.assert(
      fc.property(anyHappening(EVENT_TYPES.filter((type) => type !== 'session.removed')), (happening) => {
        const state = told(OPENED, ['session.stale', { reason: 'parent' }], [happening.type, happening.data]);
        const ends =
          happening.type.startsWith('session.') && !['session.stale', 'session.step'].includes(happening.type);
        expect(state.stale).toBe(!ends);
        expect(state.staleSince === undefined).toBe(ends);
      }),
    );
  });
});

describe('a session state', () => {
  test('takes from its opening what PROTOCOL.md §3 shows', () => {
    expect(told(['session.opening', {}], OPENED)).toEqual({
      key: KEY,
      venue: 'deribit',
      source: 'main',
      session: 'relay',
      kind: 'api',
      role: 'trading',
      environment: 'test',
      scope: 'session:relay',
      status: 'active',
      stale: false,
      openedAt: '2026-11-23T08:00:00.010Z',
      lastSeenAt: '2026-11-23T08:00:00.010Z',
      expiresAt: '2026-11-24T08:00:00.000Z',
      statusSince: { at: '2026-11-23T08:00:00.010Z', cursor: '1-2' },
      safety: { level: 'unknown', reasons: ['unconfirmed'], notes: [] },
      attributes: {},
      cursor: '1-2',
    });
  });

  test('that is opened anew has nothing of the opening before', () => {
    const state = told(OPENED, ['session.lost', { reason: 'x' }], ['session.opened', { kind: 'api', role: 'watch' }]);
    expect(state.role).toBe('watch');
    for (const name of ['environment', 'scope', 'expiresAt', 'parent']) expect(state).not.toHaveProperty(name);
  });

  test.each([
    ['deribit.main.relay', 'api'],
    ['deribit.main.public', 'public'],
    ['tradernet.desk.login', 'login'],
    ['tradernet.desk.7165011', 'security'],
    ['ibkr.gateway.sso', 'sso'],
    ['ibkr.gateway.brokerage', 'brokerage'],
    ['snaptrade.partner.dc90a844-367b-4120-8b56-21040bfa6525', 'connection'],
  ])('of %s that was never opened is of its kind', (subject, kind) => {
    expect(fold(undefined, eventOf('session.opening', {}, { subject }))).toMatchObject({ kind, status: 'connecting' });
  });

  test('is renewed, keeping its end where the venue gave no new one', () => {
    expect(told(OPENED, ['session.renewed', { how: 'refresh', expiresAt: '2026-11-25T08:00:00.000Z' }]).expiresAt).toBe(
      '2026-11-25T08:00:00.000Z',
    );
    expect(told(OPENED, ['session.renewed', { how: 'observed' }]).expiresAt).toBe('2026-11-24T08:00:00.000Z');
  });

  test('is updated attribute by attribute; null removes one', () => {
    const opened = ['session.opened', { ...OPENED[1], attributes: { a: 1, b: { c: 2 } } }] as const;
    expect(told(opened, ['session.updated', { changed: { a: null, b: 3, d: 4 } }]).attributes).toEqual({ b: 3, d: 4 });
  });

  test('knows its heartbeat: armed, missed, resumed, off', () => {
    expect(told(OPENED).heartbeat).toBeUndefined();
    expect(told(OPENED, ['heartbeat.armed', { intervalMs: 10_000 }]).heartbeat).toEqual({
      intervalMs: 10_000,
      missed: 0,
    });
    const missed = ['heartbeat.missed', { missed: 1, silentMs: 17_000, intervalMs: 10_000 }] as const;
    expect(told(OPENED, ['heartbeat.armed', { intervalMs: 10_000 }], missed).heartbeat).toEqual({
      intervalMs: 10_000,
      missed: 1,
    });
    expect(told(OPENED, missed, ['heartbeat.resumed', { silentMs: 18_000 }]).heartbeat).toMatchObject({
      missed: 0,
      lastAt: '2026-11-23T08:00:00.020Z',
    });
    expect(told(OPENED, ['heartbeat.armed', { intervalMs: 10_000 }], ['heartbeat.disarmed', {}]).heartbeat).toEqual({
      intervalMs: null,
      missed: 0,
    });
  });

  test.each(['session.restored', 'session.opened'] as const)(
    'that is %s misses no beat: the silence was another connection’s',
    (type) => {
      const missed = ['heartbeat.missed', { missed: 1, silentMs: 17_000, intervalMs: 10_000 }] as const;
      const state = told(OPENED, missed, ['session.lost', { reason: 'link_down' }], [type, OPENED[1]]);
      expect(state.heartbeat).toEqual({ intervalMs: null, missed: 0 });
    },
  );

  test('knows its protection scope by scope; one that was never read is absent', () => {
    const state = told(
      OPENED,
      ['protection.armed', { ...READ, scope: 'connection' }],
      ['protection.unknown', { ...READ, scope: 'account' }],
    );
    expect(state.protection).toEqual({ connection: 'armed', account: 'unknown', readAt: READ.readAt });
    expect(told(OPENED, ['protection.disarmed', { ...READ, scope: 'account' }]).protection).toEqual({
      account: 'disarmed',
      readAt: READ.readAt,
    });
  });

  test('has its safety from safety.changed and from nothing else', () => {
    const verdict = { level: 'safe', reasons: [], notes: ['venue_degraded'] };
    expect(told(OPENED, ['safety.changed', { ...verdict, previous: 'unknown' }]).safety).toEqual(verdict);
    fc.assert(
      fc.property(
        anyHappening(EVENT_TYPES.filter((type) => type !== 'session.removed' && type !== 'safety.changed')),
        ({ type, data }) => {
          expect(told(OPENED, ['safety.changed', { ...verdict, previous: 'unknown' }], [type, data]).safety).toEqual(
            verdict,
          );
        },
      ),
    );
  });

  test('is gone once it is removed', () => {
    expect(
      foldAll(
        journaled(KEY, [
          { type: 'session.opening', data: {} },
          { type: 'session.removed', data: {} },
        ]),
      ),
    ).toBeUndefined();
  });

  test('is made by no event but those of a session’s own, and by no end: what is gone stays gone', () => {
    const ends = ['session.step', 'session.removed', 'session.closed', 'session.expired', 'session.stale'];
    const makers = EVENT_TYPES.filter((type) => type.startsWith('session.') && !ends.includes(type));
    fc.assert(
      fc.property(anyHappening(EVENT_TYPES), ({ type, data }) => {
        const state = fold(undefined, eventOf(type, data as never, { subject: KEY }));
        expect(state !== undefined).toBe(makers.includes(type));
      }),
    );
  });

  test('is not made by a portal session of SnapTrade; a Deribit session may be called what it likes', () => {
    expect(fold(undefined, eventOf('session.opening', {}, { subject: 'snaptrade.partner.portal-1' }))).toBeUndefined();
    expect(fold(undefined, eventOf('session.opening', {}, { subject: 'deribit.main.portal-1' }))).toBeDefined();
  });

  test('is not made of a subject that is no session key of a venue', () => {
    for (const subject of ['deribit.main', 'binance.main.x', 'deribit.main.a.b', '']) {
      expect(fold(undefined, eventOf('session.opening', {}, { subject }))).toBeUndefined();
    }
  });

  test('moves by a pulse in lastSeenAt, lastAt and rttMs alone, and not in its cursor', () => {
    const pulse: Pulse = {
      source: '/deribit/main',
      subject: KEY,
      type: 'heartbeat.pulse',
      time: '2026-11-23T09:00:00.000Z',
      data: { rttMs: 11 },
    };
    const state = told(OPENED, ['heartbeat.armed', { intervalMs: 10_000 }]);
    expect(foldPulse(state, pulse)).toEqual({
      ...state,
      lastSeenAt: pulse.time,
      heartbeat: { intervalMs: 10_000, missed: 0, lastAt: pulse.time, rttMs: 11 },
    });
    const source = toldOfSource(['source.unthrottled', {}]);
    expect(foldPulse(source, pulse)).toBe(source);
  });
});

describe('a source state', () => {
  test('is gone once the source is removed, and is made anew by what it says then', () => {
    const subject = 'deribit.main.-';
    const up = eventOf('link.up', { carrier: 'ws', generation: 1, url: 'wss://venue.test' }, { subject, offset: 1 });
    const removed = eventOf('session.removed', { reason: 'not_configured' }, { subject, offset: 2 });
    expect(fold(fold(undefined, up), removed)).toBeUndefined();
    expect(fold(undefined, { ...up, id: '1-3' })).toMatchObject({ cursor: '1-3', attributes: { links: { ws: 'up' } } });
  });

  const attributes = (...facts: Told): SourceState['attributes'] => toldOfSource(...facts).attributes;
  const EMPTY = { links: {}, venueLevel: 'normal', degraded: [], accountLocked: [] };

  test('begins with nothing known, without status and safety', () => {
    const state = toldOfSource(['source.fault', { what: 'bad_frame' }]);
    expect(state).toEqual({ ...emptySourceState('deribit', 'main', '1-1') });
    expect(state.attributes).toEqual(EMPTY);
    expect(state).not.toHaveProperty('status');
    expect(state).not.toHaveProperty('safety');
  });

  test('knows each carrier’s link', () => {
    const up = { generation: 1, url: 'wss://x' };
    const down = { generation: 1, code: 1006, reason: '', clean: false, initiator: 'network' };
    expect(
      attributes(
        ['link.up', { ...up, carrier: 'ws' }],
        ['link.up', { ...up, carrier: 'http' }],
        ['link.down', { ...down, carrier: 'ws' }],
      ).links,
    ).toEqual({ ws: 'down', http: 'up' });
    expect(attributes(['link.retrying', { carrier: 'ws', generation: 1, attempt: 1, delayMs: 1 }]).links).toEqual({
      ws: 'retrying',
    });
  });

  test('counts parts as degraded and takes each back by its name', () => {
    const parts = [
      ['venue.locked', { what: 'btc_usd' }],
      ['venue.degraded', { what: 'eth_usd' }],
      ['venue.degraded', { what: 'btc_usd' }],
      ['venue.maintenance', { what: 'alpaca', announced: false }],
    ] as const;
    expect(attributes(...parts)).toEqual({
      ...EMPTY,
      venueLevel: 'degraded',
      degraded: ['btc_usd', 'eth_usd', 'alpaca'],
    });
    expect(
      attributes(...parts, ['venue.normal', { what: 'eth_usd' }], ['venue.normal', { what: 'alpaca' }]),
    ).toMatchObject({ venueLevel: 'degraded', degraded: ['btc_usd'] });
    expect(
      attributes(...parts, ...['btc_usd', 'eth_usd', 'alpaca'].map((what) => ['venue.normal', { what }] as const)),
    ).toEqual(EMPTY);
    expect(attributes(...parts, ['venue.normal', {}])).toEqual(EMPTY);
  });

  test('keeps the whole’s trouble when a part recovers: only a normal without a part ends it', () => {
    const part = [
      ['venue.degraded', { what: 'btc_usd' }],
      ['venue.normal', { what: 'btc_usd' }],
    ] as const;
    for (const [fact, venueLevel] of [
      [['venue.locked', {}], 'locked'],
      [['venue.maintenance', { announced: false }], 'maintenance'],
      [['venue.degraded', {}], 'degraded'],
    ] as const) {
      expect(attributes(fact, ...part)).toMatchObject({ venueLevel, degraded: [] });
      expect(attributes(fact, ...part, ['venue.normal', {}])).toEqual(EMPTY);
    }
  });

  test('takes a maintenance that has begun back for no announcement, and a lock for no maintenance', () => {
    expect(attributes(['venue.maintenance', { announced: true }])).toMatchObject({
      venueLevel: 'maintenance',
      maintenanceAnnounced: true,
    });
    const begun = [
      ['venue.maintenance', { announced: true }],
      ['venue.maintenance', { announced: false }],
    ] as const;
    expect(attributes(...begun)).toMatchObject({ maintenanceAnnounced: false });
    expect(attributes(...begun, ['venue.maintenance', { announced: true }])).toMatchObject({
      maintenanceAnnounced: false,
    });
    expect(attributes(['venue.locked', {}], ['venue.maintenance', { announced: true }])).toMatchObject({
      venueLevel: 'locked',
      maintenanceAnnounced: true,
    });
  });

  test('knows which currencies the account is locked in; unlocking all unlocks each', () => {
    const locked = [
      ['account.locked', { what: 'BTC' }],
      ['account.locked', { what: 'all' }],
      ['account.locked', { what: 'BTC' }],
    ] as const;
    expect(attributes(...locked).accountLocked).toEqual(['BTC', 'all']);
    expect(attributes(...locked, ['account.unlocked', { what: 'BTC' }]).accountLocked).toEqual(['all']);
    expect(attributes(...locked, ['account.unlocked', { what: 'all' }]).accountLocked).toEqual([]);
  });

  test('knows until when it is throttled', () => {
    const throttled = ['source.throttled', { untilAt: '2026-11-23T09:00:00.000Z' }] as const;
    expect(attributes(throttled).throttledUntilAt).toBe('2026-11-23T09:00:00.000Z');
    expect(attributes(throttled, ['source.unthrottled', {}])).toEqual(EMPTY);
  });
});

/** Promise 4: snapshot + events = a later snapshot. */
describe('the fold', () => {
  const story = fc.array(anyHappening(EVENT_TYPES), { maxLength: 25 });
  const subject = fc.constantFrom(KEY, SOURCE, 'tradernet.desk.login', 'snaptrade.partner.a%2Eb');

  test('of a snapshot and what follows it is the fold of all, wherever the snapshot was taken and however it travelled', () => {
    fc.assert(
      fc.property(subject, story, fc.nat(), (key, happenings, cut) => {
        const events = journaled(key, happenings);
        const at = cut % (events.length + 1);
        const snapshot = foldAll(events.slice(0, at));
        const travelled: State | undefined = snapshot === undefined ? undefined : JSON.parse(JSON.stringify(snapshot));
        expect(foldAll(events.slice(at), travelled)).toEqual(foldAll(events));
      }),
      { numRuns: 500 },
    );
  });

  test('passes over every event that is not after the state’s cursor: the same state comes back', () => {
    fc.assert(
      fc.property(subject, story, (key, happenings) => {
        const events = journaled(key, happenings);
        const state = foldAll(events);
        if (state === undefined) return;
        for (const event of events) expect(fold(state, event)).toBe(state);
      }),
      { numRuns: 300 },
    );
  });

  test('passes over an earlier epoch’s event and takes in a later one’s, whatever their offsets', () => {
    const state = fold(undefined, eventOf('session.opening', {}, { epoch: 5, offset: 7 }));
    expect(fold(state, eventOf('session.contested', {}, { epoch: 4, offset: 9 }))).toBe(state);
    expect(fold(state, eventOf('session.contested', {}, { epoch: 6, offset: 1 }))).toMatchObject({
      status: 'contested',
      cursor: '6-1',
    });
  });

  test('moves the cursor with every event that it takes in', () => {
    fc.assert(
      fc.property(subject, story, (key, happenings) => {
        let state: State | undefined;
        for (const event of journaled(key, happenings)) {
          const next = fold(state, event);
          if (next !== undefined) expect(next.cursor).toBe(event.id);
          state = next;
        }
      }),
    );
  });

  test('passes over events of another session', () => {
    const state = told(OPENED);
    expect(fold(state, eventOf('session.contested', {}, { subject: 'deribit.main.other', offset: 9 }))).toBe(state);
    expect(fold(state, eventOf('venue.locked', {}, { subject: SOURCE, offset: 9 }))).toBe(state);
  });

  test('changes nothing that it was given', () => {
    fc.assert(
      fc.property(subject, story, (key, happenings) => {
        let state: State | undefined;
        for (const event of journaled(key, happenings)) {
          const before = JSON.stringify([state, event]);
          const next = fold(state, event);
          expect(JSON.stringify([state, event])).toBe(before);
          state = next;
        }
      }),
    );
  });
});
