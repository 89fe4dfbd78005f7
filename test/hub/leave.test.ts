import { expect, test } from 'vitest';
import { createMemoryJournal } from '../../src/hub/journal/memory.js';
import type { Json } from '../../src/model/json.js';
import { type FakeVenue, fact, fakeVenue, linkDown, linkUp, opened } from '../support/fake-venue.js';
import { settle, type VirtualClock } from '../support/virtual-clock.js';
import { createWorld, faultyJournal, startWorld, type World } from './world.js';

/** A venue that orders go through, as Deribit is. */
function withOrders(venue: FakeVenue): FakeVenue {
  return Object.assign(venue, { call: (): Promise<Json> => Promise.resolve(null) });
}

/** A venue that ends when the test says so; `log` notes when it is asked to. */
function slowVenue(id: string, log: string[]): { readonly venue: FakeVenue; end(): void } {
  let end: () => void = () => {};
  const stopping = (): Promise<void> => {
    log.push(id);
    return new Promise((resolve) => {
      end = resolve;
    });
  };
  return { venue: fakeVenue({ id, stopping }), end: () => end() };
}

/** Ms of virtual time until a task ends. */
async function lasting(clock: VirtualClock, task: Promise<unknown>, stepMs = 50): Promise<number> {
  const startedAt = clock.monotonic();
  let over = false;
  void task.finally(() => {
    over = true;
  });
  await settle();
  while (!over && clock.monotonic() - startedAt < 60_000) await clock.advance(stepMs);
  await task;
  return clock.monotonic() - startedAt;
}

async function ended(world: World): Promise<void> {
  await lasting(world.clock, world.hub.stop({ orders: 'leave' }));
  expect(world.clock.timers).toBe(0);
}

test('a venue that orders go through is asked to end in the turn of the call; the others once it has ended', async () => {
  const log: string[] = [];
  const orders = slowVenue('orders', log);
  const other = slowVenue('other', log);
  const world = await startWorld({ venue: other.venue, others: [withOrders(orders.venue)] });
  const left = world.hub.leave({ orders: 'leave' });
  expect(log).toEqual(['orders']);
  expect(orders.venue.stops).toEqual([{ orders: 'leave' }]);
  await world.clock.advance(400);
  expect(log).toEqual(['orders']);
  orders.end();
  await settle();
  expect(log).toEqual(['orders', 'other']);
  other.end();
  await left;
  await ended(world);
});

test('one that orders go through and that hangs holds the others up for 1.5 s and no longer', async () => {
  const log: string[] = [];
  const orders = slowVenue('orders', log);
  const other = slowVenue('other', log);
  const world = await startWorld({ venue: other.venue, others: [withOrders(orders.venue)] });
  const left = world.hub.leave({ orders: 'leave' });
  await world.clock.advance(1_499);
  expect(log).toEqual(['orders']);
  await world.clock.advance(1);
  expect(log).toEqual(['orders', 'other']);
  orders.end();
  other.end();
  await left;
  await ended(world);
});

test('venues that hang are left behind within the time that there is, and that is logged', async () => {
  const world = await startWorld({
    venue: fakeVenue({ stopping: () => new Promise(() => {}) }),
    others: [withOrders(fakeVenue({ id: 'orders', stopping: () => new Promise(() => {}) }))],
  });
  const ending = world.hub.stop({ orders: 'leave', withinMs: 7_000 });
  expect(await lasting(world.clock, ending)).toBe(5_000);
  expect(await ending).toEqual({ journaled: true });
  expect(world.logged.join('\n')).toContain('tradernet.desk does not stop');
  expect(world.logged.join('\n')).toContain('tradernet.orders does not stop');
  expect(world.clock.timers).toBe(0);
});

test('a venue that fails to end is logged, and the others end as they should', async () => {
  const failing = fakeVenue({ stopping: () => Promise.reject(new Error('no socket')) });
  const other = fakeVenue({ id: 'other', farewell: [opened('other/late')] });
  const world = await startWorld({ venue: failing, others: [other] });
  await world.hub.leave({ orders: 'leave' });
  expect(world.events.map(({ subject }) => subject)).toEqual(['tradernet.other.late']);
  expect(world.logged.join('\n')).toContain('tradernet.desk did not stop as it should');
  await ended(world);
});

test('what venues say on their way out is committed and told before they count as left; states and events stay readable', async () => {
  const venue = fakeVenue({ farewell: [linkDown()], provedBy: { login: ['ws'] } });
  const world = await startWorld({ venue });
  venue.say(linkUp(), opened('login'));
  await settle();
  world.take();
  await world.hub.leave({ orders: 'leave' });
  expect(world.take()).toEqual(['- link.down ws 1006 network', 'login session.stale link_down']);
  expect(world.state('login')).toMatchObject({ status: 'active', stale: true });
  expect((await world.hub.read('0-0', 1_000)).events).toEqual(world.events);
  expect(world.hub.lag()).toMatchObject({ oldestMs: 0, waiting: 0 });
  await ended(world);
  expect(world.hub.states().size).toBe(0);
});

