import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fitFact, MAX_FACT_BYTES, MAX_TEXT_CHARACTERS, weigh } from '../../src/hub/fact-size.js';
import type { Fact } from '../../src/model/event.js';
import type { Json } from '../../src/model/json.js';

const long = (characters: number): string => 'x'.repeat(characters);
const text = fc.oneof(
  fc.string({ maxLength: 8 }),
  fc.constantFrom(MAX_TEXT_CHARACTERS - 1, MAX_TEXT_CHARACTERS, MAX_TEXT_CHARACTERS + 1).map(long),
);
/** Wraps a value in so many objects or lists. */
const nest = (value: Json, levels: number, isList: boolean): Json =>
  levels === 0 ? value : nest(isList ? [value] : { a: value }, levels - 1, isList);
const value = fc
  .tuple(fc.oneof(text, fc.integer(), fc.constant(null)), fc.nat({ max: 18 }), fc.boolean())
  .map(([inner, levels, isList]) => nest(inner, levels, isList));
const attributes = fc.dictionary(fc.string({ maxLength: 4 }), value, { maxKeys: 20 });

const longest = (one: unknown): number =>
  typeof one === 'string'
    ? one.length
    : typeof one === 'object' && one !== null
      ? Math.max(0, ...Object.values(one).map(longest))
      : 0;
const depth = (one: unknown): number =>
  typeof one === 'object' && one !== null ? 1 + Math.max(0, ...Object.values(one).map(depth)) : 0;

test('a fact is told as it is where all of it is short, shallow and light, and only then', () => {
  let [kept, changed] = [0, 0];
  fc.assert(
    fc.property(attributes, (given) => {
      const data = { changed: given };
      const fact: Fact = { source: 'main', session: 'relay', type: 'session.updated', data };
      const isWhole = longest(data) <= MAX_TEXT_CHARACTERS && depth(data) <= 17 && weigh(data) <= MAX_FACT_BYTES;
      const fitted = fitFact(fact);
      if (isWhole) expect(fitted).toEqual({ fact, bytes: weigh(data), faulty: false });
      else expect(fitted.fact).not.toEqual(fact);
      if (isWhole) expect(fitted.fact).toBe(fact);
      else changed++;
      if (isWhole) kept++;
      expect(fitted.bytes).toBeLessThanOrEqual(MAX_FACT_BYTES);
    }),
    { numRuns: 500 },
  );
  expect(Math.min(kept, changed)).toBeGreaterThan(50);
});
