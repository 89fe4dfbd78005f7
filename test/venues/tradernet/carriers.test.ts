import { createServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server as Server4 } from 'socket.io';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { connectWs } from '../../../src/net/ws-socket.js';
import type {
  Carrier,
  CarrierEnd,
  CarrierTarget,
  OpenCarrier,
} from '../../../src/venues/tradernet/carriers/carrier.js';
import { openSocketIo2 } from '../../../src/venues/tradernet/carriers/socketio2.js';
import { openSocketIo4 } from '../../../src/venues/tradernet/carriers/socketio4.js';
import { openWebSocket } from '../../../src/venues/tradernet/carriers/websocket.js';
import type { Frame } from '../../../src/venues/tradernet/messages.js';
import { settle, until } from '../../support/virtual-clock.js';
import { row } from './source.js';

/** What both generations of socket.io servers share, as far as these tests go. */
interface VenueSocket {
  readonly handshake: { readonly query: Record<string, unknown>; readonly headers: Record<string, unknown> };
  on(event: string, listener: (...args: unknown[]) => void): unknown;
  emit(event: string, ...args: unknown[]): unknown;
  disconnect(close?: boolean): unknown;
  readonly conn: { close(): unknown };
}

interface VenueServer {
  readonly url: string;
  readonly sockets: VenueSocket[];
  readonly subscriptions: unknown[][];
  readonly http: HttpServer;
}

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

