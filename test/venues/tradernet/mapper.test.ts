import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatCursor } from '../../../src/model/cursor.js';
import { eventData, type Fact, type SessionEvent, timestampOf } from '../../../src/model/event.js';
import { fold, isSessionState } from '../../../src/model/fold.js';
import type { Json } from '../../../src/model/json.js';
import { redactState } from '../../../src/model/redact.js';
import type { SessionState, State } from '../../../src/model/session.js';
import { sessionKey } from '../../../src/model/subject.js';
import {
  expireRow,
  judgeUserData,
  loseLogin,
  loseSight,
  type Mapped,
  mapFrame,
  openLogin,
  proveLogin,
  renewLogin,
  wantAttention,
  warnOfEnd,
} from '../../../src/venues/tradernet/mapper.js';
import { type Frame, readSocketIoEvent, readText } from '../../../src/venues/tradernet/messages.js';
import { emptyState, forgotten, type MapperState, memoryOf, recall } from '../../../src/venues/tradernet/state.js';
import { lineOf, row } from './source.js';

const NOW = Date.UTC(2026, 10, 23, 8, 0, 0);
const START = emptyState({ source: 'desk', role: 'trading' });
const PROVED = proveLogin(START, { generation: 1 })[0];

function say(state: MapperState, frame: Frame, atMs = NOW): Mapped {
  return mapFrame(state, { frame, generation: 1, atMs, proved: true });
}

function list(
  state: MapperState,
  rows: readonly unknown[],
  atMs = NOW,
): readonly [MapperState, readonly string[], readonly Fact[]] {
  const [after, facts] = say(state, readText(JSON.stringify(['sessions', rows])), atMs);
  return [after, facts.map(lineOf), facts];
}

/** Folds facts as a hub would, a cursor each. */
function foldAll(states: Map<string, State>, facts: readonly Fact[], from: number): number {
  let offset = from;
  for (const fact of facts) {
    const subject = sessionKey('tradernet', fact.source, fact.session);
    const { key = '', type, data } = fact;
    const event = {
      id: formatCursor(1, ++offset),
      key,
      source: '/tradernet/desk',
      subject,
      type,
      time: timestampOf(NOW),
      data,
    };
    const after = fold(states.get(subject), event as SessionEvent);
    if (after === undefined) states.delete(subject);
    else states.set(subject, after);
  }
  return offset;
}

