import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createChain } from '../../bench/support/load/chain.js';
import { headBytesOf } from '../../bench/support/load/dialect.js';
import { createCutter, payloadStart, serverFrame, webSocketFraming } from '../../bench/support/load/framing.js';
import { createTally } from '../../bench/support/load/tally.js';
import { createFrameSource } from '../../bench/support/servers/frame-source.js';

const CHANNEL = 'deribit.*.*.access.logged';

/** A connection that is fed bytes: what a load generator's is without its socket. */
function receiver() {
  const tally = createTally();
  const chain = createChain(0, headBytesOf(CHANNEL), tally);
  const cutter = createCutter(webSocketFraming, (bytes, at, size) =>
    chain.take(bytes, payloadStart(bytes, at), at + size),
  );
  return { tally, chain, cutter };
}

function frames(count: number): { readonly cursor: string; readonly all: readonly Buffer[] } {
  const source = createFrameSource(CHANNEL);
  const cursor = source.cursor();
  source.prepare(count);
  return { cursor, all: Array.from({ length: count }, () => serverFrame(source.next())) };
}

test('however a stream is cut into chunks, every frame is taken once, in order, and none is at fault', () => {
  const { cursor, all } = frames(12);
  const stream = Buffer.concat(all);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 50 }), (sizes) => {
      const { tally, chain, cutter } = receiver();
      chain.begin(cursor);
      // One buffer for all reads, as sockets have it: what is kept of a chunk must be a copy.
      const shared = Buffer.alloc(700);
      for (let at = 0, n = 0; at < stream.length; n++) {
        const size = Math.min(sizes[n % sizes.length] ?? 1, stream.length - at);
        shared.fill(0x78);
        stream.copy(shared, 0, at, at + size);
        cutter.feed(shared, 0, size);
        at += size;
      }
      expect([tally.deliveries, tally.faults, tally.firstFault, cutter.isWhole]).toEqual([12, 0, undefined, true]);
    }),
  );
});

test('a frame that is missing, comes twice, or comes out of its turn is a fault', () => {
  const { cursor, all } = frames(4);
  const [first, second, third, fourth] = all as [Buffer, Buffer, Buffer, Buffer];
  for (const stream of [
    [first, third, fourth],
    [first, second, second, third],
    [first, third, second, fourth],
    [second, third],
  ]) {
    const { tally, chain, cutter } = receiver();
    chain.begin(cursor);
    for (const frame of stream) cutter.feed(frame, 0, frame.length);
    expect(tally.faults).toBeGreaterThan(0);
  }
});

test('bytes that are no frame of an event are a fault, and are not counted', () => {
  const { tally, cutter, chain } = receiver();
  chain.begin('7-0');
  const garbage = serverFrame(
    Buffer.from('{"jsonrpc":"2.0","method":"subscription","params":{"channel":"elsewhere"}}'),
  );
  cutter.feed(garbage, 0, garbage.length);
  expect(tally.deliveries).toBe(0);
  expect(tally.faults).toBeGreaterThan(0);
});

test('lengths of 7, 16 and 64 bits end where RFC 6455 says', () => {
  const cases = [
    [0, 2],
    [125, 127],
    [126, 130],
    [65_535, 65_539],
  ] as const;
  for (const [payload, whole] of cases) {
    const frame = serverFrame(Buffer.alloc(payload));
    expect(webSocketFraming.sizeAt(frame, 0, frame.length)).toBe(whole);
    expect(payloadStart(frame, 0)).toBe(whole - payload);
  }
  const long = Buffer.from([0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
  expect(webSocketFraming.sizeAt(long, 0, long.length)).toBe(65_536 + 10);
  expect(webSocketFraming.sizeAt(long, 0, 9)).toBe(0);
});
