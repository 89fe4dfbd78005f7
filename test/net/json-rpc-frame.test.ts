import fc from 'fast-check';
import { expect, test } from 'vitest';
import { json, readJson } from '../../src/model/json.js';
import { readBySchema, readFrame } from '../../src/net/json-rpc-frame.js';

/** Stands in a text for a number that `JSON.parse` makes infinite. */
const BEYOND = 'beyond all bounds';
const textOf = (value: unknown): string => JSON.stringify(value).replaceAll(`"${BEYOND}"`, '1e999');

const leaf = fc.oneof(fc.string(), fc.double(), fc.boolean(), fc.constantFrom(null, BEYOND, 0, '', -0));
const name = fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', 'toString', '0', 'method', 'id'));
const anything = fc.letrec((tie) => ({
  value: fc.oneof({ depthSize: 'small' }, leaf, fc.array(tie('value')), entries(tie('value'))),
})).value;
/** Of own members, `__proto__` too, as `JSON.parse` makes them. */
function entries(value: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  return fc.array(fc.tuple(name, value), { maxLength: 4 }).map((pairs) => Object.fromEntries(pairs));
}

const error = fc.oneof(
  anything,
  fc.record({ code: fc.oneof(fc.integer(), anything), message: anything, data: anything }, { requiredKeys: ['code'] }),
);
const frame = fc.oneof(
  { weight: 1, arbitrary: anything },
  {
    weight: 4,
    arbitrary: fc.record(
      {
        jsonrpc: fc.constant('2.0'),
        method: fc.oneof(fc.string(), anything),
        params: anything,
        id: fc.oneof(fc.integer(), fc.string(), anything),
        result: anything,
        error,
        usIn: anything,
        __proto__: anything,
      },
      { requiredKeys: [] },
    ),
  },
);

test('a frame that is read without a schema is read as the schemas read it', () => {
  let byHand = 0;
  fc.assert(
    fc.property(frame, (given) => {
      const text = textOf(given);
      const wanted = readBySchema(JSON.parse(text));
      expect(readFrame(text)).toEqual(wanted);
      if (!('why' in wanted)) byHand++;
    }),
    { numRuns: 2_000 },
  );
  expect(byHand).toBeGreaterThan(200);
});

test('what is said to be plain is what the schema takes and leaves as it is, and nothing else', () => {
  let plain = 0;
  const isKept = (value: unknown): boolean => {
    const parsed = json.safeParse(value);
    return parsed.success && JSON.stringify(parsed.data) === JSON.stringify(value);
  };
  fc.assert(
    fc.property(anything, (given) => {
      const read = readJson(textOf(given));
      if (!read.ok) throw new Error(read.why);
      expect(read.plain !== undefined).toBe(isKept(read.value));
      if (read.plain === undefined) return;
      expect(read.plain).toBe(read.value);
      plain++;
    }),
    { numRuns: 2_000 },
  );
  expect(plain).toBeGreaterThan(200);
  expect(plain).toBeLessThan(2_000);
});

test('64 levels are read and 65 are not, whatever stands beside them', () => {
  const nested = (levels: number, inner: string): string =>
    `${'{"a":['.repeat(levels / 2)}${inner}${']}'.repeat(levels / 2)}`;
  expect(readJson(nested(64, '1'))).toMatchObject({ ok: true, plain: expect.anything() });
  expect(readJson(nested(64, '1e999'))).not.toHaveProperty('plain');
  expect(readJson(nested(64, '[]'))).toEqual({ ok: false, why: 'nested too deeply' });
  expect(readJson(`[1e999,{"__proto__":1},${nested(64, '1')}]`)).toEqual({ ok: false, why: 'nested too deeply' });
  expect(readFrame(`{"method":"m","params":${nested(64, '1')}}`)).toEqual({ why: 'nested too deeply' });
});