async function listen(
  attach: (http: HttpServer) => (listener: (socket: VenueSocket) => void) => void,
): Promise<VenueServer> {
  const http = createServer();
  const sockets: VenueSocket[] = [];
  const subscriptions: unknown[][] = [];
  attach(http)((socket) => {
    sockets.push(socket);
    socket.on('sup_subscribe', (...args) => {
      subscriptions.push(args);
      socket.emit('sup_iitr_notify_sessions_json', null, [{ response: { res: [row(1), row(2)] } }]);
    });
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  closing.push(() => http.close());
  const { port } = http.address() as AddressInfo;
  return { url: `ws://127.0.0.1:${port}/?SID=abc`, sockets, subscriptions, http };
}

/** A true server of the generation of the reference page: socket.io 2.5.1. */
async function server2(): Promise<VenueServer> {
  // @ts-expect-error the alias has no types: it is used through VenueSocket alone
  const { default: attach } = (await import('socket.io-v2')) as {
    default: (http: HttpServer, options: object) => { on(e: string, l: (s: VenueSocket) => void): void; close(): void };
  };
  return listen((http) => {
    const server = attach(http, { serveClient: false });
    closing.push(() => server.close());
    return (listener) => server.on('connection', listener);
  });
}

function server4(options: { readonly allowEIO3: boolean }): Promise<VenueServer> {
  return listen((http) => {
    const server = new Server4(http, { ...options, serveClient: false });
    closing.push(() => void server.close());
    return (listener) => server.on('connection', (socket) => listener(socket as unknown as VenueSocket));
  });
}

interface Seen {
  readonly carrier: Carrier;
  readonly frames: Frame[];
  readonly ends: CarrierEnd[];
  opened: number;
}

function open(opener: OpenCarrier, url: string, target: Partial<CarrierTarget> = {}): Seen {
  const frames: Frame[] = [];
  const ends: CarrierEnd[] = [];
  const seen = { frames, ends, opened: 0 };
  const carrier = opener(
    connectWs,
    { url, headers: { cookie: 'SID=abc', origin: 'https://tradernet.com' }, user: '%username', ...target },
    {
      opened: () => {
        seen.opened++;
      },
      frame: (frame) => void frames.push(frame),
      alive: () => {},
      ended: (end) => void ends.push(end),
    },
  );
  closing.push(() => carrier.terminate());
  return Object.assign(seen, { carrier });
}

describe.each([
  ['socket.io 2 with a server of 2.5.1', openSocketIo2, () => server2(), '3'],
  ['socket.io 2 with a server of 4 that allows EIO3', openSocketIo2, () => server4({ allowEIO3: true }), '3'],
  ['socket.io 4 with a server of 4', openSocketIo4, () => server4({ allowEIO3: false }), '4'],
  ['socket.io 4 with a server of 4 that allows EIO3', openSocketIo4, () => server4({ allowEIO3: true }), '4'],
] as const)('%s', (_name, opener, serve, protocol) => {
  test('subscribes with the configured user and reads the list of the answer', async () => {
    const server = await serve();
    const seen = open(opener, server.url);
    await until(() => seen.opened === 1, 'the opening');
    seen.carrier.askSessions('sessions');
    const frame = await until(() => seen.frames[0], 'the list');
    expect(frame).toMatchObject({ kind: 'sessions', proves: true, unread: 0, rows: [{ id: '1' }, { id: '2' }] });
    expect(server.subscriptions).toEqual([['iitr_notify_sessions_json', '%username']]);
    const { query, headers } = server.sockets[0]?.handshake ?? { query: {}, headers: {} };
    expect(query).toMatchObject({ SID: 'abc', EIO: protocol });
    expect(headers).toMatchObject({ cookie: 'SID=abc', origin: 'https://tradernet.com' });
  });

  test('shows events that nobody subscribed to, refusals, and a list that is missing as no sessions', async () => {
    const server = await serve();
    const seen = open(opener, server.url);
    const socket = await until(() => server.sockets[0], 'the connection');
    await until(() => seen.opened === 1, 'the opening');
    socket.emit('newsletter', 1);
    socket.emit('sup_iitr_notify_sessions_json', { message: 'no' }, null);
    socket.emit('sup_iitr_notify_sessions_json', null, [{ response: {} }]);
    await until(() => seen.frames.length === 3, 'three frames');
    expect(seen.frames.map(({ kind }) => kind)).toEqual(['unknown', 'refused', 'sessions']);
    expect(seen.frames[2]).toMatchObject({ rows: [] });
    expect(seen.ends).toEqual([]);
  });

  test('a disconnect by the venue is told once, as the venue’s, and nothing is connected again by itself', async () => {
    const server = await serve();
    const seen = open(opener, server.url);
    const socket = await until(() => server.sockets[0], 'the connection');
    await until(() => seen.opened === 1, 'the opening');
    socket.disconnect(true);
    await until(() => seen.ends.length > 0, 'the end');
    await settle(20);
    expect(seen.ends).toHaveLength(1);
    expect(seen.ends[0]).toMatchObject({ initiator: 'venue', clean: true });
    expect(server.sockets).toHaveLength(1);
  });

  test('closed by the relay it ends once, and says nothing afterwards', async () => {
    const server = await serve();
    const seen = open(opener, server.url);
    const socket = await until(() => server.sockets[0], 'the connection');
    await until(() => seen.opened === 1, 'the opening');
    seen.carrier.close();
    seen.carrier.terminate();
    socket.emit('newsletter', 1);
    await until(() => seen.ends.length > 0, 'the end');
    await settle(20);
    expect(seen.ends).toHaveLength(1);
    expect(seen.frames).toEqual([]);
  });

  test('closed before it was open it ends with code 0', async () => {
    const server = await serve();
    const seen = open(opener, server.url);
    seen.carrier.close();
    const end = await until(() => seen.ends[0], 'the end');
    expect(end).toMatchObject({ code: 0, clean: false });
    await settle(20);
    expect(seen.opened).toBe(0);
  });
});

describe('generations that do not understand each other', () => {
  test('a client of 4 at a server of 2.5.1 says which transport is needed', async () => {
    const server = await server2();
    const seen = open(openSocketIo4, server.url);
    const end = await until(() => seen.ends[0], 'the end');
    expect(end).toMatchObject({ code: 0, clean: false });
    expect(end.reason).toContain('v2.x');
    expect(end.reason).toContain('needs transport socketio2');
    expect(seen.opened).toBe(0);
  });

  test('a client of 2 at a server of 4 without EIO3 says which transport is needed', async () => {
    const server = await server4({ allowEIO3: false });
    const seen = open(openSocketIo2, server.url);
    const end = await until(() => seen.ends[0], 'the end');
    expect(end).toMatchObject({ code: 0, clean: false });
    expect(end.reason).toContain('needs transport socketio4');
    expect(seen.opened).toBe(0);
  });
});

describe('what a hostile or broken server sends', () => {
  test.each([
    ['a binary frame that nothing announced', Buffer.from([4, 1, 2, 3])],
    ['a packet that is no packet', '4{garbage'],
    ['an event without a name', '42{"not":"an array"}'],
  ])('%s to a client of 2 becomes a bad frame or an end, never an exception', async (_name, payload) => {
    const http = createServer();
    const raw = new WebSocketServer({ server: http });
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    closing.push(
      () => raw.close(),
      () => http.close(),
    );
    raw.on('connection', (socket) => {
      socket.send('0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":5000}');
      socket.send('40');
      socket.send(payload);
    });
    const { port } = http.address() as AddressInfo;
    const seen = open(openSocketIo2, `ws://127.0.0.1:${port}/`);
    await until(() => seen.frames.length + seen.ends.length > 0, 'a frame or an end');
    if (seen.frames[0] !== undefined) expect(seen.frames[0].kind).toBe('bad');
  });

  test('an event that is called `error` or `disconnect` is a frame to a client of 2, and ends nothing', async () => {
    const http = createServer();
    const raw = new WebSocketServer({ server: http });
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    closing.push(
      () => raw.close(),
      () => http.close(),
    );
    raw.on('connection', (socket) => {
      socket.send('0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":5000}');
      socket.send('40');
      socket.send('42["error",{"code":500}]');
      socket.send('42["disconnect","io server disconnect"]');
    });
    const { port } = http.address() as AddressInfo;
    const seen = open(openSocketIo2, `ws://127.0.0.1:${port}/`);
    await until(() => seen.frames.length === 2, 'two frames');
    expect(seen.frames.map(({ kind }) => kind)).toEqual(['error', 'unknown']);
    expect(seen.ends).toEqual([]);
  });

  test('an upgrade that is refused is told with its status by every carrier', async () => {
    const http = createServer((_request, response) => response.writeHead(403).end());
    http.on('upgrade', (_request, socket) => socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n'));
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    closing.push(() => http.close());
    const { port } = http.address() as AddressInfo;
    for (const opener of [openWebSocket, openSocketIo2, openSocketIo4]) {
      const seen = open(opener, `ws://127.0.0.1:${port}/?SID=abc`);
      const end = await until(() => seen.ends[0], 'the end');
      expect(end).toMatchObject({ code: 0, clean: false, status: 403, initiator: 'venue' });
    }
  });

  test('nobody listening is told as the network', async () => {
    const http = createServer();
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    const { port } = http.address() as AddressInfo;
    await new Promise((resolve) => http.close(resolve));
    for (const opener of [openWebSocket, openSocketIo2, openSocketIo4]) {
      const seen = open(opener, `ws://127.0.0.1:${port}/?SID=abc`);
      const end = await until(() => seen.ends[0], 'the end');
      expect(end).toMatchObject({ code: 0, clean: false, initiator: 'network' });
    }
  });
});

describe('the raw WebSocket', () => {
  test('asks in the venue’s own frames and reads frames of one to three elements', async () => {
    const http = createServer();
    const raw = new WebSocketServer({ server: http });
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    closing.push(
      () => raw.close(),
      () => http.close(),
    );
    const received: string[] = [];
    raw.on('connection', (socket) => {
      socket.on('message', (data) => {
        received.push(String(data));
        socket.send('["keepAlive"]');
        socket.send('["sessions",[]]');
        socket.send('["keepAlive",[],"wstm=2025-11-03T04:43:49.824Z"]');
        socket.close(4001, 'moved');
      });
    });
    const { port } = http.address() as AddressInfo;
    const seen = open(openWebSocket, `ws://127.0.0.1:${port}/?SID=abc`);
    await until(() => seen.opened === 1, 'the opening');
    seen.carrier.askSessions('session');
    const end = await until(() => seen.ends[0], 'the end');
    expect(received).toEqual(['["session"]']);
    expect(seen.frames).toEqual([
      { kind: 'keepAlive' },
      { kind: 'sessions', rows: [], unread: 0, proves: false },
      { kind: 'keepAlive', venueTime: '2025-11-03T04:43:49.824Z' },
    ]);
    expect(end).toEqual({ code: 4001, reason: 'moved', clean: true, initiator: 'venue' });
  });
});
