import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { STATES_TAIL } from '../../src/edge/limits.js';
import { createStatesTail } from '../../src/edge/states-tail.js';
import { cursorOf } from './states-world.js';

const entry = fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd'), removed: fc.boolean() });
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('note' as const), entry }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('close' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('trim' as const), at: fc.nat(40) }) },
);

test('it answers for every cursor that it reaches as a list of all that happened would', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.nat(60), (script, asked) => {
      const tail = createStatesTail(cursorOf(0));
      const closed: { readonly key: string; readonly at: number; removed: boolean }[] = [];
      let open: typeof closed = [];
      let at = 0;
      let last = 0;
      let trimmed = 0;
      for (const one of script) {
        if (one.do === 'note') {
          const { key, removed } = one.entry;
          tail.note(key, cursorOf(++at), removed);
          const known = open.find((other) => other.key === key);
          if (known === undefined) open.push({ key, at, removed });
          else known.removed ||= removed;
        } else if (one.do === 'close') {
          tail.close();
          closed.push(...open);
          open = [];
          last = at;
        } else {
          tail.trim(cursorOf(one.at));
          // Where nothing is left, what is forgotten is all that the last stretch stood for.
          const isAll = closed.every((other) => other.at <= one.at);
          trimmed = Math.max(trimmed, isAll ? last : one.at);
        }
      }
      expect([tail.last(), tail.hasOpen()]).toEqual([cursorOf(last), open.length > 0]);
      const changes = tail.after(cursorOf(asked));
      const expected = new Map<string, { readonly key: string; readonly first: string; readonly removed: boolean }>();
      for (const { key, at: first, removed } of closed) {
        if (first <= asked) continue;
        const known = expected.get(key);
        expected.set(key, {
          key,
          first: known?.first ?? cursorOf(first),
          removed: removed || known?.removed === true,
        });
      }
      if (changes === undefined) {
        // It may refuse only what lies before something that it was told to forget.
        expect(asked).toBeLessThan(trimmed);
        expect(tail.quietUpTo(cursorOf(asked))).toBe(cursorOf(asked));
        return;
      }
      expect(changes).toEqual([...expected.values()]);
      const next = [...closed, ...open].find((one) => one.at > asked)?.at;
      if (asked <= last)
        expect(tail.quietUpTo(cursorOf(asked))).toBe(next === undefined ? undefined : cursorOf(next - 1));
    }),
    { numRuns: 1_000 },
  );
});

describe('what it forgets', () => {
  test('once all is forgotten it reaches back to its end and no further, and holds nothing', () => {
    const tail = createStatesTail(cursorOf(0));
    tail.note('a', cursorOf(1), false);
    tail.note('a', cursorOf(3), false);
    tail.close();
    tail.trim(tail.last());
    expect([tail.size, tail.after(cursorOf(3)), tail.after(cursorOf(2))]).toEqual([0, [], undefined]);
    expect([tail.quietUpTo(cursorOf(3)), tail.quietUpTo(cursorOf(2))]).toEqual([undefined, cursorOf(2)]);
  });

  test('more than its bound is forgotten from the oldest on, also where somebody stands there: that it is asked shows', () => {
    const tail = createStatesTail(cursorOf(0));
    for (let at = 1; at <= STATES_TAIL + 10; at++) tail.note(`s${at}`, cursorOf(at), false);
    tail.close();
    expect(tail.after(cursorOf(0))).toHaveLength(STATES_TAIL + 10);
    tail.trim(cursorOf(0));
    expect([tail.size, tail.after(cursorOf(9)), tail.after(cursorOf(10))?.length]).toEqual([
      STATES_TAIL,
      undefined,
      STATES_TAIL,
    ]);
  });

  test('an event that a flush has taken already is passed over', () => {
    const tail = createStatesTail(cursorOf(5));
    tail.note('a', cursorOf(5), false);
    expect(tail.hasOpen()).toBe(false);
    tail.note('a', cursorOf(6), false);
    tail.close();
    tail.note('b', cursorOf(6), false);
    expect([tail.hasOpen(), tail.last()]).toEqual([false, cursorOf(6)]);
  });
});
