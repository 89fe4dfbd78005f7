import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SafetyLevel } from '../../src/model/event.js';
import type { Safety } from '../../src/model/session.js';
import { isWorse, QUIET_MS, type Settled, settleSafety } from '../../src/model/settle.js';

const LEVELS: readonly SafetyLevel[] = ['safe', 'at_risk', 'unknown', 'unsafe'];

function verdict(level: SafetyLevel, ...reasons: readonly string[]): Safety {
  return { level, reasons, notes: [] };
}

/** Publishes verdicts given as `[atMs, level]`, and says when which level was published. */
function play(...verdicts: readonly (readonly [atMs: number, level: SafetyLevel])[]): readonly string[] {
  let settled: Settled = { published: verdict('unsafe') };
  const published: string[] = [];
  for (const [atMs, level] of verdicts) {
    const settlement = settleSafety(settled, verdict(level), atMs);
    settled = settlement.settled;
    if (settlement.changed) published.push(`${atMs} ${settled.published.level}`);
  }
  return published;
}

describe('hysteresis', () => {
  test('ranks unsafe over unknown over at_risk over safe', () => {
    for (const [index, better] of LEVELS.entries()) {
      for (const [other, worse] of LEVELS.entries()) expect(isWorse(worse, better)).toBe(other > index);
    }
  });

  test('publishes a worse level at once', () => {
    const { settled, changed, recheckInMs } = settleSafety(
      { published: verdict('safe') },
      verdict('unsafe', 'lost'),
      7,
    );
    expect({ settled, changed, recheckInMs }).toEqual({
      settled: { published: verdict('unsafe', 'lost') },
      changed: true,
      recheckInMs: undefined,
    });
  });

  test('publishes other reasons or notes at the same level at once, and nothing where nothing changed', () => {
    const before = { published: verdict('at_risk', 'heartbeat_missed') };
    expect(settleSafety(before, verdict('at_risk', 'protection_off'), 0).changed).toBe(true);
    expect(settleSafety(before, { ...verdict('at_risk', 'heartbeat_missed'), notes: ['x'] }, 0).changed).toBe(true);
    expect(settleSafety(before, verdict('at_risk', 'heartbeat_missed'), 0)).toEqual({
      settled: before,
      changed: false,
    });
  });

  test('publishes a better level after 3 s, and asks to be called again for it', () => {
    const first = settleSafety({ published: verdict('unsafe', 'lost') }, verdict('safe'), 100);
    expect(first).toMatchObject({ changed: false, recheckInMs: QUIET_MS });
    expect(first.settled.published).toEqual(verdict('unsafe', 'lost'));
    const second = settleSafety(first.settled, verdict('safe'), 2_100);
    expect(second).toMatchObject({ changed: false, recheckInMs: 1_000 });
    expect(settleSafety(second.settled, verdict('safe'), 3_100)).toEqual({
      settled: { published: verdict('safe') },
      changed: true,
    });
  });

  test('begins the 3 s anew when it gets as bad as before in between', () => {
    expect(play([0, 'safe'], [2_999, 'unsafe'], [3_000, 'safe'], [5_999, 'safe'], [6_000, 'safe'])).toEqual([
      '6000 safe',
    ]);
  });

  test('does not publish the best of 3 s, but what held for 3 s', () => {
    expect(play([0, 'at_risk'], [2_900, 'safe'], [3_000, 'safe'], [5_899, 'safe'], [5_900, 'safe'])).toEqual([
      '3000 at_risk',
      '5900 safe',
    ]);
    expect(play([0, 'safe'], [1_000, 'at_risk'], [2_000, 'safe'], [3_000, 'safe'], [5_000, 'safe'])).toEqual([
      '3000 at_risk',
      '5000 safe',
    ]);
  });

  test('says what held last where several better levels have held', () => {
    expect(play([0, 'unknown'], [10, 'at_risk'], [20, 'safe'], [3_020, 'safe'])).toEqual(['3020 safe']);
  });

  test('publishes a level only if nothing worse was found for 3 s, or it is as bad as what was just found', () => {
    const found = fc.record({ afterMs: fc.integer({ min: 0, max: 2_000 }), level: fc.constantFrom(...LEVELS) });
    fc.assert(
      fc.property(fc.array(found, { maxLength: 40 }), (steps) => {
        let settled: Settled = { published: verdict('unknown') };
        const history: { readonly at: number; readonly level: SafetyLevel }[] = [{ at: 0, level: 'unknown' }];
        let now = 0;
        for (const { afterMs, level } of steps) {
          now += afterMs;
          history.push({ at: now, level });
          const before = settled.published.level;
          const settlement = settleSafety(settled, verdict(level), now);
          settled = settlement.settled;
          const published = settled.published.level;
          expect(isWorse(level, published)).toBe(false);
          if (isWorse(before, published)) {
            // What was found last before the window still stood when the window began.
            const recent = history.slice(history.findLastIndex(({ at }) => at <= now - QUIET_MS));
            for (const one of recent) expect(isWorse(one.level, published)).toBe(false);
          }
          expect(settlement.recheckInMs === undefined).toBe(!isWorse(published, level));
        }
      }),
      { numRuns: 500 },
    );
  });

  test('publishes in the end what is found without end', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...LEVELS), { minLength: 1, maxLength: 20 }), (levels) => {
        let settled: Settled = { published: verdict('unknown') };
        let now = 0;
        for (const level of levels) {
          now += 700;
          settled = settleSafety(settled, verdict(level), now).settled;
        }
        const last = levels.at(-1) ?? 'unknown';
        for (let look = 0; look < 4; look++) {
          const { settled: next, recheckInMs } = settleSafety(settled, verdict(last), now);
          settled = next;
          now += recheckInMs ?? 0;
        }
        expect(settled).toEqual({ published: verdict(last) });
      }),
    );
  });
});
