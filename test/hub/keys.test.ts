import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EVENT_TYPES, type Fact } from '../../src/model/event.js';
import { fact, linkDown, linkUp, opened } from '../support/fake-venue.js';
import { settle } from '../support/virtual-clock.js';
import { startWorld, type World } from './world.js';

async function live(...facts: readonly Fact[]): Promise<World> {
  const world = await startWorld();
  world.venue.say(linkUp(), opened('login'), ...facts);
  await world.clock.advance(5_000);
  world.take();
  return world;
}

const EXPIRES = '2026-11-23T09:00:00.000Z';
const VENUE_TIME = { venueTime: '2026-11-23T08:00:01.000Z' };

describe('a transition that was made is not told again by a second teller', () => {
  test.each<[string, readonly Fact[]]>([
    ['opened', [opened('login', VENUE_TIME)]],
    [
      'lost',
      [fact('login', 'session.lost', { reason: 'x' }), fact('login', 'session.lost', { reason: 'x', ...VENUE_TIME })],
    ],
    ['contested', [fact('login', 'session.contested', {}), fact('login', 'session.contested', VENUE_TIME)]],
    [
      'closed, in other words',
      [fact('login', 'session.closed', { by: 'venue' }), fact('login', 'session.closed', { by: 'unknown' })],
    ],
    [
      'expired, in other words',
      [
        fact('login', 'session.expired', { expiresAt: EXPIRES }),
        fact('login', 'session.expired', { expiresAt: '2026-11-23T09:00:01.000Z' }),
      ],
    ],
    [
      'renewed to the same end',
      [
        fact('login', 'session.renewed', { expiresAt: EXPIRES, how: 'observed' }),
        fact('login', 'session.renewed', { expiresAt: EXPIRES, how: 'refresh' }),
      ],
    ],
    [
      'updated to what is known',
      [
        fact('login', 'session.updated', { changed: { a: [1] } }),
        fact('login', 'session.updated', { changed: { a: [1], gone: null } }),
      ],
    ],
  ])('%s', async (_, tellings) => {
    const { venue, take, clock } = await live();
    const [first, second = first] = tellings;
    if (first === undefined || second === undefined) throw new Error('a telling');
    if (tellings.length > 1) venue.say(first);
    await settle();
    take();
    venue.say(second);
    await clock.advance(1);
    expect(take()).toEqual([]);
  });

  test('also within one batch', async () => {
    const { venue, take } = await live();
    const lost = fact('login', 'session.lost', { reason: 'x' });
    venue.say(lost, lost);
    await settle();
    expect(take()).toEqual(['login session.lost x', 'login safety.changed unsafe lost']);
  });
});

describe('what is new is told', () => {
  test('the same status for another reason', async () => {
    const { venue, take } = await live();
    venue.say(fact('login', 'session.lost', { reason: 'a' }), fact('login', 'session.lost', { reason: 'b' }));
    await settle();
    expect(take()).toEqual(['login session.lost a', 'login safety.changed unsafe lost', 'login session.lost b']);
  });

  test('the same status after another', async () => {
    const { venue, take } = await live();
    const lost = fact('login', 'session.lost', { reason: 'x' });
    venue.say(lost, opened('login'), lost);
    await settle();
    expect(take().filter((line) => line.includes('session'))).toEqual([
      'login session.lost x',
      'login session.opened login',
      'login session.lost x',
    ]);
  });

  test('a status that is said again after staleness, even though it did not change', async () => {
    const { venue, take, state } = await live();
    venue.say(linkDown(), linkUp('ws', 2), opened('login'));
    await settle();
    expect(take().filter((line) => line.startsWith('login session'))).toEqual([
      'login session.stale link_down',
      'login session.opened login',
    ]);
    expect(state('login')?.stale).toBe(false);
  });

  test('a read-back of protection, which proves that it was read', async () => {
    const { venue, take } = await live();
    const read = (readAt: string): Fact =>
      fact('login', 'protection.armed', { mechanism: 'cancel_on_disconnect', scope: 'connection', readAt });
    venue.say(read(EXPIRES), read('2026-11-23T09:01:00.000Z'));
    await settle();
    expect(take()).toHaveLength(2);
  });

  test('steps of a flow that has no state', async () => {
    const { venue, take } = await live();
    const step = (name: string): Fact => fact('portal-1', 'session.step', { step: name });
    venue.say(step('opened'), step('broker_chosen'), step('opened'));
    await settle();
    expect(take()).toHaveLength(3);
  });

  test('the opening of a session that was dropped, in the same generation', async () => {
    const { venue, take } = await live();
    venue.say(fact('login', 'session.closed', { by: 'user' }), fact('login', 'session.removed', {}), opened('login'));
    await settle();
    expect(take()).toEqual([
      'login session.closed by:user',
      'login safety.changed at_risk closed',
      'login session.removed',
      'login session.opened login',
    ]);
  });

  test('a penalty that became longer, and the next one after its end', async () => {
    const { venue, take } = await live();
    const throttled = (untilAt: string) => fact('-', 'source.throttled', { untilAt });
    venue.say(throttled(EXPIRES), throttled('2026-11-23T09:30:00.000Z'));
    venue.say(fact('-', 'source.unthrottled', {}), throttled('2026-11-23T09:30:00.000Z'));
    await settle();
    expect(take().filter((line) => line.startsWith('-'))).toEqual([
      '- source.throttled',
      '- source.throttled',
      '- source.unthrottled',
      '- source.throttled',
    ]);
  });
});

