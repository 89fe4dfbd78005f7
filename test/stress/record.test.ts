import { describe, expect, test } from 'vitest';
import { matches } from '../../src/model/subject.js';
import { createJournalRecord, type JournaledEvent, matcher } from './record.js';

function event(offset: number, more: Partial<JournaledEvent> = {}): JournaledEvent {
  return {
    id: `7-${offset}`,
    key: `fact ${offset}`,
    subject: 'deribit.load.s1',
    type: 'session.updated',
    time: `2026-11-24T08:00:00.${String(offset).padStart(3, '0')}Z`,
    data: {},
    ...more,
  };
}

function problems(...events: readonly JournaledEvent[]): readonly string[] {
  const record = createJournalRecord();
  for (const one of events) record.add(one);
  return record.problems;
}

describe('the record of a journal', () => {
  test('has no problem with one that is right, over several epochs', () => {
    const next = { id: '9-1', key: 'first of the next', time: '2026-11-24T07:00:00.000Z' };
    expect(
      problems(event(1), event(2), event(3), event(1, next), event(2, { ...next, id: '9-2', key: 'second' })),
    ).toEqual([]);
  });

  test.each([
    ['a hole', [event(1), event(3)], '7-3 follows 7-1'],
    ['an epoch that goes back', [event(1), event(1, { id: '6-1', key: 'older' })], '6-1 follows 7-1'],
    ['an epoch that does not begin at 1', [event(1), event(1, { id: '9-2', key: 'new' })], '9-2 follows 7-1'],
    ['a time that goes back', [event(2), event(3, { time: '2026-11-24T07:00:00.000Z' })], 'before'],
    ['a key twice', [event(1), event(2, { key: 'fact 1' })], 'tells the fact fact 1 again'],
    [
      'a number left out',
      [event(1, { data: { changed: { n: 4 } } }), event(2, { data: { changed: { n: 6 } } })],
      '6 after 4',
    ],
    [
      'a number twice',
      [event(1, { data: { changed: { n: 4 } } }), event(2, { data: { changed: { n: 4 } } })],
      '4 after 4',
    ],
  ])('shows %s', (_what, events, problem) => {
    expect(problems(...events)).toEqual([expect.stringContaining(problem)]);
  });

  test('gives each channel the cursors of its addresses, also of events that come later', () => {
    const record = createJournalRecord();
    record.add(event(1));
    const list = record.sequence('*.*.s1.>');
    record.add(event(2, { subject: 'deribit.load.s2' }));
    record.add(event(3));
    record.sequence('*.*.s1.>');
    expect([list.length, list.at(0), list.at(1)]).toEqual([2, '7-1', '7-3']);
    expect(record.sequence('>').length).toBe(3);
  });

  test('matches as the relay does, by other means', () => {
    const addresses = [
      'deribit.main.relay.session.opened',
      'deribit.main.-.link.up',
      'snaptrade.a~b.x%2Ey.session.lost',
    ];
    const patterns = [
      '>',
      'deribit.>',
      '*.*.-.>',
      '*.*.*.session.*',
      'deribit.main.relay.session.opened',
      'snaptrade.a~b.x%2Ey.>',
    ];
    for (const pattern of patterns)
      for (const address of addresses) expect(matcher(pattern)(address)).toBe(matches(pattern, address));
  });
});
