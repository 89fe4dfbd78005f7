import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { View } from '../../src/cli/follow.js';
import { painter } from '../../src/cli/paint.js';
import { createRate } from '../../src/cli/rate.js';
import { createScreen } from '../../src/cli/screen.js';
import { left, stateTable } from '../../src/cli/state-table.js';
import { type SafetyLevel, safetyLevel } from '../../src/model/event.js';
import type { SessionState } from '../../src/model/session.js';
import { VirtualClock } from '../support/virtual-clock.js';

const plain = painter({ stdout: { write() {} }, env: {} });
const NOW = Date.UTC(2026, 10, 23, 8, 0, 0);

function session(name: string, level: SafetyLevel, more: Partial<SessionState> = {}): SessionState {
  return {
    key: `deribit.main.${name}`,
    venue: 'deribit',
    source: 'main',
    session: name,
    kind: 'api',
    role: 'trading',
    status: 'active',
    stale: false,
    safety: { level, reasons: level === 'safe' ? [] : ['some_reason'], notes: [] },
    attributes: {},
    cursor: '1-1',
    ...more,
  };
}

const table = (states: readonly SessionState[], how: { view?: View; columns?: number; rows?: number } = {}) =>
  stateTable(
    states,
    {
      origin: 'http://relay',
      view: 'live',
      note: undefined,
      events: 7,
      perSecond: 1.25,
      now: NOW,
      columns: 200,
      rows: 50,
      ...how,
    },
    plain,
  );

describe('the table of states', () => {
  test('puts the worst first and says what is left, the round trip and both scopes of protection', () => {
    const lines = table([
      session('c', 'safe', {
        expiresAt: new Date(NOW + 61_000).toISOString(),
        heartbeat: { intervalMs: 10_000, missed: 0, rttMs: 11.4 },
        protection: { connection: 'armed', account: 'disarmed' },
      }),
      session('b', 'unknown', { stale: true }),
      session('a', 'unsafe', { status: 'lost' }),
    ]);
    expect(lines.slice(3).map((line) => line.split(/ {2,}/))).toEqual([
      ['unsafe', 'deribit.main.a', 'lost', '-', '-', '-/-', 'some_reason'],
      ['unknown', 'deribit.main.b', 'active (stale)', '-', '-', '-/-', 'some_reason'],
      ['safe', 'deribit.main.c', 'active', '1m 01s', '11 ms', 'armed/disarmed', '-'],
    ]);
    expect(lines[0]).toBe('http://relay  1 unsafe  1 unknown  0 at_risk  1 safe  7 events, 1.3/s');
    expect(lines[1]).toBe('live');
  });

  test.each(['behind', 'blind', 'unreachable'] as const)('%s: nothing that was safe looks safe', (view) => {
    const lines = table([session('a', 'safe')], { view });
    expect(lines[0]).toContain('1 unknown');
    expect(lines[3]).toMatch(/^unknown +deribit\.main\.a .*was safe$/);
  });

  test('fits any screen, and says how many it does not show', () => {
    const level = fc.constantFrom(...safetyLevel.options);
    fc.assert(
      fc.property(
        fc.array(level, { maxLength: 40 }),
        fc.integer({ min: 1, max: 120 }),
        fc.integer({ min: 1, max: 30 }),
        (levels, columns, rows) => {
          const states = levels.map((one, index) => session(`s${index}`, one));
          const lines = table(states, { columns, rows });
          expect(lines.length).toBeLessThanOrEqual(rows);
          for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns);
          if (columns < 40 || rows < 5) return;
          const shown = lines.filter((line) => line.includes('deribit.main.')).length;
          const [, hidden] = /^and (\d+) more$/.exec(lines.at(-1) ?? '') ?? [];
          expect(shown + Number(hidden ?? 0)).toBe(states.length);
        },
      ),
    );
  });

  test('text from a venue can neither move the cursor nor begin a line', () => {
    const [, , , line] = table([
      session('a', 'unsafe', { safety: { level: 'unsafe', reasons: ['x\n\u001b[2Jy'], notes: [] } }),
    ]);
    expect(line).toContain('x\\u000ay');
  });

  test.each([
    [-1, 'over'],
    [0, 'over'],
    [1, '0s'],
    [59_999, '59s'],
    [60_000, '1m 00s'],
    [3_600_000, '1h 00m'],
    [90_000_000, '1d 1h'],
  ])('%i ms is %s', (ms, text) => {
    expect(left(ms)).toBe(text);
  });
});

test('a screen is drawn at most ten times a second, once a second without a change, and given back', async () => {
  const clock = new VirtualClock();
  const written: string[] = [];
  const output = { write: (text: string) => written.push(text), columns: 20, rows: 2 };
  const screen = createScreen(output, clock, ({ columns, rows }) => [`${columns}x${rows}`]);
  const draws = (): number => written.filter((text) => text.includes('20x2')).length;
  await clock.advance(0);
  expect(draws()).toBe(1);
  for (let index = 0; index < 100; index++) {
    screen.changed();
    await clock.advance(10);
  }
  expect(draws()).toBeGreaterThan(5);
  expect(draws()).toBeLessThanOrEqual(11);
  const before = draws();
  await clock.advance(3_000);
  expect(draws() - before).toBe(3);
  screen.close();
  screen.close();
  expect(written.at(-1)).toBe('\u001b[?25h\u001b[?1049l');
  expect(written.filter((text) => text.includes('?1049l'))).toHaveLength(1);
  expect(clock.timers).toBe(0);
});

test('a rate is of the last ten seconds', async () => {
  const clock = new VirtualClock();
  const rate = createRate(clock);
  rate.count();
  expect(rate.perSecond()).toBe(1);
  await clock.advance(4_000);
  for (let index = 0; index < 7; index++) rate.count();
  expect(rate.perSecond()).toBe(2);
  await clock.advance(20_000);
  expect(rate.perSecond()).toBe(0);
  expect(rate.total).toBe(8);
});
