import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatCursor } from '../../../src/model/cursor.js';
import { eventData, type Fact, type SessionEvent, timestampOf } from '../../../src/model/event.js';
import { fold, isSessionState } from '../../../src/model/fold.js';
import type { State } from '../../../src/model/session.js';
import { sessionKey } from '../../../src/model/subject.js';
import { mapDelivery } from '../../../src/venues/snaptrade/deliveries.js';
import { goStale, loseSight, takeList } from '../../../src/venues/snaptrade/mapper.js';
import {
  parseVenueTime,
  readApiError,
  readConnection,
  readPortalEvents,
} from '../../../src/venues/snaptrade/messages.js';
import { type Mapped, portalFacts } from '../../../src/venues/snaptrade/source-facts.js';
import { emptyState, type MapperState, memoryOf, recall, rememberedOf } from '../../../src/venues/snaptrade/state.js';
import { readDelivery } from '../../../src/venues/snaptrade/webhook.js';
import { brokerIn, KEY, row, sign } from './world.js';

const NOW = Date.UTC(2026, 10, 23, 8, 0, 0);
const START = emptyState({ source: 'partner', role: 'trading' });

function list(state: MapperState, body: unknown): Mapped {
  if (!Array.isArray(body)) return [state, []];
  const rows = body.map(readConnection).filter((one) => one !== undefined);
  const unread = body.length - rows.length;
  return takeList(state, { rows, unread, complete: unread === 0 });
}

describe('times', () => {
  test.each([
    ['2022-01-21 15:11:19.217000-05:00', '2022-01-21T20:11:19.217Z'],
    ['2022-05-31T11:37:50.590720+00:00', '2022-05-31T11:37:50.590Z'],
    ['2022-05-31T11:37:50Z', '2022-05-31T11:37:50.000Z'],
    ['2022-05-31 11:37:50', '2022-05-31T11:37:50.000Z'],
    ['2022-05-31 11:37:50.1+0530', '2022-05-31T06:07:50.100Z'],
    ['2022-05-31 11:37:50 +02', '2022-05-31T09:37:50.000Z'],
  ])('%s is %s', (said, meant) => {
    expect(new Date(parseVenueTime(said) ?? 0).toISOString()).toBe(meant);
  });

  test.each(['', 'soon', '2022-01-21', '2022-13-41 15:11:19', '1700000000'])('%j is none', (said) => {
    expect(parseVenueTime(said)).toBeUndefined();
  });
});

describe('errors', () => {
  test.each([
    [
      { default_detail: 'Unable to verify signature sent', default_code: '1076' },
      'Unable to verify signature sent',
      '1076',
    ],
    [{ detail: 'Not enabled', code: 1141 }, 'Not enabled', '1141'],
    [{ detail: 'a', default_detail: 'b', code: '1', default_code: '2' }, 'a', '1'],
    [{ error: 'Not implemented' }, 'Not implemented', undefined],
    [{ detail: 'Broken', status_code: 500, code: '1000' }, 'Broken', '1000'],
    [{ code: '3003' }, 'no words', '3003'],
  ])('%j', (body, message, code) => {
    expect(readApiError(body)).toEqual({ message, ...(code === undefined ? {} : { code }) });
  });

  test.each([null, [], 'text', 7, {}, { detail: {} }])('%j is none', (body) => {
    expect(readApiError(body)).toBeUndefined();
  });
});

const id = fc.constantFrom('a1', 'b2', 'c3');
const anyRow = fc
  .tuple(
    id,
    fc.constantFrom<unknown>(true, false, false, 'x', undefined),
    fc.constantFrom<unknown>('trade', 'read', 'other', 5),
    fc.record({
      maintenance_mode: fc.boolean(),
      is_degraded: fc.boolean(),
      slug: fc.constantFrom('X', 'Y', 'SANDBOX'),
    }),
  )
  .map(([name, disabled, type, broker]) => row(name, { disabled, type, ...brokerIn(broker) }));
