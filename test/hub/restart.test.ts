import { describe, expect, test } from 'vitest';
import { createMemoryJournal } from '../../src/hub/journal/memory.js';
import { defaultSafetyPolicy } from '../../src/model/safety.js';
import { type FakeVenue, fact, fakeVenue, linkDown, linkUp, opened } from '../support/fake-venue.js';
import { settle, VirtualClock } from '../support/virtual-clock.js';
import { createWorld, faultyJournal, startWorld, type World } from './world.js';

/** The next life over the same journal, after a kill: nothing was said on the way out. */
async function nextLife(world: World, venue: FakeVenue = fakeVenue()): Promise<World> {
  world.journal.kill();
  return startWorld({ journal: world.journal, clock: world.clock, venue });
}

async function firstLife(): Promise<World> {
  const world = await startWorld();
  world.venue.say(linkUp(), opened('active'), opened('lost'), opened('closed'), opened('expired'), opened('asked'));
  world.venue.say(
    fact('lost', 'session.lost', { reason: 'x' }),
    fact('closed', 'session.closed', { by: 'venue' }),
    fact('expired', 'session.expired', { expiresAt: '2026-11-23T08:00:00.000Z' }),
    fact('asked', 'session.attention', { action: 'login', instructions: 'Log in.' }),
  );
  await world.clock.advance(5_000);
  return world;
}