describe('a list of security sessions', () => {
  test('opens each row with its end, its parent, the name of its type, and a key of the venue’s own', () => {
    const [, , facts] = list(PROVED, [row(7_165_011)]);
    expect(facts).toEqual([
      {
        source: 'desk',
        session: '7165011',
        type: 'session.opened',
        generation: 1,
        key: 'opened:7165011:2026-11-23T07:00:00.000Z',
        data: {
          kind: 'security',
          role: 'watch',
          parent: 'tradernet.desk.login',
          expiresAt: '2026-11-24T07:00:00.000Z',
          venueTime: '2026-11-23T07:00:00.000Z',
          attributes: {
            safetyTypeId: 4,
            safetyType: 'login_password',
            startedAt: '2026-11-23T07:00:00.000Z',
            ownerLogin: 'desk@example.org',
            userLogin: 'desk@example.org',
            keyCurrent: 'Login, password',
            ip: 'c5u7iip134fdfsxfqt4aq1osqchtg5b',
            ipClient: '192.0.2.7',
          },
        },
      },
    ]);
  });

  test('shows nothing personal to a redacted grant', () => {
    const states = new Map<string, State>();
    foldAll(states, list(PROVED, [row(1)])[2], 0);
    const state = states.get('tradernet.desk.1');
    expect(state).toBeDefined();
    const shown = JSON.stringify(redactState(state as State, 'redacted'));
    for (const secret of ['desk@example.org', 'Login, password', 'c5u7iip134', '192.0.2.7']) {
      expect(shown).not.toContain(secret);
    }
  });

  test('the same list again says nothing', () => {
    const [state] = list(PROVED, [row(1), row(2)]);
    expect(list(state, [row(2), row(1)])).toEqual([state, [], []]);
  });

  test('a later end is a renewal; an earlier one is told too, with its reason', () => {
    const [state] = list(PROVED, [row(1)]);
    const [later, lines] = list(state, [row(1, { expire_datetime: '2026-11-25T07:00:00', expire: 169_200 })]);
    expect(lines).toEqual(['1 session.renewed observed 2026-11-25T07:00:00.000Z']);
    const [, , facts] = list(later, [row(1)]);
    expect(facts.map(({ data }) => data)).toEqual([
      { how: 'observed', expiresAt: '2026-11-24T07:00:00.000Z', reason: 'shortened' },
    ]);
  });

  test('a row that comes back is opened under another key: the journal refuses one that it holds', () => {
    const [state, , first] = list(PROVED, [row(1)]);
    const [without, closed] = list(state, []);
    expect(closed).toEqual(['1 session.closed venue']);
    const [again, , second] = list(without, [row(1)]);
    expect(second[0]?.key).not.toBe(first[0]?.key);
    expect(second[0]?.data).toMatchObject({ reason: 'listed_again' });
    expect(list(again, [])[2][0]?.key).not.toBe(list(state, [])[2][0]?.key);
  });

  test('an id with another start is another session', () => {
    const [state] = list(PROVED, [row(1)]);
    const [, lines] = list(state, [row(1, { start_datetime: '2026-11-23T07:30:00' })]);
    expect(lines).toEqual(['1 session.closed venue', '1 session.opened']);
  });

  test('a row without an id is a fault, and nothing is concluded from what is missing', () => {
    const [state] = list(PROVED, [row(1), row(2)]);
    const [after, lines] = list(state, [row(1), { id: null }]);
    expect(lines).toEqual(['- source.fault bad_frame']);
    expect([...after.rows.keys()]).toEqual(['1', '2']);
  });

  test('rows may not take the names of other sessions', () => {
    expect(list(PROVED, [row(1, { id: 'login' }), row(1, { id: '-' })])[1]).toEqual(['- source.fault bad_frame']);
  });

  test('a session that leaves the list at its end has expired, and is not closed', () => {
    const [state] = list(PROVED, [row(1)]);
    const end = Date.UTC(2026, 10, 24, 7, 0, 0);
    expect(list(state, [], end - 4_000)[1]).toEqual(['1 session.expired']);
    expect(list(state, [], end - 6_000)[1]).toEqual(['1 session.closed venue']);
  });

  test('a session that expired by our clock and is listed with time left lives', () => {
    const [state] = list(PROVED, [row(1)]);
    const [expired, facts] = expireRow(state, '1');
    expect(facts.map(lineOf)).toEqual(['1 session.expired']);
    expect(list(expired, [row(1)])[1]).toEqual(['1 session.restored']);
    expect(list(expired, [])[1]).toEqual([]);
  });

  test('a row whose end has passed is opened and expired at once', () => {
    const old = row(1, {
      start_datetime: '2016-06-14T13:14:13.187',
      expire_datetime: '2016-06-15T13:14:13.187',
      expire: 0,
    });
    expect(list(PROVED, [old])[1].filter((line) => !line.startsWith('-'))).toEqual([
      '1 session.opened',
      '1 session.expired',
    ]);
  });

  test('`expire` counts seconds and only cross-checks: a gross difference is a fault, told once', () => {
    const [state, lines] = list(PROVED, [row(1, { expire: 82_800 })]);
    expect(lines).toEqual(['1 session.opened']);
    // As milliseconds it would be a little more than a minute, and as documented it would be wrong.
    const [after, more] = list(state, [row(1, { expire: 82_800_000 })]);
    expect(more).toEqual(['- source.fault inconsistent']);
    expect(list(after, [row(1, { expire: 5 })])[1]).toEqual([]);
    expect(after.rows.get('1')?.expiresMs).toBe(Date.UTC(2026, 10, 24, 7, 0, 0));
  });

  test('an unknown safety type is kept, named unknown, and told once', () => {
    const [, lines, facts] = list(PROVED, [row(1, { safety_type_id: 10 }), row(2, { safety_type_id: 10 })]);
    expect(lines).toEqual(['- source.fault unknown_value', '1 session.opened', '2 session.opened']);
    expect(facts[1]?.data).toMatchObject({ attributes: { safetyTypeId: 10, safetyType: 'unknown' } });
  });

  test('an id twice counts once, as the last row says', () => {
    const [state, lines] = list(PROVED, [row(1), row(1, { safety_type_id: 3 })]);
    expect(lines).toEqual(['- source.fault inconsistent', '1 session.opened']);
    expect(state.rows.get('1')?.attributes).toMatchObject({ safetyType: 'sms' });
  });

  test.each([
    ['2016-06-15T13:14:13.187', '2016-06-15T13:14:13.187Z'],
    ['2016-06-15 13:14:13', '2016-06-15T13:14:13.000Z'],
    ['2016-06-15T13:14:13Z', '2016-06-15T13:14:13.000Z'],
    ['2016-06-15T13:14:13+03:00', '2016-06-15T10:14:13.000Z'],
    ['2016-06-15T13:14:13.187654', '2016-06-15T13:14:13.187Z'],
  ])('the time %s is %s: UTC where no zone is given', (said, meant) => {
    const [state] = list(PROVED, [row(1, { start_datetime: said })]);
    expect(state.rows.get('1')?.start).toBe(meant);
  });
});

