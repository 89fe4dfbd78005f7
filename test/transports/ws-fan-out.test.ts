import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import type { Wire } from '../../src/edge/wire.js';
import { createSlots } from '../../src/transports/slots.js';
import { textFrames } from '../../src/transports/text-frames.js';
import { createWsFanOut, type WsSeat } from '../../src/transports/ws-fan-out.js';
import { attachWsWire } from '../../src/transports/ws-wire.js';

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** A server's wire and the client at its other end, over a real socket. */
async function connect() {
  const http = createServer();
  const server = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  const slots = createSlots<WsSeat>();
  const fanOut = createWsFanOut(slots);
  const drains: number[] = [];
  const opened = new Promise<Wire>((resolve) => {
    http.on('upgrade', (request, socket, head) => {
      server.handleUpgrade(request, socket, head, (webSocket) => {
        attachWsWire(
          webSocket,
          request.socket,
          (wire) => {
            resolve(wire);
            return { message() {}, closed() {}, drained: () => void drains.push(wire.buffered()) };
          },
          { remoteAddress: '127.0.0.1', maxBufferedBytes: 1e9, slots, fanOut },
        );
      });
    });
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const client = new WebSocket(`ws://127.0.0.1:${(http.address() as AddressInfo).port}`);
  const got: string[] = [];
  client.on('message', (data) => void got.push(data.toString()));
  const wire = await opened;
  await new Promise<void>((resolve) => (client.readyState === client.OPEN ? resolve() : client.once('open', resolve)));
  ends.push(() => {
    client.terminate();
    http.close();
    http.closeAllConnections();
  });
  const send = (messages: readonly (string | Uint8Array)[]) => fanOut.send(messages, [wire.slot?.index ?? -1]);
  const until = async (count: number): Promise<void> => {
    while (got.length < count) await new Promise((resolve) => client.once('message', resolve));
  };
  return { wire, client, got, drains, send, until };
}

test('what the fan-out and the wire send comes in order, whatever its length', async () => {
  const { wire, got, send, until } = await connect();
  const sizes = [0, 1, 125, 126, 127, 65_535, 65_536, 100_000];
  const texts = sizes.map((size) => 'é'.repeat(size / 2) + 'x'.repeat(size % 2));
  expect(send(texts)).toEqual({ skipped: [], queued: [], failed: [] });
  expect(wire.send('between')).toBe('sent');
  expect(send([Buffer.from('last')])).toEqual({ skipped: [], queued: [], failed: [] });
  await until(texts.length + 2);
  expect(got).toEqual([...texts, 'between', 'last']);
});

test('where something waits nothing is sent, and who waits is told when it has left', async () => {
  const { wire, client, got, drains, send, until } = await connect();
  client.pause();
  const text = 'x'.repeat(60_000);
  let count = 0;
  for (; ; count++) {
    const { queued } = send([text]);
    if (queued.length > 0) break;
  }
  expect(wire.buffered()).toBeGreaterThan(0);
  expect(send(['skipped']).skipped).toEqual([0]);
  expect(drains).toEqual([]);
  client.resume();
  await until(count + 1);
  while (drains.at(-1) !== 0) await new Promise((resolve) => setImmediate(resolve));
  expect(got).toEqual(Array.from({ length: count + 1 }, () => text));
  expect(send(['again'])).toEqual({ skipped: [], queued: [], failed: [] });
});

test('behind a close frame, of either side, nothing is sent any more', async () => {
  const { wire, client, got, send } = await connect();
  const closed = new Promise((resolve) => client.once('close', resolve));
  wire.close(1000, 'bye');
  expect(send(['late']).skipped).toEqual([0]);
  await closed;
  expect(got).toEqual([]);

  const other = await connect();
  other.client.close(1000);
  await new Promise((resolve) => other.client.once('close', resolve));
  while (other.send(['late']).skipped.length === 0) await new Promise((resolve) => setImmediate(resolve));
  expect(other.wire.send('late')).toBe('closed');
});

test('the frames are those of RFC 6455: final, text, unmasked, in the shortest form', () => {
  expect([...textFrames(['a']).subarray(0, 3)]).toEqual([0x81, 1, 0x61]);
  expect([...textFrames(['a'.repeat(126)]).subarray(0, 4)]).toEqual([0x81, 126, 0, 126]);
  expect([...textFrames(['a'.repeat(65_536)]).subarray(0, 10)]).toEqual([0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
});