describe('a start after another life', () => {
  test('makes stale all but expired and closed sessions, and says safe of none', async () => {
    const first = await firstLife();
    const second = await nextLife(first);
    const lines = second.take();
    expect(lines.filter((line) => line.includes('session.'))).toEqual([
      'active session.stale relay_restarted',
      'lost session.stale relay_restarted',
      'asked session.stale relay_restarted',
    ]);
    expect(lines).toContain('active safety.changed unknown unconfirmed stale');
    expect(second.events.find(({ type }) => type === 'safety.changed')?.data).toMatchObject({ previous: 'safe' });
    const levels = [...second.hub.states().values()].flatMap((state) =>
      'safety' in state ? [state.safety.level] : [],
    );
    expect(levels).not.toContain('safe');
  });

  test('says so before the venues are started and before anything is served', async () => {
    const first = await firstLife();
    first.journal.kill();
    const venue = fakeVenue();
    const second = createWorld({ journal: first.journal, clock: first.clock, venue });
    const starting = second.hub.start();
    expect(venue.starts).toBe(0);
    expect(second.sights.at(-1)).toMatchObject({ blind: true, why: 'starting' });
    await starting;
    expect(second.events.length).toBeGreaterThan(0);
    expect(second.sights.slice(1)).toEqual([{ blind: false, cursor: second.hub.head() }]);
    expect(venue.starts).toBe(1);
  });

  test('says that the links of that life are down, whatever they were, and once', async () => {
    const first = await startWorld({ others: [fakeVenue({ id: 'other' })] });
    const retrying = fact('-', 'link.retrying', { carrier: 'hook', generation: 3, attempt: 1, delayMs: 10 });
    first.venue.say(linkUp('ws', 4), linkUp('http', 2), retrying, opened('login'));
    await first.clock.advance(5_000);
    const second = await nextLife(first);
    expect(second.take().filter((line) => !line.includes('safety'))).toEqual([
      '- link.down ws 1006 relay',
      '- link.down http 1006 relay',
      '- link.down hook 0 relay',
      'login session.stale relay_restarted',
    ]);
    expect(second.events[0]?.data).toEqual({
      carrier: 'ws',
      generation: 0,
      code: 1006,
      reason: 'relay_restarted',
      clean: false,
      initiator: 'relay',
    });
    expect(second.hub.sources()[0]?.state.attributes.links).toEqual({ ws: 'down', http: 'down', hook: 'down' });
    const third = await nextLife(second);
    expect(third.take().filter((line) => line.includes('link.'))).toEqual([]);
    third.venue.say(linkUp('ws', 1), opened('login'));
    await settle();
    expect(third.take()).toEqual(['- link.up ws', 'login session.opened login']);
  });

  test('also of a source that is no longer configured', async () => {
    const first = await firstLife();
    const second = await nextLife(first, fakeVenue({ id: 'another' }));
    expect(second.take()).toContain('- link.down ws 1006 relay');
  });

  test('hands the venue what it asked to remember, and nothing of another', async () => {
    const first = await startWorld({ others: [fakeVenue({ id: 'other' })] });
    first.venue.tell({ facts: [], memory: { list: [1], wish: 'a' } });
    first.venue.tell({ facts: [], memory: { list: [2], wish: null } });
    await settle();
    const second = await nextLife(first);
    expect(second.venue.memory).toEqual(new Map([['list', [2]]]));
  });

  test('goes on in a later epoch, and serves what lies before it', async () => {
    const first = await firstLife();
    const head = first.hub.head();
    const second = await nextLife(first);
    expect(second.events[0]?.id).toBe(`${first.clock.now()}-1`);
    expect(second.hub.holds(head)).toBe(true);
    const page = await second.hub.read('0-0', 1_000);
    expect(page.events).toEqual([...first.events, ...second.events]);
    expect(page.complete).toBe(true);
  });

  test('takes a greater epoch also where the wall clock went back', async () => {
    const first = await startWorld();
    const [epoch] = first.hub.head().split('-');
    first.clock.jump(-1_000_000);
    const second = await nextLife(first);
    expect(second.hub.head()).toBe(`${Number(epoch) + 1}-0`);
  });

  test('takes what the feed says again for a new fact, and an end that is over for none', async () => {
    const first = await firstLife();
    const second = await nextLife(first);
    second.take();
    second.venue.say(linkUp(), opened('active'), fact('lost', 'session.lost', { reason: 'x' }));
    second.venue.say(
      fact('closed', 'session.closed', { by: 'unknown' }),
      fact('expired', 'session.expired', { expiresAt: '2026-11-23T08:00:00.000Z' }),
    );
    await settle();
    expect(second.take().filter((line) => line.includes('session.'))).toEqual([
      'active session.opened login',
      'lost session.lost x',
    ]);
  });

  test('tells one staleness a session, also of children and after many restarts', async () => {
    const first = await startWorld();
    first.venue.say(opened('login'), opened('child', { kind: 'security', parent: 'tradernet.desk.login' }));
    await first.clock.advance(5_000);
    const second = await nextLife(first);
    expect(second.take().filter((line) => line.includes('session.'))).toEqual([
      'login session.stale relay_restarted',
      'child session.stale relay_restarted',
    ]);
    const third = await nextLife(second);
    expect(third.take()).toEqual([
      'login safety.changed unsafe stale unconfirmed',
      'child safety.changed unsafe stale unconfirmed',
    ]);
  });

  test('the grace of a stale session runs out in the new life', async () => {
    const first = await firstLife();
    const second = await nextLife(first);
    await second.clock.advance(150_000);
    expect(second.state('active')?.safety).toMatchObject({ level: 'unsafe', reasons: ['stale', 'unconfirmed'] });
  });

  test('orders that may be being cancelled are not safe because the relay was started again', async () => {
    const deribit = (): FakeVenue => fakeVenue({ venue: 'deribit', safety: defaultSafetyPolicy('deribit') });
    const live = (venue: FakeVenue): void => {
      const read = {
        mechanism: 'cancel_on_disconnect',
        scope: 'connection',
        readAt: '2026-11-23T08:00:00.000Z',
      } as const;
      venue.say(linkUp(), opened('bot', { kind: 'api' }), fact('bot', 'heartbeat.armed', { intervalMs: 30_000 }));
      venue.say(fact('-', 'venue.normal', {}), fact('-', 'account.unlocked', { what: 'all' }));
      venue.say(fact('bot', 'protection.armed', read));
    };
    const first = await startWorld({ venue: deribit() });
    live(first.venue);
    const triggered = { mechanism: 'cancel_on_disconnect', scope: 'connection', certain: false } as const;
    first.venue.say(fact('bot', 'protection.triggered', triggered));
    await first.clock.advance(20_000);
    const second = await nextLife(first, deribit());
    live(second.venue);
    await second.clock.advance(54_000);
    expect(second.state('deribit.desk.bot')?.safety).toMatchObject({
      level: 'at_risk',
      reasons: ['protection_pending'],
    });
    await second.clock.advance(5_000);
    expect(second.state('deribit.desk.bot')?.safety).toMatchObject({ level: 'safe' });
  });

  test('a penalty that a feed finds to hold still is told no more, and ends once', async () => {
    const throttled = fact('-', 'source.throttled', { untilAt: '2026-11-23T08:01:00.000Z' });
    const first = await startWorld();
    first.venue.say(opened('login'), throttled);
    await first.clock.advance(5_000);
    const second = await nextLife(first);
    second.venue.say(throttled);
    await second.clock.advance(54_000);
    second.venue.say(throttled);
    await second.clock.advance(1_000);
    second.venue.say(fact('-', 'source.unthrottled', {}));
    await settle();
    expect(second.take().filter((line) => line.startsWith('-'))).toEqual(['- source.unthrottled']);
  });

  test('a throttling that the life before was under ends by its time, also where that is past', async () => {
    const throttled = (ms: number) =>
      fact('-', 'source.throttled', { untilAt: new Date(Date.UTC(2026, 10, 23, 8, 0, 0) + ms).toISOString() });
    const first = await startWorld({ others: [fakeVenue({ id: 'other' })] });
    first.venue.say(opened('login'), throttled(60_000));
    await first.clock.advance(5_000);
    const second = await nextLife(first);
    second.venue.say(linkUp(), opened('login'));
    await second.clock.advance(54_999);
    expect(second.state('login')?.safety.reasons).toContain('throttled');
    await second.clock.advance(3_001);
    expect(second.state('login')?.safety).toMatchObject({ level: 'safe' });
    second.venue.say(throttled(100_000));
    await settle();
    await second.clock.advance(100_000);
    const third = await nextLife(second);
    await third.clock.advance(0);
    expect(third.take()).toContain('- source.unthrottled');
    expect(third.events.find(({ type }) => type === 'source.unthrottled')?.data).toEqual({ certain: false });
  });

  test('keeps the states whose events retention has dropped, and says that they are gone', async () => {
    const inner = createMemoryJournal({ retention: { maxAgeMs: 60_000, maxBytes: 1_000_000 } });
    const first = await startWorld({ journal: faultyJournal(inner) });
    first.venue.say(linkUp(), opened('login', { attributes: { mode: 'prod' } }), opened('closed'));
    first.venue.say(fact('closed', 'session.closed', { by: 'user' }));
    await first.clock.advance(5_000);
    const cursor = first.hub.head();
    await first.clock.advance(120_000);
    const before = [...first.hub.states().values()];
    expect(first.hub.holds(cursor)).toBe(true);
    expect((await first.hub.read('0-0', 100)).events).toEqual([]);
    const second = await nextLife(first);
    expect(second.hub.states().get('tradernet.desk.closed')).toEqual(
      before.find(({ session }) => session === 'closed'),
    );
    expect(second.state('login')).toMatchObject({ status: 'active', stale: true, attributes: { mode: 'prod' } });
    expect((await second.hub.read('0-0', 100)).complete).toBe(false);
    expect(second.hub.holds('0-0')).toBe(false);
    // The names of what is gone are gone, too: only the states know that it was told.
    second.venue.say(fact('closed', 'session.closed', { by: 'venue' }, { key: 'closed@1' }));
    await settle();
    expect(second.take().filter((line) => line.startsWith('closed session'))).toEqual([]);
  });
});

