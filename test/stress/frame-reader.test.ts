import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { clientFrame, createFrameReader } from './frame-reader.js';

/** A server's frame, unmasked. */
function frame(opcode: number, payload: Buffer, { fin = true, masked = false } = {}): Buffer {
  const size = payload.length;
  const extended = size < 126 ? Buffer.alloc(0) : size < 65_536 ? Buffer.alloc(2) : Buffer.alloc(8);
  if (extended.length === 2) extended.writeUInt16BE(size);
  if (extended.length === 8) extended.writeBigUInt64BE(BigInt(size));
  const short = size < 126 ? size : size < 65_536 ? 126 : 127;
  const head = Buffer.from([(fin ? 0x80 : 0) | opcode, (masked ? 0x80 : 0) | short]);
  return Buffer.concat([head, extended, payload]);
}

function read(pieces: readonly Uint8Array[]): readonly unknown[] {
  const seen: unknown[] = [];
  const reader = createFrameReader({
    text: (text) => seen.push(text),
    ping: (payload) => seen.push(['ping', String(payload)]),
    close: (code, reason) => seen.push(['close', code, reason]),
    fault: (what) => seen.push(['fault', what]),
  });
  for (const piece of pieces) reader.push(piece);
  return seen;
}

describe('the frame reader', () => {
  test('reads the same messages however the bytes are cut', () => {
    const texts = fc.array(fc.string({ maxLength: 300 }), { maxLength: 8 });
    fc.assert(
      fc.property(texts, fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }), (messages, sizes) => {
        const bytes = Buffer.concat(messages.map((text) => frame(1, Buffer.from(text))));
        const pieces: Buffer[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const size = sizes[turn % sizes.length] ?? 1;
          pieces.push(bytes.subarray(at, at + size));
          at += size;
        }
        expect(read(pieces)).toEqual(messages.map((text) => Buffer.from(text).toString()));
      }),
    );
  });

  test('reads every length, fragments, and control frames between them', () => {
    const long = 'x'.repeat(70_000);
    const middle = 'y'.repeat(200);
    const bytes = Buffer.concat([
      frame(1, Buffer.from(long)),
      frame(1, Buffer.from(middle)),
      frame(1, Buffer.from('first, '), { fin: false }),
      frame(9, Buffer.from('are you there')),
      frame(0, Buffer.from('second')),
      frame(8, Buffer.concat([Buffer.from([0x03, 0xe9]), Buffer.from('gone')])),
      frame(1, Buffer.from('after the end')),
    ]);
    const seen = [long, middle, ['ping', 'are you there'], 'first, second', ['close', 1001, 'gone']];
    expect(read([bytes])).toEqual(seen);
    expect(read([...bytes].map((byte) => Uint8Array.of(byte)))).toEqual(seen);
  });

  test.each([
    ['a masked frame', frame(1, Buffer.from('x'), { masked: true }), 'masked'],
    ['reserved bits', Buffer.from([0xc1, 0x01, 0x78]), 'reserved'],
    ['a continuation of nothing', frame(0, Buffer.from('x')), 'continuation'],
    ['a binary message', frame(2, Buffer.from('x')), 'opcode 2'],
  ])('refuses %s', (_what, bytes, fault) => {
    expect(read([bytes, frame(1, Buffer.from('next'))])).toEqual([['fault', expect.stringContaining(fault)]]);
  });

  test('a client frame is masked and says its length', () => {
    for (const size of [5, 200, 70_000]) {
      const payload = randomBytes(size);
      const mask = randomBytes(4);
      const bytes = clientFrame('text', payload, mask);
      const head = size < 126 ? 2 : size < 65_536 ? 4 : 10;
      expect(bytes[0]).toBe(0x81);
      expect((bytes[1] ?? 0) & 0x80).toBe(0x80);
      expect(bytes.length).toBe(head + 4 + size);
      const unmasked = Buffer.from(bytes.subarray(head + 4).map((byte, index) => byte ^ (mask[index % 4] ?? 0)));
      expect(unmasked.equals(payload)).toBe(true);
    }
  });
});
