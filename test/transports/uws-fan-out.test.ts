import type { WebSocket } from 'uWebSockets.js';
import { expect, test } from 'vitest';
import { createSlots, IDLE, MAY_WAIT, NOT_OPEN } from '../../src/transports/slots.js';
import { createUwsFanOut } from '../../src/transports/uws-fan-out.js';
import { createUwsWire } from '../../src/transports/uws-wire.js';

const [SENT, QUEUED, DROPPED] = [1, 0, 2];

/** A native socket: what each `send` comes to, in turn, and the last of them from then on; and what waits afterwards. */
function createSocket(outcomes: readonly number[], waits = 0) {
  const got: string[] = [];
  let corked = 0;
  const socket = {
    send(message: string | ArrayBuffer) {
      const outcome = outcomes[Math.min(got.length, outcomes.length - 1)];
      if (outcome === undefined) throw new Error('Invalid access of closed uWS.WebSocket');
      if (outcome !== DROPPED) got.push(typeof message === 'string' ? message : Buffer.from(message).toString());
      return outcome;
    },
    cork(task: () => void) {
      corked++;
      task();
    },
    getBufferedAmount: () => waits,
    close: () => undefined,
  };
  return { native: socket as unknown as WebSocket<unknown>, got, corks: () => corked };
}

function setUp(sockets: readonly ReturnType<typeof createSocket>[]) {
  const slots = createSlots<WebSocket<unknown>>();
  const fanOut = createUwsFanOut({ slots, publish: () => true });
  const indices = sockets.map(({ native }) => slots.take(native));
  const idle = (): void => {
    for (const index of indices) slots.states()[index] = IDLE;
  };
  idle();
  return { slots, fanOut, indices, states: () => indices.map((index) => slots.states()[index]) };
}

test('one message: sent, queued, dropped and thrown are told apart, and the others go on', () => {
  const sockets = [[SENT], [QUEUED], [DROPPED], [], [SENT]].map((outcomes) => createSocket(outcomes));
  const { fanOut, indices, states } = setUp(sockets);
  expect(fanOut.send(['a'], indices)).toEqual({ skipped: [2], queued: [1], failed: [3] });
  expect(sockets.map(({ got }) => got)).toEqual([['a'], ['a'], [], [], ['a']]);
  expect(sockets.map(({ corks }) => corks())).toEqual([0, 0, 0, 0, 0]);
  // Nothing is sent to whoever was in trouble without a look.
  expect(states()).toEqual([IDLE, MAY_WAIT, MAY_WAIT, MAY_WAIT, IDLE]);
  expect(fanOut.send(['b'], indices).skipped).toEqual([1, 2, 3]);
});

test('several: in order under one cork; what waits afterwards is found; one that took a part has failed', () => {
  const sockets = [
    createSocket([SENT]),
    createSocket([SENT], 7),
    createSocket([SENT, DROPPED]),
    createSocket([DROPPED]),
  ];
  const { fanOut, indices, states } = setUp(sockets);
  expect(fanOut.send(['a', Buffer.from('b'), 'ü'], indices)).toEqual({ skipped: [3], queued: [1], failed: [2] });
  expect(sockets.map(({ got }) => got)).toEqual([['a', 'b', 'ü'], ['a', 'b', 'ü'], ['a'], []]);
  expect(sockets.map(({ corks }) => corks())).toEqual([1, 1, 1, 1]);
  expect(states()[0]).toBe(IDLE);
  expect(states()[1]).toBe(MAY_WAIT);
});

test('whoever is not open, has left, or has no slot is skipped', () => {
  const sockets = [createSocket([SENT]), createSocket([SENT]), createSocket([SENT])];
  const { slots, fanOut, indices } = setUp(sockets);
  slots.states()[indices[0] ?? -1] = NOT_OPEN;
  slots.give(indices[1] ?? -1);
  expect(fanOut.send(['a'], [...indices, -1])).toEqual({ skipped: [0, 1, 3], queued: [], failed: [] });
  expect(sockets.map(({ got }) => got)).toEqual([[], [], ['a']]);
});

test('a number is given again, and the one who had it changes nothing of it', () => {
  const slots = createSlots<WebSocket<unknown>>();
  const fanOut = createUwsFanOut({ slots, publish: () => true });
  const open = (socket: ReturnType<typeof createSocket>) =>
    createUwsWire(socket.native, { remoteAddress: '192.0.2.1', maxBufferedBytes: 1_000, slots, fanOut });
  const first = open(createSocket([SENT]));
  first.attach({ message() {}, drained() {}, closed() {} });
  const index = first.slot?.index ?? -1;
  first.ended(1000, '');
  const next = open(createSocket([SENT]));
  next.attach({ message() {}, drained() {}, closed() {} });
  expect([next.slot?.index, next.buffered(), slots.states()[index]]).toEqual([index, 0, IDLE]);
  first.drained();
  first.received('late', 4);
  first.close(1000, '');
  first.terminate();
  expect(slots.states()[index]).toBe(IDLE);
});

test('a wire is sent to by the fan-out only while it is open and attached, and after it has said that nothing waits', () => {
  const slots = createSlots<WebSocket<unknown>>();
  const fanOut = createUwsFanOut({ slots, publish: () => true });
  const socket = createSocket([SENT]);
  const wire = createUwsWire(socket.native, { remoteAddress: '192.0.2.1', maxBufferedBytes: 1_000, slots, fanOut });
  const send = (): readonly number[] => fanOut.send(['x'], [wire.slot?.index ?? -1]).skipped;
  expect(send()).toEqual([0]);
  wire.attach({ message() {}, drained() {}, closed() {} });
  expect(send()).toEqual([0]);
  expect([wire.buffered(), send()]).toEqual([0, []]);
  // Within its own events uWebSockets.js corks a socket: what is sent then may wait afterwards.
  wire.received('{}', 2);
  expect([send(), wire.buffered(), send()]).toEqual([[0], 0, []]);
  wire.terminate();
  expect(send()).toEqual([0]);
});

test('beyond the first thousand there are slots for as many as come', () => {
  const slots = createSlots<number>();
  const indices = Array.from({ length: 5_000 }, (_, n) => slots.take(n));
  expect(new Set(indices).size).toBe(5_000);
  for (const index of indices) slots.states()[index] = IDLE;
  expect(slots.sockets.every((socket, index) => socket === index)).toBe(true);
  slots.take(5_000);
  expect(indices.every((index) => slots.states()[index] === IDLE)).toBe(true);
});
