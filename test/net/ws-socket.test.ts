import { once } from 'node:events';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import type { ConnectOptions, Socket, SocketEnd } from '../../src/net/socket.js';
import { connectWs } from '../../src/net/ws-socket.js';
import { CERT, CERT_PATH, FINGERPRINT, KEY } from '../support/tls/localhost.js';
import { until } from '../support/virtual-clock.js';

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

interface Venue {
  readonly url: string;
  readonly peers: WebSocket[];
  readonly requests: { readonly url: string | undefined; readonly headers: NodeJS.Dict<string | string[]> }[];
  /** Frames that arrived. */
  readonly received: string[];
  /** Close codes that arrived. */
  readonly closes: number[];
}

/** A venue on a real `ws` server, over TLS or not. */
async function venue({ tls = false, host = '127.0.0.1' } = {}): Promise<Venue> {
  const server = tls ? createTlsServer({ cert: CERT, key: KEY }) : createServer();
  const port = await listen(server);
  const upgrades = new WebSocketServer({ server, perMessageDeflate: true });
  const found: Venue = {
    url: `${tls ? 'wss' : 'ws'}://${host}:${port}/ws/api/v2`,
    peers: [],
    requests: [],
    received: [],
    closes: [],
  };
  upgrades.on('connection', (peer, { url, headers }) => {
    found.peers.push(peer);
    found.requests.push({ url, headers });
    peer.on('message', (bytes) => found.received.push(String(bytes)));
    peer.on('close', (code) => found.closes.push(code));
    peer.on('error', () => {});
  });
  closing.push(() => {
    for (const peer of found.peers) peer.terminate();
  });
  return found;
}

interface Open {
  readonly socket: Socket;
  /** `opened`, `message …`, `pong`, `ended …`: all that the owner was told, in order. */
  readonly told: string[];
  end(): Promise<SocketEnd>;
  opened(): Promise<void>;
}

function connect(url: string, options: ConnectOptions = {}): Open {
  const told: string[] = [];
  let end: SocketEnd | undefined;
  const socket = connectWs(url, options, {
    opened: () => told.push('opened'),
    message: (text) => told.push(`message ${text}`),
    pong: () => told.push('pong'),
    ended(how) {
      end = how;
      told.push(`ended ${how.code}`);
    },
  });
  closing.push(() => socket.terminate());
  return {
    socket,
    told,
    end: () => until(() => end, 'the socket’s end'),
    async opened() {
      await until(() => told.length > 0, 'the socket to open');
      expect(told[0]).toBe('opened');
    },
  };
}

async function peerOf(found: Venue): Promise<WebSocket> {
  return until(() => found.peers.at(-1), 'a connection at the venue');
}

describe('a socket', () => {
  test('opens with the path and headers that were asked for, without offering compression', async () => {
    const there = await venue();
    const { opened, socket } = connect(`${there.url}?SID=abc`, {
      headers: { Origin: 'https://tradernet.com', Cookie: 'SID=abc' },
    });
    await opened();
    expect(there.requests[0]?.url).toBe('/ws/api/v2?SID=abc');
    expect(there.requests[0]?.headers).toMatchObject({ origin: 'https://tradernet.com', cookie: 'SID=abc' });
    expect(there.requests[0]?.headers).not.toHaveProperty('sec-websocket-extensions');
    expect(socket.bufferedBytes).toBe(0);
  });

  test('carries frames both ways, in order; a binary one arrives as its UTF-8 text', async () => {
    const there = await venue();
    const { opened, socket, told } = connect(there.url);
    await opened();
    const peer = await peerOf(there);
    for (let number = 0; number < 50; number++) {
      socket.send(`up ${number}`);
      peer.send(`down ${number}`);
    }
    peer.send(Buffer.from('Ünï 😀'));
    await until(() => told.length === 52 && there.received.length === 50, 'all frames');
    expect(told.slice(1, 51)).toEqual(Array.from({ length: 50 }, (_, number) => `message down ${number}`));
    expect(told[51]).toBe('message Ünï 😀');
    expect(there.received).toEqual(Array.from({ length: 50 }, (_, number) => `up ${number}`));
  });

  test('hears the answer to its ping', async () => {
    const { opened, socket, told } = connect((await venue()).url);
    socket.ping(); // not open yet: no ping, and no throw
    await opened();
    socket.ping();
    await until(() => told.includes('pong'), 'the pong');
    expect(told).toEqual(['opened', 'pong']);
  });

  test('throws `closed` when it is sent on before it opens and after it ended', async () => {
    const there = await venue();
    const { opened, socket, end } = connect(there.url);
    expect(() => socket.send('early')).toThrow(expect.objectContaining({ code: 'closed' }));
    await opened();
    socket.close(1000, 'done');
    expect(() => socket.send('late')).toThrow(expect.objectContaining({ code: 'closed' }));
    await end();
    expect(() => socket.send('later')).toThrow(expect.objectContaining({ code: 'closed' }));
    socket.ping();
    socket.close();
    socket.terminate();
    expect(there.received).toEqual([]);
  });
});

