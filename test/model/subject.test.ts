import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EVENT_TYPES } from '../../src/model/event.js';
import {
  addressOf,
  contains,
  coversKey,
  decodeToken,
  encodeToken,
  everythingOf,
  hasSnapshot,
  MAX_PATTERN_CHARACTERS,
  matches,
  overlaps,
  PatternTrie,
  parseSessionKey,
  patternProblem,
  sessionKey,
} from '../../src/model/subject.js';

/** PROTOCOL.md §1, word by word: `*` is one token, `>` as last token one or more. */
function naiveMatch(pattern: readonly string[], address: readonly string[]): boolean {
  const [wanted, ...restWanted] = pattern;
  const [token, ...rest] = address;
  if (wanted === undefined || token === undefined) return wanted === undefined && token === undefined;
  if (wanted === '>') return restWanted.length === 0;
  return (wanted === '*' || wanted === token) && naiveMatch(restWanted, rest);
}

const LETTERS = ['a', 'b'] as const;

/** Every address over an alphabet of two letters: 32. */
const ADDRESSES: readonly string[] = LETTERS.flatMap((one) =>
  LETTERS.flatMap((two) =>
    LETTERS.flatMap((three) =>
      LETTERS.flatMap((four) => LETTERS.map((five) => [one, two, three, four, five].join('.'))),
    ),
  ),
);

const smallPattern = fc
  .tuple(
    fc.array(fc.constantFrom(...LETTERS, '*'), { minLength: 0, maxLength: 5 }),
    fc.array(fc.constantFrom(...LETTERS, '*'), { minLength: 5, maxLength: 5 }),
  )
  .map(([head, whole]) => (head.length < 5 ? [...head, '>'] : whole).join('.'));

function addressesOf(pattern: string): ReadonlySet<string> {
  return new Set(ADDRESSES.filter((address) => naiveMatch(pattern.split('.'), address.split('.'))));
}

const name = fc.string({ minLength: 1, maxLength: 12, unit: 'grapheme' });

describe('a token', () => {
  test('is read back as the name that it was made of', () => {
    fc.assert(
      fc.property(name, (raw) => {
        expect(decodeToken(encodeToken(raw))).toBe(raw);
      }),
    );
  });

  test('has only the characters of PROTOCOL.md §1, whatever the name', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (raw) => {
        expect(encodeToken(raw)).toMatch(/^(?:[A-Za-z0-9_~:@+-]|%[0-9A-F]{2})+$/);
      }),
    );
  });

  test('keeps different names apart', () => {
    fc.assert(
      fc.property(name, name, (a, b) => {
        expect(encodeToken(a) === encodeToken(b)).toBe(a === b);
      }),
    );
  });

  test.each([
    ['relay', 'relay'],
    ['partner~alias', 'partner~alias'],
    ['a.b', 'a%2Eb'],
    ['*', '%2A'],
    ['>', '%3E'],
    ['two words', 'two%20words'],
    ['50%', '50%25'],
    ['Ünï', '%C3%9Cn%C3%AF'],
    ['', '_'],
  ])('of %j is %j', (raw, token) => {
    expect(encodeToken(raw)).toBe(token);
  });

  test('that is badly encoded stands for itself', () => {
    expect(decodeToken('100%')).toBe('100%');
    expect(decodeToken('%FF')).toBe('%FF');
  });
});

describe('a session key', () => {
  test('is read back as its three names, dots and stars in them included', () => {
    fc.assert(
      fc.property(name, name, name, (venue, source, session) => {
        const key = sessionKey(venue, source, session);
        expect(key.split('.')).toHaveLength(3);
        expect(parseSessionKey(key)).toEqual({ venue, source, session });
      }),
    );
  });

  test.each(['', 'a', 'a.b', 'a.b.c.d', 'a..c', 'a.b.', 'a.*.c', 'a.b.>', 'a.b.c d', 'a.b.%zz', 'a.b.%2e'])(
    'that is none is undefined: %j',
    (key) => {
      expect(parseSessionKey(key)).toBeUndefined();
    },
  );

  test('with a type is an address of five tokens, for every type', () => {
    for (const type of EVENT_TYPES) {
      expect(addressOf({ subject: 'deribit.main.relay', type }).split('.')).toHaveLength(5);
    }
  });
});

