import { MessageChannel } from 'node:worker_threads';
import { afterEach, expect, test } from 'vitest';
import type { Sight } from '../../src/bus/bus.js';
import { MAX_WAITING_BYTES } from '../../src/bus/feed.js';
import { createLocalBus } from '../../src/bus/local.js';
import { CALL_MS, createPeer, MAX_CALLS } from '../../src/bus/peer.js';
import { LATE_MS, LOST_MS, SILENT_MS } from '../../src/bus/worker.js';
import { ConfigError, SessionRelayError, VenueError } from '../../src/errors.js';
import { systemClock } from '../../src/net/timer.js';
import { startWorld, type World } from '../hub/world.js';
import { type CarriedBus, carryBus } from '../support/carried-bus.js';
import { fact, linkUp, opened } from '../support/fake-venue.js';
import { settle, VirtualClock } from '../support/virtual-clock.js';

/** What only a bus between threads can suffer: a reader that hangs, a hub that falls silent, calls without an answer. */
const closes: (() => void)[] = [];
afterEach(() => {
  for (const close of closes.splice(0)) close();
});

interface Stage {
  readonly world: World;
  readonly carried: CarriedBus;
  readonly seen: readonly string[];
  readonly sights: readonly Sight[];
  say(count: number): void;
}

async function stage(options: { maxWaitingBytes?: number } = {}): Promise<Stage> {
  const world = await startWorld();
  world.venue.say(linkUp(), opened('a', { kind: 'security' }));
  await settle(10);
  const carried = carryBus(createLocalBus(world.hub), world.clock, options);
  closes.push(carried.close);
  const seen: string[] = [];
  const sights: Sight[] = [];
  carried.bus.turns$.subscribe(({ events }) => seen.push(...events.map(({ id }) => id)));
  carried.bus.sight$.subscribe((sight) => sights.push(sight));
  return {
    world,
    carried,
    seen,
    sights,
    say(count) {
      for (let n = 0; n < count; n++) world.venue.say(fact('a', 'session.step', { step: `${n}` }));
    },
  };
}

test('a reader that hangs costs no more than the bound, is blind, and misses nothing once it reads again', async () => {
  const { world, carried, seen, sights, say } = await stage({ maxWaitingBytes: 20_000 });
  const before = world.events.length;
  carried.stall();
  for (let n = 0; n < 40; n++) {
    say(50);
    await settle(6);
  }
  expect(carried.feed.isBehind).toBe(true);
  expect(carried.feed.waitingBytes).toBeLessThan(40_000);
  const { waiting } = carried;
  say(500);
  await settle(10);
  expect(carried.waiting).toBe(waiting);
  carried.resume();
  await settle(200);
  expect(sights.map(({ blind }) => blind)).toEqual([false, true, false]);
  expect(sights[1]).toMatchObject({ why: expect.stringContaining('behind') });
  expect(carried.feed.isBehind).toBe(false);
  say(5);
  await settle(20);
  expect(seen).toEqual(world.events.slice(before).map(({ id }) => id));
  expect(carried.bus.head()).toBe(world.hub.head());
  expect(carried.lost).toBe(0);
});

test('while it catches up it is not told that it has reached what it has not', async () => {
  const { world, carried, say, sights } = await stage({ maxWaitingBytes: 20_000 });
  carried.stall();
  for (let n = 0; n < 40; n++) {
    say(50);
    await settle(6);
  }
  // All that waits but the first page of what it missed.
  carried.resume(carried.waiting);
  expect(carried.bus.head()).not.toBe(world.hub.head());
  expect(sights.at(-1)?.blind ?? false).toBe(sights.length > 1);
  for (const sight of sights) if (!sight.blind) expect(sight.cursor).not.toBe(world.hub.head());
});

test('what it missed and the journal does not hold any more is a loss that is told, never passed over', async () => {
  const { world, carried, say, seen } = await stage({ maxWaitingBytes: 20_000 });
  const inner = createLocalBus(world.hub);
  const forgetful = carryBus(
    { ...inner, events: async (after, limit) => ({ ...(await inner.events(after, limit)), complete: false }) },
    world.clock,
    { maxWaitingBytes: 20_000 },
  );
  closes.push(forgetful.close);
  const told: string[] = [];
  forgetful.bus.turns$.subscribe(({ events }) => told.push(...events.map(({ id }) => id)));
  forgetful.stall();
  for (let n = 0; n < 40; n++) {
    say(50);
    await settle(6);
  }
  forgetful.resume();
  await settle(50);
  expect(forgetful.lost).toBe(1);
  expect(told).toEqual(seen.slice(0, told.length));
  expect(told.length).toBeLessThan(seen.length);
  expect(carried.lost).toBe(0);
});

test('a hub that falls silent is not followed: blind, since when it was heard last, and lost after half a minute', async () => {
  const { world, carried, sights } = await stage();
  await world.clock.advance(10_000);
  expect(sights.map(({ blind }) => blind)).toEqual([false]);
  carried.silence();
  await world.clock.advance(SILENT_MS - 500);
  expect(sights).toHaveLength(1);
  await world.clock.advance(1_000);
  expect(sights[1]).toMatchObject({ blind: true, why: expect.stringContaining('nothing was heard of the hub') });
  await world.clock.advance(LOST_MS);
  expect(sights.at(-1)).toMatchObject({ blind: true, lasting: true });
  expect(sights).toHaveLength(3);
});

