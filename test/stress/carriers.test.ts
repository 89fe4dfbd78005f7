import { once } from 'node:events';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { until } from '../support/virtual-clock.js';
import type { Carrier, CarrierEnd, CarrierHandlers, Dial } from './carrier.js';
import { openRaw } from './raw-carrier.js';
import { openWs } from './ws-carrier.js';

let server: Server;
let sockets: WebSocketServer;
let refusal: number | undefined;
let seen: { readonly authorization: string | undefined; readonly address: string | undefined }[] = [];

beforeEach(async () => {
  refusal = undefined;
  seen = [];
  server = createServer();
  sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  server.on('upgrade', (request, socket, head) => {
    seen.push({ authorization: request.headers.authorization, address: request.socket.remoteAddress });
    if (refusal !== undefined) socket.end(`HTTP/1.1 ${refusal} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
    else sockets.handleUpgrade(request, socket, head, (opened) => sockets.emit('connection', opened, request));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(async () => {
  for (const socket of sockets.clients) socket.terminate();
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

interface Opened {
  readonly carrier: Carrier;
  readonly texts: string[];
  readonly end: () => CarrierEnd | undefined;
  readonly isOpen: () => boolean;
}

function opened(open: (dial: Dial, handlers: CarrierHandlers) => Carrier, more: Partial<Dial> = {}): Opened {
  const texts: string[] = [];
  let end: CarrierEnd | undefined;
  let isOpen = false;
  const carrier = open(
    { port: (server.address() as AddressInfo).port, ...more },
    {
      opened() {
        isOpen = true;
      },
      message: (text) => texts.push(text),
      closed(how) {
        expect(end).toBeUndefined();
        end = how;
      },
    },
  );
  return { carrier, texts, end: () => end, isOpen: () => isOpen };
}

async function peerOf(task: () => Opened): Promise<{ readonly one: Opened; readonly peer: WebSocket }> {
  const connection = once(sockets, 'connection');
  const one = task();
  const [peer] = (await connection) as [WebSocket];
  await until(() => one.isOpen(), 'it is open');
  return { one, peer };
}

const CARRIERS = [
  ['raw', openRaw],
  ['byte by byte', (dial: Dial, to: CarrierHandlers) => openRaw(dial, to, { how: 'byte', burst: 512, everyMs: 1 })],
  ['ws', openWs],
] as const;

describe.each(CARRIERS)('a subscriber %s', (_name, open) => {
  test('says and hears text of any length, in order', async () => {
    const { one, peer } = await peerOf(() => opened(open));
    const heard: string[] = [];
    peer.on('message', (data) => heard.push(String(data)));
    const texts = ['', 'kurz', 'ü'.repeat(200), 'x'.repeat(3_000)];
    for (const text of texts) {
      one.carrier.send(text);
      peer.send(text);
    }
    await until(() => one.texts.length === texts.length && heard.length === texts.length, 'all was heard');
    expect(one.texts).toEqual(texts);
    expect(heard).toEqual(texts);
  });

  test('brings its token, and its address', async () => {
    await peerOf(() => opened(open, { token: 'abc', localAddress: '127.0.0.3' }));
    expect(seen).toEqual([{ authorization: 'Bearer abc', address: '127.0.0.3' }]);
  });

  test('answers a ping, and says how it was closed', async () => {
    const { one, peer } = await peerOf(() => opened(open));
    let answered = '';
    peer.on('pong', (payload) => {
      answered = String(payload);
    });
    peer.ping('there?');
    await until(() => answered === 'there?', 'the pong comes');
    peer.close(4408, 'too slow');
    await until(() => one.end(), 'it is closed');
    expect(one.end()).toEqual({ how: 'closed', code: 4408, reason: 'too slow' });
  });

  test('says 1006 where the connection breaks, 1000 where it leaves, and the status where it is refused', async () => {
    const broken = await peerOf(() => opened(open));
    broken.peer.terminate();
    await until(() => broken.one.end(), 'it ends');
    expect(broken.one.end()).toMatchObject({ code: 1006 });

    const leaving = await peerOf(() => opened(open));
    const closed = once(leaving.peer, 'close');
    leaving.one.carrier.close();
    expect((await closed)[0]).toBe(1000);
    await until(() => leaving.one.end(), 'it ends');
    expect(leaving.one.end()).toMatchObject({ code: 1000 });

    refusal = 503;
    const refused = opened(open);
    await until(() => refused.end(), 'it is refused');
    expect(refused.end()).toEqual({ how: 'refused', status: 503 });
  });

  test('reads nothing while it is paused', async () => {
    const { one, peer } = await peerOf(() => opened(open));
    one.carrier.pause();
    peer.send('first');
    const sent = once(peer, 'pong');
    peer.ping();
    const before = performance.now();
    await until(() => performance.now() - before > 60, 'a while', 5_000);
    expect(one.texts).toEqual([]);
    one.carrier.resume();
    await sent;
    expect(one.texts).toEqual(['first']);
  });

  test('that breaks off is gone for its peer at once', async () => {
    const { one, peer } = await peerOf(() => opened(open));
    const closed = once(peer, 'close');
    one.carrier.reset();
    expect((await closed)[0]).toBe(1006);
    await until(() => one.end(), 'it knows');
  });
});
