import type { WebSocket } from 'uWebSockets.js';
import { getHeapStatistics } from 'node:v8';
import { afterEach, expect, test, vi } from 'vitest';
import { type Channels, createChannels, type Member, NO_PLACE } from '../../src/edge/channels.js';
import type { Frame } from '../../src/edge/frames.js';
import type { SessionEvent } from '../../src/model/event.js';
import type { Grant } from '../../src/model/grant.js';
import { createSlots } from '../../src/transports/slots.js';
import { createUwsFanOut } from '../../src/transports/uws-fan-out.js';
import { createUwsWire, type UwsWire } from '../../src/transports/uws-wire.js';
import { createEdgeStage, type EdgeStage, type Told } from '../support/edge-stage.js';

/**
 * What a delivery costs, counted and not timed: what is done once a delivery, once a group, once an event. Whoever makes
 * one of these numbers grow with the number of subscribers has made the relay slower, whatever a clock says.
 */

afterEach(() => {
  vi.restoreAllMocks();
});

/** What a subscriber's socket was asked: each is a call out of JavaScript. */
interface Calls {
  send: number;
  cork: number;
  buffered: number;
  bytes: number;
  subscribed: number;
  /** Of a group, and not of a subscriber. */
  published: number;
}

function noCalls(): Calls {
  return { send: 0, cork: 0, buffered: 0, bytes: 0, subscribed: 0, published: 0 };
}

/** A socket of uWebSockets.js that takes everything at once, and counts. */
function countingSocket(calls: Calls): WebSocket<unknown> {
  const socket = {
    send(message: unknown) {
      calls.send++;
      if (typeof message !== 'string') calls.bytes++;
      return 1;
    },
    cork(task: () => void) {
      calls.cork++;
      task();
    },
    getBufferedAmount() {
      calls.buffered++;
      return 0;
    },
    subscribe: () => void calls.subscribed++,
    unsubscribe: () => void calls.subscribed++,
  };
  return socket as unknown as WebSocket<unknown>;
}

function createSockets(calls: Calls) {
  const slots = createSlots<WebSocket<unknown>>();
  const fanOut = createUwsFanOut({ slots, publish: () => calls.published++ });
  return {
    open: (): UwsWire =>
      createUwsWire(countingSocket(calls), { remoteAddress: '192.0.2.1', maxBufferedBytes: 262_144, slots, fanOut }),
  };
}

async function follow(stage: EdgeStage, wire: UwsWire, channel: string): Promise<void> {
  const handlers = stage.attach(wire);
  wire.attach(handlers);
  handlers.message(
    JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'subscribe', params: { channels: [channel], snapshot: false } }),
    100,
  );
  await stage.settle();
}

function updates(count: number, subject: string): readonly Told[] {
  return Array.from({ length: count }, () => ({ subject, type: 'session.updated' }));
}

interface Counted extends Calls {
  readonly rendered: number;
  readonly stringified: number;
  readonly encoded: number;
  readonly measured: number;
}

/** `groups` channels that match every event and as many that match none, each with `members` subscribers. */
async function count(world: {
  readonly groups: number;
  readonly members: number;
  readonly turns: number;
  readonly eventsOfTurn: number;
}): Promise<Counted> {
  const { groups, members, turns, eventsOfTurn } = world;
  const matching = ['deribit.main.s0.>', 'deribit.main.*.session.updated', '*.main.s0.>', '*.*.s0.session.*', '>'];
  const stage = await createEdgeStage();
  const calls = noCalls();
  const sockets = createSockets(calls);
  for (let group = 0; group < groups; group++) {
    for (let member = 0; member < members; member++) {
      await follow(stage, sockets.open(), matching[group] ?? '');
      await follow(stage, sockets.open(), `deribit.main.elsewhere${group}.>`);
    }
  }
  const turn = (): void => {
    stage.append(updates(eventsOfTurn, 'deribit.main.s0'));
    stage.publish();
  };
  // The first delivery finds out that nothing waits.
  turn();
  Object.assign(calls, noCalls());
  const before = stage.replay.channels.rendered;
  for (let n = 0; n < turns; n++) stage.append(updates(eventsOfTurn, 'deribit.main.s0'));
  const stringify = vi.spyOn(JSON, 'stringify');
  const from = vi.spyOn(Buffer, 'from');
  const byteLength = vi.spyOn(Buffer, 'byteLength');
  const events = stage.told.slice(-turns * eventsOfTurn);
  for (let at = 0; at < events.length; at += eventsOfTurn)
    stage.replay.channels.publish({ events: events.slice(at, at + eventsOfTurn), pulses: [] });
  const counted = {
    ...calls,
    rendered: stage.replay.channels.rendered - before,
    stringified: stringify.mock.calls.length,
    encoded: from.mock.calls.length,
    measured: byteLength.mock.calls.length,
  };
  vi.restoreAllMocks();
  return counted;
}

test.each([
  { groups: 1, members: 2 },
  { groups: 1, members: 200 },
  { groups: 5, members: 2 },
  { groups: 5, members: 40 },
])('an event alone, $groups groups of $members: a send a delivery, a frame a group, JSON once', async (size) => {
  const { groups, members } = size;
  const turns = 20;
  expect(await count({ ...size, turns, eventsOfTurn: 1 })).toEqual({
    send: groups * members * turns,
    // As bytes: no socket encodes a text anew.
    bytes: groups * members * turns,
    cork: 0,
    buffered: 0,
    subscribed: 0,
    published: 0,
    rendered: groups * turns,
    stringified: turns,
    encoded: groups * turns,
    measured: 0,
  });
});

