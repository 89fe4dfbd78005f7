import { expect, test } from 'vitest';
import { compareCursors, formatCursor } from '../../src/model/cursor.js';
import { fact, fakeVenue, linkDown, linkUp, opened } from '../support/fake-venue.js';
import { settle, VirtualClock } from '../support/virtual-clock.js';
import { createWorld, startWorld } from './world.js';

test('facts become events in their order, with contiguous cursors of one epoch', async () => {
  const clock = new VirtualClock();
  const startedAt = clock.now();
  const { hub, venue, events } = await startWorld({ clock });
  venue.say(linkUp());
  venue.say(opened('login'), fact('login', 'session.updated', { changed: { a: 1 } }));
  await settle();
  expect(events.map(({ id }) => id)).toEqual(events.map((_, index) => `${startedAt}-${index + 1}`));
  expect(events.map(({ type, subject }) => `${subject} ${type}`)).toEqual([
    'tradernet.desk.- link.up',
    'tradernet.desk.login session.opened',
    'tradernet.desk.login session.updated',
  ]);
  expect(events[1]).toMatchObject({ source: '/tradernet/desk', time: '2026-11-23T08:00:00.000Z' });
  expect(hub.head()).toBe(`${startedAt}-3`);
});

test('a better level is told after three quiet seconds, a worse one at once', async () => {
  const { clock, venue, take } = await startWorld();
  venue.say(linkUp(), opened('login'));
  await clock.advance(2_999);
  expect(take()).toEqual(['- link.up ws', 'login session.opened login']);
  await clock.advance(1);
  expect(take()).toEqual(['login safety.changed safe']);
  venue.say(fact('login', 'session.lost', { reason: 'eviction' }));
  await settle();
  expect(take()).toEqual(['login session.lost eviction', 'login safety.changed unsafe lost']);
  venue.say(opened('login'));
  await clock.advance(2_000);
  venue.say(fact('login', 'session.lost', { reason: 'eviction' }));
  await clock.advance(1_000);
  venue.say(opened('login'));
  await clock.advance(2_999);
  expect(take()).toEqual(['login session.opened login', 'login session.lost eviction', 'login session.opened login']);
  await clock.advance(1);
  expect(take()).toEqual(['login safety.changed safe']);
});

test('the verdict of a link that stays down goes from at risk to unsafe when its grace is over', async () => {
  const { clock, venue, take } = await startWorld();
  venue.say(linkUp(), opened('login'));
  await clock.advance(5_000);
  take();
  venue.say(linkDown());
  await settle();
  expect(take()).toEqual([
    '- link.down ws 1006 network',
    'login session.stale link_down',
    'login safety.changed at_risk link_down',
  ]);
  await clock.advance(149_999);
  expect(take()).toEqual([]);
  await clock.advance(1);
  expect(take()).toEqual(['login safety.changed unsafe link_down']);
});

test('a fact and what is derived from it are one batch: no cursor that is handed out falls between', async () => {
  const { hub, venue, turns, journal, clock } = await startWorld();
  venue.say(linkUp(), opened('login'));
  await clock.advance(5_000);
  const heads: string[] = [];
  hub.turns$.subscribe(() => heads.push(hub.head()));
  venue.say(fact('login', 'session.contested', {}));
  await settle();
  const last = turns.at(-1)?.events ?? [];
  expect(last.map(({ type }) => type)).toEqual(['session.contested', 'safety.changed']);
  expect(journal.taken.at(-1)?.events).toBe(last);
  expect(hub.head()).toBe(last.at(-1)?.id);
  const batchEnds = new Set(journal.taken.map(({ events }) => events.at(-1)?.id));
  for (const head of heads) expect(batchEnds).toContain(head);
});

test('facts that belong together are one batch with what is to be remembered, however many they are', async () => {
  const { venue, journal } = await startWorld();
  const many = Array.from({ length: 1_200 }, (_, index) => opened(`s${index}`, { kind: 'security', role: 'watch' }));
  venue.tell({ facts: many, memory: { list: many.length } });
  await settle();
  const whole = journal.taken.filter(({ memory }) => memory?.has('tradernet.desk'));
  expect(whole).toHaveLength(1);
  expect(whole[0]?.events.filter(({ type }) => type === 'session.opened')).toHaveLength(1_200);
  expect(whole[0]?.memory).toEqual(new Map([['tradernet.desk', { list: 1_200 }]]));
});

test('nothing is told before it is committed', async () => {
  const { hub, venue, journal, events, clock } = await startWorld();
  journal.mode = 'fail';
  venue.say(opened('login'));
  await settle();
  expect(events).toEqual([]);
  expect(hub.states().size).toBe(0);
  journal.mode = 'fine';
  await clock.advance(5_000);
  expect(events[0]?.type).toBe('session.opened');
  expect(hub.states().size).toBe(1);
});

