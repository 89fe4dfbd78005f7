import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MAX_BATCH_FACTS } from '../../src/hub/intake.js';
import type { SessionEvent } from '../../src/model/event.js';
import { fold, isSessionState } from '../../src/model/fold.js';
import { defaultSafetyPolicy } from '../../src/model/safety.js';
import type { State } from '../../src/model/session.js';
import { fact, fakeVenue, linkDown, linkUp, opened } from '../support/fake-venue.js';
import { settle } from '../support/virtual-clock.js';
import { startWorld, type World } from './world.js';

const PARENT = 'tradernet.desk.login';

async function family(): Promise<World> {
  const venue = fakeVenue({ provedBy: { login: ['ws'], security: ['ws', 'http'] } });
  const world = await startWorld({ venue });
  venue.say(linkUp('ws'), linkUp('http'), opened('login'));
  venue.say(opened('a', { kind: 'security', role: 'watch', parent: PARENT }));
  venue.say(opened('b', { kind: 'security', role: 'watch', parent: PARENT }));
  await world.clock.advance(5_000);
  world.take();
  return world;
}

const sessionLines = (lines: readonly string[]): readonly string[] =>
  lines.filter((line) => line.includes(' session.'));

describe('out of sight', () => {
  test('a session goes stale when the carriers that prove it are down, not before', async () => {
    const { venue, take } = await family();
    venue.say(linkDown('ws'));
    await settle();
    expect(sessionLines(take())).toEqual(['login session.stale link_down']);
    venue.say(linkDown('http'));
    await settle();
    expect(sessionLines(take())).toEqual(['a session.stale link_down', 'b session.stale link_down']);
  });

  test('a carrier that never was up neither hides nor proves', async () => {
    const venue = fakeVenue({ provedBy: { login: ['ws', 'http'] } });
    const { take } = await startWorld({ venue });
    venue.say(linkUp('http'), opened('login'), linkDown('ws'));
    await settle();
    expect(sessionLines(take())).toEqual(['login session.opened login']);
    venue.say(linkDown('http'));
    await settle();
    expect(sessionLines(take())).toEqual(['login session.stale link_down']);
  });

  test('what has ended is not made stale', async () => {
    const { venue, take } = await family();
    venue.say(fact('a', 'session.closed', { by: 'venue' }), fact('b', 'session.lost', { reason: 'x' }));
    await settle();
    take();
    venue.say(linkDown('ws'), linkDown('http'));
    await settle();
    expect(sessionLines(take())).toEqual(['login session.stale link_down']);
  });

  test('staleness is told before what the session says next, and only once', async () => {
    const { venue, take } = await family();
    venue.say(linkDown('ws'), linkUp('ws', 2), fact('login', 'session.restored', {}));
    await settle();
    expect(sessionLines(take())).toEqual(['login session.stale link_down', 'login session.restored']);
  });

  test('what a feed itself calls stale is told once, with the feed’s reason', async () => {
    const { venue, take } = await family();
    venue.say(linkDown('ws'), fact('login', 'session.stale', { reason: 'throttled' }));
    venue.say(fact('login', 'session.stale', { reason: 'link_down' }));
    await settle();
    expect(sessionLines(take())).toEqual(['login session.stale throttled']);
  });

  test('derived staleness of a parent makes no child stale that its own carriers still prove', async () => {
    const { venue, state, clock } = await family();
    venue.say(linkDown('ws'));
    await clock.advance(200_000);
    expect([state('login')?.stale, state('a')?.stale]).toEqual([true, false]);
  });
});

describe('a parent that is not active', () => {
  test.each([
    ['lost', fact('login', 'session.lost', { reason: 'x' })],
    ['contested', fact('login', 'session.contested', {})],
    ['closed', fact('login', 'session.closed', { by: 'user' })],
    ['attention', fact('login', 'session.attention', { action: 'login', instructions: 'Log in.' })],
  ])('%s: its children go stale, in the same turn', async (_, said) => {
    const { venue, take, turns } = await family();
    const before = turns.length;
    venue.say(said);
    await settle();
    expect(sessionLines(take()).slice(1)).toEqual(['a session.stale parent', 'b session.stale parent']);
    expect(turns.length).toBe(before + 1);
  });

  test('its children come back when the feed says them again', async () => {
    const { venue, take, state } = await family();
    venue.say(fact('login', 'session.lost', { reason: 'x' }));
    venue.say(fact('login', 'session.restored', {}));
    await settle();
    expect(state('a')?.stale).toBe(true);
    take();
    venue.say(fact('a', 'session.restored', {}), fact('b', 'session.updated', { changed: {} }));
    await settle();
    expect(sessionLines(take())).toEqual(['a session.restored', 'b session.updated ']);
    expect([state('a')?.stale, state('b')?.stale]).toEqual([false, false]);
  });

  test('a child that is told of meanwhile is stale at once: it is never safe under a dead parent', async () => {
    const { venue, take, state, clock } = await family();
    venue.say(fact('login', 'session.lost', { reason: 'x' }));
    venue.say(fact('a', 'session.restored', {}));
    venue.say(opened('c', { kind: 'security', role: 'watch', parent: PARENT }));
    await settle();
    expect(sessionLines(take())).toEqual([
      'login session.lost x',
      'a session.stale parent',
      'a session.restored',
      'a session.stale parent',
      'c session.opened security',
      'c session.stale parent',
      'b session.stale parent',
    ]);
    await clock.advance(200_000);
    expect([state('a')?.safety.level, state('c')?.safety.level]).toEqual(['unknown', 'unknown']);
  });

  test('a parent of which only its attributes were told is not active either', async () => {
    const { venue, take } = await startWorld();
    venue.say(
      opened('a', { kind: 'security', parent: PARENT }),
      fact('login', 'session.updated', { changed: { b: 1 } }),
    );
    await settle();
    expect(sessionLines(take()).at(-1)).toBe('a session.stale parent');
  });

  test('a parent that nobody has told of yet says nothing against its children', async () => {
    const { venue, take } = await startWorld();
    venue.say(opened('a', { kind: 'security', parent: PARENT }), opened('login'));
    await settle();
    expect(sessionLines(take())).toEqual(['a session.opened security', 'login session.opened login']);
  });
});

