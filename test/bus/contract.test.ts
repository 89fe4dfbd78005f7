import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import type { Bus } from '../../src/bus/bus.js';
import { createLocalBus, MAX_STATES_PAGE } from '../../src/bus/local.js';
import type { Hub } from '../../src/hub/hub.js';
import { compareCursors } from '../../src/model/cursor.js';
import { coversKey } from '../../src/model/subject.js';
import { startWorld, type World } from '../hub/world.js';
import { carryBus } from '../support/carried-bus.js';
import { fact, fakeVenue, linkUp, opened } from '../support/fake-venue.js';
import { settle, type VirtualClock } from '../support/virtual-clock.js';

async function worldOf(sessions: readonly string[]): Promise<World> {
  const world = await startWorld({ others: [fakeVenue({ venue: 'deribit', id: 'main' })] });
  world.venue.say(linkUp(), ...sessions.map((session) => opened(session, { kind: 'security' })));
  await settle(10);
  return world;
}

const closes: (() => void)[] = [];
afterEach(() => {
  for (const close of closes.splice(0)) close();
});

/** What an edge may rely on, whoever carries the bus. */
const CARRIERS: readonly (readonly [string, boolean, (hub: Hub, clock: VirtualClock) => Bus])[] = [
  ['within one thread', false, (hub) => createLocalBus(hub)],
  [
    'from another thread',
    true,
    (hub, clock) => {
      const carried = carryBus(createLocalBus(hub), clock);
      closes.push(carried.close);
      return carried.bus;
    },
  ],
];

