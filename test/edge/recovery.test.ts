import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decideRecovery, resumeAfter } from '../../src/edge/recovery.js';

const asked = fc.record({
  since: fc.option(fc.constant('5-1'), { nil: undefined }),
  held: fc.boolean(),
  hasSnapshot: fc.boolean(),
  snapshot: fc.option(fc.boolean(), { nil: undefined }),
});

test('what cannot be served is always said, and never replayed as if it could', () => {
  fc.assert(
    fc.property(asked, (given) => {
      const recovery = decideRecovery(given);
      if (given.since === undefined) expect(recovery.how).toBe('live');
      else expect(recovery.how).toBe(given.held ? 'replay' : 'gap');
    }),
  );
});

test('a snapshot is sent only of a channel that has one: where it was asked for, by default without since, always after a gap', () => {
  fc.assert(
    fc.property(asked, (given) => {
      const recovery = decideRecovery(given);
      const wanted = recovery.how === 'gap' || (given.snapshot ?? given.since === undefined);
      expect(recovery.snapshot).toBe(given.hasSnapshot && wanted);
    }),
  );
});

/**
 * A channel's events are some of the journal's; one turn of them is being delivered. What a subscriber was sent is what
 * was there before the turn, and maybe the first few of the turn.
 */
const falling = fc
  .record({
    before: fc.nat({ max: 20 }),
    turn: fc.integer({ min: 1, max: 20 }),
    matching: fc.array(fc.boolean(), { minLength: 41, maxLength: 41 }),
    part: fc.nat({ max: 20 }),
    joinedAt: fc.nat({ max: 20 }),
  })
  .map(({ before, turn, matching, part, joinedAt }) => {
    const all = Array.from({ length: before + turn }, (_, index) => index + 1).filter((n) => matching[n]);
    const made = Math.min(joinedAt, before);
    const old = all.filter((n) => n > made && n <= before);
    const fresh = all.filter((n) => n > before);
    const went = fresh.slice(0, part);
    return {
      // What it was told when it went live stands for the last event until there is one.
      sent: [...old, ...went].at(-1) ?? made,
      last: [...old, ...fresh].at(-1) ?? made,
      delivered: before,
      position: before + turn,
      unsent: fresh.slice(part),
      gone: [...old, ...went],
    };
  });
const cursorOf = (n: number): string => `7-${n}`;

test('a replay after falling behind begins after everything that went, and before everything that did not', () => {
  fc.assert(
    fc.property(falling, ({ sent, last, delivered, position, unsent, gone }) => {
      const from = resumeAfter({
        sent: cursorOf(sent),
        last: cursorOf(last),
        delivered: cursorOf(delivered),
        position: cursorOf(position),
      });
      const at = Number(from.split('-')[1]);
      for (const n of unsent) expect(n).toBeGreaterThan(at);
      for (const n of gone) expect(n).toBeLessThanOrEqual(at);
      // Never further back than the turn: what a quiet channel said last may be long dropped.
      expect(at).toBeGreaterThanOrEqual(delivered);
    }),
  );
});
