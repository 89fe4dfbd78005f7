import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  isDoubtful,
  isKnownReason,
  LEVEL_WORDS,
  LEVELS_WORST_FIRST,
  reasonWords,
} from '../../src/dashboard/reasons.js';
import { SAFETY_LEVELS } from '../../src/model/vocabulary.js';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

/** The first column of the table of PROTOCOL.md §3. */
function documented(): readonly string[] {
  const protocol = read('PROTOCOL.md');
  const table = protocol.slice(protocol.indexOf('| reason | trading | watch |'));
  const rows = table.slice(0, table.indexOf('\n\n')).split('\n').slice(2);
  const cells = rows.map((row) => row.split('|')[1]?.replace(/\(.*?\)/g, '') ?? '');
  return cells.flatMap((cell) => [...cell.matchAll(/`([a-z_]+)`/g)].map(([, code = '']) => code));
}

/** What the verdict itself can say. */
function assessed(): readonly string[] {
  return [...read('src/model/safety.ts').matchAll(/reason: '([a-z_]+)'/g)].map(([, code = '']) => code);
}

test('every reason of the protocol and of the verdict has words', () => {
  const codes = new Set([...documented(), ...assessed()]);
  // The search itself must find something.
  expect(codes.size).toBeGreaterThanOrEqual(20);
  expect([...codes].filter((code) => !isKnownReason(code))).toEqual([]);
  for (const code of codes) expect(reasonWords(code)).not.toBe(code);
});

test('a code that is not known is shown as itself', () => {
  expect(reasonWords('moon_phase')).toBe('moon_phase');
  expect(reasonWords('constructor')).toBe('constructor');
});

test('every level has words, and the worst come first', () => {
  expect([...LEVELS_WORST_FIRST].sort()).toEqual([...SAFETY_LEVELS].sort());
  expect(LEVELS_WORST_FIRST).toEqual(['unsafe', 'unknown', 'at_risk', 'safe']);
  for (const level of SAFETY_LEVELS) expect(LEVEL_WORDS[level]).not.toBe('');
});

test('what the client cannot vouch for is told from what the relay does not know', () => {
  expect(isDoubtful({ level: 'unknown', reasons: ['relay_unreachable'], notes: [] })).toBe(true);
  expect(isDoubtful({ level: 'unknown', reasons: ['unconfirmed'], notes: [] })).toBe(false);
});