describe.each(CARRIERS)('%s', (_name, isCarried, busOf) => {
  describe('states', () => {
    test('come in key order, whole, a page at a time, each with the committed cursor', async () => {
      const names = Array.from({ length: 1_234 }, (_, index) => `s${(index * 7) % 1_234}`);
      const { hub, clock } = await worldOf(names);
      const bus = busOf(hub, clock);
      const keys: string[] = [];
      let after: string | undefined;
      do {
        const page = await bus.states({ limit: 500, ...(after === undefined ? {} : { after }) });
        expect(page.cursor).toBe(hub.head());
        keys.push(...page.states.map(({ key }) => key));
        after = page.next;
      } while (after !== undefined);
      expect(keys).toEqual([...hub.states().keys()].toSorted());
      expect(keys).toHaveLength(1_235);
    });

    test('a page has at most 1,000, whatever is asked for', async () => {
      const { hub, clock } = await worldOf(Array.from({ length: 1_100 }, (_, index) => `s${index}`));
      const page = await busOf(hub, clock).states({ limit: 1_000_000 });
      expect(page.states).toHaveLength(MAX_STATES_PAGE);
      expect(page.next).toBe(page.states.at(-1)?.key);
    });

    test('within patterns, as a naive look at every key finds them', async () => {
      const { hub, clock } = await worldOf(['a', 'b', 'login']);
      const bus = busOf(hub, clock);
      const token = fc.constantFrom('tradernet', 'deribit', 'desk', 'main', 'a', 'b', 'login', '-', '*');
      const pattern = fc
        .tuple(fc.array(token, { maxLength: 3 }), fc.constantFrom('>', 'session.>', '*.*', 'session.lost'))
        .map(([tokens, tail]) => [...tokens.slice(0, tail === '>' ? 3 : 2), tail].join('.'));
      await fc.assert(
        fc.asyncProperty(fc.array(pattern, { maxLength: 3 }), async (within) => {
          const page = await bus.states({ within, limit: 100 });
          const naive = [...hub.states().keys()].filter((key) => within.some((one) => coversKey(one, key))).toSorted();
          expect(page.states.map(({ key }) => key)).toEqual(naive);
        }),
      );
      const one = await bus.states({ within: ['tradernet.desk.a.>'], limit: 1 });
      expect(one.states.map(({ key }) => key)).toEqual(['tradernet.desk.a']);
      expect((await bus.states({ within: ['tradernet.desk.ghost.>'], limit: 1 })).states).toEqual([]);
    });

    test('those of a batch that is not committed are not shown', async () => {
      const { hub, venue, journal, clock } = await worldOf(['a']);
      const bus = busOf(hub, clock);
      const before = await bus.states({ limit: 10 });
      journal.mode = 'fail';
      venue.say(fact('a', 'session.lost', { reason: 'x' }));
      await clock.advance(500);
      expect(await bus.states({ limit: 10 })).toEqual(before);
      journal.mode = 'fine';
      await clock.advance(10_000);
      const { states } = await bus.states({ within: ['tradernet.desk.a.>'], limit: 1 });
      expect(states[0]).toMatchObject({ status: 'lost' });
    });
  });

  test('a snapshot and the turns after it are a later snapshot: no turn falls between', async () => {
    const { hub, venue, clock } = await worldOf(['a']);
    const bus = busOf(hub, clock);
    const page = bus.states({ limit: 10 });
    const later: string[] = [];
    bus.turns$.subscribe(({ events }) => later.push(...events.map(({ id }) => id)));
    venue.say(fact('a', 'session.lost', { reason: 'x' }));
    await settle();
    const { cursor } = await page;
    venue.say(fact('a', 'session.restored', {}), fact('a', 'session.step', { step: 'x' }));
    await settle(10);
    const { events } = await bus.events(cursor, 100);
    const after = later.filter((id) => compareCursors(id, cursor) > 0);
    expect(after.length).toBeGreaterThan(1);
    expect(events.map(({ id }) => id)).toEqual(after);
  });

  test('what was read and what was told are the same events', async () => {
    const { hub, events, clock } = await worldOf(['a', 'b']);
    const bus = busOf(hub, clock);
    const page = await bus.events('0-0', 1_000);
    expect(page).toEqual({ events, cursor: events.at(-1)?.id, more: false, complete: true });
    expect(await bus.holds(bus.head())).toBe(true);
    expect(await bus.holds('1-1')).toBe(false);
    expect(await bus.holds('nonsense')).toBe(false);
  });

  test('whether the hub can follow is said at once, then with each change', async () => {
    const { hub, venue, journal, clock } = await worldOf([]);
    const bus = busOf(hub, clock);
    const sights: boolean[] = [];
    bus.sight$.subscribe(({ blind }) => sights.push(blind));
    journal.mode = 'fail';
    venue.say(opened('a'));
    await clock.advance(1_000);
    journal.mode = 'fine';
    await clock.advance(10_000);
    expect(sights).toEqual([false, true, false]);
  });

  test('a source is listed with its state and its commands, also before it has said anything', async () => {
    const { hub, clock } = await worldOf([]);
    const sources = await busOf(hub, clock).sources();
    expect(sources.map(({ venue, source }) => `${venue}.${source}`)).toEqual(['tradernet.desk', 'deribit.main']);
    expect(sources[0]?.state.attributes.links).toEqual({ ws: 'up' });
    expect(sources[1]?.state).toMatchObject({ key: 'deribit.main.-', kind: 'source', attributes: { links: {} } });
    expect(sources[0]?.commands).toContainEqual({
      command: 'set',
      acts: true,
      params: expect.objectContaining({
        type: 'object',
        properties: { interval: { type: 'number' } },
        required: ['interval'],
        additionalProperties: false,
      }),
    });
  });

  test('what goes wrong in the relay itself is an error of the family, with its cause', async () => {
    const { hub, clock } = await worldOf([]);
    const cause = new TypeError('bug');
    const bus = busOf({ ...hub, command: () => Promise.reject(cause) }, clock);
    const request = { by: 'me', source: 'tradernet.desk', command: 'act', params: {}, requestId: 'r' };
    await expect(bus.command(request)).rejects.toMatchObject(
      isCarried ? { code: 'internal' } : { code: 'internal', cause },
    );
    await expect(busOf(hub, clock).command({ ...request, source: 'x' })).rejects.toMatchObject({ code: 'not_found' });
  });

  test('turns come whole and in order, to whoever follows from the same head', async () => {
    const { hub, venue, turns, clock } = await worldOf(['a', 'b']);
    const bus = busOf(hub, clock);
    const before = turns.length;
    const seen: (readonly string[])[] = [];
    bus.turns$.subscribe(({ events }) => seen.push(events.map(({ id }) => id)));
    for (let n = 0; n < 50; n++) {
      venue.say(fact('a', 'session.step', { step: `${n}` }), fact('b', 'session.step', { step: `${n}` }));
      if (n % 7 === 0) await settle();
    }
    await settle(20);
    expect(seen.flat()).toEqual(turns.slice(before).flatMap(({ events }) => events.map(({ id }) => id)));
    expect(seen).toEqual(turns.slice(before).map(({ events }) => events.map(({ id }) => id)));
    expect(bus.head()).toBe(hub.head());
  });

  test('a command is answered, and refused, in the same words', async () => {
    const { hub, clock } = await worldOf(['a']);
    const bus = busOf(hub, clock);
    const request = { by: 'me', source: 'tradernet.desk', command: 'nothing', params: {}, requestId: 'r' };
    const refusal = await createLocalBus(hub)
      .command(request)
      .catch((thrown: unknown) => thrown);
    await expect(bus.command(request)).rejects.toMatchObject({
      code: 'not_found',
      message: String((refusal as Error).message),
    });
    expect(await bus.lag()).toEqual(hub.lag());
    await expect(
      bus.webhook({ venue: 'tradernet', id: 'nobody', headers: {}, body: new Uint8Array([1]) }),
    ).rejects.toMatchObject({ code: 'not_found' });
  });
});
