import { expect, test } from 'vitest';
import { type Filter, filterRows, NO_FILTER, toggled } from '../../src/dashboard/filter.js';
import { createOrder } from '../../src/dashboard/order.js';
import { atLevel, sessionOf, statesOf } from './sessions.js';

const rows = createOrder().update(
  statesOf(
    atLevel('deribit.main.relay', 'unsafe', 'lost'),
    sessionOf('ibkr.gateway.sso', { status: 'attention', environment: 'paper' }),
    sessionOf('snaptrade.partner~a.x1', { attributes: { brokerageName: 'Beispiel-Börse' } }),
  ),
);
const shown = (filter: Partial<Filter>): readonly string[] =>
  filterRows(rows, { ...NO_FILTER, ...filter }).map(({ key }) => key);

test('no filter leaves everything through, as it is', () => {
  expect(filterRows(rows, NO_FILTER)).toBe(rows);
});

test.each([
  [{ venue: 'ibkr' }, ['ibkr.gateway.sso']],
  [{ status: 'attention' as const }, ['ibkr.gateway.sso']],
  [{ levels: new Set(['unsafe' as const]) }, ['deribit.main.relay']],
  [{ venue: 'ibkr', levels: new Set(['unsafe' as const]) }, []],
  [{ text: '  ' }, ['deribit.main.relay', 'ibkr.gateway.sso', 'snaptrade.partner~a.x1']],
  [{ text: 'LOST' }, ['deribit.main.relay']],
  [{ text: 'lost by a fault' }, ['deribit.main.relay']],
  [{ text: 'börse partner' }, ['snaptrade.partner~a.x1']],
  [{ text: 'börse deribit' }, []],
  [{ text: 'paper' }, ['ibkr.gateway.sso']],
])('%o', (filter, keys) => {
  expect(shown(filter)).toEqual(keys);
});

test('a level is chosen, and taken back', () => {
  const one = toggled(new Set(), 'unsafe');
  expect([...one]).toEqual(['unsafe']);
  expect([...toggled(one, 'unsafe')]).toEqual([]);
});