test('once it leaves, commands and webhooks are refused, and nothing gets better while what gets worse is told', async () => {
  const venue = fakeVenue({
    venue: 'ibkr',
    role: 'watch',
    safety: { protection: 'ignored', graceMs: 5_000, only: [], quiet: [] },
    provedBy: { login: ['http'] },
    farewell: [linkDown('http')],
  });
  const world = await startWorld({ venue });
  venue.say(linkUp('http'), opened('login', { role: 'watch' }), fact('-', 'venue.normal', {}));
  await world.clock.advance(4_000);
  expect(world.state('ibkr.desk.login')?.safety.level).toBe('safe');
  // It mends, and 3 s later that would be told.
  venue.say(fact('-', 'venue.locked', {}));
  await settle();
  venue.say(fact('-', 'venue.normal', {}));
  await settle();
  expect(world.state('ibkr.desk.login')?.safety.level).toBe('unsafe');
  await world.hub.leave({ orders: 'leave' });
  const command = { by: 'me', source: 'ibkr.desk', command: 'act', params: {}, requestId: 'r' };
  await expect(world.hub.command(command)).rejects.toMatchObject({ code: 'source_unavailable' });
  expect(venue.calls).toEqual([]);
  world.take();
  await world.clock.advance(4_000);
  expect(world.state('ibkr.desk.login')?.safety.level).toBe('unsafe');
  expect(world.take()).toEqual([]);
  await ended(world);
});

test('a grace that ends after the venues are left is told', async () => {
  const venue = fakeVenue({
    venue: 'ibkr',
    role: 'watch',
    safety: { protection: 'ignored', graceMs: 5_000, only: [], quiet: [] },
    provedBy: { login: ['http'] },
    farewell: [linkDown('http')],
  });
  const world = await startWorld({ venue });
  venue.say(linkUp('http'), opened('login', { role: 'watch' }), fact('-', 'venue.normal', {}));
  await world.clock.advance(4_000);
  await world.hub.leave({ orders: 'leave' });
  expect(world.state('ibkr.desk.login')?.safety.level).toBe('safe');
  await world.clock.advance(5_000);
  expect(world.state('ibkr.desk.login')?.safety).toMatchObject({ level: 'unknown' });
  await ended(world);
});

test.each(['fail', 'hang'] as const)(
  'where the journal does %s, ending takes no longer than it may, and says that not all is journaled',
  async (mode) => {
    const world = await startWorld({ venue: fakeVenue({ farewell: [opened('late')] }) });
    world.journal.mode = mode;
    await lasting(world.clock, world.hub.leave({ orders: 'leave', withinMs: 7_000 }));
    const ending = world.hub.stop({ orders: 'leave', withinMs: 7_000 });
    expect(await lasting(world.clock, ending)).toBeLessThanOrEqual(1_000);
    expect(await ending).toEqual({ journaled: false });
    expect(world.logged.join('\n')).toContain('what it did not take is lost');
    expect(world.clock.timers).toBe(0);
  },
);

test('a journal that does not follow when the venues leave, and does before the end, has everything', async () => {
  const world = await startWorld({ venue: fakeVenue({ farewell: [opened('late')] }) });
  world.journal.mode = 'fail';
  await lasting(world.clock, world.hub.leave({ orders: 'leave' }));
  expect(world.events).toEqual([]);
  world.journal.mode = 'fine';
  await world.clock.advance(10_000);
  const ending = world.hub.stop({ orders: 'leave' });
  await lasting(world.clock, ending);
  expect(await ending).toEqual({ journaled: true });
  expect(world.events.map(({ subject }) => subject)).toEqual(['tradernet.desk.late']);
});

test.each([
  ['hangs', () => new Promise<void>(() => {})],
  ['fails', () => Promise.reject(new Error('fsync'))],
] as const)('a journal whose closing %s is no reason to stay, and not all counts as journaled', async (_how, close) => {
  const world = createWorld({ journal: { ...faultyJournal(), close } });
  await world.hub.start();
  const ending = world.hub.stop({ orders: 'leave', withinMs: 7_000 });
  expect(await lasting(world.clock, ending)).toBeLessThanOrEqual(1_000);
  expect(await ending).toEqual({ journaled: false });
  expect(world.clock.timers).toBe(0);
});

test('the journal is closed once, after all that waited is committed, and stop resolves only then', async () => {
  const order: string[] = [];
  const inner = createMemoryJournal();
  const journal = faultyJournal({
    ...inner,
    append: async (batch) => {
      await inner.append(batch);
      order.push(...batch.events.map(({ type }) => type));
    },
    close: async () => {
      await settle(2);
      order.push('closed');
      await inner.close();
    },
  });
  const world = await startWorld({ journal, venue: fakeVenue({ farewell: [opened('late')] }) });
  await Promise.all([world.hub.stop({ orders: 'leave' }), world.hub.stop({ orders: 'cancel' })]);
  order.push('stopped');
  expect(order).toEqual(['session.opened', 'closed', 'stopped']);
  expect(world.venue.stops).toEqual([{ orders: 'leave' }]);
});
