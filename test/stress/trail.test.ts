import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { difference } from './compare.js';
import { CursorList } from './cursors.js';
import { createTrail, type TrailWriter } from './trail.js';

const CHANNEL = 'deribit.main.>';
const cursor = (offset: number, epoch = 7): string => `${epoch}-${offset}`;

function journalOf(offsets: readonly number[]): CursorList {
  const list = new CursorList();
  for (const offset of offsets) list.add(cursor(offset));
  return list;
}

const FIRST: readonly [number, number] = [0, 0];

/** A subscription from offset 0 on, live at once. */
function liveTrail(): TrailWriter {
  const trail = createTrail(CHANNEL);
  expect(
    trail.subscribed({ since: undefined, snapshot: false }, { cursor: cursor(0), recovered: true }),
  ).toBeUndefined();
  return trail;
}

/** What a relay would send, `previous` chained; the problems that the trail finds. */
function deliver(trail: TrailWriter, frames: readonly (readonly [previous: number, id: number])[]): readonly string[] {
  return frames.flatMap(([previous, id]) => trail.event(cursor(previous), cursor(id)) ?? []);
}

const offsets = fc
  .uniqueArray(fc.integer({ min: 1, max: 500 }), { minLength: 3, maxLength: 30 })
  .map((found) => found.toSorted((a, b) => a - b));

function chained(of: readonly number[]): readonly (readonly [number, number])[] {
  return of.map((id, index) => [of[index - 1] ?? 0, id] as const);
}

