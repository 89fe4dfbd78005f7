import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isEnvelope, isKnownType, isSessionEvent } from '../../src/client/event-shape.js';
import { readFrame } from '../../src/client/frames.js';
import { isState } from '../../src/client/state-shape.js';
import { EVENT_TYPES, type EventType, sessionEvent } from '../../src/model/event.js';
import { fold } from '../../src/model/fold.js';
import { redactEvent, redactState } from '../../src/model/grant.js';
import type { State } from '../../src/model/session.js';
import { anyHappening, eventOf, journaled } from '../support/events.js';

const isEvent = (value: unknown): boolean => isEnvelope(value) && isSessionEvent(value);
const overTheWire = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
const anyEvent = anyHappening(EVENT_TYPES).map(({ type, data }) => overTheWire(eventOf(type, data as never)));

/** What may stand in the place of a value. */
const anything = fc.constantFrom<unknown>(null, 7, '', 'x', true, [], {}, [1], { a: 1 }, -1);

describe('events', () => {
  test('every type of the vocabulary is known, and nothing else, whatever an object inherits', () => {
    expect(EVENT_TYPES.filter((type) => !isKnownType(type))).toEqual([]);
    for (const type of ['constructor', '__proto__', 'toString', 'session.teleported', ''])
      expect(isKnownType(type)).toBe(false);
  });

  test('property: what the relay’s own schema allows is read', () => {
    fc.assert(
      fc.property(anyEvent, (event) => {
        expect(sessionEvent.safeParse(event).success).toBe(true);
        expect(isEvent(event)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  test('property: what a redacted grant is shown is read, too', () => {
    fc.assert(
      fc.property(anyHappening(EVENT_TYPES), ({ type, data }) => {
        expect(isEvent(overTheWire(redactEvent(eventOf(type, data as never), 'redacted')))).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  test('property: an event with one field of another kind, or without it, is refused where the schema does so for its kind', () => {
    fc.assert(
      fc.property(anyEvent, fc.nat(), anything, fc.boolean(), (event, which, other, isGone) => {
        const { data } = event as { readonly data: Record<string, unknown> };
        const names = Object.keys(data);
        const name = names[which % Math.max(1, names.length)];
        fc.pre(name !== undefined);
        const changed = { ...data, [name]: other };
        if (isGone) delete changed[name];
        const bad = { ...(event as object), data: changed };
        // The schema also checks ranges and calendars, which no type of TypeScript says: it refuses more, never less.
        if (sessionEvent.safeParse(bad).success) expect(isEvent(bad)).toBe(true);
        else if (typeof other !== typeof data[name] || isGone) expect(isEvent(bad)).toBe(false);
      }),
      { numRuns: 3_000 },
    );
  });

  test.each(['id', 'key', 'source', 'subject', 'type', 'time', 'data'])('an event without %s is none', (name) => {
    const event: Record<string, unknown> = { ...eventOf('session.restored', {}) };
    expect(isEvent(event)).toBe(true);
    delete event[name];
    expect(isEvent(event)).toBe(false);
  });
});

describe('states', () => {
  test('property: every state that the fold makes is read', () => {
    fc.assert(
      fc.property(
        fc.array(anyHappening(EVENT_TYPES), { minLength: 1, maxLength: 12 }),
        fc.constantFrom('deribit.main.relay', 'deribit.main.-', 'ibkr.gateway.sso'),
        (happenings, subject) => {
          let state: State | undefined;
          const all = [{ type: 'session.opening' as EventType, data: {} }, ...happenings];
          for (const event of journaled(subject, all as never)) {
            state = fold(state, event);
            if (state === undefined) continue;
            expect(isState(overTheWire(state))).toBe(true);
            expect(isState(overTheWire(redactState(state, 'redacted')))).toBe(true);
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });

  test.each([
    ['a level that is none', { safety: { level: 'fine', reasons: [], notes: [] } }],
    ['a status that is none', { status: 'asleep' }],
    ['a venue that is none', { venue: 'moon' }],
    ['a cursor that is none', { cursor: 'now' }],
    ['a heartbeat that is none', { heartbeat: { intervalMs: 'often', missed: 0 } }],
    ['reasons that are none', { safety: { level: 'safe', reasons: 'none', notes: [] } }],
  ])('%s makes it none', (_, change) => {
    const state = fold(undefined, eventOf('session.opened', { kind: 'api', role: 'watch' }));
    expect(isState(overTheWire(state))).toBe(true);
    expect(isState(overTheWire({ ...state, ...change }))).toBe(false);
  });
});

describe('frames', () => {
  test('property: no text throws, and what is no message of ours is never taken for one', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        expect(['unreadable', 'ignored', 'reply', 'notice']).toContain(readFrame(text).kind);
      }),
      { numRuns: 1_000 },
    );
  });

  test.each(['constructor', '__proto__', 'hasOwnProperty'])(
    'a method called %s is one that we do not know',
    (method) => {
      expect(readFrame(JSON.stringify({ jsonrpc: '2.0', method, params: {} }))).toEqual({ kind: 'ignored' });
    },
  );
});
