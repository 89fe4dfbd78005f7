import fc from 'fast-check';

/**
 * Inputs that somebody hostile would send: valid messages with something wrong in them (types, names, numbers, depth,
 * order, an end too early), which reach much further into a parser than random bytes do. Those are there too.
 */

const PROTOTYPE_NAMES = ['__proto__', 'constructor', 'prototype', 'toString', 'valueOf', 'hasOwnProperty', 'length'];
const TEXTS = [
  '',
  ' ',
  '-',
  '.',
  '..',
  '*',
  '>',
  '%',
  '%2E',
  '%zz',
  '\u0000',
  '\ud800',
  '\udc00\ud800',
  '\u202e',
  '\r\nset-cookie: a=b',
  'null',
  'true',
  '0',
  '-1',
  '1e999',
  'NaN',
  '[object Object]',
  '$(id)',
  '../../../etc/passwd',
  '2026-13-45T99:99:99.999Z',
  '+275760-09-13T00:00:00.000Z',
  '9999-12-31T23:59:59.999Z',
  '0000-01-01T00:00:00.000Z',
  '2026-11-24 07:00:00.000000-99:99',
  '1-1',
  '9007199254740993-1',
  '9'.repeat(400),
  'x'.repeat(300),
  'x'.repeat(5_000),
  '-eyJ'.repeat(500),
  `bearer ${'eyJ'.repeat(40)}`,
  ...PROTOTYPE_NAMES,
];
const NUMBERS = [
  0,
  -0,
  -1,
  1,
  0.1,
  -1.5,
  2,
  255,
  1e3,
  2 ** 31,
  -(2 ** 31),
  2 ** 32,
  2 ** 53,
  2 ** 53 + 2,
  -(2 ** 53),
  1e21,
  1e308,
  -1e308,
  5e-324,
  8.64e15,
  8.64e15 + 1,
  -8.64e15,
  253_402_300_800_000,
  1_795_330_000_000,
];
const COLLECTIONS: readonly unknown[] = [
  [],
  {},
  [[]],
  [null],
  [{}],
  { toString: null, valueOf: null },
  { toString: 1, valueOf: {} },
  { length: -1 },
  { constructor: { prototype: { polluted: true } } },
  JSON.parse('{"__proto__":{"polluted":true,"admin":true}}'),
  { toJSON: 'x' },
  JSON.parse('{"then":1}'),
];

/** A value in the place of another. */
export const hostileValue: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom<unknown>(...TEXTS, ...NUMBERS, true, false, null) },
  { weight: 2, arbitrary: fc.constantFrom<unknown>(...COLLECTIONS) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 24 }) },
  { weight: 1, arbitrary: fc.double({ noNaN: true, noDefaultInfinity: true }) },
  { weight: 1, arbitrary: fc.integer() },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 300 }).map((depth) => nested(depth)) },
);

const hostileName = fc.oneof(
  fc.constantFrom(...PROTOTYPE_NAMES, '', 'id', 'params', 'data', 'unknown', '\ud800', 'x'.repeat(200)),
  fc.string({ maxLength: 8 }),
);

function nested(depth: number): unknown {
  let value: unknown = null;
  for (let left = depth; left > 0; left--) value = left % 2 === 0 ? [value] : { a: value };
  return value;
}

interface Change {
  readonly how: 'replace' | 'remove' | 'rename' | 'add' | 'wrap' | 'repeat';
  /** Which of the value's places. */
  readonly at: number;
  readonly name: string;
  readonly value: unknown;
}

const change: fc.Arbitrary<Change> = fc.record({
  how: fc.constantFrom('replace', 'replace', 'replace', 'remove', 'rename', 'add', 'wrap', 'repeat'),
  at: fc.nat({ max: 1_000 }),
  name: hostileName,
  value: hostileValue,
});