describe('many sessions of one source', () => {
  const COUNT = 2_400;

  async function crowd(): Promise<World> {
    const world = await startWorld();
    world.venue.say(linkUp());
    for (let index = 0; index < COUNT; index++) world.venue.say(opened(`s${index}`, { kind: 'security' }));
    await settle();
    await world.clock.advance(5_000);
    await settle(20);
    world.take();
    return world;
  }

  test('a fan-out spans several turns of the event loop, a bounded number of sessions each', async () => {
    const { venue, turns, events } = await crowd();
    const before = turns.length;
    let loops = 0;
    let watching = true;
    const watch = (): void => {
      loops++;
      if (watching) setImmediate(watch);
    };
    setImmediate(watch);
    venue.say(linkDown());
    await settle(20);
    watching = false;
    const told = turns
      .slice(before)
      .map(({ events: batch }) => batch.filter(({ type }) => type === 'session.stale').length);
    expect(told.reduce((sum, count) => sum + count, 0)).toBe(COUNT);
    expect(Math.max(...told)).toBeLessThanOrEqual(MAX_BATCH_FACTS);
    expect(told.length).toBeGreaterThanOrEqual(COUNT / MAX_BATCH_FACTS);
    expect(loops).toBeGreaterThan(4);
    expect(new Set(events.filter(({ type }) => type === 'session.stale').map(({ subject }) => subject)).size).toBe(
      COUNT,
    );
  });

  test('what a session says in the midst of it comes after its own staleness', async () => {
    const { venue, events, hub } = await crowd();
    let said = false;
    const subscription = hub.turns$.subscribe(({ events: batch }) => {
      if (said || !batch.some(({ type }) => type === 'session.stale')) return;
      said = true;
      venue.say(linkUp('ws', 2), fact(`s${COUNT - 1}`, 'session.restored', {}));
    });
    venue.say(linkDown());
    await settle(20);
    subscription.unsubscribe();
    const last = events.filter(
      ({ subject, type }) => subject.endsWith(`.s${COUNT - 1}`) && type.startsWith('session.'),
    );
    expect(last.map(({ type }) => type)).toEqual(['session.opened', 'session.stale', 'session.restored']);
  });
});

describe('evidence', () => {
  test('a session that appears later on the same connection knows what its source has said', async () => {
    const venue = fakeVenue({ venue: 'deribit', id: 'desk', role: 'watch' });
    const world = await startWorld({ venue });
    venue.say(linkUp(), fact('-', 'venue.normal', {}), fact('-', 'account.unlocked', { what: 'all' }));
    venue.say(opened('relay', { kind: 'api', role: 'watch' }));
    await world.clock.advance(3_000);
    expect(world.state('deribit.desk.relay')?.safety).toEqual({ level: 'safe', reasons: [], notes: [] });
  });

  test('a new connection confirms nothing of the one before', async () => {
    const venue = fakeVenue({ venue: 'deribit', id: 'desk', role: 'watch' });
    const world = await startWorld({ venue });
    const confirm = [fact('-', 'venue.normal', {}), fact('-', 'account.unlocked', { what: 'all' })];
    venue.say(linkUp(), opened('relay', { kind: 'api', role: 'watch' }), ...confirm);
    await world.clock.advance(3_000);
    world.take();
    venue.say(linkUp('ws', 2));
    await settle();
    expect(world.take()).toEqual(['- link.up ws', 'relay safety.changed unknown unconfirmed']);
    venue.say(...confirm);
    await world.clock.advance(3_000);
    expect(world.take().at(-1)).toBe('relay safety.changed safe');
  });

  test('what a source says of itself alone looks at no session', async () => {
    const { venue, take } = await family();
    venue.say(fact('-', 'link.retrying', { carrier: 'ws', generation: 1, attempt: 1, delayMs: 10 }));
    venue.say(fact('-', 'access.logged', { action: 'success' }));
    venue.say(fact('-', 'source.fault', { what: 'unknown_frame' }));
    await settle();
    expect(take()).toEqual(['- link.retrying ws #1', '- access.logged success', '- source.fault unknown_frame']);
  });
});