test('what is heard late is not the present', async () => {
  const { world, carried, sights } = await stage();
  await world.clock.advance(1_000);
  carried.stall();
  await world.clock.advance(SILENT_MS - 300);
  carried.resume();
  expect(sights.map(({ blind }) => blind)).toEqual([false, true]);
  expect(sights[1]).toMatchObject({ why: expect.stringMatching(/ms late$/) });
  expect(LATE_MS).toBeLessThan(SILENT_MS);
  // The next word is of now.
  await settle();
  expect(sights.map(({ blind }) => blind)).toEqual([false, true, false]);
});

test('how long it took from a fact to its sending is told back, once a turn', async () => {
  const { world, carried, say } = await stage();
  say(1);
  await settle(10);
  carried.stall();
  say(1);
  await settle(10);
  await world.clock.advance(300);
  carried.resume();
  await settle(10);
  expect(carried.sentMs).toEqual([0, 300]);
});

test('a call that is not answered: a read may be asked again, the outcome of a command is unknown', async () => {
  const { world, carried } = await stage();
  carried.silence();
  const read = carried.bus.lag().catch((thrown: unknown) => thrown);
  const command = carried.bus
    .command({ by: 'me', source: 'tradernet.desk', command: 'set', params: {}, requestId: 'r' })
    .catch((thrown: unknown) => thrown);
  await world.clock.advance(CALL_MS);
  expect(await read).toMatchObject({ code: 'source_unavailable', data: { retryAfterMs: 1_000 } });
  carried.close();
  expect(await command).toMatchObject({ code: 'venue_timeout' });
});

type Asked = { readonly ask: (n: number) => unknown };

test('between real ports errors are of the family on either side, and what cannot cross is one', async () => {
  const { port1, port2 } = new MessageChannel();
  const answers: readonly (() => unknown)[] = [
    () => {
      throw new SessionRelayError('rate_limited', 'too fast', {
        data: { retryAfterMs: 5 },
        cause: new Error('secret'),
      });
    },
    () => Promise.reject(new VenueError(13_004, 'invalid_credentials')),
    () => {
      throw new ConfigError([{ key: 'auth', message: 'is wrong', line: 3 }]);
    },
    () => {
      throw new TypeError('bug');
    },
    () => () => 'a function',
    () => ({ fine: new Map([[1, 2]]) }),
  ];
  const here = createPeer<Asked>(port1, {}, systemClock);
  const there = createPeer<Asked>(port2, { ask: (n: number) => answers[n]?.() }, systemClock);
  const asked = await Promise.all(answers.map((_, n) => here.call('ask', n).catch((thrown: unknown) => thrown)));
  expect(asked).toMatchObject([
    { code: 'rate_limited', message: 'too fast', data: { retryAfterMs: 5 } },
    { code: 'venue_error', data: { code: 13_004, message: 'invalid_credentials' } },
    { code: 'config_invalid', problems: [{ key: 'auth', message: 'is wrong', line: 3 }] },
    { code: 'internal' },
    { code: 'internal' },
    { fine: new Map([[1, 2]]) },
  ]);
  expect(asked.slice(0, 5).every((one) => one instanceof SessionRelayError && one.cause === undefined)).toBe(true);
  here.close(new SessionRelayError('closed', 'over'));
  there.close(new SessionRelayError('closed', 'over'));
  port1.close();
});

test('an answer that is there is heard before what is said after it', async () => {
  const { port1, port2 } = new MessageChannel();
  const heard: string[] = [];
  const here = createPeer<Asked>(port1, { say: (text: string) => heard.push(text) }, systemClock);
  const there = createPeer<{ say: (text: string) => void }>(
    port2,
    {
      ask() {
        queueMicrotask(() => there.post('say', 'later'));
        return 'now';
      },
    },
    systemClock,
  );
  heard.push(String(await here.call('ask', 1)));
  await settle(10);
  expect(heard).toEqual(['now', 'later']);
  here.close(new SessionRelayError('closed', 'over'));
  there.close(new SessionRelayError('closed', 'over'));
  port1.close();
});

test('calls that wait are bounded, and end with the other side', async () => {
  const clock = new VirtualClock();
  const peer = createPeer<Asked>({ postMessage() {}, on() {}, off() {} }, {}, clock);
  const all = Array.from({ length: MAX_CALLS + 1 }, () => peer.call('ask', 1).catch((thrown: unknown) => thrown));
  expect(peer.waiting).toBe(MAX_CALLS);
  expect(await all.at(-1)).toMatchObject({ code: 'rate_limited', data: { retryAfterMs: 1_000 } });
  peer.close(new SessionRelayError('not_available', 'gone'));
  expect(await all[0]).toMatchObject({ code: 'not_available' });
  expect(clock.timers).toBe(0);
  expect(MAX_WAITING_BYTES).toBe(16 * 1024 * 1024);
});
