import { expect, test } from 'vitest';
import { ROUND_PARTS } from '../../src/edge/limits.js';
import { createRounds } from '../../src/edge/rounds.js';

function setUp() {
  const deferred: (() => void)[] = [];
  const rounds = createRounds((task) => void deferred.push(task));
  return { rounds, deferred, round: () => deferred.shift()?.() };
}

test('all take turns, a bounded number of parts a round, and nothing runs within wake', () => {
  const { rounds, deferred, round } = setUp();
  const ran: string[] = [];
  const long = (name: string) => () => ran.push(name) < 1_000;
  rounds.wake(long('a'));
  rounds.wake(long('b'));
  expect(ran).toEqual([]);
  round();
  expect(ran).toEqual(Array.from({ length: ROUND_PARTS }, (_, n) => (n % 2 === 0 ? 'a' : 'b')));
  expect(deferred).toHaveLength(1);
});

test('one that is woken often stands in the queue once, and one that is done does not come back', () => {
  const { rounds, deferred, round } = setUp();
  let ran = 0;
  const part = (): boolean => {
    ran++;
    return false;
  };
  for (let n = 0; n < 10; n++) rounds.wake(part);
  round();
  expect([ran, deferred.length]).toEqual([1, 0]);
  rounds.wake(part);
  expect(deferred).toHaveLength(1);
});

test('one that comes while a round runs has its turn', () => {
  const { rounds, round } = setUp();
  const ran: string[] = [];
  rounds.wake(() => {
    ran.push('a');
    rounds.wake(() => ran.push('b') < 0);
    return false;
  });
  round();
  round();
  expect(ran).toEqual(['a', 'b']);
});
