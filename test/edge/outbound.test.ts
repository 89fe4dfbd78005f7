import { expect, test } from 'vitest';
import type { Frame } from '../../src/edge/frames.js';
import { STREAM_SHARE } from '../../src/edge/limits.js';
import { createOutbound } from '../../src/edge/outbound.js';
import { createEdgeStats } from '../../src/edge/stats.js';
import { bytesOnWire, type SendOutcome, type Wire } from '../../src/edge/wire.js';
import { silentLog } from '../../src/net/log.js';
import { VirtualClock } from '../support/virtual-clock.js';

/** A wire whose peer reads when the test says so. */
function setUp({ maxBufferedBytes = 1_000, stallMs = 30_000 } = {}) {
  const clock = new VirtualClock();
  const state = {
    buffered: 0,
    outcome: undefined as SendOutcome | undefined,
    throws: false,
    /** It refuses after so many messages. */
    refuseAfter: Number.POSITIVE_INFINITY,
    /** Nothing ever waits. */
    absorbs: false,
    /** So many bytes leave with the next message. */
    leaves: 0,
    corks: 0,
  };
  const sent: string[] = [];
  const closes: number[] = [];
  const wire: Wire = {
    send(message) {
      if (state.throws) throw new Error('a fault');
      if (state.outcome !== undefined) return state.outcome;
      if (sent.length >= state.refuseAfter) return 'refused';
      sent.push(String(message));
      if (state.absorbs) return 'sent';
      state.buffered += bytesOnWire(message.length) - state.leaves;
      state.leaves = 0;
      return 'queued';
    },
    cork(task) {
      state.corks++;
      task();
    },
    close() {},
    terminate() {},
    buffered() {
      return state.buffered;
    },
    isOpen: true,
    remoteAddress: '127.0.0.1',
  };
  const close = (code: number): void => {
    closes.push(code);
    outbound.stop();
  };
  const outbound = createOutbound(
    wire,
    { limits: { maxBufferedBytes, stallMs }, clock, log: silentLog, stats: createEdgeStats() },
    { left() {}, close },
  );
  const read = (bytes: number): void => {
    state.buffered = Math.max(0, state.buffered - bytes);
    outbound.drained();
  };
  return { clock, outbound, sent, closes, state, read };
}

const framesOf = (...texts: readonly string[]): readonly Frame[] =>
  texts.map((text, index) => ({
    id: `7-${index + 1}`,
    offset: index + 1,
    previous: '',
    text,
    bytes: text.length,
    data: undefined,
  }));

test('a reply that the wire refuses ends the connection with 4408, and nothing is sent after it', () => {
  const { outbound, closes, state, sent } = setUp();
  state.outcome = 'refused';
  expect(outbound.send(['a', 'b'])).toBe(false);
  state.outcome = undefined;
  expect(outbound.send(['c'])).toBe(false);
  expect([closes, sent]).toEqual([[4408], []]);
});

test('a reply that finds no room within maxBufferedBytes ends the connection with 4408, unsent; one that just fits does not', () => {
  const { outbound, closes, state, sent } = setUp({ maxBufferedBytes: 100 });
  expect(outbound.send(['x'.repeat(40)])).toBe(true);
  expect(outbound.send(['x'.repeat(56)])).toBe(true);
  expect(state.buffered).toBe(100);
  expect(outbound.send(['x'])).toBe(false);
  expect([closes, sent.length, state.buffered]).toEqual([[4408], 2, 100]);
});

test('a message larger than maxBufferedBytes is sent alone, never behind another', () => {
  const large = 'x'.repeat(5_000);
  const { outbound, closes, sent, read } = setUp({ maxBufferedBytes: 1_000 });
  expect(outbound.push(framesOf('a', large, 'b'))).toBe(1);
  expect(outbound.pour(framesOf(large), 0, framesOf(large)[0] as Frame)).toBe(0);
  read(3);
  expect(outbound.pour(framesOf(large, 'b'), 0, framesOf(large)[0] as Frame)).toBe(1);
  expect(sent).toEqual(['a', large]);
  expect(outbound.offer(['c'])).toBe(false);
  read(6_000);
  expect(outbound.offer(['c'])).toBe(true);
  expect(closes).toEqual([]);
});

test('live frames take their share of the buffer and no more: how many went is told, and the connection lives', () => {
  const { outbound, closes, state, sent } = setUp({ maxBufferedBytes: 1_000 });
  const all = framesOf(...Array.from({ length: 50 }, (_, n) => `frame ${n}`.padEnd(20)));
  const went = outbound.push(all);
  expect(sent).toEqual(all.slice(0, went).map(({ text }) => text));
  expect(state.buffered).toBeLessThanOrEqual(1_000 * STREAM_SHARE);
  expect(went).toBe(21);
  expect(outbound.push(all)).toBe(0);
  expect(outbound.send(['a reply has room beside it'])).toBe(true);
  expect(closes).toEqual([]);
});

test('a frame that the wire refuses was not sent, and the ones behind it neither', () => {
  const { outbound, closes, state, sent } = setUp();
  state.refuseAfter = 2;
  expect(outbound.push(framesOf('a', 'b', 'c', 'd'))).toBe(2);
  expect([sent, closes]).toEqual([['a', 'b'], []]);
});