describe('sight', () => {
  test('what was not seen is said again, and an end that came near meanwhile is warned of then', () => {
    const [listed] = list(PROVED, [row(1), row(2)]);
    const blind = loseSight(listed);
    const [warned, silent] = warnOfEnd(blind, '1', 60_000);
    expect(silent).toEqual([]);
    expect(
      list(warned, [row(1), row(2)], Date.UTC(2026, 10, 24, 6, 59, 30))[1].filter((line) => !line.startsWith('-')),
    ).toEqual(['1 session.restored', '1 session.expiring 30000', '2 session.restored']);
  });

  test('an end that comes near while it is seen is told once, and not renewable', () => {
    const [listed] = list(PROVED, [row(1)]);
    const [, facts] = warnOfEnd(listed, '1', 60_000);
    expect(facts[0]?.data).toEqual({ expiresAt: '2026-11-24T07:00:00.000Z', inMs: 60_000, renewable: false });
  });
});

describe('the login', () => {
  test('is opening, opened by a proof, lost by demo, and opened anew with another SID', () => {
    const lines: string[] = [];
    let state = START;
    const step = (change: (state: MapperState) => Mapped): void => {
      const [after, facts] = change(state);
      state = after;
      lines.push(...facts.map(lineOf));
    };
    step(openLogin);
    step((one) => [renewLogin(one), []]);
    step((one) => say(one, readText('["userData",{"mode":"prod","isDemo":false,"login":"desk@example.org"}]')));
    step((one) => say(one, readText('["userData",{"mode":"prod","isDemo":false,"login":"desk@example.org"}]')));
    step((one) => say(one, readText('["userData",{"mode":"demo"}]')));
    step((one) => say(one, readText('["userData",{"mode":"demo"}]')));
    step((one) => [renewLogin(one), []]);
    step((one) => say(one, readText('["userData",{"mode":"prod"}]')));
    step((one) => loseLogin(one, 'sid_refused', 1, 7));
    step((one) => wantAttention(one, 'login', 'Log in.', 1));
    step((one) => wantAttention(one, 'login', 'Log in.', 1));
    step((one) => proveLogin(one, { generation: 2 }));
    expect(lines).toEqual([
      'login session.opening',
      'login session.opened',
      'login session.lost demo',
      'login session.opened',
      'login session.lost sid_refused',
      'login session.attention login',
      'login session.restored',
    ]);
  });

  test('a lost login leaves its sessions known and unseen', () => {
    const [listed] = list(PROVED, [row(1)]);
    const [lost] = loseLogin(listed, 'demo', 1);
    expect(lost.rows.get('1')).toMatchObject({ status: 'active', seen: false });
  });

  test.each([
    [undefined, 'prod', 'proved'],
    [undefined, 'demo', 'demo'],
    ['live', 'demo', 'demo'],
    ['demo', 'prod', 'mismatch'],
    ['test', 'demo', 'mismatch'],
    [undefined, 'unknown', 'undecided'],
  ] as const)('configured as %s and told %s it is %s', (environment, mode, verdict) => {
    expect(judgeUserData(environment, { mode })).toBe(verdict);
  });

  test.each([
    ['{"mode":"prod"}', 'prod'],
    ['{"mode":"prod","isDemo":true}', 'demo'],
    ['{"mode":"demo","isDemo":false}', 'demo'],
    ['{"isDemo":false}', 'prod'],
    ['{"mode":"staging"}', 'unknown'],
    ['{}', 'unknown'],
  ])('userData %s is %s', (data, mode) => {
    expect(readText(`["userData",${data}]`)).toMatchObject({ kind: 'userData', mode });
  });
});

