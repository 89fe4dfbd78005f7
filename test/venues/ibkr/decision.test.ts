import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  DECISION_TABLE,
  type Decision,
  decide,
  type Evidence,
  judgeSso,
  NO_EVIDENCE,
} from '../../../src/venues/ibkr/decision.js';
import type { BrokerageStatus } from '../../../src/venues/ibkr/messages.js';
import { FORCE_COMPETE } from './source.js';

const WELL: BrokerageStatus = { authenticated: true, connected: true, established: true, competing: false, fail: '' };

function evidence(changes: Partial<Evidence> = {}, status: BrokerageStatus = WELL): Evidence {
  return { ...NO_EVIDENCE, tickle: 'ok', ssoResult: true, status, ...changes };
}

describe('each row of the decision table', () => {
  const rows: readonly (readonly [name: string, Evidence, Decision])[] = [
    ['a gateway that cannot be dialled', evidence({ unreachable: true }), 'gateway_unreachable'],
    ['302 to the login page', evidence({ tickle: 'redirected' }), 'login_required'],
    ['RESULT false', evidence({ ssoResult: false }), 'login_required'],
    ['401 on tickle, and on validate', evidence({ tickle: 'refused', validateRefused: true }), 'login_required'],
    ['401 on tickle alone', evidence({ tickle: 'refused' }), 'ready'],
    ['competing', evidence({}, { ...WELL, competing: true }), 'competing'],
    [
      'passed false, where competing is false',
      evidence({}, { ...WELL, authenticated: false, passed: false }),
      'competing',
    ],
    [
      'a failure that speaks of compete',
      evidence({}, { ...WELL, authenticated: false, fail: FORCE_COMPETE }),
      'competing',
    ],
    ['established false', evidence({}, { ...WELL, established: false }), 'initializing'],
    [
      'connected and not authenticated',
      evidence({}, { ...WELL, authenticated: false, established: false }),
      'recovering',
    ],
    ['fail "no bridge"', evidence({}, { ...WELL, fail: 'no bridge' }), 'recovering'],
    ['400 no bridge', evidence({ noBridge: true }, {}), 'recovering'],
    [
      'false to everything, as after a logout',
      evidence({}, { authenticated: false, established: false, competing: false, connected: false }),
      'recovering',
    ],
    ['authenticated and not connected', evidence({}, { ...WELL, connected: false }), 'recovering'],
    ['all that is asked for', evidence(), 'ready'],
    [
      'an older gateway, without established',
      evidence({}, { authenticated: true, connected: true, competing: false }),
      'ready',
    ],
    ['nothing', evidence({}, {}), 'unknown'],
    ['no word of authenticated', evidence({}, { connected: true, established: true, competing: false }), 'unknown'],
    ['no word of connected', evidence({}, { authenticated: true, established: true, competing: false }), 'unknown'],
    ['no word of competing', evidence({}, { authenticated: true, connected: true, established: true }), 'unknown'],
    ['a failure that nobody knows', evidence({}, { ...WELL, fail: 'something else' }), 'unknown'],
  ];

  test.each(rows)('%s', (_name, given, decision) => {
    expect(decide(given)).toBe(decision);
  });

  test('has a case for each decision', () => {
    const tried = new Set(rows.map(([, , decision]) => decision));
    expect([...tried].toSorted()).toEqual([...DECISION_TABLE.map(({ decision }) => decision), 'unknown'].toSorted());
  });

  test('an earlier row wins over every later one', () => {
    const all = evidence(
      { unreachable: true, tickle: 'redirected', noBridge: true },
      { authenticated: false, connected: true, established: false, competing: true, fail: 'no bridge' },
    );
    expect(decide(all)).toBe('gateway_unreachable');
    expect(decide({ ...all, unreachable: false })).toBe('login_required');
    expect(decide({ ...all, unreachable: false, tickle: 'ok' })).toBe('competing');
    const contested = { ...all, unreachable: false, tickle: 'ok' } as const;
    expect(decide({ ...contested, status: { ...contested.status, competing: false } })).toBe('recovering');
  });
});

describe('whatever the evidence', () => {
  const maybe = fc.constantFrom(true, false, undefined);
  const anyEvidence: fc.Arbitrary<Evidence> = fc
    .record({
      unreachable: fc.boolean(),
      tickle: fc.constantFrom('none', 'ok', 'refused', 'redirected'),
      ssoResult: maybe,
      validateRefused: fc.boolean(),
      noBridge: fc.boolean(),
      status: fc.record({
        authenticated: maybe,
        connected: maybe,
        established: maybe,
        competing: maybe,
        passed: maybe,
        fail: fc.constantFrom(undefined, '', 'no bridge', FORCE_COMPETE, 'other'),
      }),
    })
    .map(({ status, ssoResult, ...rest }) => ({
      ...rest,
      ...(ssoResult === undefined ? {} : { ssoResult }),
      status: Object.fromEntries(Object.entries(status).filter(([, value]) => value !== undefined)),
    }));

  test('`ready` is never concluded from a field that is missing or false', () => {
    fc.assert(
      fc.property(anyEvidence, (given) => {
        if (decide(given) !== 'ready') return;
        const { authenticated, connected, competing, established, passed, fail } = given.status;
        expect([authenticated, connected, competing]).toEqual([true, true, false]);
        expect(established).not.toBe(false);
        expect(passed).not.toBe(false);
        expect(fail ?? '').toBe('');
        expect(given.noBridge || given.unreachable || given.ssoResult === false).toBe(false);
      }),
      { numRuns: 2_000 },
    );
  });

  test('with less said no earlier row matches, and what needs a word is not ready without it', () => {
    // A `fail` that is missing is no failure: it is said only where there is one.
    const names = ['authenticated', 'connected', 'competing', 'established', 'passed'] as const;
    const rankOf = (decision: Decision): number => {
      const rank = DECISION_TABLE.findIndex((row) => row.decision === decision);
      return rank < 0 ? DECISION_TABLE.length : rank;
    };
    fc.assert(
      fc.property(anyEvidence, fc.constantFrom(...names), (given, name) => {
        const { [name]: _, ...status } = given.status;
        const after = decide({ ...given, status });
        expect(rankOf(after)).toBeGreaterThanOrEqual(rankOf(decide(given)));
        if (name === 'authenticated' || name === 'connected' || name === 'competing') expect(after).not.toBe('ready');
      }),
      { numRuns: 2_000 },
    );
  });

  test('of the login nothing is concluded from a gateway that does not answer', () => {
    fc.assert(
      fc.property(anyEvidence, (given) => {
        expect(judgeSso({ ...given, unreachable: true })).toBe('unknown');
        if (judgeSso(given) === 'valid') expect(given.tickle === 'ok' || given.ssoResult === true).toBe(true);
      }),
    );
  });
});
