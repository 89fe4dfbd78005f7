import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { parseConfig, type RelayConfig } from '../../src/cli/config.js';
import { afterReload, nameOf, planReload } from '../../src/cli/reload-plan.js';
import { LIVE_LIMITS } from '../../src/edge/limits.js';

/** What differs between two configurations, and what of it a running relay can take over. */
const credentials = { clientId: 'a', clientSecret: 'secret-1' };
const parse = (config: object): RelayConfig => parseConfig(stringify(config), { env: {}, file: 'relay.yaml' });
const withSources = (...sources: readonly object[]): RelayConfig => parse({ sources });
const source = (changes: object = {}): object => ({ venue: 'deribit', id: 'main', credentials, ...changes });
const summary = (before: RelayConfig, after: RelayConfig): object => {
  const { added, removed, changed, revised, kept, needsRestart } = planReload(before, after);
  const names = { added: added.map(nameOf), changed: changed.map(nameOf), revised: revised.map(nameOf) };
  return { ...names, removed, kept, needsRestart };
};
const NOTHING = { added: [], removed: [], changed: [], revised: [], kept: [], needsRestart: [] };

describe('a source', () => {
  test.each([
    ['that says the same in other words is kept', { heartbeatSeconds: 30, forgetAfter: '1440m' }, 'kept'],
    ['with other credentials begins anew', { credentials: { ...credentials, clientSecret: 'secret-2' } }, 'changed'],
    ['at another address begins anew', { url: 'wss://test.deribit.com/ws/api/v2' }, 'changed'],
    ['under another role begins anew', { safety: { role: 'trading' } }, 'changed'],
    ['with another grace is revised', { safety: { grace: '5s' } }, 'revised'],
    ['that is forgotten sooner is revised', { forgetAfter: '1h' }, 'revised'],
    ['with another grace and another address begins anew', { safety: { grace: '5s' }, scope: 'session:x' }, 'changed'],
  ])('%s', (_what, changes, part) => {
    expect(summary(withSources(source()), withSources(source(changes)))).toEqual({
      ...NOTHING,
      [part]: ['deribit.main'],
    });
  });

  test.each([
    ['tradernet', { id: 'desk', credentials: { login: 'x', password: 'correct horse' } }, { pollSeconds: 30 }],
    ['ibkr', { id: 'gateway', url: 'https://localhost:5000/v1/api' }, { tickleSeconds: 30 }],
  ])('of %s: safety is revised, anything else begins anew', (venue, options, other) => {
    const before = withSources({ venue, ...options });
    const name = `${venue}.${options.id}`;
    const safer = withSources({ venue, ...options, safety: { grace: '5s', quiet: ['22:00-23:00'] } });
    expect(summary(before, safer)).toEqual({ ...NOTHING, revised: [name] });
    expect(summary(before, withSources({ venue, ...options, ...other }))).toEqual({ ...NOTHING, changed: [name] });
  });

  test('of SnapTrade: its list of users is revised; another kind of list begins anew', () => {
    const snaptrade = (options: object): RelayConfig =>
      withSources({
        venue: 'snaptrade',
        id: 'p',
        credentials: { clientId: 'a', consumerKey: 'another key' },
        ...options,
      });
    const anna = { alias: 'anna', userId: 'a', userSecret: 'secret-of-anna' };
    const bert = { alias: 'bert', userId: 'b', userSecret: 'secret-of-bert' };
    const before = snaptrade({ users: [anna] });
    expect(summary(before, snaptrade({ users: [anna, bert] }))).toMatchObject({ revised: ['snaptrade.p'] });
    expect(summary(before, snaptrade({ users: [anna], pollSeconds: 5 }))).toMatchObject({ changed: ['snaptrade.p'] });
    expect(summary(before, snaptrade({ personal: true }))).toMatchObject({ changed: ['snaptrade.p'] });
    const [of] = before.sources;
    if (of === undefined) throw new Error('it has a source');
    const fromFile = (files: string): RelayConfig => ({ ...before, sources: [{ ...of, files }] });
    expect(summary(fromFile('1'), fromFile('2'))).toMatchObject({ revised: ['snaptrade.p'], kept: [] });
    expect(summary(fromFile('1'), fromFile('1'))).toMatchObject({ revised: [], kept: ['snaptrade.p'] });
  });
});