describe('a pattern', () => {
  test.each([
    '>',
    'deribit.>',
    'deribit.main.>',
    'deribit.main.relay.>',
    'deribit.main.relay.session.>',
    '*.*.*.protection.*',
    'deribit.main.-.link.up',
    'deribit.main.relay.heartbeat.missed',
    'snaptrade.partner~alice@x+y.*.*.*',
    'tradernet.desk.a%2Eb.>',
  ])('is accepted: %s', (pattern) => {
    expect(patternProblem(pattern)).toBeUndefined();
  });

  test.each([
    ['', /not empty/],
    ['deribit', /five|5 tokens/],
    ['deribit.main.relay', /5 tokens/],
    ['deribit.main.relay.session', /5 tokens/],
    ['deribit.*', /5 tokens/],
    ['a.b.c.d.e.f', /at most 5 tokens/],
    ['a.b.c.d.e.>', /at most 5 tokens/],
    ['>.main', /only at the end/],
    ['a.>.c.d.e', /only at the end/],
    ['a..>', /no empty token/],
    ['.>', /no empty token/],
    ['a.b c.>', /percent-encoded/],
    ['a.b*.>', /percent-encoded/],
    ['a.>>', /percent-encoded/],
    ['a.%2e.>', /percent-encoded/],
    ['a.b.c.Session.opened', /percent-encoded/],
  ])('is refused, with the reason: %j', (pattern, reason) => {
    expect(patternProblem(pattern)).toMatch(reason);
  });

  test('longer than any address is refused', () => {
    expect(patternProblem(`${'a'.repeat(MAX_PATTERN_CHARACTERS - 2)}.>`)).toBeUndefined();
    expect(patternProblem(`${'a'.repeat(MAX_PATTERN_CHARACTERS - 1)}.>`)).toMatch(/at most 1024 characters/);
  });

  test('that is accepted matches what the words of the protocol say, on every small address', () => {
    fc.assert(
      fc.property(smallPattern, (pattern) => {
        expect(patternProblem(pattern)).toBeUndefined();
        expect(ADDRESSES.filter((address) => matches(pattern, address))).toEqual([...addressesOf(pattern)]);
      }),
    );
  });

  test.each([
    ['>', 'a', true],
    ['a.>', 'a', false],
    ['a.>', 'a.b', true],
    ['a.>', 'a.b.c', true],
    ['*', 'a.b', false],
    ['*.*', 'a.b', true],
    ['a.*', 'a', false],
    ['a', 'a', true],
    ['a', 'A', false],
  ])('%s and the address %s: %s', (pattern, address, expected) => {
    expect(matches(pattern, address)).toBe(expected);
  });

  test('is decided for any text without a throw, as the naive matcher decides', () => {
    const text = fc.array(fc.constantFrom('a', 'b', '*', '', 'c'), { maxLength: 6 });
    const tail = fc.constantFrom([], ['>']);
    fc.assert(
      fc.property(
        text,
        tail,
        fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 6 }),
        (head, end, at) => {
          const pattern = [...head, ...end];
          if (pattern.length === 0) return;
          expect(matches(pattern.join('.'), at.join('.'))).toBe(naiveMatch(pattern, at));
        },
      ),
    );
  });

  test('contains another exactly when every address of the other is one of its own', () => {
    fc.assert(
      fc.property(smallPattern, smallPattern, (outer, inner) => {
        const wide = addressesOf(outer);
        // An alphabet of two letters cannot tell `*` from "a or b", and neither pattern can say the latter.
        expect(contains(outer, inner)).toBe([...addressesOf(inner)].every((address) => wide.has(address)));
      }),
      { numRuns: 500 },
    );
  });

  test('overlaps another exactly when some address is of both', () => {
    fc.assert(
      fc.property(smallPattern, smallPattern, (a, b) => {
        const other = addressesOf(b);
        const expected = [...addressesOf(a)].some((address) => other.has(address));
        expect(overlaps(a, b)).toBe(expected);
        expect(overlaps(b, a)).toBe(expected);
      }),
      { numRuns: 500 },
    );
  });

  test('has a snapshot only where it names no type', () => {
    expect(hasSnapshot('>')).toBe(true);
    expect(hasSnapshot('deribit.main.relay.>')).toBe(true);
    expect(hasSnapshot('*.*.*.*.*')).toBe(true);
    expect(hasSnapshot('deribit.main.relay.session.>')).toBe(false);
    expect(hasSnapshot('*.*.*.protection.*')).toBe(false);
    expect(hasSnapshot('*.*.*.*.opened')).toBe(false);
    expect(hasSnapshot('deribit.main.relay.session.opened')).toBe(false);
  });

  test('covers the keys whose events it may match', () => {
    fc.assert(
      fc.property(smallPattern, (pattern) => {
        for (const key of new Set(ADDRESSES.map((address) => address.split('.').slice(0, 3).join('.')))) {
          expect(coversKey(pattern, key)).toBe(
            [...addressesOf(pattern)].some((address) => address.startsWith(`${key}.`)),
          );
        }
      }),
    );
    expect(contains(everythingOf('a.b.c'), 'a.b.c.*.*')).toBe(true);
  });
});

