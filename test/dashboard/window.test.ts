import fc from 'fast-check';
import { expect, test } from 'vitest';
import { moved, scrollToShow, visibleRange } from '../../src/dashboard/window.js';

const viewport = fc.record({
  count: fc.nat(20_000),
  rowHeight: fc.integer({ min: 16, max: 200 }),
  height: fc.integer({ min: 0, max: 4_000 }),
  scrollTop: fc.integer({ min: -500, max: 3_000_000 }),
});

test('every row that is on the screen exists, and not many more do', () => {
  fc.assert(
    fc.property(viewport, (view) => {
      const { count, rowHeight, height } = view;
      const { first, end } = visibleRange(view);
      // Browsers scroll no further than the end, and bounce beyond both.
      const top = Math.min(Math.max(0, view.scrollTop), Math.max(0, count * rowHeight - height));
      const firstSeen = Math.floor(top / rowHeight);
      const lastSeen = Math.min(count - 1, Math.ceil((top + height) / rowHeight) - 1);
      expect(first).toBeGreaterThanOrEqual(0);
      expect(end).toBeLessThanOrEqual(count);
      if (lastSeen >= firstSeen) {
        expect(first).toBeLessThanOrEqual(firstSeen);
        expect(end).toBeGreaterThan(lastSeen);
      }
      expect(end - first).toBeLessThanOrEqual(Math.ceil(height / rowHeight) + 14);
    }),
  );
});

test('after scrolling to a row it is wholly on the screen, and what was already there does not move', () => {
  fc.assert(
    fc.property(viewport, fc.nat(20_000), (view, wanted) => {
      fc.pre(view.count > 0 && view.height >= view.rowHeight && view.scrollTop >= 0);
      const index = wanted % view.count;
      const top = scrollToShow(index, view);
      expect(top).toBeLessThanOrEqual(index * view.rowHeight);
      expect(top + view.height).toBeGreaterThanOrEqual((index + 1) * view.rowHeight);
      expect(scrollToShow(index, { ...view, scrollTop: top })).toBe(top);
    }),
  );
});

test('keys never leave the list', () => {
  const keys = fc.constantFrom('ArrowDown', 'ArrowUp', 'PageDown', 'PageUp', 'Home', 'End');
  fc.assert(
    fc.property(viewport, fc.array(keys, { maxLength: 30 }), (view, pressed) => {
      let active = -1;
      for (const key of pressed) active = moved(key, active, view) ?? active;
      expect(active).toBeGreaterThanOrEqual(-1);
      expect(active).toBeLessThan(Math.max(1, view.count));
    }),
  );
});

test.each([
  ['ArrowDown', -1, 0],
  ['ArrowDown', 4, 5],
  ['ArrowUp', 0, 0],
  ['PageDown', 0, 9],
  ['PageUp', 5, 0],
  ['End', 3, 99],
  ['Home', 50, 0],
])('%s at %i moves to %i', (key, active, to) => {
  expect(moved(key, active, { count: 100, rowHeight: 40, height: 400, scrollTop: 0 })).toBe(to);
});

test('other keys move nothing, and an empty list has nowhere to go', () => {
  const view = { count: 3, rowHeight: 40, height: 400, scrollTop: 0 };
  expect(moved('a', 1, view)).toBeUndefined();
  expect(moved('ArrowDown', -1, { ...view, count: 0 })).toBeUndefined();
});