describe('a trail', () => {
  test('of every event, once and in order, has no problem and is the journal', () => {
    fc.assert(
      fc.property(offsets, (all) => {
        const trail = liveTrail();
        expect(deliver(trail, chained(all))).toEqual([]);
        expect(difference(trail, journalOf(all))).toBeUndefined();
      }),
    );
  });

  test('shows a frame that was lost, by `previous` and by the journal', () => {
    fc.assert(
      fc.property(offsets, fc.nat(), (all, at) => {
        const lost = at % all.length;
        const trail = liveTrail();
        const problems = deliver(trail, chained(all).toSpliced(lost, 1));
        // The very last one leaves no `previous` behind it: the journal alone shows it.
        expect(problems.length > 0).toBe(lost < all.length - 1);
        expect(difference(trail, journalOf(all))).toContain(lost < all.length - 1 ? `the journal's` : 'missing');
      }),
    );
  });

  test('shows a loss that the relay chained over, by the journal', () => {
    fc.assert(
      fc.property(offsets, fc.nat(), (all, at) => {
        const trail = liveTrail();
        const left = all.toSpliced(at % all.length, 1);
        expect(deliver(trail, chained(left))).toEqual([]);
        expect(difference(trail, journalOf(all))).toBeDefined();
      }),
    );
  });

  test('shows an event that came twice, and one out of order', () => {
    fc.assert(
      fc.property(offsets, fc.nat(), fc.boolean(), (all, at, twice) => {
        const frames = chained(all);
        const index = at % (frames.length - 1);
        const [one = FIRST, next = FIRST] = frames.slice(index, index + 2);
        const trail = liveTrail();
        const changed = twice ? frames.toSpliced(index, 0, one) : frames.toSpliced(index, 2, next, one);
        expect(deliver(trail, changed).length).toBeGreaterThan(0);
        expect(difference(trail, journalOf(all))).toBeDefined();
      }),
    );
  });

  test('that resumes where it was is one stretch, and a hole between its connections shows', () => {
    const trail = liveTrail();
    deliver(trail, chained([1, 2, 3]));
    trail.cut();
    expect(trail.resumeAt).toBe(cursor(3));
    expect(
      trail.subscribed({ since: cursor(3), snapshot: false }, { cursor: cursor(5), recovered: true }),
    ).toBeUndefined();
    expect(trail.event(cursor(3), cursor(5))).toBeUndefined();
    expect(trail.caughtUp(cursor(5))).toBeUndefined();
    expect(difference(trail, journalOf([1, 2, 3, 5]))).toBeUndefined();
    expect(difference(trail, journalOf([1, 2, 3, 4, 5]))).toContain('event 4 is 7-5');
  });

  test('excuses what a gap announced, and nothing before or after it', () => {
    const trail = liveTrail();
    deliver(trail, chained([1, 2]));
    trail.cut();
    trail.subscribed({ since: cursor(2), snapshot: false }, { cursor: cursor(9), recovered: false });
    expect(trail.event(cursor(2), cursor(3))).toContain('where none may come');
    const told = createTrail(CHANNEL);
    told.subscribed({ since: undefined, snapshot: false }, { cursor: cursor(0), recovered: true });
    deliver(told, chained([1, 2]));
    told.cut();
    told.subscribed({ since: cursor(2), snapshot: false }, { cursor: cursor(9), recovered: false });
    expect(told.gap(cursor(2))).toBeUndefined();
    expect(told.snapshot(cursor(9), false)).toBeUndefined();
    expect(told.snapshot(cursor(9), true)).toBeUndefined();
    expect(told.event(cursor(9), cursor(11))).toBeUndefined();
    expect(difference(told, journalOf([1, 2, 5, 6, 9, 11]))).toBeUndefined();
    expect(difference(told, journalOf([1, 2, 5, 6, 9, 10, 11]))).toBeDefined();
    expect(difference(told, journalOf([1, 5, 6, 9, 11]))).toBeDefined();
    expect(told.gaps).toBe(1);
  });

  test('takes recovered: false without a gap for what it is, and a channel of types bridges with caught_up', () => {
    const typed = createTrail('*.*.*.session.opened');
    typed.subscribed({ since: cursor(2), snapshot: false }, { cursor: cursor(9), recovered: false });
    expect(typed.caughtUp(cursor(9))).toContain('without a replay');
    expect(typed.gap(cursor(2))).toBeUndefined();
    expect(typed.caughtUp(cursor(9))).toBeUndefined();
    expect(typed.isLive).toBe(true);
  });

  test('holds lag, heartbeat and unsubscribed against what was sent last', () => {
    const trail = liveTrail();
    deliver(trail, chained([1, 2]));
    expect(trail.heartbeat(cursor(2), cursor(6))).toBeUndefined();
    expect(trail.resumeAt).toBe(cursor(6));
    expect(trail.heartbeat(cursor(3), cursor(6))).toContain('7-3 was sent last');
    expect(trail.lag(cursor(1))).toContain('7-2 was sent last');
    expect(trail.lag(cursor(2))).toBeUndefined();
    expect(trail.heartbeat(cursor(2), cursor(6))).toContain('not live');
    expect(trail.event(cursor(2), cursor(7))).toBeUndefined();
    expect(trail.caughtUp(cursor(7))).toBeUndefined();
    expect(trail.unsubscribed(cursor(6))).toContain('7-7 was sent last');
  });

  test('resumes with the heartbeat cursor, and its replay begins there', () => {
    const trail = liveTrail();
    deliver(trail, chained([1, 2]));
    trail.heartbeat(undefined, cursor(6));
    trail.cut();
    trail.subscribed({ since: trail.resumeAt, snapshot: false }, { cursor: cursor(8), recovered: true });
    expect(trail.event(cursor(6), cursor(8))).toBeUndefined();
    trail.caughtUp(cursor(8));
    expect(difference(trail, journalOf([1, 2, 8]))).toBeUndefined();
    // The heartbeat said that nothing up to 6 was left out: an event before it is a hole.
    expect(difference(trail, journalOf([1, 2, 5, 8]))).toBeDefined();
  });

  test('that has ended answers for what came until then', () => {
    const trail = liveTrail();
    deliver(trail, chained([1, 2]));
    trail.unsubscribed(cursor(2));
    expect(difference(trail, journalOf([1, 2, 3, 4]))).toBeUndefined();
    expect(difference(trail, journalOf([2, 3, 4]))).toBeDefined();
  });
});
