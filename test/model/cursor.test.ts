import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compareCursors, cursorBefore, formatCursor, parseCursor } from '../../src/model/cursor.js';

const position = fc.tuple(fc.maxSafeNat(), fc.maxSafeNat());

describe('a cursor', () => {
  test('is read back as it was written, for every position', () => {
    fc.assert(
      fc.property(position, ([epoch, offset]) => {
        expect(parseCursor(formatCursor(epoch, offset))).toEqual({ epoch, offset });
      }),
    );
  });

  test.each([
    '',
    '-',
    '1',
    '1-',
    '-1',
    '1-2-3',
    '01-2',
    '1-02',
    '+1-2',
    '1 -2',
    '1-2 ',
    '1-2\n',
    '1.5-2',
    '1e3-2',
    '0x1-2',
    '١-٢',
    '9007199254740992-1',
    '1-9007199254740992',
    '99999999999999999-1',
  ])('that is none is undefined, never a guess: %j', (text) => {
    expect(parseCursor(text)).toBeUndefined();
  });

  test('is never made of a text that would be written differently', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[0-9-]{1,24}$/), (text) => {
        const cursor = parseCursor(text);
        if (cursor !== undefined) expect(formatCursor(cursor.epoch, cursor.offset)).toBe(text);
      }),
    );
  });

  test('is two numbers with a dash between them, as they are written, and nothing else', () => {
    const SHAPE = /^(0|[1-9]\d{0,15})-(0|[1-9]\d{0,15})$/;
    const digits = fc.oneof(
      fc.maxSafeNat().map(String),
      fc.stringMatching(/^[0-9]{0,18}$/),
      fc.constantFrom('', '00', '９'),
    );
    const glue = fc.constantFrom('-', '-', '-', '--', '', ' -', '\n');
    fc.assert(
      fc.property(digits, glue, digits, fc.constantFrom('', '', '', '-', '\n', 'x'), (left, between, right, after) => {
        const text = `${left}${between}${right}${after}`;
        const [, epoch, offset] = SHAPE.exec(text) ?? [];
        const wanted = { epoch: Number(epoch), offset: Number(offset) };
        const isOne = Number.isSafeInteger(wanted.epoch) && Number.isSafeInteger(wanted.offset);
        expect(parseCursor(text)).toEqual(isOne ? wanted : undefined);
      }),
      { numRuns: 1_000 },
    );
  });

  test('orders by epoch, then by offset, as numbers and not as texts', () => {
    fc.assert(
      fc.property(position, position, (a, b) => {
        const expected = a[0] === b[0] ? Math.sign(a[1] - b[1]) : Math.sign(a[0] - b[0]);
        expect(Math.sign(compareCursors(formatCursor(...a), formatCursor(...b)))).toBe(expected);
      }),
    );
    expect(compareCursors('1-9', '1-10')).toBeLessThan(0);
    expect(compareCursors('9-1', '10-0')).toBeLessThan(0);
    expect(compareCursors('1795353302123-5', '1795353302123-5')).toBe(0);
  });

  test('comes after every text that is none', () => {
    expect(compareCursors('rubbish', '0-0')).toBeLessThan(0);
    expect(compareCursors('0-0', 'rubbish')).toBeGreaterThan(0);
    expect(compareCursors('rubbish', 'nonsense')).toBe(0);
  });

  test('before an event lies after every event before it', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), (epoch, offset) => {
        const before = cursorBefore(formatCursor(epoch, offset));
        expect(compareCursors(before, formatCursor(epoch, offset))).toBeLessThan(0);
        expect(compareCursors(before, formatCursor(epoch, offset - 1))).toBe(0);
      }),
    );
  });
});