test.each([
  // To a few, and short ones: each message is sent to each.
  { groups: 1, members: 2, eventsOfTurn: 32, published: 0 },
  { groups: 5, members: 40, eventsOfTurn: 4, published: 0 },
  // Else the last alone, behind what is published once for the group.
  { groups: 1, members: 200, eventsOfTurn: 32, published: 31 },
  { groups: 5, members: 40, eventsOfTurn: 8, published: 7 },
])(
  'bursts of $eventsOfTurn, $groups groups of $members: a cork a subscriber, one question what waits',
  async (size) => {
    const { groups, members, eventsOfTurn, published } = size;
    const turns = 3;
    const events = turns * eventsOfTurn;
    const sent = groups * members * turns * (eventsOfTurn - published);
    expect(await count({ groups, members, turns, eventsOfTurn })).toEqual({
      send: sent,
      bytes: sent,
      cork: groups * members * turns,
      buffered: groups * members * turns,
      subscribed: 0,
      published: groups * turns * published,
      rendered: groups * events,
      stringified: events,
      encoded: groups * events,
      measured: 0,
    });
  },
);

test('a subscriber that is alone in its group costs as much as each of many', async () => {
  const turns = 20;
  expect(await count({ groups: 3, members: 1, turns, eventsOfTurn: 1 })).toEqual({
    send: 3 * turns,
    bytes: 3 * turns,
    cork: 0,
    buffered: 0,
    subscribed: 0,
    published: 0,
    rendered: 3 * turns,
    stringified: turns,
    encoded: 3 * turns,
    measured: 0,
  });
});

/** Bytes of heap that handing one turn of so many events to so many takes, at the least of some tries. */
function heapOfTurn(members: number, eventsOfTurn: number): number {
  const channels = createChannels('7-0');
  const calls = noCalls();
  const sockets = createSockets(calls);
  const group = channels.acquire('>', 'full', false);
  for (let index = 0; index < members; index++) {
    const wire = sockets.open();
    wire.attach({ message() {}, drained() {}, closed() {} });
    // It finds out that nothing waits.
    wire.buffered();
    channels.join(group, { slot: wire.slot, place: NO_PLACE, deliver() {}, queued() {}, broken() {}, pulse() {} });
  }
  let offset = 0;
  let least = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < 30; turn++) {
    const events = Array.from({ length: eventsOfTurn }, () => event(++offset));
    const before = getHeapStatistics().used_heap_size;
    channels.publish({ events, pulses: [] });
    const grown = getHeapStatistics().used_heap_size - before;
    // A collection in between says nothing.
    if (grown >= 0) least = Math.min(least, grown);
  }
  expect(calls.send + calls.published * members).toBe(members * eventsOfTurn * 30);
  return least;
}

test.each([1, 4, 32])('turns of %i: a delivery allocates nothing, not even a byte', (eventsOfTurn) => {
  const [few, many] = [100, 20_000];
  const grown = heapOfTurn(many, eventsOfTurn) - heapOfTurn(few, eventsOfTurn);
  expect(grown / (many - few)).toBeLessThan(1);
});

function event(offset: number, session = 's0'): SessionEvent {
  return {
    id: `7-${offset}`,
    key: `k${offset}`,
    source: '/deribit/main',
    subject: `deribit.main.${session}`,
    type: 'session.updated',
    time: '2026-11-23T08:00:00.000Z',
    data: { changed: { n: offset } },
  };
}

function join(channels: Channels, channel: string, fields: Grant['fields'], members: number): (readonly Frame[])[] {
  const got: (readonly Frame[])[] = [];
  const group = channels.acquire(channel, fields, false);
  for (let index = 0; index < members; index++) {
    const member: Member = {
      slot: undefined,
      place: NO_PLACE,
      deliver: (frames) => void got.push(frames),
      queued() {},
      broken() {},
      pulse() {},
    };
    channels.join(group, member);
  }
  return got;
}

test('every member of a group is handed the very same frames: a delivery allocates nothing', () => {
  const channels = createChannels('7-0');
  const got = join(channels, '>', 'full', 500);
  channels.publish({ events: [event(1), event(2)], pulses: [] });
  expect(got).toHaveLength(500);
  expect(new Set(got).size).toBe(1);
});

test('JSON is made once for each kind of grant, however many groups there are of it', () => {
  const channels = createChannels('7-0');
  for (const channel of ['>', 'deribit.>', '*.main.>', 'deribit.main.s0.>']) {
    for (const fields of ['full', 'redacted'] as const) join(channels, channel, fields, 3);
  }
  const stringify = vi.spyOn(JSON, 'stringify');
  channels.publish({ events: [event(1)], pulses: [] });
  expect(stringify).toHaveBeenCalledTimes(2);
});

test('of 10,000 groups an event costs those that match it, and no look at the others', () => {
  const channels = createChannels('7-0');
  const heard = Array.from({ length: 10_000 }, (_, index) => join(channels, `deribit.main.s${index}.>`, 'full', 1));
  const everything = join(channels, '>', 'full', 1);
  for (let offset = 1; offset <= 100; offset++) channels.publish({ events: [event(offset, `s${offset}`)], pulses: [] });
  expect(channels.rendered).toBe(200);
  expect(heard.reduce((sum, got) => sum + got.length, 0)).toBe(100);
  expect(everything).toHaveLength(100);
});