/** The value after a change at one of its places; the places are counted depth first, the whole is the first. */
function changed(value: unknown, { how, at, name, value: other }: Change): unknown {
  const places = count(value);
  let left = at % places;
  const visit = (one: unknown): readonly unknown[] => {
    if (left-- === 0) {
      switch (how) {
        case 'replace':
          return [other];
        case 'remove':
          return [];
        case 'wrap':
          return [[one]];
        case 'repeat':
          return [one, one];
        case 'add':
          if (Array.isArray(one)) return [[...one, other]];
          return isObject(one) ? [objectOf([...Object.entries(one), [name, other]])] : [other];
        case 'rename':
          return isObject(one)
            ? [objectOf(Object.entries(one).map(([key, inner], index) => [index === 0 ? name : key, inner]))]
            : [other];
      }
    }
    if (Array.isArray(one)) return [one.flatMap(visit)];
    if (!isObject(one)) return [one];
    return [
      objectOf(Object.entries(one).flatMap(([key, inner]) => visit(inner).map((after) => [key, after] as const))),
    ];
  };
  const [after] = visit(value);
  return after ?? null;
}

function count(value: unknown): number {
  if (Array.isArray(value)) return value.reduce((sum: number, one) => sum + count(one), 1);
  return isObject(value) ? Object.values(value).reduce((sum: number, one) => sum + count(one), 1) : 1;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Also with a member of its own that is called `__proto__`. */
function objectOf(entries: readonly (readonly [string, unknown])[]): unknown {
  return Object.fromEntries(entries);
}

/** One of the samples, with one to four changes (and now and then none). */
export function hostileJson(samples: readonly unknown[]): fc.Arbitrary<unknown> {
  return fc
    .tuple(fc.constantFrom(...samples), fc.array(change, { maxLength: 4 }))
    .map(([sample, changes]) => changes.reduce(changed, sample));
}

/** Broken below the level of JSON. */
const spoil: fc.Arbitrary<(text: string) => string> = fc.oneof(
  { weight: 12, arbitrary: fc.constant((text: string) => text) },
  {
    weight: 2,
    arbitrary: fc
      .double({ min: 0, max: 1, noNaN: true })
      .map((part) => (text: string) => text.slice(0, text.length * part)),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.constantFrom('"', '\\', '{', '}', '[', ',', '\u0000', '\ud800', '1e999', '//'),
      )
      .map(([part, piece]) => (text: string) => {
        const at = Math.floor(text.length * part);
        return text.slice(0, at) + piece + text.slice(at);
      }),
  },
  // The first member twice.
  {
    weight: 1,
    arbitrary: fc.constant((text: string) => text.replace(/\{("[^"]*":(?:"[^"]*"|[^,{}[\]]+)),/, '{$1,$1,')),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom('1e999', '-1e999', '0e0', '1E+400', '9'.repeat(400), '-0')
      .map((number) => (text: string) => text.replace(/-?\d+(?:\.\d+)?/, number)),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom('[', '{"a":', '{"params":', '[[{"id":'), fc.integer({ min: 50, max: 9_000 }), fc.boolean())
      .map(([open, depth, isClosed]) => (text: string) => {
        const close = [...open]
          .reverse()
          .flatMap((one) => (one === '[' ? [']'] : one === '{' ? ['}'] : []))
          .join('');
        return open.repeat(depth) + text + (isClosed ? close.repeat(depth) : '');
      }),
  },
  { weight: 1, arbitrary: fc.constant((text: string) => `\ufeff${text}`) },
  { weight: 1, arbitrary: fc.constant((text: string) => `${text}${text}`) },
);

/** Texts that are, or nearly are, one of the samples as JSON. */
export function hostileText(samples: readonly unknown[]): fc.Arbitrary<string> {
  return fc.oneof(
    {
      weight: 14,
      arbitrary: fc.tuple(hostileJson(samples), spoil).map(([value, task]) => task(JSON.stringify(value))),
    },
    { weight: 1, arbitrary: fc.json({ maxDepth: 4 }) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 64 }) },
    { weight: 1, arbitrary: hostileValue.map((value) => JSON.stringify(value)) },
  );
}

/** A function that fails loudly where a prototype of everything was reached. */
export function mustNotBePolluted(): void {
  const fresh: Readonly<Record<string, unknown>> = {};
  if (fresh.polluted !== undefined || fresh.admin !== undefined) throw new Error('Object.prototype was polluted');
}