describe('what says nothing', () => {
  test.each<[string, Fact]>([
    ['closed', fact('gone', 'session.closed', { by: 'venue' })],
    ['closed, by its own name', fact('gone', 'session.closed', { by: 'venue' }, { key: 'closed:9' })],
    ['expired', fact('gone', 'session.expired', { expiresAt: EXPIRES })],
    ['stale', fact('gone', 'session.stale', { reason: 'link_down' })],
    ['removed', fact('gone', 'session.removed', {})],
  ])('%s: the end, told late, of a session that was dropped', async (_, late) => {
    const { venue, take, hub } = await live();
    venue.say(opened('gone'), fact('gone', 'session.closed', { by: 'venue' }, { key: 'closed:1' }));
    venue.say(fact('gone', 'session.removed', {}));
    await settle();
    take();
    venue.say(late);
    await settle();
    expect(take()).toEqual([]);
    expect(hub.states().has('tradernet.desk.gone')).toBe(false);
  });

  test('the removal of a session that lives again since it was decided', async () => {
    const { venue, take, state } = await live();
    venue.say(fact('login', 'session.lost', { reason: 'x' }), fact('login', 'session.restored', {}));
    venue.say(fact('login', 'session.removed', {}));
    await settle();
    expect(take()).not.toContain('login session.removed');
    expect(state('login')).toMatchObject({ status: 'active' });
  });

  test('a penalty that is found to hold still, and the end of none', async () => {
    const { venue, take } = await live();
    const throttled = fact('-', 'source.throttled', { untilAt: EXPIRES });
    venue.say(throttled, throttled, fact('-', 'source.unthrottled', {}), fact('-', 'source.unthrottled', {}));
    await settle();
    expect(take().filter((line) => line.startsWith('-'))).toEqual(['- source.throttled', '- source.unthrottled']);
  });
});

describe('a fact with a name of its own', () => {
  test('is told once, by whomever and however often', async () => {
    const { venue, take, events } = await live();
    venue.say(opened('s1', { kind: 'security' }, '1@08:00'));
    venue.say(fact('s1', 'session.closed', { by: 'venue' }, { key: 'closed@1' }));
    await settle();
    take();
    venue.say(opened('s1', { kind: 'security', reason: 'another teller' }, '1@08:00'));
    venue.say(fact('s1', 'session.closed', { by: 'venue' }, { key: 'closed@1' }));
    await settle();
    expect(take()).toEqual([]);
    expect(events.map(({ key }) => key)).toContain('tradernet.desk.s1.session.opened:1@08:00');
  });

  test('is told once across a restart', async () => {
    const first = await startWorld();
    first.venue.say(opened('s1', { kind: 'security' }, '1@08:00'));
    await settle();
    await first.hub.stop({ orders: 'leave' });
    const second = await startWorld({ journal: first.journal, clock: first.clock });
    second.take();
    second.venue.say(opened('s1', { kind: 'security' }, '1@08:00'));
    await settle();
    expect(second.take()).toEqual([]);
  });

  test('does not stand in the way of another with the same name elsewhere', async () => {
    const { venue, take } = await live();
    venue.say(
      fact('-', 'access.logged', { action: 'login' }, { key: '7' }),
      fact('login', 'access.logged', { action: 'login' }, { key: '7' }),
      fact('login', 'session.contested', {}, { key: '7' }),
    );
    await settle();
    expect(take().filter((line) => !line.includes('safety'))).toHaveLength(3);
  });
});

test('what a batch remembers is committed even where each of its facts was told before', async () => {
  const { venue, journal, take } = await live();
  venue.tell({ facts: [opened('login')], memory: { list: 'second' } });
  await settle();
  expect(take()).toEqual([]);
  expect(journal.taken.at(-1)).toMatchObject({ events: [], memory: new Map([['tradernet.desk', { list: 'second' }]]) });
});

test('keys are never held twice, whatever is told', async () => {
  const tokens = fc.constantFrom('-', 'login', 's1', 'portal-1');
  const types = fc.constantFrom(...EVENT_TYPES.filter((type) => type !== 'heartbeat.pulse'));
  const told = fc.record({ token: tokens, type: types, named: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.array(told, { maxLength: 40 }), async (tellings) => {
      const world = await startWorld();
      for (const { token, type, named } of tellings) {
        const data = {
          carrier: 'ws',
          generation: 1,
          kind: 'login',
          role: 'watch',
          changed: { a: tellings.length },
          reasons: [],
          notes: [],
          level: 'safe',
          previous: 'safe',
          scope: 'connection',
          readAt: EXPIRES,
          reason: 'throttled',
          what: 'all',
          untilAt: EXPIRES,
          expiresAt: EXPIRES,
          missed: 1,
          silentMs: 1,
          intervalMs: 1_000,
        };
        world.venue.say({
          source: 'desk',
          session: token,
          type,
          data,
          ...(named ? { key: 'k' } : {}),
        } as unknown as Fact);
      }
      await settle();
      const keys = world.events.map(({ key }) => key);
      expect(new Set(keys).size).toBe(keys.length);
      expect(world.logged).toEqual([]);
      await world.hub.stop({ orders: 'leave' });
    }),
    { numRuns: 200 },
  );
});