describe('a session that the relay keeps no more', () => {
  test('opens anew, in a life of its own, should it live again though it was always listed', () => {
    const ends = { expire_datetime: '2026-11-23T08:00:01.000' };
    const [listed] = list(PROVED, [row(1, ends)]);
    const [expired] = expireRow(listed, '1');
    const dropped = forgotten(expired, '1');
    expect(memoryOf(dropped, expired)).toMatchObject({ sessions: { rows: { 1: { forgotten: true } } } });
    const [still, nothing] = list(dropped, [row(1, ends)], NOW + 5_000);
    expect(nothing).toEqual([]);
    const [again, lines, facts] = list(still, [row(1)], NOW + 5_000);
    expect(lines).toEqual(['1 session.opened']);
    expect(facts[0]).toMatchObject({ key: 'opened:1:2026-11-23T07:00:00.000Z#1' });
    expect(list(again, [row(1)], NOW + 6_000)[1]).toEqual([]);
    const [, restored] = list(expired, [row(1)], NOW + 5_000);
    expect(restored).toEqual(['1 session.restored', '1 session.renewed observed 2026-11-24T07:00:00.000Z']);
  });

  test('is not one that lives', () => {
    const [listed] = list(PROVED, [row(1)]);
    expect(forgotten(listed, '1')).toBe(listed);
    expect(forgotten(listed, '2')).toBe(listed);
  });

  test('a login that was lost for so long is opened, not restored', () => {
    const [lost] = loseLogin(PROVED, 'sid_refused', 1);
    const [, restored] = proveLogin(lost, { generation: 2 });
    expect(restored.map(({ type }) => type)).toEqual(['session.restored']);
    const [, opened] = proveLogin(forgotten(lost, 'login'), { generation: 2 });
    expect(opened.map(({ type }) => type)).toEqual(['session.opened']);
  });
});

test('a login that never was, and that a person was asked for, is opened once it works: only that tells its role', () => {
  const [asked] = wantAttention(START, 'check_credentials', 'Check them.', 1);
  const [, facts] = proveLogin(recall(asked.about, new Map(Object.entries(memoryOf(asked, START) ?? {}))), {
    generation: 2,
  });
  expect(facts).toMatchObject([{ type: 'session.opened', data: { role: 'trading' } }]);
});

describe('memory', () => {
  test('finds rows and lives again after a restart, and confirms nothing', () => {
    const [one] = list(PROVED, [row(1), row(2)]);
    const [two] = list(one, [row(2)]);
    const memory = new Map(Object.entries(memoryOf(two, START) ?? {}));
    const again = recall(
      { source: 'desk', role: 'trading' },
      new Map(JSON.parse(JSON.stringify([...memory])) as [string, Json][]),
    );
    expect(again.login).toMatchObject({ status: 'active', seen: false, worked: true });
    const [, lines, facts] = list(again, [row(1), row(2)]);
    expect(lines).toEqual(['1 session.opened', '2 session.restored']);
    expect(facts[0]?.key).toBe('opened:1:2026-11-23T07:00:00.000Z#1');
  });

  test('memory that cannot be read is none', () => {
    const memory = new Map<string, Json>([
      ['login', 'nonsense'],
      ['sessions', { rows: 5 }],
    ]);
    expect(recall({ source: 'desk', role: 'trading' }, memory)).toEqual(START);
  });
});

