import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { removalsOf, viewOf } from '../../src/edge/states-view.js';
import { type Grant, showsSession } from '../../src/model/grant.js';
import { coversKey, matches } from '../../src/model/subject.js';

const KEYS = ['deribit', 'ibkr'].flatMap((venue) =>
  ['main', 'x'].flatMap((source) => ['a', 'b', '-'].map((session) => `${venue}.${source}.${session}`)),
);
const token = (...names: readonly string[]) => fc.constantFrom('*', ...names);
const key = fc
  .tuple(token('deribit', 'ibkr'), token('main', 'x'), token('a', 'b', '-'))
  .map((tokens) => tokens.join('.'));
const pattern = fc.oneof(
  fc.constant('>'),
  token('deribit', 'ibkr').map((venue) => `${venue}.>`),
  fc.tuple(token('deribit', 'ibkr'), token('main', 'x')).map(([venue, source]) => `${venue}.${source}.>`),
  fc
    .tuple(key, fc.constantFrom('>', 'session.>', 'session.*', '*.*', '*.removed', 'session.removed'))
    .map((parts) => parts.join('.')),
);
const grant = fc
  .array(pattern, { maxLength: 4 })
  .map((channels): Grant => ({ identity: 'test', channels, commands: [], fields: 'full' }));

const shownBy = (one: Grant, channel: string): readonly string[] =>
  KEYS.filter((each) => coversKey(channel, each) && showsSession(one, each));

describe('a view', () => {
  test('shows the sessions of the channel that the grant contains whole, and no other', () => {
    fc.assert(
      fc.property(grant, pattern, (one, channel) => {
        const view = viewOf(one, channel);
        const inChannel = KEYS.filter((each) => coversKey(channel, each));
        expect(inChannel.filter((each) => view.shows(each))).toEqual(shownBy(one, channel));
      }),
      { numRuns: 1_000 },
    );
  });

  test('of two grants that show different sessions is never the same', () => {
    fc.assert(
      fc.property(grant, grant, pattern, (one, other, channel) => {
        if (viewOf(one, channel).id !== viewOf(other, channel).id) return;
        expect(shownBy(one, channel)).toEqual(shownBy(other, channel));
      }),
      { numRuns: 1_000 },
    );
  });

  test.each([
    ['another order', ['deribit.main.a.>', 'ibkr.>'], ['ibkr.>', 'deribit.main.a.>']],
    ['another spelling', ['deribit.>'], ['deribit.*.*.*.*']],
    ['a pattern within another', ['deribit.>', 'ibkr.>', 'deribit.main.>'], ['deribit.>', 'ibkr.>']],
    ['what lies outside of the channel', ['deribit.>', 'ibkr.x.b.>'], ['deribit.>']],
    ['types, which show no session', ['deribit.>', 'ibkr.*.*.session.*'], ['deribit.>']],
  ])('is the same with %s', (_what, channels, others) => {
    const base: Grant = { identity: 'test', channels, commands: [], fields: 'full' };
    expect(viewOf(base, '*.*.a.session.*').id).toBe(viewOf({ ...base, channels: others }, '*.*.a.session.*').id);
  });
});

test('removals of a channel are those of the sessions that it covers, whatever types it names', () => {
  fc.assert(
    fc.property(pattern, fc.constantFrom(...KEYS), (channel, each) => {
      expect(matches(removalsOf(channel), `${each}.session.removed`)).toBe(coversKey(channel, each));
      expect(matches(removalsOf(channel), `${each}.session.opened`)).toBe(false);
    }),
  );
});
