import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { closeTestRelays, startTestRelay, TRANSPORTS } from '../support/relay.js';
import { watchTransport } from '../support/watched-transport.js';

/** PROTOCOL.md §4, 4408: whoever reads, however little at a time, makes progress. */
const UPDATES = '*.*.*.session.updated';
const EVENTS = 6_000;
/** So much is read while so much of the relay's time passes: kernels tell a writer of room in pieces of about this size. */
const PIECE = 2_000_000;
const PIECE_MS = 12_000;
const PAD = 'x'.repeat(2_000);
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await closeTestRelays();
});

const message = z.looseObject({
  method: z.string().optional(),
  params: z
    .looseObject({ previous: z.string().optional(), data: z.looseObject({ id: z.string() }).optional() })
    .optional(),
});

/** A masked text frame, as a client must send it. */
function masked(text: string): Buffer {
  const payload = Buffer.from(text);
  const frame = Buffer.alloc(8 + payload.length);
  frame[0] = 0x81;
  frame[1] = 0x80 | 126;
  frame.writeUInt16BE(payload.length, 2);
  // A mask of zeros changes nothing.
  payload.copy(frame, 8);
  return frame;
}

/** The texts of whole frames, as a server sends them. */
function textsOf(bytes: Buffer): readonly string[] {
  const texts: string[] = [];
  for (let at = 0; at + 2 <= bytes.length; ) {
    const short = (bytes[at + 1] ?? 0) & 0x7f;
    const size =
      short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2));
    const from = at + (short < 126 ? 2 : short === 126 ? 4 : 10);
    if (from + size > bytes.length) break;
    texts.push(bytes.toString('utf8', from, from + size));
    at = from + size;
  }
  return texts;
}

describe.each(TRANSPORTS)('over %s', (transport) => {
  test('one that reads a byte at a time falls behind, is never closed for it, and has everything in the end', async () => {
    const watched = await watchTransport(transport);
    const { url, venue, clock, settled } = await startTestRelay(watched.transport);
    venue.open('bot');
    await settled();
    const { hostname, port, host } = new URL(url);
    const socket = connect(Number(port), hostname);
    sockets.push(socket);
    await once(socket, 'connect');
    socket.write(
      `GET /v1/ws HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
    );
    const bytes = Buffer.alloc(16 * 1024 * 1024);
    let count = 0;
    const ask = { jsonrpc: '2.0', id: 1, method: 'subscribe', params: { channels: [UPDATES] } };
    /** As many single bytes as there are, up to so many; whether there were any. */
    const read = (most: number): boolean => {
      let got = 0;
      for (; got < most; got++) {
        const byte = socket.read(1) as Buffer | null;
        if (byte === null) break;
        bytes[count++] = byte[0] ?? 0;
      }
      return got > 0;
    };
    const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    const readUntil = async (text: string): Promise<void> => {
      while (!bytes.toString('latin1', 0, count).includes(text)) {
        read(1_000);
        await turn();
      }
    };
    await readUntil('"welcome"');
    socket.write(masked(JSON.stringify(ask)));
    await readUntil('"result"');
    const head = bytes.indexOf('\r\n\r\n') + 4;
    for (let n = 0; n < EVENTS; n++) {
      venue.tell({
        source: 'main',
        session: 'bot',
        type: 'session.updated',
        data: { changed: { n, pad: PAD } },
        key: `u${n}`,
      });
      if (n % 100 === 99) await settled();
    }
    // The whole takes more of the relay's time than `stall`, twice.
    let passed = 0;
    let next = count + PIECE;
    const last = `"n":${EVENTS - 1},`;
    const isOver = (): boolean => bytes.subarray(Math.max(0, count - 8_192), count).includes(last);
    while (!isOver() && watched.closes[0] === undefined) {
      read(100_000);
      await turn();
      if (count < next) continue;
      next += PIECE;
      passed += PIECE_MS;
      await clock.advance(PIECE_MS);
    }
    expect(watched.closes).toEqual([]);
    expect(passed).toBeGreaterThanOrEqual(60_000);
    const said = textsOf(bytes.subarray(head, count)).map((text) => message.parse(JSON.parse(text)));
    const events = said.filter(({ method }) => method === 'subscription').map(({ params }) => params);
    expect(events.length).toBe(EVENTS);
    for (const [index, params] of events.entries())
      if (index > 0) expect(params?.previous).toBe(events[index - 1]?.data?.id);
    expect(said.filter(({ method }) => method === 'lag').length).toBeGreaterThan(0);
  }, 60_000);
});
