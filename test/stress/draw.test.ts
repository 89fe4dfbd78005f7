import { expect, test } from 'vitest';
import { createDraw } from './draw.js';

const numbers = (draw: { readonly random: () => number }): readonly number[] => [1, 2, 3].map(() => draw.random());

test('the same seed draws the same, and a fork does not depend on what else was drawn', () => {
  expect(numbers(createDraw(7))).toEqual(numbers(createDraw(7)));
  expect(numbers(createDraw(7))).not.toEqual(numbers(createDraw(8)));
  const used = createDraw(7);
  used.random();
  expect(numbers(used.fork('a'))).toEqual(numbers(createDraw(7).fork('a')));
  expect(numbers(createDraw(7).fork('a'))).not.toEqual(numbers(createDraw(7).fork('b')));
});

test('what is drawn lies within what was asked for, and every value comes', () => {
  const draw = createDraw(3);
  const drawn = Array.from({ length: 500 }, () => draw.between(2, 5));
  expect(new Set(drawn)).toEqual(new Set([2, 3, 4, 5]));
  expect(new Set(Array.from({ length: 100 }, () => draw.oneOf(['a', 'b'])))).toEqual(new Set(['a', 'b']));
  expect([...draw.shuffled([1, 2, 3, 4])].toSorted()).toEqual([1, 2, 3, 4]);
});