describe('the end of a socket', () => {
  test.each([
    [4000, 'heartbeat close'],
    [1000, ''],
    [1001, 'going away'],
    [1012, 'restart'],
  ])('by the venue’s close frame has its code %i and reason, and is clean', async (code, reason) => {
    const there = await venue();
    const { opened, end, told } = connect(there.url);
    await opened();
    (await peerOf(there)).close(code, reason);
    expect(await end()).toEqual({ code, reason, clean: true });
    expect(told).toEqual(['opened', `ended ${code}`]);
  });

  test('by a close frame without a code is 1005, and clean', async () => {
    const there = await venue();
    const { opened, end } = connect(there.url);
    await opened();
    (await peerOf(there)).close();
    expect(await end()).toEqual({ code: 1005, reason: '', clean: true });
  });

  test('without a close frame is 1006, and not clean', async () => {
    const there = await venue();
    const { opened, end } = connect(there.url);
    await opened();
    (await peerOf(there)).terminate();
    expect(await end()).toMatchObject({ code: 1006, clean: false });
  });

  test('by our own close is the code that the venue echoed', async () => {
    const there = await venue();
    const { opened, socket, end } = connect(there.url);
    await opened();
    socket.close(1000, 'leaving');
    expect(await end()).toMatchObject({ code: 1000, clean: true });
    await until(() => there.closes.length > 0, 'the close at the venue');
    expect(there.closes).toEqual([1000]);
  });

  test('by our own terminate sends no close frame', async () => {
    const there = await venue();
    const { opened, socket, end } = connect(there.url);
    await opened();
    socket.terminate();
    expect(await end()).toMatchObject({ code: 1006, clean: false });
    await until(() => there.closes.length > 0, 'the close at the venue');
    expect(there.closes).toEqual([1006]);
  });

  test('is told once, and nothing after it', async () => {
    const there = await venue();
    const { opened, socket, end, told } = connect(there.url);
    await opened();
    const peer = await peerOf(there);
    peer.send('last');
    peer.close(4000, 'x');
    peer.terminate();
    socket.close();
    socket.terminate();
    await end();
    await until(() => there.closes.length > 0, 'the close at the venue');
    expect(told.filter((one) => one.startsWith('ended'))).toHaveLength(1);
    expect(told.at(-1)).toMatch(/^ended/);
  });

  test('over a frame that is too large is 1009, which the venue is told', async () => {
    const there = await venue();
    const { opened, end, told } = connect(there.url, { maxPayloadBytes: 1_024 });
    await opened();
    const peer = await peerOf(there);
    peer.send('x'.repeat(1_024));
    peer.send('x'.repeat(1_025));
    expect(await end()).toMatchObject({ code: 1009, clean: false, error: expect.stringMatching(/payload/i) });
    await until(() => there.closes.length > 0, 'the close at the venue');
    expect(there.closes).toEqual([1009]);
    expect(told).toHaveLength(3);
  });

  test('over text that is no UTF-8 is 1007', async () => {
    const there = await venue();
    const { opened, end } = connect(there.url);
    await opened();
    (await peerOf(there)).send(Buffer.from([0xc3, 0x28]), { binary: false });
    expect(await end()).toMatchObject({ code: 1007, clean: false });
  });
});

