import { Subject } from 'rxjs';
import { describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { MAX_FACT_BYTES, MAX_TEXT_CHARACTERS, weigh } from '../../src/hub/fact-size.js';
import { MAX_WEBHOOKS_WAITING } from '../../src/hub/hub.js';
import { MAX_INBOX_BYTES, MAX_INBOX_FACTS, MAX_VENUE_FACTS } from '../../src/hub/inbox.js';
import { MAX_BATCH_FACTS } from '../../src/hub/intake.js';
import { MAX_WAITING } from '../../src/hub/lanes.js';
import { createRequestMemory, MAX_REQUESTS, REQUEST_MEMORY_MS } from '../../src/hub/request-memory.js';
import { MAX_PARTS_OF_SOURCE, MAX_SESSIONS_OF_SOURCE } from '../../src/hub/room.js';
import type { Fact, SessionEvent } from '../../src/model/event.js';
import { iterate, MAX_ITERATOR_EVENTS } from '../../src/net/iterate.js';
import { startWorld, type World } from '../hub/world.js';
import { type FakeVenue, fact, fakeVenue, opened } from '../support/fake-venue.js';
import { settle, VirtualClock } from '../support/virtual-clock.js';

/** Each queue of the hub, driven to its bound by whoever can make it grow (ARCHITECTURE.md, "Every queue and its bound"). */
/** Tens of thousands of facts are told in one test, on a machine that may be busy. */
vi.setConfig({ testTimeout: 120_000 });
const STEP = { step: 'x' } as const;

function crowd(count: number, session = 'login'): readonly Fact[] {
  return Array.from({ length: count }, () => fact(session, 'session.step', STEP));
}

/** Facts of a megabyte each. The text is one and the same: only its length is counted. */
function heavy(session: string, bytes: number): Fact {
  const texts = Array.from({ length: Math.floor(bytes / MAX_TEXT_CHARACTERS) }, () =>
    'x'.repeat(MAX_TEXT_CHARACTERS - 64),
  );
  return fact(session, 'session.updated', { changed: { texts } });
}

async function blindWorld(others: readonly FakeVenue[] = []): Promise<World> {
  const world = await startWorld({ others });
  world.venue.say(opened('login'));
  await settle();
  world.journal.mode = 'fail';
  world.venue.say(fact('login', 'session.contested', {}));
  await settle();
  return world;
}

describe('what waits for the journal', () => {
  test('inbox: 200,000 facts; the next one leaves the relay blind until it is started again, and says so', async () => {
    const other = fakeVenue({ id: 'other' });
    const world = await blindWorld([other]);
    const underWay = world.hub.lag().waiting;
    for (let thousand = 0; thousand < MAX_VENUE_FACTS / 1_000; thousand++) {
      world.venue.say(...crowd(1_000));
      other.say(...crowd(1_000, 'other/login'));
    }
    expect(world.hub.lag().waiting).toBe(underWay + MAX_INBOX_FACTS);
    const answers: boolean[] = [];
    world.venue.tell({ facts: crowd(1), committed: (done) => answers.push(done) });
    expect(answers).toEqual([false]);
    expect(world.hub.lag().waiting).toBe(underWay + MAX_INBOX_FACTS);
    expect(world.sights.at(-1)).toMatchObject({
      blind: true,
      lasting: true,
      why: expect.stringContaining('started again'),
    });
  });

  test('inbox in bytes: 128 MiB, estimated, however few the facts are', async () => {
    const others = [fakeVenue({ id: 'second' }), fakeVenue({ id: 'third' })];
    const world = await blindWorld(others);
    const large = heavy('login', MAX_FACT_BYTES - 2 * MAX_TEXT_CHARACTERS);
    const each = weigh(large.data);
    expect(each).toBeGreaterThan(MAX_FACT_BYTES / 2);
    const isFull = (): boolean => world.sights.at(-1)?.blind === true && 'lasting' in (world.sights.at(-1) ?? {});
    let said = 0;
    while (!isFull() && said < 20_000) {
      for (const venue of [world.venue, ...others]) venue.say({ ...large, source: venue.id });
      said += others.length + 1;
    }
    expect(isFull()).toBe(true);
    expect(said * each).toBeGreaterThan(MAX_INBOX_BYTES * 0.9);
    expect((said - 3) * each).toBeLessThanOrEqual(MAX_INBOX_BYTES);
    expect(world.logged.join('\n')).not.toContain('says no more');
  });

  test('a venue’s part of the inbox: half of it; beyond, the venue is followed no more, its sessions go stale, the others go on', async () => {
    const other = fakeVenue({ id: 'other' });
    const world = await blindWorld([other]);
    for (let thousand = 0; thousand < MAX_VENUE_FACTS / 1_000; thousand++) world.venue.say(...crowd(1_000));
    world.venue.say(...crowd(1));
    expect(world.logged.filter((line) => line.includes('tradernet.desk says no more'))).toHaveLength(1);
    other.say(opened('other/login'));
    world.journal.mode = 'fine';
    await world.clock.advance(5_000);
    await settle(2_000);
    expect(world.state('login')).toMatchObject({ stale: true });
    expect(world.state('tradernet.other.login')).toMatchObject({ status: 'active', stale: false });
    expect(world.events.filter(({ type }) => type === 'source.fault')).toMatchObject([
      { data: { what: 'inconsistent' } },
    ]);
    expect(world.sights.at(-1)?.blind).toBe(false);
  });

  test('journal batch: 500 facts, or one batch of a venue’s; a longer turn becomes several', async () => {
    const world = await startWorld();
    world.venue.say(opened('login'));
    await settle();
    const before = world.journal.taken.length;
    for (let index = 0; index < 2_000; index++) world.venue.say(...crowd(1));
    await settle(20);
    const sizes = world.journal.taken.slice(before).map(({ events }) => events.length);
    expect(sizes).toEqual([MAX_BATCH_FACTS, MAX_BATCH_FACTS, MAX_BATCH_FACTS, MAX_BATCH_FACTS]);
  });

  test('retention runs: one at a time, however long the journal takes', async () => {
    const world = await startWorld();
    let runs = 0;
    world.journal.truncate = () => {
      runs++;
      return new Promise(() => {});
    };
    await world.clock.advance(600_000);
    expect(runs).toBe(1);
  });
});

describe('what a venue makes the hub hold', () => {
  test('one fact: texts of 2,048 characters, 32 KiB in all; its attributes are left out, which is told once, and its status is not', async () => {
    const world = await startWorld();
    world.venue.say(opened('login', { attributes: { note: 'x'.repeat(10 * MAX_TEXT_CHARACTERS) } }));
    world.venue.say(fact('login', 'session.lost', { reason: 'y'.repeat(1_000_000) }, { key: 'k'.repeat(1_000_000) }));
    await settle();
    expect(String(world.state('login')?.attributes.note)).toHaveLength(MAX_TEXT_CHARACTERS);
    const lost = world.events.find(({ type }) => type === 'session.lost');
    expect(JSON.stringify(lost).length).toBeLessThan(MAX_TEXT_CHARACTERS + 1_000);
    expect(world.events.some(({ type }) => type === 'source.fault')).toBe(false);
    const changed = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`name${index}`, 'value']));
    for (let times = 0; times < 3; times++)
      world.venue.say(fact('login', 'session.updated', { changed }, { key: `u${times}` }));
    world.venue.say(opened('second', { attributes: changed }));
    world.venue.say(fact('s'.repeat(5_000), 'session.lost', { reason: 'x' }));
    await settle();
    expect(world.state('second')).toMatchObject({ status: 'active', attributes: {} });
    const faults = world.events.filter(({ type }) => type === 'source.fault').map(({ data }) => JSON.stringify(data));
    expect(faults).toHaveLength(3);
    expect(faults.join('\n')).toContain('session.updated of login is too large to be told whole');
    for (const event of world.events) expect(JSON.stringify(event).length).toBeLessThan(2 * MAX_FACT_BYTES);
  });

  test('sessions of a source: 20,000; those that ended make room, and where all live a new one is refused, which is told', async () => {
    const forgotten: string[] = [];
    const venue = fakeVenue({
      forget(source, session) {
        forgotten.push(`${source} ${session}`);
        return { [session]: null };
      },
    });
    const world = await startWorld({ venue });
    const ids = Array.from({ length: MAX_SESSIONS_OF_SOURCE - 1 }, (_, index) => `s${index}`);
    for (let from = 0; from < ids.length; from += 1_000) {
      world.venue.say(...ids.slice(from, from + 1_000).map((id) => opened(id)));
      await settle(8);
    }
    world.venue.say(opened('last'), opened('one-more'), opened('and-more'));
    await settle(8);
    const sessions = (): number => [...world.hub.states().values()].filter(({ kind }) => kind !== 'source').length;
    expect(sessions()).toBe(MAX_SESSIONS_OF_SOURCE);
    expect(world.state('one-more')).toBeUndefined();
    const faults = () => world.events.filter(({ type }) => type === 'source.fault');
    expect(faults()).toHaveLength(1);
    expect(JSON.stringify(faults()[0]?.data)).toContain('more than 20000 sessions: session.opened of one-more');
    // Others of the same venue are not concerned, and what is known goes on.
    world.venue.say(fact('s7', 'session.contested', {}), fact('s3', 'session.closed', { by: 'venue' }));
    await settle(8);
    world.venue.say(opened('in-its-place'));
    await settle(8);
    expect(world.state('in-its-place')).toMatchObject({ status: 'active' });
    expect(world.events.filter(({ type }) => type === 'session.removed')).toMatchObject([
      { subject: 'tradernet.desk.s3', data: { reason: 'too_many' } },
    ]);
    // Its venue speaks of it anew from then on, in a later life of the relay, too.
    expect(forgotten).toEqual(['desk s3']);
    const remembered = world.journal.taken.flatMap(({ memory }) => [...(memory ?? [])]);
    expect(remembered.at(-1)?.[1]).toEqual({ s3: null });
    expect(world.state('s7')).toMatchObject({ status: 'contested' });
    expect(sessions()).toBe(MAX_SESSIONS_OF_SOURCE);
  });

  test('sessions of a source, a flood: a venue that makes up an id a frame never makes the relay hold more', async () => {
    const world = await startWorld();
    for (let round = 0; round < 25; round++) {
      const facts = Array.from({ length: 1_000 }, (_, index) => {
        const id = `made-up-${round}-${index}`;
        return [opened(id), fact(id, 'session.closed', { by: 'venue' })];
      }).flat();
      world.venue.say(...facts);
      await settle(6);
      expect(world.hub.states().size).toBeLessThanOrEqual(MAX_SESSIONS_OF_SOURCE + 1);
    }
    expect(world.events.filter(({ type }) => type === 'session.opened')).toHaveLength(25_000);
    expect(world.events.some(({ type }) => type === 'source.fault')).toBe(false);
  });

  test('parts of a source in trouble: 1,000; one more is refused, which is told; a lock of everything never is', async () => {
    const world = await startWorld();
    for (let part = 0; part < MAX_PARTS_OF_SOURCE + 50; part++)
      world.venue.say(
        fact('-', 'venue.degraded', { what: `part-${part}` }),
        fact('-', 'account.locked', { what: `cur-${part}` }),
      );
    world.venue.say(fact('-', 'account.locked', { what: 'all' }));
    await settle(40);
    const [{ state } = { state: undefined }] = world.hub.sources();
    expect(state?.attributes.degraded).toHaveLength(MAX_PARTS_OF_SOURCE);
    expect(state?.attributes.accountLocked).toHaveLength(MAX_PARTS_OF_SOURCE + 1);
    expect(state?.attributes.accountLocked).toContain('all');
    expect(world.events.filter(({ type }) => type === 'source.fault')).toHaveLength(1);
  });

  test('webhooks under way: 256; one more is refused with 503, and its venue sends it again', async () => {
    const venue = fakeVenue();
    const world = await startWorld({ venue: Object.assign(venue, { webhook: () => new Promise<never>(() => {}) }) });
    const hook = { venue: 'tradernet', id: 'desk', headers: {}, body: new Uint8Array() };
    for (let count = 0; count < MAX_WEBHOOKS_WAITING; count++) void world.hub.webhook(hook);
    await expect(world.hub.webhook(hook)).rejects.toMatchObject({
      code: 'source_unavailable',
      data: { retryAfterMs: expect.any(Number) },
    });
  });
});