describe('a trie of patterns', () => {
  test('finds as much of addresses without end as of the few that come again', () => {
    const trie = new PatternTrie<string>();
    for (const pattern of ['ibkr.main.>', 'ibkr.*.7.session.opened', 'deribit.>']) trie.add(pattern, pattern);
    const found = (address: string): readonly string[] => {
      const values: string[] = [];
      trie.match(address, (value) => values.push(value));
      return values;
    };
    for (let session = 0; session < 40_000; session++) {
      if (found(`ibkr.main.${session}.session.opened`).length !== (session === 7 ? 2 : 1))
        throw new Error(`${session}`);
    }
    expect(found('ibkr.main.7.session.opened').toSorted()).toEqual(['ibkr.*.7.session.opened', 'ibkr.main.>']);
    expect(found('ibkr.desk.7.session.closed')).toEqual([]);
  });

  const addition = fc.record({ pattern: smallPattern, value: fc.nat({ max: 3 }), add: fc.boolean() });

  test('finds what a loop over all patterns finds, through any additions and removals', () => {
    fc.assert(
      fc.property(fc.array(addition, { maxLength: 30 }), (steps) => {
        const trie = new PatternTrie<number>();
        const pairs = new Map<string, { readonly pattern: string; readonly value: number }>();
        for (const { pattern, value, add } of steps) {
          const id = `${pattern} ${value}`;
          if (add) {
            trie.add(pattern, value);
            pairs.set(id, { pattern, value });
          } else expect(trie.delete(pattern, value)).toBe(pairs.delete(id));
        }
        expect(trie.size).toBe(pairs.size);
        for (const address of ADDRESSES) {
          const found: number[] = [];
          trie.match(address, (value) => found.push(value));
          const expected = [...pairs.values()].filter(({ pattern }) => addressesOf(pattern).has(address));
          expect(found.toSorted()).toEqual(expected.map(({ value }) => value).toSorted());
        }
      }),
      { numRuns: 200 },
    );
  });

  test('holds nothing of patterns that were removed', () => {
    const trie = new PatternTrie<string>();
    trie.add('deribit.main.>', 'x');
    trie.add('deribit.main.relay.session.opened', 'x');
    trie.add('deribit.main.relay.session.opened', 'x');
    expect(trie.size).toBe(2);
    expect(trie.delete('deribit.main.relay.session.opened', 'y')).toBe(false);
    expect(trie.delete('deribit.main.relay.session.opened', 'x')).toBe(true);
    expect(trie.delete('deribit.main.relay.session.opened', 'x')).toBe(false);
    expect(trie.delete('deribit.main.>', 'x')).toBe(true);
    expect(trie.size).toBe(0);
    trie.match('deribit.main.relay.session.opened', () => {
      throw new Error('found what was removed');
    });
  });
});
