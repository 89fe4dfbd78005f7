import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { State } from '../../src/client/index.js';
import { createOrder, rankOf } from '../../src/dashboard/order.js';
import { LEVELS_WORST_FIRST } from '../../src/dashboard/reasons.js';
import { atLevel, sessionOf, sourceOf, statesOf } from './sessions.js';

const level = fc.constantFrom(...LEVELS_WORST_FIRST);
const key = fc.tuple(fc.constantFrom('deribit', 'ibkr'), fc.nat(5), fc.nat(20)).map(([v, s, n]) => `${v}.s${s}.n${n}`);
const states = fc
  .uniqueArray(fc.tuple(key, level), { selector: ([one]) => one, maxLength: 60 })
  .map((all) => statesOf(...all.map(([one, how]) => atLevel(one, how))));

test('unsafe first, then unknown, at risk and safe, each by key; nothing is lost and nothing twice', () => {
  fc.assert(
    fc.property(fc.array(states, { minLength: 1, maxLength: 6 }), (views) => {
      const order = createOrder();
      for (const view of views) {
        const rows = order.update(view);
        const wanted = [...view.values()]
          .map((state) => ({ key: state.key, rank: rankOf(state.safety.level) }))
          .sort((a, b) => a.rank - b.rank || (a.key < b.key ? -1 : 1));
        expect(rows.map((row) => ({ key: row.key, rank: rankOf(row.safety.level) }))).toEqual(wanted);
      }
    }),
  );
});

test('where nothing may be believed no row is anything but unknown, and its state says no more', () => {
  fc.assert(
    fc.property(states, (view) => {
      const order = createOrder();
      order.update(view);
      for (const { safety, state } of order.update(view, 'relay_unreachable')) {
        expect(safety.level).toBe('unknown');
        expect(state).toMatchObject({ safety: { level: 'unknown' } });
      }
      expect(order.update(view).map(({ state }) => state)).toEqual(
        createOrder()
          .update(view)
          .map(({ state }) => state),
      );
    }),
  );
});

test('a row whose state did not change is the same row', () => {
  const order = createOrder();
  const kept = sessionOf('deribit.main.a');
  const [before] = order.update(statesOf(kept, sessionOf('deribit.main.b')));
  const [after] = order.update(statesOf(kept, atLevel('deribit.main.b', 'safe')));
  expect(after).toBe(before);
});

test('a source without any session is a row that is unknown; one with a session is none', () => {
  const rows = createOrder().update(
    statesOf<State>(sourceOf('deribit.main'), sessionOf('deribit.main.relay'), sourceOf('ibkr.gateway')),
  );
  expect(rows.map(({ key, safety }) => [key, safety.level, safety.reasons])).toEqual([
    ['ibkr.gateway.-', 'unknown', ['no_session']],
    ['deribit.main.relay', 'safe', []],
  ]);
});
