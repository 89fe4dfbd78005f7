import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { State } from '../../src/client/index.js';
import { NO_FILTER } from '../../src/dashboard/filter.js';
import { createOrder } from '../../src/dashboard/order.js';
import { pastCursor } from '../../src/dashboard/past.js';
import { createRing } from '../../src/dashboard/ring.js';
import { createTimeline, type Entry, placeOf, type Timeline } from '../../src/dashboard/timeline.js';
import { eventOf } from '../support/events.js';
import { atLevel, statesOf } from './sessions.js';

const rowsOf = (...states: readonly State[]) => {
  const rows = createOrder().update(statesOf(...states));
  return (key: string) => rows.find((row) => row.key === key);
};
const all = (timeline: Timeline): readonly Entry[] => timeline.select(NO_FILTER, () => undefined);
const words = (entries: readonly Entry[]): readonly string[] =>
  entries.map((entry) => (entry.kind === 'event' ? entry.event.type : entry.mark));

test('a ring holds the newest, newest first', () => {
  fc.assert(
    fc.property(fc.array(fc.integer(), { maxLength: 40 }), fc.integer({ min: 1, max: 12 }), (values, capacity) => {
      const ring = createRing<number>(capacity);
      for (const value of values) ring.push(value);
      const wanted = values.toReversed().slice(0, capacity);
      expect(ring.select(() => true)).toEqual(wanted);
      expect(wanted.map((_, index) => ring.at(index))).toEqual(wanted);
      expect(ring.at(wanted.length)).toBeUndefined();
      expect([ring.size, ring.pushed]).toEqual([wanted.length, values.length]);
    }),
  );
});

test('memory is bounded: the oldest go', () => {
  const timeline = createTimeline(3);
  for (let offset = 1; offset <= 5; offset++) timeline.event(eventOf('session.restored', {}, { offset }));
  expect(all(timeline).map((entry) => entry.seq)).toEqual([4, 3, 2]);
});

test('a restart of the relay is marked between its two lives', () => {
  const timeline = createTimeline();
  timeline.event(eventOf('session.restored', {}, { epoch: 1, offset: 9 }));
  timeline.event(eventOf('session.contested', {}, { epoch: 2, offset: 1 }));
  timeline.event(eventOf('session.restored', {}, { epoch: 2, offset: 2 }));
  expect(words(all(timeline))).toEqual(['session.restored', 'session.contested', 'restart', 'session.restored']);
});

test('a gap is a mark that no filter hides', () => {
  const timeline = createTimeline();
  timeline.event(eventOf('session.restored', {}));
  timeline.gap({ channel: '>', from: '1-1', to: '1-9', why: 'not_held' }, 5);
  const filtered = timeline.select({ ...NO_FILTER, venue: 'ibkr' }, () => undefined);
  expect(words(filtered)).toEqual(['gap']);
  expect(filtered[0]).toMatchObject({ weight: 'bad', detail: { from: '1-1', to: '1-9', why: 'not_held' } });
});

test('the filter of the list is the filter of the timeline', () => {
  const timeline = createTimeline();
  timeline.event(eventOf('session.lost', { reason: 'link_down' }, { subject: 'deribit.main.a', offset: 1 }));
  timeline.event(eventOf('session.restored', {}, { subject: 'ibkr.gateway.sso', offset: 2 }));
  timeline.event(
    eventOf('link.up', { carrier: 'ws', generation: 1, url: 'wss://x' }, { subject: 'ibkr.gateway.-', offset: 3 }),
  );
  const rowOf = rowsOf(atLevel('deribit.main.a', 'unsafe', 'lost'), atLevel('ibkr.gateway.sso', 'safe'));
  const shown = (filter: Partial<typeof NO_FILTER>) => words(timeline.select({ ...NO_FILTER, ...filter }, rowOf));
  expect(shown({})).toEqual(['link.up', 'session.restored', 'session.lost']);
  expect(shown({ venue: 'ibkr' })).toEqual(['link.up', 'session.restored']);
  expect(shown({ levels: new Set(['unsafe']) })).toEqual(['session.lost']);
  expect(shown({ status: 'active', venue: 'ibkr' })).toEqual(['session.restored']);
  expect(shown({ text: 'venue is DOWN' })).toEqual(['session.lost']);
});

test('the timeline of a session holds its own events and those of its source', () => {
  const timeline = createTimeline();
  timeline.event(eventOf('session.restored', {}, { subject: 'deribit.main.a', offset: 1 }));
  timeline.event(eventOf('venue.locked', {}, { subject: 'deribit.main.-', offset: 2 }));
  timeline.event(eventOf('session.restored', {}, { subject: 'deribit.main.ab', offset: 3 }));
  expect(words(timeline.of('deribit.main.a'))).toEqual(['venue.locked', 'session.restored']);
});

test('an entry is found by its number', () => {
  const timeline = createTimeline(50);
  for (let offset = 1; offset <= 80; offset++) timeline.event(eventOf('session.restored', {}, { offset }));
  const entries = all(timeline).filter((_, index) => index % 3 === 0);
  for (const [index, { seq }] of entries.entries()) expect(placeOf(entries, seq)).toBe(index);
  expect(placeOf(entries, 78)).toBe(-1);
  expect(placeOf(entries, 1_000)).toBe(-1);
});

test.each([
  ['nothing is known', [], undefined],
  ['the last thousand', ['7-2500', '7-1', 'nonsense'], '7-1500'],
  ['a young epoch reaches back into the one before it', ['7-2500', '9-200'], '7-1700'],
  ['a young epoch alone is shown whole', ['9-200'], '9-0'],
  ['three epochs', ['5-50', '7-300', '9-200'], '5-0'],
] as const)('where the past begins: %s', (_, cursors, begin) => {
  expect(pastCursor(cursors, 1_000)).toBe(begin);
});
