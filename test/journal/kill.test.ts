import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { createLmdbJournal } from '../../src/hub/journal/lmdb.js';
import { weightOf } from '../../src/hub/journal/records.js';
import { compareCursors } from '../../src/model/cursor.js';
import type { SessionEvent } from '../../src/model/event.js';
import { fold } from '../../src/model/fold.js';
import type { State } from '../../src/model/session.js';
import { seededRandom } from '../../src/net/timer.js';
import { readAll } from '../support/journaled-events.js';
import { connectSubscriber } from '../support/subscriber.js';
import { removeTempFolders, tempFolder } from '../support/temp-folder.js';
import { type ChildOptions, killChildren, startChild } from './child.js';

/** A kill happens after so many events of a life, at most. */
const MAX_EVENTS = 150;
const TEST_MS = 60_000;

afterEach(async () => {
  await killChildren();
  removeTempFolders();
});

const ready = z.object({ url: z.url() });
const updated = z.object({ changed: z.object({ n: z.number() }) });
const progress = z.object({ appended: z.string().optional(), floor: z.string().optional() });
const channel = '>';

/**
 * One life of the relay: a subscriber resumes where the last one was cut off, and the relay is killed after `count` more
 * events, whatever it does at that moment. Returns what the subscriber saw.
 */
async function life(options: ChildOptions, since: string, count: number): Promise<readonly SessionEvent[]> {
  const child = startChild(options);
  const { url } = ready.parse(await child.line());
  const subscriber = await connectSubscriber(url);
  const { channels }: { channels: unknown } = await subscriber.request('subscribe', { channels: [channel], since });
  expect(channels).toMatchObject([{ recovered: true }]);
  await subscriber.until(() => subscriber.events(channel).length >= count);
  await child.kill();
  await subscriber.closed;
  expect(subscriber.losses).toEqual([]);
  return subscriber.events(channel);
}

const numbersOf = (events: readonly SessionEvent[]): readonly number[] =>
  events.flatMap(({ type, data }) => (type === 'session.updated' ? [updated.parse(data).changed.n] : []));

describe('a relay that is killed at any moment, again and again', () => {
  test.each([
    ['interval', 1, 5],
    ['always', 2, 3],
  ] as const)(
    'loses nothing that anybody saw, and says nothing twice (flushed by %s)',
    async (sync, seed, lives) => {
      const random = seededRandom(seed);
      const data = tempFolder();
      const seen: SessionEvent[] = [];
      for (let left = lives; left > 0; left--)
        seen.push(...(await life({ data, sync }, seen.at(-1)?.id ?? '0-0', 1 + Math.floor(random() * MAX_EVENTS))));

      const journal = createLmdbJournal({ path: data });
      const { states, memory, epoch } = await journal.open(0);
      const held = await readAll(journal);
      // What was seen is there, as it was seen, in that order, and without anything in between.
      expect(held.slice(0, seen.length)).toEqual(seen);
      for (const [index, { id }] of held.entries())
        expect(compareCursors(held[index - 1]?.id ?? '0-0', id)).toBeLessThan(0);
      expect(new Set(held.map(({ id }) => id.split('-')[0])).size).toBe(lives);
      expect(held.every(({ id }) => compareCursors(id, `${epoch}-0`) < 0)).toBe(true);
      expect(new Set(held.map(({ key }) => key)).size).toBe(held.length);
      expect(held.every(({ key }) => journal.hasKey(key))).toBe(true);
      // What the venue said once is there once, and what it remembers is as far as what it said.
      const numbers = numbersOf(held);
      expect(numbers).toEqual(numbers.map((_, index) => index + 1));
      expect(memory.get('deribit.main')?.get('n')).toBe(numbers.length);
      const folded = new Map<string, State | undefined>();
      for (const event of held) folded.set(event.subject, fold(folded.get(event.subject), event));
      expect(new Map(states.map((state) => [state.key, state]))).toEqual(folded);
      await journal.close();
    },
    TEST_MS,
  );

  test(
    'while it drops what it does not keep: what is left is whole, and weighs what it says',
    async () => {
      const random = seededRandom(3);
      const data = tempFolder();
      const maxAgeMs = 86_400_000;
      for (let left = 3; left > 0; left--) {
        const child = startChild({ data, mode: 'journal', textBytes: 200, retention: { maxAgeMs, maxBytes: 20_000 } });
        let appended = '0-0';
        let floor = '0-0';
        for (let lines = 20 + Math.floor(random() * 60); lines > 0; lines--) {
          const said = progress.parse(await child.line());
          appended = said.appended ?? appended;
          floor = said.floor ?? floor;
        }
        await child.kill();

        const journal = createLmdbJournal({ path: data });
        await journal.open(0);
        const held = await readAll(journal);
        expect(compareCursors(journal.oldest(), floor)).toBeGreaterThanOrEqual(0);
        expect(compareCursors(held.at(-1)?.id ?? '0-0', appended)).toBeGreaterThanOrEqual(0);
        const [epoch = 0, last = 0] = held.at(-1)?.id.split('-').map(Number) ?? [];
        const first = last - held.length + 1;
        // Of what is held nothing is missing, neither an event nor its key; of what was dropped nothing is left.
        expect(held.map(({ id }) => id)).toEqual(held.map((_, index) => `${epoch}-${first + index}`));
        expect(journal.oldest()).toBe(`${epoch}-${first - 1}`);
        for (let offset = 1; offset <= last; offset++)
          expect([offset, journal.hasKey(`key-${epoch}-${offset}`)]).toEqual([offset, offset >= first]);
        await journal.close();
        const weight = held.reduce((sum, event) => sum + weightOf(JSON.stringify(event), event.key), 0);
        const exact = createLmdbJournal({ path: data, retention: { maxAgeMs, maxBytes: weight } });
        await exact.open(0);
        expect(await exact.truncate(0)).toBe(`${epoch}-${first - 1}`);
        await exact.close();
        const tight = createLmdbJournal({ path: data, retention: { maxAgeMs, maxBytes: weight - 1 } });
        await tight.open(0);
        expect(await tight.truncate(0)).toBe(`${epoch}-${first}`);
        await tight.close();
      }
    },
    TEST_MS,
  );
});