describe('what was not committed when the relay was killed', () => {
  test('is told by the feed again, once', async () => {
    const world = await startWorld();
    world.journal.mode = 'hang';
    world.venue.tell({ facts: [opened('s1', { kind: 'security' }, 'k1')], memory: { list: ['s1'] } });
    await settle();
    world.journal.mode = 'fine';
    const second = await nextLife(world);
    expect(second.venue.memory).toBeUndefined();
    second.venue.tell({ facts: [opened('s1', { kind: 'security' }, 'k1')], memory: { list: ['s1'] } });
    await settle();
    expect(second.take()).toEqual(['s1 session.opened security']);
  });
});

describe('stop and start', () => {
  test('what a venue says on its way out is committed and told', async () => {
    const venue = fakeVenue({ farewell: [fact('login', 'session.closed', { by: 'relay' }), linkDown()] });
    const world = await startWorld({ venue });
    venue.say(linkUp(), opened('login'));
    await world.clock.advance(5_000);
    world.take();
    let completed = false;
    world.hub.turns$.subscribe({
      complete: () => {
        completed = true;
      },
    });
    await world.hub.stop({ orders: 'cancel' });
    expect(world.take()).toEqual([
      'login session.closed by:relay',
      'login safety.changed at_risk closed',
      '- link.down ws 1006 network',
    ]);
    expect(venue.stops).toEqual([{ orders: 'cancel' }]);
    expect(completed).toBe(true);
    expect(world.clock.timers).toBe(0);
  });

  test('stop is idempotent: the first call decides about orders', async () => {
    const world = await startWorld();
    await Promise.all([world.hub.stop({ orders: 'leave' }), world.hub.stop({ orders: 'cancel' })]);
    await world.hub.stop({ orders: 'cancel' });
    expect(world.venue.stops).toEqual([{ orders: 'leave' }]);
  });

  test('a venue that fails or hangs while it stops keeps neither the others nor the journal from ending', async () => {
    const failing = fakeVenue({ id: 'failing', stopping: () => Promise.reject(new Error('no')) });
    const hanging = fakeVenue({ id: 'hanging', stopping: () => new Promise(() => {}) });
    const world = await startWorld({ others: [failing, hanging] });
    const stopping = world.hub.stop({ orders: 'leave' });
    await world.clock.advance(10_000);
    await stopping;
    expect(world.logged.join('\n')).toContain('tradernet.failing did not stop as it should');
    expect(world.logged.join('\n')).toContain('tradernet.hanging does not stop');
    await expect(world.journal.append({ events: [], states: new Map() })).rejects.toThrow('not open');
  });

  test('a stop in the midst of a start leaves nothing running', async () => {
    const world = createWorld({ clock: new VirtualClock() });
    const starting = world.hub.start();
    const stopping = world.hub.stop({ orders: 'leave' });
    await expect(starting).rejects.toMatchObject({ code: 'closed' });
    await stopping;
    expect(world.venue.starts).toBe(0);
    expect(world.clock.timers).toBe(0);
    await world.journal.open(0);
  });

  test('a journal that cannot be opened fails the start with journal_failed', async () => {
    const world = createWorld();
    await world.journal.open(1);
    await expect(world.hub.start()).rejects.toMatchObject({ code: 'journal_failed' });
    expect(world.venue.starts).toBe(0);
    await world.hub.stop({ orders: 'leave' });
  });
});
