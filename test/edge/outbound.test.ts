import { expect, test } from 'vitest';
import { createOutbound } from '../../src/edge/outbound.js';
import type { SendOutcome, Wire } from '../../src/edge/wire.js';
import { silentLog } from '../../src/net/log.js';
import { VirtualClock } from '../support/virtual-clock.js';

/** A wire whose peer reads when the test says so. */
function setUp({ maxBufferedBytes = 1_000, stallMs = 30_000 } = {}) {
  const clock = new VirtualClock();
  const state = { buffered: 0, outcome: undefined as SendOutcome | undefined, throws: false };
  const sent: string[] = [];
  const closes: number[] = [];
  const wire: Wire = {
    send(message) {
      if (state.throws) throw new Error('a fault');
      if (state.outcome !== undefined) return state.outcome;
      sent.push(String(message));
      state.buffered += message.length;
      return 'queued';
    },
    cork: (task) => task(),
    close() {},
    terminate() {},
    buffered: () => state.buffered,
    isOpen: true,
    remoteAddress: '127.0.0.1',
  };
  const close = (code: number): void => {
    closes.push(code);
    outbound.stop();
  };
  const outbound = createOutbound({ wire, limits: { maxBufferedBytes, stallMs }, clock, log: silentLog, close });
  const read = (bytes: number): void => {
    state.buffered = Math.max(0, state.buffered - bytes);
    outbound.drained();
  };
  return { clock, outbound, sent, closes, state, read };
}

test('what the wire refuses ends the connection with 4408, and nothing is sent after it', () => {
  const { outbound, closes, state, sent } = setUp();
  state.outcome = 'refused';
  expect(outbound.send(['a', 'b'])).toBe(false);
  state.outcome = undefined;
  expect(outbound.send(['c'])).toBe(false);
  expect([closes, sent]).toEqual([[4408], []]);
});

test('more than maxBufferedBytes ends the connection with 4408, exactly that many does not', () => {
  const { outbound, closes } = setUp({ maxBufferedBytes: 10 });
  expect(outbound.send(['0123456789'])).toBe(true);
  expect(outbound.send(['x'])).toBe(false);
  expect(closes).toEqual([4408]);
});

test('a wire that throws ends its own connection with 4500 and nobody else’s turn', () => {
  const { outbound, closes, state } = setUp();
  state.throws = true;
  expect(outbound.send(['a'])).toBe(false);
  expect(closes).toEqual([4500]);
});

test('nothing read for 30 s is 4408', async () => {
  const { outbound, closes, clock } = setUp();
  outbound.send(['x'.repeat(100)]);
  await clock.advance(29_999);
  expect(closes).toEqual([]);
  await clock.advance(1);
  expect(closes).toEqual([4408]);
  expect(clock.timers).toBe(0);
});

test('one byte read in 30 s is progress, also while more is queued than read', async () => {
  const { outbound, closes, clock, read } = setUp();
  outbound.send(['x'.repeat(50)]);
  for (let round = 0; round < 10; round++) {
    await clock.advance(20_000);
    read(1);
    outbound.send(['x'.repeat(20)]);
  }
  expect(closes).toEqual([]);
  await clock.advance(30_000);
  expect(closes).toEqual([4408]);
});

test('a buffer that emptied and filled again starts anew', async () => {
  const { outbound, closes, clock, read } = setUp();
  outbound.send(['x'.repeat(10)]);
  await clock.advance(20_000);
  read(10);
  expect(clock.timers).toBe(0);
  outbound.send(['x'.repeat(500)]);
  await clock.advance(29_999);
  expect(closes).toEqual([]);
});

test('who waits for room is woken when there is some, and told when there never will be', async () => {
  const { outbound, read } = setUp({ maxBufferedBytes: 1_000 });
  outbound.send(['x'.repeat(600)]);
  const woken: unknown[] = [];
  void outbound.writable(300).then((open) => woken.push(['small', open]));
  void outbound.writable(5_000).then((open) => woken.push(['large', open]));
  read(300);
  await Promise.resolve();
  expect(woken).toEqual([]);
  read(100);
  await Promise.resolve();
  expect(woken).toEqual([['small', true]]);
  read(200);
  await Promise.resolve();
  expect(woken).toEqual([
    ['small', true],
    ['large', true],
  ]);
  outbound.send(['x'.repeat(900)]);
  const never = outbound.writable(300);
  outbound.stop();
  expect(await never).toBe(false);
  expect(await outbound.writable(1)).toBe(false);
});
