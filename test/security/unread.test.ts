import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { Listening, Transport } from '../../src/transports/transport.js';
import { MAX_PIPELINED } from '../../src/transports/turns.js';
import { createUwsTransport } from '../../src/transports/uws.js';
import { createWsTransport } from '../../src/transports/ws.js';
import { closeTestRelays, startTestRelay, TRANSPORTS } from '../support/relay.js';
import { settle, until } from '../support/virtual-clock.js';

/** Requests whose replies are never read cost a bounded amount of memory, then the connection; others are served. */
const sockets = new Set<Socket>();
const listening = new Set<Listening>();
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  for (const one of listening) await one.close();
  listening.clear();
  await closeTestRelays();
});

const UPGRADE =
  'GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';
const ANSWER_BYTES = 1024 * 1024;
/** What a test waits for below this is ended by the relay; uWebSockets.js has 10 s of its own (ARCHITECTURE.md). */
const STALL_MS = 300;

/** A transport whose every answer has 1 MiB; knows how many were given, and whether the last one is over. */
async function serveLargeAnswers(kind: 'uws' | 'ws') {
  const transport: Transport = kind === 'ws' ? createWsTransport() : await createUwsTransport();
  const counts = { given: 0, isLastOver: false };
  const server = await transport.listen(
    {
      host: '127.0.0.1',
      port: 0,
      path: '/v1/ws',
      maxPayloadBytes: 1_000,
      maxBufferedBytes: 64 * 1024,
      handshakeTimeoutMs: 10_000,
      stallMs: STALL_MS,
      maxBodyBytes: 1_000,
      trustProxy: false,
    },
    {
      upgrade: () => ({ accept: false, status: 403, body: '' }),
      fetch({ url }, { signal }) {
        const mine = ++counts.given;
        counts.isLastOver = false;
        signal.addEventListener('abort', () => {
          if (counts.given === mine) counts.isLastOver = true;
        });
        const body = '#'.repeat(ANSWER_BYTES * Number(new URL(url).pathname.slice(1)));
        return Promise.resolve(new Response(body, { headers: { 'content-length': String(body.length) } }));
      },
    },
  );
  listening.add(server);
  const ask = (times: number, path = '/1'): Socket => {
    const socket = connect(server.port, '127.0.0.1');
    sockets.add(socket);
    socket.pause();
    socket.on('error', () => undefined);
    socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`.repeat(times));
    return socket;
  };
  /** Resolves once so many answers have come, whole and nothing else, with more bytes than these together. */
  const answers = async (socket: Socket, times: number, atLeast: number): Promise<void> => {
    let text = '';
    let bytes = 0;
    socket.on('data', (part: Buffer) => {
      bytes += part.length;
      text += String(part).replace(/#+/g, '#');
    });
    // Each ends in what the next one does not begin with.
    const done = new RegExp(`^(?:HTTP/1.1 200 OK[^#]*#+){${times}}$`);
    const wanted = (): boolean => bytes > atLeast && done.test(text);
    await until(() => socket.closed || wanted(), 'all of it', 15_000);
    await settle(20);
    if (!wanted()) throw new Error(`after ${bytes} bytes: ${text.slice(0, 200)}`);
  };
  return { counts, ask, answers, url: `${server.url}/1` };
}

describe.each(TRANSPORTS)('replies that are never read over %s', (transport) => {
  test('a subscriber that asks and never reads is closed with 4408, long before it is owed all that it asked for', async () => {
    const {
      connect: join,
      venue,
      settled,
    } = await startTestRelay(transport, {
      limits: { maxRequestsPerSecond: 100_000 },
    });
    // Some 128 KiB of events: as much as a page may have.
    venue.open('bot');
    for (let n = 0; n < 10; n++) {
      venue.update('bot', 100);
      await settled();
    }
    const good = await join();
    const page = JSON.stringify(await good.request('get_events', { since: '0-0' }));
    expect(page.length).toBeGreaterThan(100_000);
    const bad = await join();
    bad.socket.pause();
    const asked = 400;
    for (let n = 0; n < asked; n++) {
      bad.send(JSON.stringify({ jsonrpc: '2.0', id: n, method: 'get_events', params: { since: '0-0' } }));
      // No more than are answered at once: others would only be told to come again.
      if (n % 32 === 31) expect(await good.request('ping', n)).toBe(n);
    }
    bad.socket.resume();
    expect(await bad.closed).toMatchObject({ code: 4408 });
    const got = bad.messages.reduce((bytes, message) => bytes + JSON.stringify(message).length, 0);
    expect(got).toBeLessThan((asked * page.length) / 2);
    expect(await good.request('ping', 'after')).toBe('after');
  });

  test('pings whose pongs are never read are not answered for ever: the peer is given up, or gets no more', async () => {
    const { url, connect: join } = await startTestRelay(transport);
    const good = await join();
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    sockets.add(socket);
    socket.pause();
    socket.on('error', () => undefined);
    const key = Buffer.from([1, 2, 3, 4]);
    const ping = Buffer.concat([Buffer.from([0x89, 0xfd]), key, Buffer.alloc(125, 7)]);
    const many = Buffer.concat(Array.from({ length: 1_000 }, () => ping));
    socket.write(UPGRADE);
    const pings = 200;
    for (let n = 0; n < pings && !socket.destroyed; n++) {
      // No more than the other side takes.
      if (!socket.write(many)) await until(() => socket.writableNeedDrain === false || socket.destroyed, 'it is taken');
      if (n % 20 === 0) expect(await good.request('ping', n)).toBe(n);
    }
    let bytes = 0;
    socket.resume().on('data', (part: Buffer) => {
      bytes += part.length;
    });
    if (transport === 'ws') await until(() => socket.destroyed, 'the connection is ended');
    else await settle(50);
    expect(bytes).toBeLessThan((pings * 1_000 * ping.length) / 2);
    expect(await good.request('ping', 'after')).toBe('after');
  });

  test('HTTP requests that are sent in one piece are answered one at a time: nobody holds many answers for one reader', async () => {
    const { counts, ask, url } = await serveLargeAnswers(transport);
    const socket = ask(MAX_PIPELINED - 2);
    await until(() => counts.given > 0, 'the first answer');
    // Others are served meanwhile.
    for (let n = 0; n < 10; n++) expect((await fetch(url)).status).toBe(200);
    await settle(50);
    // The system's own buffers hold a few of them, and the relay one.
    expect(counts.given - 10).toBeLessThan(MAX_PIPELINED / 2);
    socket.destroy();
  });

  test('an answer that is read late, and in pieces, arrives whole', async () => {
    const { ask, answers } = await serveLargeAnswers(transport);
    const socket = ask(1, '/16');
    await settle(20);
    let reads = 0;
    socket.resume().on('data', () => {
      if (++reads % 16 !== 0) return;
      socket.pause();
      setImmediate(() => socket.resume());
    });
    await answers(socket, 1, 16 * ANSWER_BYTES);
  });
});

test('over ws requests that were sent in one piece are all answered, each whole (uWebSockets.js ends their connection)', async () => {
  const { ask, answers } = await serveLargeAnswers('ws');
  const socket = ask(12).resume();
  await answers(socket, 12, 12 * ANSWER_BYTES);
});

test('over ws an answer of which nothing is read is ended after stall, and its connection with it', async () => {
  const { counts, ask, url } = await serveLargeAnswers('ws');
  ask(MAX_PIPELINED - 2);
  await until(() => counts.given > 0 && counts.isLastOver, 'the connection is ended');
  // Of an answer that was read whole the next one follows.
  expect(counts.given).toBeLessThan(MAX_PIPELINED / 2);
  expect((await fetch(url)).status).toBe(200);
});

test('over ws more requests than anybody sends at once end their connection', async () => {
  const { counts, ask } = await serveLargeAnswers('ws');
  const socket = ask(MAX_PIPELINED * 10);
  await new Promise<void>((resolve) => socket.once('close', () => resolve()).resume());
  expect(counts.given).toBeLessThan(MAX_PIPELINED);
});