test('a venue whose stream breaks off unasked leaves its sessions stale, not believed', async () => {
  for (const thrown of [new Error('bug'), undefined]) {
    const { venue, take, clock, logged } = await family();
    venue.breakOff(thrown);
    await settle();
    expect(sessionLines(take())).toEqual([
      'login session.stale link_down',
      'a session.stale link_down',
      'b session.stale link_down',
    ]);
    await clock.advance(150_000);
    expect(take().some((line) => line.startsWith('login safety.changed unsafe'))).toBe(true);
    expect(logged.join()).toContain('tradernet.desk says no more');
  }
});

test('whatever is told, folding all events gives the hub’s states, cursors are contiguous, batches are whole', async () => {
  const policy = { ...defaultSafetyPolicy('tradernet'), graceMs: 500 };
  const token = fc.constantFrom('login', 'a', 'b');
  const step = fc.oneof(
    token.map((session) =>
      opened(session, session === 'login' ? {} : { kind: 'security', role: 'watch', parent: PARENT }),
    ),
    token.map((session) => fact(session, 'session.lost', { reason: 'x' })),
    token.map((session) => fact(session, 'session.restored', {})),
    token.map((session) => fact(session, 'session.contested', {})),
    token.map((session) => fact(session, 'session.closed', { by: 'venue' })),
    token.map((session) => fact(session, 'session.removed', {})),
    token.map((session) => fact(session, 'heartbeat.pulse', { rttMs: 3 })),
    token.map((session) => fact(session, 'heartbeat.missed', { missed: 1, silentMs: 1, intervalMs: 1 })),
    token.chain((session) =>
      fc.integer({ min: 0, max: 2 }).map((a) => fact(session, 'session.updated', { changed: { a } })),
    ),
    fc.constantFrom(linkUp('ws'), linkDown('ws'), linkUp('http'), linkDown('http')),
    fc.constantFrom(
      fact('-', 'venue.locked', {}),
      fact('-', 'venue.normal', {}),
      fact('-', 'account.locked', { what: 'all' }),
    ),
    fc.integer({ min: 1, max: 4_000 }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const venue = fakeVenue({ safety: policy, provedBy: { login: ['ws'], security: ['ws', 'http'] } });
      const world = await startWorld({ venue });
      for (const one of steps) {
        if (typeof one === 'number') await world.clock.advance(one);
        else venue.say(one);
      }
      await settle();
      await world.clock.advance(10_000);
      world.events.forEach(({ id }, index) => {
        expect(id.split('-')[1]).toBe(String(index + 1));
      });
      expect(foldAll(world.events)).toEqual(plain(world.hub.states()));
      for (const { subject, id } of world.events.filter(({ type }) => type === 'session.stale')) {
        const before = foldAll(world.events.slice(0, Number(id.split('-')[1]) - 1)).get(subject);
        expect(before).toMatchObject({ stale: false });
      }
      for (const state of world.hub.states().values()) {
        if (!isSessionState(state) || state.parent === undefined) continue;
        const parent = world.hub.states().get(state.parent);
        const dead = parent !== undefined && isSessionState(parent) && parent.status !== 'active';
        if (dead) expect([state.key, state.safety.level === 'safe']).toEqual([state.key, false]);
      }
      expect(world.journal.taken.flatMap(({ events }) => events)).toEqual(world.events);
      expect(world.logged).toEqual([]);
      await world.hub.stop({ orders: 'leave' });
      expect(world.clock.timers).toBe(0);
    }),
    { numRuns: 300 },
  );
});

/** All events folded by a consumer that hears no pulse. */
function foldAll(events: readonly SessionEvent[]): Map<string, unknown> {
  const states = new Map<string, State>();
  for (const event of events) {
    const after = fold(states.get(event.subject), event);
    if (after === undefined) states.delete(event.subject);
    else states.set(event.subject, after);
  }
  return plain(states);
}

/** Without what a pulse moves, which a consumer may miss. */
function plain(states: ReadonlyMap<string, State>): Map<string, unknown> {
  return new Map(
    [...states].map(([key, state]): [string, unknown] => {
      if (!isSessionState(state)) return [key, state];
      const { lastSeenAt: _, heartbeat, ...rest } = state;
      return [
        key,
        { ...rest, ...(heartbeat === undefined ? {} : { missed: heartbeat.missed, intervalMs: heartbeat.intervalMs }) },
      ];
    }),
  );
}
