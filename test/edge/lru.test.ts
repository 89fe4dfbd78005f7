import { expect, test } from 'vitest';
import { type Cached, createLru } from '../../src/edge/lru.js';

function setUp(maxBytes: number) {
  const lru = createLru(maxBytes);
  const dropped: string[] = [];
  const entry = (name: string): Cached => ({ drop: () => dropped.push(name) });
  return { lru, dropped, entry };
}

test('over its bound the least recently used goes first, and is told', () => {
  const { lru, dropped, entry } = setUp(100);
  const [a, b, c] = [entry('a'), entry('b'), entry('c')];
  lru.hold(a, 40);
  lru.hold(b, 40);
  lru.touch(a);
  lru.hold(c, 40);
  expect([dropped, lru.bytes]).toEqual([['b'], 80]);
  lru.hold(a, 90);
  expect([dropped, lru.bytes]).toEqual([['b', 'c'], 90]);
});

test('one that is larger than the bound is held alone: what was just made can be used', () => {
  const { lru, dropped, entry } = setUp(100);
  lru.hold(entry('a'), 40);
  lru.hold(entry('b'), 400);
  expect([dropped, lru.bytes]).toEqual([['a'], 400]);
  lru.hold(entry('c'), 10);
  expect([dropped, lru.bytes]).toEqual([['a', 'b'], 10]);
});

test('what was released or dropped is counted no more, and a touch does not bring it back', () => {
  const { lru, dropped, entry } = setUp(100);
  const a = entry('a');
  lru.hold(a, 60);
  lru.hold(a, 70);
  expect(lru.bytes).toBe(70);
  lru.release(a);
  lru.release(a);
  lru.touch(a);
  expect([dropped, lru.bytes]).toEqual([[], 0]);
});