test('time never decreases within an epoch, whatever the wall clock does', async () => {
  const { clock, venue, events } = await startWorld();
  venue.say(opened('a'));
  await settle();
  clock.jump(-3_600_000);
  venue.say(opened('b'));
  await clock.advance(10);
  clock.jump(7_200_000);
  venue.say(opened('c'));
  await settle();
  const times = events.map(({ time }) => time);
  expect(times).toEqual(times.toSorted());
  expect(new Set(times).size).toBe(2);
});

test('a wall clock that jumps moves no verdict', async () => {
  const { clock, venue, take } = await startWorld();
  venue.say(linkUp(), opened('login'));
  await clock.advance(5_000);
  venue.say(linkDown());
  await settle();
  take();
  clock.jump(86_400_000);
  await clock.advance(149_000);
  expect(take()).toEqual([]);
  await clock.advance(1_000);
  expect(take()).toEqual(['login safety.changed unsafe link_down']);
});

test('a pulse moves the state and the stream, and neither the journal nor the cursor', async () => {
  const { hub, venue, journal, turns, clock, state } = await startWorld();
  venue.say(opened('login'), fact('login', 'heartbeat.armed', { intervalMs: 10_000 }));
  await clock.advance(5_000);
  const { length } = journal.asked;
  const head = hub.head();
  venue.say(fact('login', 'heartbeat.pulse', { rttMs: 11 }));
  await settle();
  expect(turns.at(-1)).toMatchObject({ events: [], pulses: [{ type: 'heartbeat.pulse', data: { rttMs: 11 } }] });
  expect(state('login')).toMatchObject({
    lastSeenAt: '2026-11-23T08:00:05.000Z',
    heartbeat: { rttMs: 11, lastAt: '2026-11-23T08:00:05.000Z' },
  });
  expect([journal.asked.length, hub.head()]).toEqual([length, head]);
  venue.say(fact('login', 'heartbeat.missed', { silentMs: 17_000, missed: 1, intervalMs: 10_000 }));
  await settle();
  expect(state('login')?.heartbeat).toMatchObject({ missed: 1, rttMs: 11 });
});

test('a pulse of a session that nobody knows makes no state', async () => {
  const { hub, venue } = await startWorld();
  venue.say(fact('ghost', 'heartbeat.pulse', {}));
  await settle();
  expect(hub.states().size).toBe(0);
});

test('facts of a source that the venue does not hold are passed over, and what it remembers is kept', async () => {
  const { venue, events, journal } = await startWorld();
  venue.tell({ facts: [opened('other/login')], memory: { a: 1 } });
  await settle();
  expect(events).toEqual([]);
  expect(journal.taken.at(-1)?.memory).toEqual(new Map([['tradernet.desk', { a: 1 }]]));
});

test('two venues of one hub share one order', async () => {
  const deribit = fakeVenue({ venue: 'deribit', id: 'main' });
  const { venue, events } = await startWorld({ others: [deribit] });
  venue.say(opened('login'));
  deribit.say(opened('main/connection', { kind: 'api', role: 'watch' }));
  await settle();
  expect(events.map(({ subject }) => subject).slice(0, 2)).toEqual(['tradernet.desk.login', 'deribit.main.connection']);
  for (const [index, { id }] of events.entries()) {
    const before = events[index - 1]?.id;
    if (before !== undefined) expect(compareCursors(before, id)).toBeLessThan(0);
  }
});

test('two venues with one name are refused: their sessions could not be told apart', () => {
  expect(() => createWorld({ others: [fakeVenue()] })).toThrow(expect.objectContaining({ code: 'config_invalid' }));
});

test('a fact that cannot be taken in is told as a fault, and stops no other', async () => {
  const { venue, take, logged } = await startWorld();
  const broken = fact('bad', 'session.opened', { kind: 'login', role: 'watch' });
  Object.defineProperty(broken.data, 'expiresAt', {
    enumerable: true,
    get() {
      throw new Error('no such field');
    },
  });
  venue.tell({ facts: [opened('before'), broken, opened('after')], memory: { seen: true } });
  await settle();
  expect(take()).toEqual(['before session.opened login', '- source.fault inconsistent', 'after session.opened login']);
  expect(logged.join('\n')).toContain('no such field');
});

test('a fact whose data is no JSON is told as a fault: it never reaches the journal, which would try again for ever', async () => {
  const { venue, take, events } = await startWorld();
  const odd = fact('login', 'session.updated', { changed: { a: 1 } });
  Object.assign(odd.data, { changed: { a: 1n } });
  venue.say(opened('login'), odd, fact('login', 'session.updated', { changed: { a: 2 } }));
  await settle();
  expect(take()).toEqual(['login session.opened login', '- source.fault inconsistent', 'login session.updated a']);
  expect(events.map(({ id }) => id.split('-')[1])).toEqual(['1', '2', '3']);
});

test('an epoch starts at its own zero', async () => {
  const clock = new VirtualClock();
  const { hub } = await startWorld({ clock });
  expect(hub.head()).toBe(formatCursor(clock.now(), 0));
  expect(hub.holds(hub.head())).toBe(true);
});
