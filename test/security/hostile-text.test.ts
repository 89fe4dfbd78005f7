import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseJson, readJson } from '../../src/model/json.js';
import { REDACTED, redactJson, withoutCredentials, withoutTokens } from '../../src/model/redact.js';
import { sampleOf } from '../../src/model/sample.js';
import { readRefusal } from '../../src/venues/ibkr/messages.js';
import { createSecrets } from '../../src/venues/secrets.js';

/**
 * Texts that are made to cost: each mask walks through a text once. One that looked anew from each character would take
 * minutes for these, and so end by the test's timeout.
 */
const SIZE = 512 * 1024;
const PIECES = [
  '-eyJ',
  'eyJ.',
  'eyJa.',
  '1234567890123.',
  '-1234567890123',
  '1234567890123.aaaaaa-',
  'a',
  'a.',
  'a@',
  'a@a.',
  '@',
  '1.',
  '1:',
  '::',
  'ab:',
  '<',
  '<a',
  'Bearer ',
  '?token=',
  'token:',
  '"a":"\\',
  '[{"a":',
  '\\',
  '%',
  ' ',
  '\u0000',
  '\ud800',
];
const TASKS: readonly (readonly [string, (text: string) => unknown])[] = [
  ['the mask of credentials', (text) => withoutCredentials(text)],
  ['the mask of personal data', (text) => redactJson(text, 'redacted')],
  ['a sample', (text) => sampleOf(text)],
  ['JSON', (text) => parseJson(text)],
  ['the words of a page', (text) => readRefusal(undefined, text)],
  ['the search for secrets', (text) => createSecrets(['needle-in-a-haystack']).hide(text)],
];

describe.each(TASKS)('%s', (_name, task) => {
  test.each(PIECES)('of 512 KiB of %j is done in one walk', (piece) => {
    task(piece.repeat(SIZE / piece.length));
    task(`${piece.repeat(SIZE / piece.length)}!`);
  });
});

test('tokens are masked as one expression would, wherever they stand', () => {
  // What it says is what the mask means; that it looks anew from each character is why it is not used.
  const expression = /\b(?:eyJ[\w-]+|\d{13}\.[\w-]{6,})\.[\w-]+(?:\.[\w-]+)*/g;
  const piece = fc.constantFrom(
    'eyJ',
    'eyJa',
    '1234567890123',
    '123456789012',
    'abcdef',
    'a',
    '-',
    '.',
    '..',
    ' ',
    '"',
    '_',
    '1',
    'é',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
      const text = pieces.join('');
      expect(withoutTokens(text)).toBe(text.replace(expression, REDACTED));
    }),
    { numRuns: 5_000, seed: 20_261_124 },
  );
});

describe('nesting', () => {
  test.each([1, 64])('of %i levels is read', (levels) => {
    expect(readJson('['.repeat(levels) + ']'.repeat(levels))).toMatchObject({ ok: true });
  });
  test.each([65, 1_000, 500_000])('of %i levels is refused, and nothing overflows', (levels) => {
    for (const [open, close] of [
      ['[', ']'],
      ['{"a":', '}'],
    ] as const) {
      const count = levels;
      const read = readJson(`${open.repeat(count)}1${close.repeat(count)}`);
      expect(read).toEqual({ ok: false, why: 'nested too deeply' });
    }
  });
});
