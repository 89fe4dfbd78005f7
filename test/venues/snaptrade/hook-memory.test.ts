import { expect, test } from 'vitest';
import type { Json } from '../../../src/model/json.js';
import { createHookMemory } from '../../../src/venues/snaptrade/hook-memory.js';
import { VirtualClock } from '../../support/virtual-clock.js';

const DAY_MS = 86_400_000;

/** Takes webhooks up as a feed does, into the memory that a journal would hold. */
function start(clock = new VirtualClock(), memory = new Map<string, Json>()) {
  const hooks = createHookMemory(clock, memory);
  const take = (id: string): void => {
    const { remember, done } = hooks.begin(id);
    for (const [key, value] of Object.entries(remember)) {
      if (value === null) memory.delete(key);
      else memory.set(key, value);
    }
    done(true);
  };
  return { clock, memory, hooks, take };
}

test('webhooks are remembered for a day, over however many lives, and then no more', async () => {
  const { clock, memory, take } = start();
  take('one');
  await clock.advance(DAY_MS / 2);
  const second = start(clock, memory);
  expect(second.hooks.find('one')).toBe(true);
  second.take('two');
  await clock.advance(DAY_MS / 2 + 1);
  const third = start(clock, memory);
  third.take('three');
  expect([...memory.keys()]).toEqual(['hook two', 'hook three']);
  expect(third.hooks.find('one')).toBeUndefined();
});

test('no more than 20,000 are remembered, the oldest forgotten first', () => {
  const { memory, hooks, take } = start();
  for (let index = 0; index < 20_500; index++) take(`h${index}`);
  expect(memory.size).toBe(20_000);
  expect(hooks.find('h499')).toBeUndefined();
  expect(hooks.find('h500')).toBe(true);
});

test('what is no time of a webhook is passed over', () => {
  const memory = new Map<string, Json>([
    ['hook odd', 'soon'],
    ['connection a b', {}],
  ]);
  expect(createHookMemory(new VirtualClock(), memory).find('odd')).toBeUndefined();
});
