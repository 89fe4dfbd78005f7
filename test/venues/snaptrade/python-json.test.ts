import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  fromPythonJson,
  printPythonJson,
  readPythonJson,
  toPythonJson,
} from '../../../src/venues/snaptrade/python-json.js';

function canonical(text: string): string | undefined {
  const value = readPythonJson(text);
  return value === undefined ? undefined : printPythonJson(value);
}

/** Made with CPython 3: `json.dumps(json.loads(text), separators=(",", ":"), sort_keys=True)`. */
const NUMBERS = [
  ['0', '0'],
  ['-0', '0'],
  ['1.0', '1.0'],
  ['-0.0', '-0.0'],
  ['1e21', '1e+21'],
  ['1E5', '100000.0'],
  ['1e16', '1e+16'],
  ['1e15', '1000000000000000.0'],
  ['123456789012345678', '123456789012345678'],
  ['9007199254740993', '9007199254740993'],
  ['0.0001', '0.0001'],
  ['0.00001', '1e-05'],
  ['1.5e-7', '1.5e-07'],
  ['1.7976931348623157e308', '1.7976931348623157e+308'],
  ['5e-324', '5e-324'],
  ['1e999', 'Infinity'],
  ['100.25', '100.25'],
  ['-12.5e3', '-12500.0'],
  ['1234567890123456.7', '1234567890123456.8'],
  ['12345678901234567.0', '1.2345678901234568e+16'],
  ['2.50', '2.5'],
] as const;
const TEXTS = [
  [
    '{"b":1,"a":[true,false,null,"x/\\"\\\\\\b\\f\\n\\r\\t\\u007f\\u00e9"]}',
    '{"a":[true,false,null,"x/\\"\\\\\\b\\f\\n\\r\\t\\u007f\\u00e9"],"b":1}',
  ],
  ['{"😀":1,"\uffff":2,"z":3}', '{"z":3,"\\uffff":2,"\\ud83d\\ude00":1}'],
  ['{"a":"\\ud83d\\ude00 \\ud800"}', '{"a":"\\ud83d\\ude00 \\ud800"}'],
  [' {"k" : [ 1 , { } , [ ] ] , "k":2 } ', '{"k":2}'],
  ['{"__proto__":1,"a":{"constructor":null}}', '{"__proto__":1,"a":{"constructor":null}}'],
] as const;

describe('JSON as Python prints it', () => {
  test.each(NUMBERS)('has %s for a number written %s', (written, printed) => {
    expect(canonical(written)).toBe(printed);
  });

  test.each(TEXTS)('has %s as Python sorts and escapes it', (written, printed) => {
    expect(canonical(written)).toBe(printed);
  });

  test.each([
    '',
    '{',
    '{"a":1,}',
    '[1,]',
    '[1 2]',
    'nul',
    '01',
    '1.',
    '.5',
    '+1',
    'NaN',
    '"a\nb"',
    '"\\x"',
    '"\\u12"',
    '{"a":1} x',
    "{'a':1}",
    '\ufeff{}',
  ])('is refused where it is none: %j', (text) => {
    expect(readPythonJson(text)).toBeUndefined();
  });

  test('is refused where it is nested beyond any message, instead of ending the stack', () => {
    expect(readPythonJson(`${'['.repeat(100_000)}${']'.repeat(100_000)}`)).toBeUndefined();
    expect(readPythonJson(`${'['.repeat(60)}${']'.repeat(60)}`)).toBeDefined();
  });

  test('reads what JSON reads, and nothing that JSON does not', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
        const value = readPythonJson(text);
        let parsed: unknown;
        try {
          parsed = JSON.parse(text);
        } catch {
          expect(value).toBeUndefined();
          return;
        }
        expect(value === undefined ? undefined : JSON.stringify(sorted(fromPythonJson(value)))).toBe(
          JSON.stringify(sorted(parsed)),
        );
      }),
    );
  });

  test('is its own canonical form', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        const once = printPythonJson(toPythonJson(value as never));
        expect(canonical(once)).toBe(once);
        expect(once).toMatch(/^[ -~]*$/);
      }),
    );
  });
});

/** Keys in an order that is the same for both. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return Object.is(value, -0) ? 0 : value;
  return Object.entries(value)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, inner]) => [name, sorted(inner)]);
}
