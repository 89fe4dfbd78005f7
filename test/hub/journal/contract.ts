import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Journal, Retention } from '../../../src/hub/journal/journal.js';
import { compareCursors, formatCursor, parseCursor } from '../../../src/model/cursor.js';
import type { SessionEvent } from '../../../src/model/event.js';
import type { Json } from '../../../src/model/json.js';
import type { State } from '../../../src/model/session.js';
import { batchOf, eventOf, readAll, START_MS, stateOf } from '../../support/journaled-events.js';

/** How an engine is made for a test. */
export interface JournalEngine {
  readonly name: string;
  /** How often whatever can happen is tried; an engine on a disk is slower. */
  readonly runs: number;
  /** An empty journal that is not open. */
  create(retention: Retention): Promise<Journal>;
  /** The same contents in another life, after `close`; not open. */
  reopen(journal: Journal): Promise<Journal>;
  dispose(journal: Journal): Promise<void>;
}

const ENDLESS: Retention = { maxAgeMs: 7 * 86_400_000, maxBytes: 1024 ** 3 };

/** What every journal promises (`src/hub/journal/journal.ts`), as tests that each engine runs. */
export function describeJournal(engine: JournalEngine): void {
  const withJournal = async (task: (journal: Journal) => Promise<void>, retention = ENDLESS): Promise<void> => {
    const journal = await engine.create(retention);
    try {
      await task(journal);
    } finally {
      await engine.dispose(journal);
    }
  };

  describe(`the journal ${engine.name}`, () => {
    test('an epoch is the greater of the last one + 1 and the start time', () =>
      withJournal(async (journal) => {
        const first = await journal.open(START_MS);
        expect(first).toMatchObject({ epoch: START_MS, states: [] });
        expect(journal.head()).toBe(`${START_MS}-0`);
        await journal.close();
        const second = await engine.reopen(journal);
        expect((await second.open(START_MS - 86_400_000)).epoch).toBe(START_MS + 1);
        await second.close();
        const third = await engine.reopen(second);
        expect((await third.open(START_MS + 5_000)).epoch).toBe(START_MS + 5_000);
      }));

    test('an epoch without events still counts, so that the next one is greater', () =>
      withJournal(async (journal) => {
        const { epoch } = await journal.open(START_MS);
        await journal.close();
        const next = await engine.reopen(journal);
        expect((await next.open(0)).epoch).toBe(epoch + 1);
      }));

    test('events, states, memory and keys of a batch are there together, in this life and the next', () =>
      withJournal(async (journal) => {
        const { epoch } = await journal.open(START_MS);
        const state = stateOf('a', formatCursor(epoch, 2));
        await journal.append({
          events: [eventOf(epoch, 1), eventOf(epoch, 2)],
          states: new Map([[state.key, state]]),
          memory: new Map([['deribit.main', { list: [1, 2], wish: 'w' }]]),
        });
        expect(journal.head()).toBe(`${epoch}-2`);
        expect(journal.hasKey(eventOf(epoch, 2).key)).toBe(true);
        expect(journal.hasKey('another')).toBe(false);
        await journal.close();
        const next = await engine.reopen(journal);
        const found = await next.open(START_MS + 1_000);
        expect(found.states).toEqual([state]);
        expect(found.memory.get('deribit.main')).toEqual(
          new Map<string, Json>([
            ['list', [1, 2]],
            ['wish', 'w'],
          ]),
        );
        expect(next.hasKey(eventOf(epoch, 1).key)).toBe(true);
        expect((await next.read('0-0', 10)).events).toEqual([eventOf(epoch, 1), eventOf(epoch, 2)]);
      }));

    test('what is found at the start is a copy: a later batch does not show in it', () =>
      withJournal(async (journal) => {
        const { epoch } = await journal.open(START_MS);
        await journal.append(batchOf(epoch, [1], { memory: new Map([['space', { a: 1 }]]) }));
        await journal.close();
        const next = await engine.reopen(journal);
        const found = await next.open(START_MS + 1);
        await next.append({ events: [], states: new Map(), memory: new Map([['space', { a: 2, b: 3 }]]) });
        expect(found.memory.get('space')).toEqual(new Map([['a', 1]]));
      }));

    test('null forgets a state and a key of memory', () =>
      withJournal(async (journal) => {
        const { epoch } = await journal.open(START_MS);
        const state = stateOf('a', formatCursor(epoch, 1));
        await journal.append(
          batchOf(epoch, [1], { states: new Map([[state.key, state]]), memory: new Map([['s', { a: 1, b: 2 }]]) }),
        );
        await journal.append(
          batchOf(epoch, [2], { states: new Map([[state.key, null]]), memory: new Map([['s', { a: null }]]) }),
        );
        await journal.close();
        const next = await engine.reopen(journal);
        const found = await next.open(START_MS + 1);
        expect(found.states).toEqual([]);
        expect(found.memory.get('s')).toEqual(new Map([['b', 2]]));
      }));

    test('a batch of memory alone is committed too', () =>
      withJournal(async (journal) => {
        await journal.open(START_MS);
        await journal.append({ events: [], states: new Map(), memory: new Map([['s', { a: 1 }]]) });
        await journal.close();
        const next = await engine.reopen(journal);
        expect((await next.open(START_MS + 1)).memory.get('s')).toEqual(new Map([['a', 1]]));
      }));

    test.each([
      ['leaves a gap', (epoch: number) => [eventOf(epoch, 2), eventOf(epoch, 4)]],
      ['repeats an offset', (epoch: number) => [eventOf(epoch, 1, 'other')]],
      ['is of another epoch', (epoch: number) => [eventOf(epoch + 1, 2)]],
      ['has a key that is held', (epoch: number) => [eventOf(epoch, 2, eventOf(epoch, 1).key)]],
      ['has a key twice', (epoch: number) => [eventOf(epoch, 2, 'same'), eventOf(epoch, 3, 'same')]],
    ])('a batch that %s is refused and leaves nothing', (_, events) =>
      withJournal(async (journal) => {
        const { epoch } = await journal.open(START_MS);
        await journal.append(batchOf(epoch, [1]));
        const state = stateOf('a', formatCursor(epoch, 2));
        const refused = journal.append({
          events: events(epoch),
          states: new Map([[state.key, state]]),
          memory: new Map([['s', { a: 1 }]]),
        });
        await expect(refused).rejects.toMatchObject({ code: 'journal_failed' });
        expect(journal.head()).toBe(`${epoch}-1`);
        expect(journal.hasKey('same')).toBe(false);
        await journal.append(batchOf(epoch, [2]));
        await journal.close();
        const next = await engine.reopen(journal);
        const found = await next.open(START_MS + 1);
        expect(found.states).toEqual([]);
        expect(found.memory.get('s') ?? new Map()).toEqual(new Map());
        expect((await next.read('0-0', 10)).events.map(({ id }) => id)).toEqual([`${epoch}-1`, `${epoch}-2`]);
      }),
    );

    test('batches commit in the order of the calls, also where nobody waits between them', () =>
      withJournal(async (journal) => {
        const { epoch } = await journal.open(START_MS);
        await Promise.all([1, 2, 3, 4, 5].map((offset) => journal.append(batchOf(epoch, [offset]))));
        const { events } = await journal.read(`${epoch}-0`, 10);
        expect(events.map(({ id }) => id)).toEqual([1, 2, 3, 4, 5].map((offset) => `${epoch}-${offset}`));
      }));

    test('pages join without a hole across epochs, and say when there is no more', () =>
      withJournal(async (journal) => {
        const { epoch } = await journal.open(START_MS);
        await journal.append(batchOf(epoch, [1, 2, 3]));
        await journal.close();
        const next = await engine.reopen(journal);
        const { epoch: later } = await next.open(START_MS + 10);
        await next.append(batchOf(later, [1, 2]));
        const first = await next.read('0-0', 2);
        expect(first).toMatchObject({ cursor: `${epoch}-2`, more: true, complete: true });
        const second = await next.read(first.cursor, 2);
        expect(second.events.map(({ id }) => id)).toEqual([`${epoch}-3`, `${later}-1`]);
        expect(await next.read(second.cursor, 2)).toMatchObject({ cursor: `${later}-2`, more: false, complete: true });
        expect(await next.read(`${later}-2`, 2)).toEqual({
          events: [],
          cursor: `${later}-2`,
          more: false,
          complete: true,
        });
      }));

    test('a cursor is served where its epoch is known and its offset is held, and never guessed at', () =>
      withJournal(async (journal) => {
        const { epoch } = await journal.open(START_MS);
        await journal.append(batchOf(epoch, [1, 2]));
        await journal.close();
        const next = await engine.reopen(journal);
        const { epoch: later } = await next.open(START_MS + 10);
        const held = ['0-0', `${epoch}-0`, `${epoch}-2`, `${later}-0`];
        const unknown = [
          `${epoch}-3`,
          `${later}-1`,
          `${epoch + 1}-0`,
          `${epoch - 1}-1`,
          `${later + 1}-0`,
          'x',
          '1-',
          '',
        ];
        for (const cursor of held) expect([cursor, next.holds(cursor)]).toEqual([cursor, true]);
        for (const cursor of unknown) expect([cursor, next.holds(cursor)]).toEqual([cursor, false]);
        expect((await next.read(`${epoch}-3`, 10)).complete).toBe(false);
      }));

    test('what is too old is dropped, with its keys; states and memory stay', () =>
      withJournal(
        async (journal) => {
          const { epoch } = await journal.open(START_MS);
          const state = stateOf('a', formatCursor(epoch, 1));
          await journal.append({
            events: [eventOf(epoch, 1), eventOf(epoch, 2, undefined, START_MS + 5_000)],
            states: new Map([[state.key, state]]),
            memory: new Map([['s', { a: 1 }]]),
          });
          expect(await journal.truncate(START_MS + 9_999)).toBe(`${epoch}-0`);
          expect(await journal.truncate(START_MS + 10_001)).toBe(`${epoch}-1`);
          expect(journal.oldest()).toBe(`${epoch}-1`);
          expect(journal.hasKey(eventOf(epoch, 1).key)).toBe(false);
          expect(journal.hasKey(eventOf(epoch, 2).key)).toBe(true);
          expect([journal.holds(`${epoch}-0`), journal.holds('0-0'), journal.holds(`${epoch}-1`)]).toEqual([
            false,
            false,
            true,
          ]);
          expect(await journal.read(`${epoch}-0`, 10)).toMatchObject({ complete: false, cursor: `${epoch}-2` });
          await journal.close();
          const next = await engine.reopen(journal);
          const found = await next.open(START_MS + 20_000);
          expect(found.states).toEqual([state]);
          expect(found.memory.get('s')).toEqual(new Map([['a', 1]]));
          expect(next.oldest()).toBe(`${epoch}-1`);
        },
        { maxAgeMs: 10_000, maxBytes: 1024 ** 3 },
      ));

    test('a journal that dropped everything still serves its head, in the next life too', () =>
      withJournal(
        async (journal) => {
          const { epoch } = await journal.open(START_MS);
          await journal.append(batchOf(epoch, [1, 2, 3]));
          expect(await journal.truncate(START_MS + 86_400_000)).toBe(`${epoch}-3`);
          expect(journal.head()).toBe(`${epoch}-3`);
          expect([journal.holds(`${epoch}-3`), journal.holds(`${epoch}-2`)]).toEqual([true, false]);
          await journal.append(batchOf(epoch, [4]));
          expect((await journal.read(`${epoch}-3`, 10)).events.map(({ id }) => id)).toEqual([`${epoch}-4`]);
          await journal.close();
          const next = await engine.reopen(journal);
          await next.open(START_MS + 1);
          expect([next.holds(`${epoch}-3`), next.holds(`${epoch}-2`)]).toEqual([true, false]);
        },
        { maxAgeMs: 1_000, maxBytes: 1024 ** 3 },
      ));

    test('more bytes than are kept are dropped, the oldest first', () =>
      withJournal(
        async (journal) => {
          const { epoch } = await journal.open(START_MS);
          for (let offset = 1; offset <= 300; offset++) await journal.append(batchOf(epoch, [offset]));
          const oldest = parseCursor(await journal.truncate(START_MS));
          expect(oldest?.epoch).toBe(epoch);
          expect(oldest?.offset).toBeGreaterThan(0);
          expect(oldest?.offset).toBeLessThan(300);
          const { events } = await journal.read(journal.oldest(), 1_000);
          expect(events.at(-1)?.id).toBe(`${epoch}-300`);
          expect(events[0]?.id).toBe(formatCursor(epoch, (oldest?.offset ?? 0) + 1));
        },
        { maxAgeMs: 86_400_000, maxBytes: 64 * 1024 },
      ));

    test('what retention drops is dropped in one call, however much it is, while events go on to come', () =>
      withJournal(
        async (journal) => {
          const { epoch } = await journal.open(START_MS);
          const offsets = Array.from({ length: 2_500 }, (_, index) => index + 1);
          await journal.append(batchOf(epoch, offsets));
          const truncated = journal.truncate(START_MS + 60_000);
          const late = eventOf(epoch, 2_501, undefined, START_MS + 60_000);
          await journal.append({ events: [late], states: new Map() });
          expect(await truncated).toBe(`${epoch}-2500`);
          expect(await readAll(journal)).toEqual([late]);
          expect(offsets.some((offset) => journal.hasKey(eventOf(epoch, offset).key))).toBe(false);
          await journal.close();
          const next = await engine.reopen(journal);
          await next.open(START_MS + 60_001);
          expect([next.oldest(), await readAll(next)]).toEqual([`${epoch}-2500`, [late]]);
        },
        { maxAgeMs: 10_000, maxBytes: 1024 ** 3 },
      ));

    test('a page that retention overtakes has no hole that it does not tell', () =>
      withJournal(
        async (journal) => {
          const { epoch } = await journal.open(START_MS);
          await journal.append(
            batchOf(
              epoch,
              Array.from({ length: 4_000 }, (_, index) => index + 1),
            ),
          );
          let at = `${epoch}-0`;
          let truncating: Promise<string> | undefined;
          for (let more = true; more; ) {
            const reading = journal.read(at, 3_000);
            truncating ??= journal.truncate(START_MS + 60_000);
            const page = await reading;
            const offsets = page.events.map(({ id }) => parseCursor(id)?.offset ?? 0);
            for (const [index, offset] of offsets.entries()) expect(offset).toBe((offsets[0] ?? 0) + index);
            more = page.more;
            // A page that is complete begins where the last one ended.
            if (page.complete && offsets[0] !== undefined) expect(offsets[0]).toBe((parseCursor(at)?.offset ?? 0) + 1);
            at = page.cursor;
          }
          await truncating;
          expect((await journal.read(at, 10)).events).toEqual([]);
          if (parseCursor(at)?.offset !== 4_000) expect((await journal.read(at, 10)).complete).toBe(false);
        },
        { maxAgeMs: 10_000, maxBytes: 1024 ** 3 },
      ));

    test('any text is a key, and anything of any size is kept', () =>
      withJournal(async (journal) => {
        const { epoch } = await journal.open(START_MS);
        const keys = ['k'.repeat(5_000), 'k'.repeat(5_001), 'ключ/🔑', 'a\u0000b', '\u0000', ' '];
        const events = keys.map((key, index) =>
          eventOf(epoch, index + 1, key, START_MS, 'é🔑"\\\n'.repeat(index * 9_000)),
        );
        const state = stateOf('s'.repeat(3_000), formatCursor(epoch, 1));
        const entries: { readonly [key: string]: Json } = {
          ['m'.repeat(3_000)]: 'x'.repeat(2_000_000),
          ['__proto__']: [1],
          '': { a: null },
        };
        await journal.append({ events, states: new Map([[state.key, state]]), memory: new Map([['s.p', entries]]) });
        expect(keys.map((key) => journal.hasKey(key))).toEqual(keys.map(() => true));
        expect(journal.hasKey('k'.repeat(4_999))).toBe(false);
        await journal.close();
        const next = await engine.reopen(journal);
        const found = await next.open(START_MS + 1);
        expect(found.states).toEqual([state]);
        expect(found.memory.get('s.p')).toEqual(new Map(Object.entries(entries)));
        expect(await readAll(next)).toEqual(events);
      }));

    test('spaces and keys of memory are told apart, wherever one ends and the other begins', () =>
      withJournal(async (journal) => {
        await journal.open(START_MS);
        const memory = new Map<string, { readonly [key: string]: Json }>([
          ['a', { 'b.c': 1, '","': 2 }],
          ['a.b', { c: 3 }],
        ]);
        await journal.append({ events: [], states: new Map(), memory });
        await journal.append({ events: [], states: new Map(), memory: new Map([['a', { 'b.c': null }]]) });
        await journal.close();
        const next = await engine.reopen(journal);
        expect((await next.open(START_MS + 1)).memory).toEqual(
          new Map([
            ['a', new Map([['","', 2]])],
            ['a.b', new Map([['c', 3]])],
          ]),
        );
      }));

    test('it is opened once at a time, and takes nothing while it is not open', () =>
      withJournal(async (journal) => {
        await expect(journal.append(batchOf(START_MS, [1]))).rejects.toMatchObject({ code: 'journal_failed' });
        await journal.open(START_MS);
        await expect(journal.open(START_MS)).rejects.toMatchObject({ code: 'journal_failed' });
        await journal.close();
        await journal.close();
        await expect(journal.append(batchOf(START_MS, [1]))).rejects.toMatchObject({ code: 'journal_failed' });
      }));

    test('whatever is appended, dropped and opened again, it says what a plain list would say', async () => {
      const step = fc.oneof(
        {
          weight: 6,
          arbitrary: fc.record({
            do: fc.constant('append'),
            count: fc.integer({ min: 0, max: 5 }),
            slot: fc.integer({ min: 0, max: 3 }),
            gone: fc.boolean(),
            waitMs: fc.integer({ min: 0, max: 3_000 }),
          }),
        },
        {
          weight: 2,
          arbitrary: fc.record({ do: fc.constant('truncate'), waitMs: fc.integer({ min: 0, max: 6_000 }) }),
        },
        {
          weight: 1,
          arbitrary: fc.record({ do: fc.constant('reopen'), waitMs: fc.integer({ min: -10_000, max: 10_000 }) }),
        },
      );
      const maxAgeMs = 10_000;
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
          let journal = await engine.create({ maxAgeMs, maxBytes: 1024 ** 3 });
          try {
            let now = START_MS;
            let epoch = (await journal.open(now)).epoch;
            let offset = 0;
            const epochs = new Map([[epoch, 0]]);
            let held: SessionEvent[] = [];
            let floor = formatCursor(epoch, 0);
            const states = new Map<string, State>();
            const memory = new Map<string, Json>();
            for (const one of steps) {
              now += one.waitMs;
              if ('count' in one) {
                const { count, slot, gone } = one;
                const events = Array.from({ length: count }, () => eventOf(epoch, ++offset, undefined, now));
                const key = stateOf(`s${slot}`, '0-0').key;
                const state = gone ? null : stateOf(`s${slot}`, formatCursor(epoch, offset));
                await journal.append({
                  events,
                  states: new Map([[key, state]]),
                  memory: new Map([['space', { [`m${slot}`]: gone ? null : offset }]]),
                });
                held.push(...events);
                epochs.set(epoch, offset);
                if (state === null) states.delete(key);
                else states.set(key, state);
                if (gone) memory.delete(`m${slot}`);
                else memory.set(`m${slot}`, offset);
              } else if (one.do === 'truncate') {
                const kept = held.findIndex(({ time }) => Date.parse(time) >= now - maxAgeMs);
                const dropped = kept === -1 ? held.length : kept;
                floor = held[dropped - 1]?.id ?? floor;
                held = held.slice(dropped);
                expect(await journal.truncate(now)).toBe(floor);
              } else {
                await journal.close();
                journal = await engine.reopen(journal);
                const found = await journal.open(now);
                epoch = Math.max(epoch + 1, now);
                offset = 0;
                epochs.set(epoch, 0);
                expect(found.epoch).toBe(epoch);
                expect(new Map(found.states.map((state) => [state.key, state]))).toEqual(states);
                expect(found.memory.get('space') ?? new Map()).toEqual(memory);
              }
              expect(journal.head()).toBe(formatCursor(epoch, offset));
              expect(journal.oldest()).toBe(floor);
              for (const { key } of held) expect(journal.hasKey(key)).toBe(true);
              for (const [known, last] of epochs) {
                for (const at of [0, 1, last, last + 1]) {
                  const cursor = formatCursor(known, at);
                  const served = at <= last && compareCursors(cursor, floor) >= 0;
                  expect([cursor, journal.holds(cursor)]).toEqual([cursor, served]);
                  const page = await journal.read(cursor, 3);
                  const after = held.filter(({ id }) => compareCursors(id, cursor) > 0);
                  expect(page.events).toEqual(after.slice(0, 3));
                  expect([page.more, page.complete]).toEqual([after.length > 3, served]);
                }
              }
            }
          } finally {
            await engine.dispose(journal);
          }
        }),
        { numRuns: engine.runs },
      );
    });
  });
}