describe('a socket that never opens', () => {
  test('because the upgrade is refused says the status and the headers, names in lower case', async () => {
    const server = createServer();
    server.on('upgrade', (_request, socket) => {
      socket.end(
        'HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 4\r\nConnection: close\r\n\r\nslow',
      );
    });
    const port = await listen(server);
    const { end, told } = connect(`ws://127.0.0.1:${port}/`);
    expect(await end()).toMatchObject({
      code: 0,
      clean: false,
      refused: { status: 429, headers: { 'retry-after': '7' } },
      reason: 'the upgrade was refused with 429',
    });
    expect(told).toEqual(['ended 0']);
  });

  test('because it is redirected does not follow', async () => {
    const there = await venue();
    const server = createServer();
    server.on('upgrade', (_request, socket) => {
      socket.end(`HTTP/1.1 302 Found\r\nLocation: ${there.url}\r\nContent-Length: 0\r\n\r\n`);
    });
    const { end } = connect(`ws://127.0.0.1:${await listen(server)}/`);
    expect(await end()).toMatchObject({ code: 0, refused: { status: 302, headers: { location: there.url } } });
    expect(there.peers).toEqual([]);
  });

  test('because nothing listens says so', async () => {
    const server = createTcpServer();
    const port = await listen(server);
    server.close();
    await once(server, 'close');
    const { end } = connect(`ws://127.0.0.1:${port}/`);
    expect(await end()).toMatchObject({ code: 0, clean: false, error: expect.stringContaining('ECONNREFUSED') });
  });

  test('because the venue does not answer the upgrade ends after the handshake’s time', async () => {
    const server = createTcpServer(() => {});
    const { end } = connect(`ws://127.0.0.1:${await listen(server)}/`, { handshakeTimeoutMs: 50 });
    expect(await end()).toMatchObject({ code: 0, clean: false, error: expect.stringMatching(/handshake/i) });
  });

  test('because it was given up before', async () => {
    const there = await venue();
    const { socket, end, told } = connect(there.url);
    socket.close();
    expect(await end()).toMatchObject({ code: 0, clean: false });
    expect(told).toEqual(['ended 0']);
  });

  test.each(['', 'not a URL', 'ftp://venue.example/', 'ws://venue.example/#part', 'wss://venue.example:99999/'])(
    'because its URL is none is no throw, and an end in a later turn: %j',
    async (url) => {
      const { told, socket, end } = connect(url);
      expect(told).toEqual([]);
      expect(() => socket.send('x')).toThrow(expect.objectContaining({ code: 'closed' }));
      expect(await end()).toMatchObject({ code: 0, clean: false });
    },
  );

  test('does not repeat the URL, which may hold a credential', async () => {
    const { end } = connect('wss//venue.example/?SID=s3cr3t-sid');
    expect(JSON.stringify(await end())).not.toContain('s3cr3t');
  });

  test('because a header cannot be sent does not repeat its value', async () => {
    const { end } = connect('ws://127.0.0.1:9/', { headers: { Cookie: 'SID=s3cr3t\n' } });
    const ended = await end();
    expect(ended.code).toBe(0);
    expect(JSON.stringify(ended)).not.toContain('s3cr3t');
  });

  test('because the file of its CA cannot be read', async () => {
    const { end } = connect('wss://127.0.0.1:9/', { tls: { ca: '/nowhere/ca.pem' } });
    expect(await end()).toMatchObject({ code: 0, error: expect.stringContaining('CA certificate') });
  });
});

describe('TLS', () => {
  test.each([
    ['with its certificate as CA', { ca: CERT }],
    ['with the path of its certificate as CA', { ca: CERT_PATH }],
    ['with its fingerprint', { fingerprint: FINGERPRINT }],
    ['with its fingerprint in lower case', { fingerprint: FINGERPRINT.toLowerCase() }],
    ['unverified', { insecure: true }],
  ])('to a self-signed venue opens %s, path and frames included', async (_, tls) => {
    const there = await venue({ tls: true });
    const { opened, socket } = connect(there.url, { tls });
    await opened();
    socket.send('hello');
    await until(() => there.received.length > 0, 'the frame');
    expect(there.requests[0]?.url).toBe('/ws/api/v2');
    expect(there.received).toEqual(['hello']);
  });

  test('with a pinned fingerprint works by host name too', async () => {
    const there = await venue({ tls: true, host: 'localhost' });
    await connect(there.url, { tls: { fingerprint: FINGERPRINT } }).opened();
  });

  test.each([
    ['without any trust in it', {}],
    [
      'with another fingerprint',
      { fingerprint: FINGERPRINT.replace(/^../, FINGERPRINT.startsWith('00') ? '01' : '00') },
    ],
  ])('to a self-signed venue does not open %s, and sends no request', async (_, tls) => {
    const there = await venue({ tls: true });
    const { end, told } = connect(there.url, { tls });
    expect(await end()).toMatchObject({ code: 0, clean: false, error: expect.stringMatching(/certificate/) });
    expect(told).toEqual(['ended 0']);
    expect(there.requests).toEqual([]);
  });

  test('that is pinned is demanded: a venue without it is not spoken to', async () => {
    const there = await venue();
    const { end } = connect(there.url, { tls: { fingerprint: FINGERPRINT }, handshakeTimeoutMs: 2_000 });
    expect(await end()).toMatchObject({ code: 0, clean: false });
    expect(there.requests).toEqual([]);
  });

  test('is a matter of one socket: trusting a venue with one trusts it with no other', async () => {
    const there = await venue({ tls: true });
    await connect(there.url, { tls: { insecure: true } }).opened();
    expect(await connect(there.url).end()).toMatchObject({ code: 0 });
    expect(process.env.NODE_TLS_REJECT_UNAUTHORIZED).toBeUndefined();
  });
});
