import { expect, test } from 'vitest';
import { type Entry, entryOf } from '../../src/edge/frames.js';
import type { JournalPage, JournalPages } from '../../src/edge/journal-pages.js';
import { createLru } from '../../src/edge/lru.js';
import { createTapes, tapeId } from '../../src/edge/tapes.js';
import { formatCursor } from '../../src/model/cursor.js';
import type { SessionEvent } from '../../src/model/event.js';

const CHANNEL = 'deribit.>';

function entries(from: number, to: number): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, index) =>
    entryOf({
      id: formatCursor(1, from + index),
      key: `k${from + index}`,
      source: '/deribit/main',
      subject: 'deribit.main.a',
      type: 'session.updated',
      time: '2026-11-24T00:00:00.000Z',
      data: { changed: {} },
    } as SessionEvent),
  );
}

test('what is known does not join what the journal still has: who stands in the hole is told of a gap, never served across it', () => {
  let page: JournalPage | undefined;
  const journal: JournalPages = {
    get: () => page,
    read: () => Promise.reject(new Error('not read here')),
    extend: () => undefined,
    reads: 0,
  };
  const tapes = createTapes({ lru: createLru(1_000_000), journal });
  const first = tapes.open(CHANNEL, 'full');
  page = { epoch: 1, start: 0, end: 256, after: 0, upTo: 3, entries: entries(1, 3) };
  expect(tapes.take(first, { epoch: 1, offset: 0 })).toMatchObject({ how: 'frames', upTo: { offset: 3 } });
  tapes.close(first);
  // Nobody replays the channel while seven more events come, of which the journal drops all but the last four.
  tapes.keep(entries(4, 10), (id) => (id === tapeId(CHANNEL, 'full') ? [] : undefined));
  page = { epoch: 1, start: 0, end: 256, after: 6, upTo: 10, entries: entries(7, 10) };
  const second = tapes.open(CHANNEL, 'full');
  const idsAfter = (offset: number): readonly string[] | string => {
    const taken = tapes.take(second, { epoch: 1, offset });
    return taken.how === 'frames' ? taken.frames.slice(taken.from).map(({ id }) => id) : taken.how;
  };
  expect(idsAfter(6)).toEqual(['1-7', '1-8', '1-9', '1-10']);
  for (const offset of [1, 3, 5]) expect([offset, idsAfter(offset)]).toEqual([offset, 'gap']);
});