describe('what whoever asks makes the hub hold', () => {
  test('commands of a source: one runs and 16 wait; one more is refused with when to ask again', async () => {
    const world = await startWorld();
    const ask = (n: number) =>
      world.hub.command({ by: 'me', source: 'tradernet.desk', command: 'act', params: { n }, requestId: `r${n}` });
    const asked = Array.from({ length: MAX_WAITING + 1 }, (_, n) => ask(n).catch(() => undefined));
    await settle();
    await expect(ask(100)).rejects.toMatchObject({ code: 'rate_limited', data: { retryAfterMs: expect.any(Number) } });
    expect(world.venue.calls).toHaveLength(1);
    world.journal.mode = 'fine';
    const stopping = world.hub.stop({ orders: 'leave' });
    await world.clock.advance(60_000);
    await Promise.all([...asked, stopping]);
  });

  test('requests remembered: 10,000 that act and 10,000 that read, for ten minutes; what the journal need not hold is bounded too', async () => {
    const clock = new VirtualClock();
    const memory = createRequestMemory(clock);
    const reply = Promise.resolve({ result: null, cursor: '1-1', requestId: 'r' });
    for (let index = 0; index < 3 * MAX_REQUESTS; index++) {
      memory.find('look');
      memory.remember(`act-${index}`, { call: 'c', at: clock.monotonic(), reply }, true);
      memory.remember(`read-${index}`, { call: 'c', at: clock.monotonic(), reply }, false);
    }
    memory.find('look');
    const held = (kind: string): number =>
      Array.from({ length: 3 * MAX_REQUESTS }, (_, index) => memory.find(`${kind}-${index}`)).filter(Boolean).length;
    expect([held('act'), held('read')]).toEqual([MAX_REQUESTS, MAX_REQUESTS]);
    expect(Object.keys(memory.takeForgotten()).length).toBeLessThanOrEqual(MAX_REQUESTS);
    await clock.advance(REQUEST_MEMORY_MS + 1);
    expect([held('act'), held('read')]).toEqual([0, 0]);
  });

  test('async iteration: 10,000 events; a consumer that is further behind gets them and then an error, never a hole', async () => {
    const events$ = new Subject<SessionEvent>();
    const iterator = iterate(events$);
    const event = (index: number): SessionEvent => ({
      id: `1-${index}`,
      key: `key-${index}`,
      source: '/tradernet/desk',
      subject: 'tradernet.desk.login',
      type: 'session.restored',
      time: '2026-11-23T08:00:00.000Z',
      data: {},
    });
    for (let index = 1; index <= MAX_ITERATOR_EVENTS + 5_000; index++) events$.next(event(index));
    for (let index = 1; index <= MAX_ITERATOR_EVENTS; index++)
      expect(z.object({ value: z.object({ id: z.string() }) }).parse(await iterator.next()).value.id).toBe(
        `1-${index}`,
      );
    await expect(iterator.next()).rejects.toMatchObject({ code: 'rate_limited' });
    expect(events$.observed).toBe(false);
  });
});
