import { describe, expect, test } from 'vitest';
import { createMemoryJournal } from '../../src/hub/journal/memory.js';
import type { Json } from '../../src/model/json.js';
import { type FakeVenue, fact, fakeVenue, linkUp, opened } from '../support/fake-venue.js';
import { settle } from '../support/virtual-clock.js';
import { type FaultyJournal, faultyJournal, startWorld, stopWorld, type World } from './world.js';

/** What the journal keeps beside its events does not grow for ever, over however many lives. */
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

async function nextLife(world: World, venue: FakeVenue = fakeVenue()): Promise<World> {
  world.journal.kill();
  return startWorld({ journal: world.journal, clock: world.clock, venue });
}

/** What a life after this one would be handed. */
async function kept(world: World): Promise<{ readonly [space: string]: { readonly [key: string]: Json } }> {
  await stopWorld(world);
  const { memory } = await world.journal.open(0);
  await world.journal.close();
  return Object.fromEntries([...memory].map(([space, entries]) => [space, Object.fromEntries(entries)]));
}

const names = (world: World): readonly string[] => [...world.hub.states().keys()];
const removed = (world: World): readonly string[] =>
  world.events.filter(({ type }) => type === 'session.removed').map(({ subject }) => subject);

describe('a source that is no longer configured', () => {
  const other = (): FakeVenue => fakeVenue({ id: 'other' });

  test('is dropped a day after it left, its sessions first, however often the relay is started meanwhile', async () => {
    const first = await startWorld();
    first.venue.say(linkUp(), opened('login'), opened('gone'), fact('gone', 'session.closed', { by: 'user' }));
    await first.clock.advance(5_000);
    let world = await nextLife(first, other());
    for (let lives = 0; lives < 5; lives++) {
      await world.clock.advance(4 * HOUR_MS);
      world = await nextLife(world, other());
    }
    expect(names(world)).toContain('tradernet.desk.login');
    await world.clock.advance(4 * HOUR_MS + 120_000);
    expect(removed(world)).toEqual(['tradernet.desk.gone', 'tradernet.desk.login', 'tradernet.desk.-']);
    expect(world.events.at(-1)?.data).toEqual({ reason: 'not_configured' });
    expect(names(world)).toEqual([]);
    expect(Object.keys((await kept(world))['hub.orphans'] ?? {})).toEqual([]);
  });

  test('that comes back in time is kept, and its day begins anew', async () => {
    const first = await startWorld();
    first.venue.say(linkUp(), opened('login'));
    await first.clock.advance(5_000);
    const away = await nextLife(first, other());
    await away.clock.advance(20 * HOUR_MS);
    const back = await nextLife(away);
    await back.clock.advance(60_000);
    const again = await nextLife(back, other());
    await again.clock.advance(20 * HOUR_MS);
    expect(names(again)).toEqual(['tradernet.desk.-', 'tradernet.desk.login']);
    await again.clock.advance(5 * HOUR_MS);
    expect(names(again)).toEqual([]);
  });

  test('that leaves while the relay runs has its day, too', async () => {
    const sources = ['desk', 'desk~anna'];
    const venue = fakeVenue({ others: ['desk~anna'] });
    const all = venue.sources();
    const dynamic = Object.assign(venue, { sources: () => all.filter(({ source }) => sources.includes(source)) });
    const world = await startWorld({ venue: dynamic });
    dynamic.say(opened('login'), opened('desk~anna/login'));
    await world.clock.advance(3 * DAY_MS);
    sources.pop();
    await world.clock.advance(DAY_MS - 60_000);
    expect(names(world)).toEqual(['tradernet.desk.login', 'tradernet.desk~anna.login']);
    await world.clock.advance(180_000);
    expect(names(world)).toEqual(['tradernet.desk.login']);
  });

  test('the memory of its venue is dropped once the journal holds nothing of it, and not before', async () => {
    const retention = { maxAgeMs: 3 * DAY_MS, maxBytes: 10_000_000 };
    const journal: FaultyJournal = faultyJournal(createMemoryJournal({ retention }));
    const first = await startWorld({ journal });
    first.venue.tell({ facts: [linkUp(), opened('login', {}, 'opened:1')], memory: { list: ['login'], wish: 7 } });
    await first.clock.advance(5_000);
    let world = await nextLife(first, other());
    await world.clock.advance(DAY_MS + 180_000);
    expect(names(world)).toEqual([]);
    world = await nextLife(world, other());
    await world.clock.advance(DAY_MS);
    const half = await kept(world);
    expect(half['tradernet.desk']).toEqual({ list: ['login'], wish: 7 });
    world = await startWorld({ journal, clock: world.clock, venue: other() });
    world.venue.say(opened('alive'));
    await world.clock.advance(3 * DAY_MS);
    world.venue.say(fact('alive', 'session.updated', { changed: { n: 1 } }));
    await world.clock.advance(120_000);
    expect(await kept(world)).toMatchObject({ 'tradernet.desk': {}, 'hub.orphans': {} });
  });

  test('that comes back after its sessions were dropped finds the names that it has used', async () => {
    const first = await startWorld();
    first.venue.tell({ facts: [opened('login', {}, 'opened:1')], memory: { lives: 1 } });
    await settle();
    const away = await nextLife(first, other());
    await away.clock.advance(2 * DAY_MS);
    const back = await nextLife(away);
    expect(back.venue.memory).toEqual(new Map([['lives', 1]]));
    back.venue.say(opened('login', {}, 'opened:2'));
    await back.clock.advance(120_000);
    expect(names(back)).toEqual(['tradernet.desk.login']);
    expect((await kept(back))['hub.orphans']).toEqual({});
  });
});

