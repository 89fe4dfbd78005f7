import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { painter, printable } from '../../src/cli/paint.js';

const output = (isTTY: boolean) => ({ isTTY, write: () => true });

describe('text from outside', () => {
  test('can neither move the cursor, nor change colours, nor begin a line of its own', () => {
    expect(printable('\u001b[2J\u001b[31mred\u001b[0m')).toBe('red');
    expect(printable('a\nb\r\u0007\u009b1m')).toBe('a\\u000ab\\u000d\\u0007');
    expect(printable('maintenance\n13:00 deribit.main safe')).toBe('maintenance\\u000a13:00 deribit.main safe');
    expect(printable('abc\u202Edef')).toBe('abc\\u202edef');
  });

  test('has no control character left, whatever it was', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(printable(text)).not.toMatch(/(?!\t)\p{Cc}/u);
      }),
    );
  });

  test('stays as it is where it is plain', () => {
    expect(printable('Überweisung → 100 %\t✓')).toBe('Überweisung → 100 %\t✓');
  });
});

describe('colours', () => {
  test('are for terminals alone', () => {
    expect(painter({ stdout: output(true), env: {} })('safe', 'green')).toContain('\u001b[32m');
    expect(painter({ stdout: output(false), env: {} })('safe', 'green')).toBe('safe');
  });
  test('are left out under NO_COLOR', () => {
    expect(painter({ stdout: output(true), env: { NO_COLOR: '1' } })('safe', 'green')).toBe('safe');
  });
});