test('a wire that hands everything on at once is pushed no more in one go than maxBufferedBytes', () => {
  const { outbound, state, sent } = setUp({ maxBufferedBytes: 1_000 });
  state.absorbs = true;
  const went = outbound.push(framesOf(...Array.from({ length: 500 }, () => 'x'.repeat(30))));
  expect(went).toBe(sent.length);
  expect(went).toBe(Math.floor(1_000 / bytesOnWire(30)));
});

test('a pulse goes only where nothing waits, a heartbeat where there is some room', () => {
  const { outbound, closes } = setUp({ maxBufferedBytes: 100 });
  expect(outbound.spare('pulse', 'pulse')).toBe(true);
  expect(outbound.spare('pulse', 'pulse')).toBe(false);
  expect(outbound.spare('heartbeat', 'heartbeat')).toBe(true);
  expect(outbound.spare('x'.repeat(60), 'heartbeat')).toBe(false);
  expect(closes).toEqual([]);
});

test('a wire that is gone ends the connection', () => {
  const { outbound, closes, state } = setUp();
  state.outcome = 'closed';
  expect(outbound.push(framesOf('a'))).toBe(0);
  expect(closes).toEqual([1001]);
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
  read(12);
  expect(clock.timers).toBe(0);
  outbound.send(['x'.repeat(500)]);
  await clock.advance(29_999);
  expect(closes).toEqual([]);
});

test('bytes that left while more were handed over are progress', async () => {
  const { outbound, closes, clock, state } = setUp();
  outbound.send(['x'.repeat(100)]);
  for (let round = 0; round < 5; round++) {
    await clock.advance(20_000);
    // One byte left while twenty were sent: what waits only grew.
    state.leaves = 1;
    outbound.send(['x'.repeat(20)]);
  }
  expect(closes).toEqual([]);
});

test('who waits for room is woken when there is some, and told when there never will be', async () => {
  const { outbound, read } = setUp({ maxBufferedBytes: 1_000 });
  outbound.send(['x'.repeat(600)]);
  const woken: unknown[] = [];
  void outbound.writable(300).then((open) => woken.push(['small', open]));
  void outbound.writable(5_000).then((open) => woken.push(['large', open]));
  read(400);
  await Promise.resolve();
  expect(woken).toEqual([]);
  read(100);
  await Promise.resolve();
  expect(woken).toEqual([['small', true]]);
  read(104);
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

test('who waits for room is woken by a send that takes along what waited before it: nothing else tells of that', async () => {
  const { outbound, state } = setUp({ maxBufferedBytes: 1_000 });
  outbound.send(['x'.repeat(600)]);
  let woken: boolean | undefined;
  void outbound.writable(5_000).then((open) => {
    woken = open;
  });
  outbound.send(['y']);
  await Promise.resolve();
  expect(woken).toBeUndefined();
  state.leaves = state.buffered + bytesOnWire(1);
  outbound.send(['z']);
  await Promise.resolve();
  expect([state.buffered, woken]).toEqual([0, true]);
});

test('one frame is one call of the wire, without a cork', () => {
  const { outbound, state, sent } = setUp();
  state.absorbs = true;
  expect(outbound.push(framesOf('first'))).toBe(1);
  state.corks = 0;
  for (let n = 0; n < 100; n++) expect(outbound.push(framesOf('x'))).toBe(1);
  expect([sent.length, state.corks]).toEqual([101, 0]);
});

test('a frame that is queued where nothing waited is watched: a peer that reads nothing from then on is ended with 4408', async () => {
  const { outbound, state, closes, clock } = setUp({ stallMs: 1_000 });
  state.absorbs = true;
  outbound.push(framesOf('first'));
  state.absorbs = false;
  expect(outbound.push(framesOf('queued'))).toBe(1);
  await clock.advance(999);
  expect(closes).toEqual([]);
  await clock.advance(2);
  expect(closes).toEqual([4408]);
});

test('a frame that is refused where nothing waited did not go, and one on a socket that is gone ends the connection', () => {
  const { outbound, state, closes, sent } = setUp();
  state.absorbs = true;
  outbound.push(framesOf('first'));
  state.outcome = 'refused';
  expect(outbound.push(framesOf('second'))).toBe(0);
  state.outcome = undefined;
  expect(outbound.push(framesOf('second'))).toBe(1);
  state.outcome = 'closed';
  expect(outbound.push(framesOf('third'))).toBe(0);
  expect([sent, closes]).toEqual([['first', 'second'], [1001]]);
});

test('what is shared goes as its bytes, and what is not as its text', () => {
  const { outbound, state, sent } = setUp();
  state.absorbs = true;
  const [one] = framesOf('ä');
  if (one === undefined) throw new Error('no frame');
  const data = Buffer.from('as bytes');
  outbound.push([one, { ...one, data, bytes: data.length }]);
  outbound.push([{ ...one, data, bytes: data.length }]);
  expect(sent).toEqual(['ä', 'as bytes', 'as bytes']);
});