describe('a session that is dropped', () => {
  test('is forgotten by its venue in the same transaction', async () => {
    const asked: string[] = [];
    const venue = fakeVenue({
      forgetAfterMs: HOUR_MS,
      forget(source, session) {
        asked.push(`${source} ${session}`);
        return { opened: false };
      },
    });
    const world = await startWorld({ venue });
    venue.tell({ facts: [opened('login')], memory: { opened: true } });
    venue.say(fact('login', 'session.lost', { reason: 'x' }));
    await world.clock.advance(HOUR_MS + 120_000);
    expect(asked).toEqual(['desk login']);
    const batch = world.journal.taken.find(({ states }) => states.get('tradernet.desk.login') === null);
    expect(batch?.memory?.get('tradernet.desk')).toEqual({ opened: false });
    expect(batch?.events.map(({ type }) => type)).toEqual(['session.removed']);
  });

  test('is asked about once, however long the journal takes', async () => {
    let asked = 0;
    const venue = fakeVenue({
      forgetAfterMs: HOUR_MS,
      forget() {
        asked++;
        return undefined;
      },
    });
    const world = await startWorld({ venue });
    venue.say(opened('login'), fact('login', 'session.lost', { reason: 'x' }));
    await world.clock.advance(HOUR_MS - 1_000);
    world.journal.mode = 'fail';
    venue.say(opened('other'));
    await world.clock.advance(600_000);
    world.journal.mode = 'fine';
    await world.clock.advance(60_000);
    expect(asked).toBe(1);
    expect(removed(world)).toEqual(['tradernet.desk.login']);
  });

  test('a relay that was dead for days drops what ended before it died', async () => {
    const first = await startWorld();
    first.venue.say(opened('login'), opened('lost'), fact('lost', 'session.lost', { reason: 'x' }));
    await first.clock.advance(5_000);
    first.journal.kill();
    await first.clock.advance(3 * DAY_MS);
    const second = await startWorld({ journal: first.journal, clock: first.clock, venue: fakeVenue() });
    expect(second.state('lost')).toMatchObject({ status: 'lost', stale: true });
    await second.clock.advance(60_000);
    expect(removed(second)).toEqual(['tradernet.desk.lost']);
    expect(second.state('login')).toBeDefined();
  });
});

describe('what is remembered of commands', () => {
  const run = (world: World, requestId: string, command = 'act') =>
    world.hub.command({ by: 'desk-ui', source: 'tradernet.desk', command, params: {}, requestId });
  const answering = (): FakeVenue => fakeVenue({ answer: () => ({ ok: true }) });
  const size = async (world: World): Promise<number> => Object.keys((await kept(world))['hub.commands'] ?? {}).length;

  test('is forgotten after ten minutes, though no other command follows', async () => {
    const world = await startWorld({ venue: answering() });
    for (let one = 0; one < 20; one++) {
      await run(world, `act-${one}`);
      await run(world, `read-${one}`, 'read');
      await world.clock.advance(1_000);
    }
    await world.clock.advance(11 * 60_000);
    expect(await size(world)).toBe(0);
  });

  test('is forgotten after ten minutes over all lives', async () => {
    let world = await startWorld({ venue: answering() });
    await run(world, 'first');
    for (let lives = 0; lives < 4; lives++) {
      await world.clock.advance(2.5 * 60_000);
      world = await nextLife(world, answering());
    }
    await run(world, 'second');
    await world.clock.advance(3 * 60_000);
    expect(await size(world)).toBe(1);
  });

  test('what a kill cut off is known for ten minutes more, and then forgotten', async () => {
    const first = await startWorld();
    run(first, 'cut').catch(() => undefined);
    await settle();
    const second = await nextLife(first, answering());
    expect(second.events.map(({ type }) => type)).toEqual(['command.unknown']);
    await second.clock.advance(9 * 60_000);
    expect(await run(second, 'cut')).toMatchObject({ replayed: true, outcome: 'unknown' });
    expect(second.venue.calls).toEqual([]);
    await second.clock.advance(3 * 60_000);
    expect(await size(second)).toBe(0);
  });
});