test('what needs a restart is named by its path, and named again until there was one', () => {
  const before = withSources(source());
  const after = parse({
    listen: { port: 9_000 },
    journal: { retention: { maxAge: '1d' } },
    limits: { stall: '5s', maxChannels: 3 },
    metrics: { public: true },
    sources: [source()],
  });
  const needsRestart = ['listen.port', 'journal.retention.maxAge', 'metrics.public', 'limits.stall'];
  expect(summary(before, after)).toEqual({ ...NOTHING, kept: ['deribit.main'], needsRestart });
  const now = afterReload(before, after);
  expect(now.limits).toEqual({ ...before.limits, maxChannels: 3 });
  expect(summary(now, after)).toMatchObject({ needsRestart });
  expect(summary(now, before)).toMatchObject({ needsRestart: [] });
});

/** A configuration of some sources, each in one of several versions, with some settings. */
const config = fc
  .record({
    sources: fc.uniqueArray(
      fc.record({
        id: fc.constantFrom('a', 'b', 'c', 'd'),
        heartbeatSeconds: fc.constantFrom(0, 10, 20),
        safety: fc.constantFrom({}, { grace: '5s' }, { role: 'trading' }),
      }),
      { selector: ({ id }) => id, minLength: 1 },
    ),
    limits: fc.record({ maxChannels: fc.constantFrom(1, 2), stall: fc.constantFrom('1s', '2s') }),
    listen: fc.record({ port: fc.constantFrom(1, 2) }),
  })
  .map(({ sources, ...rest }) => parse({ ...rest, sources: sources.map((one) => ({ venue: 'deribit', ...one })) }));

describe('for any two configurations', () => {
  test('each source is in one part of the plan, and the parts make up both', () => {
    fc.assert(
      fc.property(config, config, (before, after) => {
        const { added, removed, changed, revised, kept } = planReload(before, after);
        const stay = [...changed.map(nameOf), ...revised.map(nameOf), ...kept];
        const sorted = (names: readonly string[]): readonly string[] => names.toSorted();
        expect(sorted([...stay, ...added.map(nameOf)])).toEqual(sorted(after.sources.map(nameOf)));
        expect(sorted([...stay, ...removed])).toEqual(sorted(before.sources.map(nameOf)));
        for (const name of kept) {
          const optionsIn = ({ sources }: RelayConfig) => sources.find((one) => nameOf(one) === name)?.options;
          expect(optionsIn(before)).toEqual(optionsIn(after));
        }
      }),
      { numRuns: 200 },
    );
  });

  test('nothing is left to do after it was done, but what needs a restart', () => {
    fc.assert(
      fc.property(config, config, (before, after) => {
        const now = afterReload(before, after);
        const { needsRestart } = planReload(before, after);
        const { kept, added, removed, changed, revised, needsRestart: still } = planReload(now, after);
        expect({ kept, added, removed, changed, revised }).toEqual({
          ...{ added: [], removed: [], changed: [], revised: [] },
          kept: after.sources.map(nameOf),
        });
        expect(still).toEqual(needsRestart);
        for (const name of LIVE_LIMITS) expect(now.limits[name]).toEqual(after.limits[name]);
      }),
      { numRuns: 200 },
    );
  });

  test('the same twice changes nothing', () => {
    fc.assert(
      fc.property(config, (one) => {
        expect(summary(one, one)).toEqual({ ...NOTHING, kept: one.sources.map(nameOf) });
      }),
    );
  });
});