describe('properties', () => {
  const anyRow = fc.record(
    {
      id: fc.oneof(fc.nat({ max: 3 }), fc.anything()),
      safety_type_id: fc.oneof(fc.nat({ max: 25 }), fc.anything()),
      start_datetime: fc.oneof(fc.constant('2026-11-23T07:00:00'), fc.string(), fc.anything()),
      expire_datetime: fc.oneof(fc.constant('2026-11-24T07:00:00'), fc.string(), fc.anything()),
      expire: fc.oneof(fc.integer(), fc.anything()),
      key_current: fc.anything(),
    },
    { requiredKeys: [] },
  );

  test('no frame ever throws, and every fact fits its schema', () => {
    const frames = fc.oneof(
      fc.string().map(readText),
      fc.json().map(readText),
      fc
        .tuple(fc.constantFrom('sessions', 'userData', 'keepAlive', 'error', 'q', 'x'), fc.anything())
        .map(([event, data]) => {
          try {
            return readText(JSON.stringify([event, data]));
          } catch {
            return readText('');
          }
        }),
      fc
        .array(anyRow)
        .map((rows) => readSocketIoEvent('sup_iitr_notify_sessions_json', [null, [{ response: { res: rows } }]])),
      fc.tuple(fc.string(), fc.array(fc.anything())).map(([name, args]) => readSocketIoEvent(name, args)),
    );
    fc.assert(
      fc.property(fc.array(frames, { maxLength: 12 }), (said) => {
        let state = START;
        for (const frame of said) {
          const [after, facts] = say(state, frame);
          state = after;
          for (const fact of facts) expect(eventData[fact.type].safeParse(fact.data).success).toBe(true);
        }
        expect(JSON.parse(JSON.stringify(memoryOf(state, START) ?? {}))).toBeDefined();
      }),
    );
  });

  const hours = (n: number): string => new Date(NOW + n * 3_600_000).toISOString().slice(0, 23);
  const clean = fc
    .uniqueArray(
      fc.record({
        id: fc.integer({ min: 1, max: 4 }),
        start: fc.integer({ min: -3, max: -1 }),
        end: fc.integer({ min: 1, max: 30 }),
        type: fc.constantFrom(2, 3, 4),
      }),
      { selector: ({ id }) => id },
    )
    .map((rows) =>
      rows.map(({ id, start, end, type }) =>
        row(id, {
          start_datetime: hours(start),
          expire_datetime: hours(end),
          expire: end * 3_600,
          safety_type_id: type,
        }),
      ),
    );
  const steps = fc.array(
    fc.oneof(
      { weight: 5, arbitrary: clean.map((rows) => ({ rows })) },
      { weight: 1, arbitrary: fc.constant('blind' as const) },
      { weight: 1, arbitrary: fc.constant('restart' as const) },
    ),
    { maxLength: 15 },
  );

  test('the facts between two lists make the second of the first, through blindness and restarts', () => {
    fc.assert(
      fc.property(steps, (walk) => {
        let state = PROVED;
        let offset = 0;
        const states = new Map<string, State>();
        for (const step of walk) {
          if (step === 'blind') state = loseSight(state);
          else if (step === 'restart')
            state = recall(state.about, new Map(Object.entries(memoryOf(state, START) ?? {})));
          else {
            const [after, , facts] = list(state, step.rows);
            state = after;
            offset = foldAll(states, facts, offset);
            const living = [...states.values()].filter(
              (one): one is SessionState => isSessionState(one) && one.status === 'active',
            );
            const told = living.map((one) => [
              one.session,
              one.expiresAt,
              one.attributes.safetyTypeId,
              one.attributes.startedAt,
            ]);
            const listed = step.rows.map((one) => [
              String(one.id),
              `${String(one.expire_datetime)}Z`,
              one.safety_type_id,
              `${String(one.start_datetime)}Z`,
            ]);
            expect(told.toSorted()).toEqual(listed.toSorted());
          }
        }
      }),
    );
  });

  test('no key is ever given to two facts of one address', () => {
    fc.assert(
      fc.property(steps, (walk) => {
        let state = PROVED;
        const seen = new Set<string>();
        for (const step of walk) {
          if (typeof step === 'string') continue;
          const [after, , facts] = list(state, step.rows);
          state = after;
          for (const { session, type, key } of facts) {
            if (key === undefined) continue;
            const name = `${session}.${type}:${key}`;
            expect(seen.has(name)).toBe(false);
            seen.add(name);
          }
        }
      }),
    );
  });
});