const anyList = fc.oneof(
  { weight: 4, arbitrary: fc.uniqueArray(anyRow, { maxLength: 3, selector: (one) => one.id }) },
  { weight: 1, arbitrary: fc.array(fc.oneof(anyRow, fc.jsonValue())) },
  { weight: 1, arbitrary: fc.jsonValue() },
);
const TYPES = [
  'CONNECTION_ADDED',
  'CONNECTION_DELETED',
  'CONNECTION_BROKEN',
  'CONNECTION_FIXED',
  'CONNECTION_UPDATED',
  'CONNECTION_ATTEMPTED',
  'ACCOUNT_HOLDINGS_UPDATED',
  'USER_DELETED',
  'SOMETHING_NEW',
] as const;
const anyHook = fc.record({ type: fc.constantFrom(...TYPES), connection: id, lateMs: fc.nat(3) });
const anyStep = fc.oneof(
  fc.record({ kind: fc.constant('list' as const), body: anyList }),
  fc.record({ kind: fc.constant('hook' as const), hook: anyHook }),
  fc.constant({ kind: 'lost' as const }),
  fc.constant({ kind: 'stale' as const }),
  fc.constant({ kind: 'restart' as const }),
);
type Step = typeof anyStep extends fc.Arbitrary<infer T> ? T : never;

/** Runs steps as a source does, and what a journal would remember with them. */
function run(steps: readonly Step[]): { readonly state: MapperState; readonly facts: readonly Fact[] } {
  let state = START;
  const facts: Fact[] = [];
  const memory = new Map<string, never>();
  steps.forEach((step, index) => {
    const before = state;
    let told: readonly Fact[] = [];
    if (step.kind === 'list') [state, told] = list(state, step.body);
    else if (step.kind === 'hook') {
      const { type, connection, lateMs } = step.hook;
      const delivery = { id: `h${index}`, type, connection, atMs: NOW + index - lateMs };
      [state, told] = mapDelivery(state, delivery);
    } else if (step.kind === 'lost') state = loseSight(state);
    else if (step.kind === 'stale') [state, told] = goStale(state, 'link_down');
    else state = recall(START.about, memory, rememberedOf(memory));
    for (const [key, value] of Object.entries(memoryOf(state, before) ?? {})) {
      if (value === null) memory.delete(key);
      else memory.set(key, structuredClone(value) as never);
    }
    facts.push(...told);
  });
  return { state, facts };
}

describe('whatever is said', () => {
  test('the mapper never throws, and tells only what the vocabulary has', () => {
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 12 }), (steps) => {
        for (const { type, data } of run(steps).facts) expect(eventData[type].safeParse(data).success).toBe(true);
      }),
    );
  });

  test('no name of a fact is used twice', () => {
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 16 }), (steps) => {
        const named = run(steps).facts.flatMap(({ session, type, key }) =>
          key === undefined ? [] : [`${session} ${type} ${key}`],
        );
        expect(new Set(named).size).toBe(named.length);
      }),
    );
  });

  test('the states that follow say what the last whole list said', () => {
    const lastList = fc.uniqueArray(
      fc.tuple(id, fc.boolean()).map(([name, disabled]) => row(name, { disabled })),
      { maxLength: 3, selector: (one) => one.id },
    );
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 12 }), lastList, (steps, last) => {
        const { facts } = run([...steps, { kind: 'list', body: last }]);
        const states = new Map<string, State>();
        facts.forEach(({ source, session, type, data }, index) => {
          const subject = sessionKey('snaptrade', source, session);
          const base = {
            id: formatCursor(1, index + 1),
            key: '',
            source: '/snaptrade/partner',
            time: timestampOf(NOW),
          };
          const after = fold(states.get(subject), { ...base, subject, type, data } as SessionEvent);
          if (after !== undefined) states.set(subject, after);
        });
        const living = [...states.values()]
          .filter(isSessionState)
          .filter(({ status }) => status !== 'closed')
          .map(({ session, status, stale, role }) => `${session} ${status} ${stale} ${role}`);
        const wanted = last.map((one) => `${one.id} ${one.disabled === true ? 'attention' : 'active'} false trading`);
        expect(living.toSorted()).toEqual(wanted.toSorted());
      }),
    );
  });

  test('readers of what comes from outside never throw', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.string(), fc.uint8Array(), (value, text, bytes) => {
        readConnection(value);
        readApiError(value);
        parseVenueTime(text);
        expect(readDelivery(bytes, text, KEY).kind).not.toBe('delivery');
        const signed = { payload: value };
        expect(readDelivery(Buffer.from(JSON.stringify(signed)), sign(signed), KEY).kind).toBe('unreadable');
        portalFacts(START, readPortalEvents([value])?.events ?? []);
      }),
    );
  });
});
