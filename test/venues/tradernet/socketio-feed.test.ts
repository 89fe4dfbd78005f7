import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server as Server4 } from 'socket.io';
import { afterEach, expect, test } from 'vitest';
import { settle, until } from '../../support/virtual-clock.js';
import { row, startSource, type World } from './source.js';

/** The whole feed over a real socket.io server: the same facts as on the raw WebSocket, without its userData. */
interface VenueSocket {
  on(event: string, listener: (...args: unknown[]) => void): unknown;
  emit(event: string, ...args: unknown[]): unknown;
  disconnect(close?: boolean): unknown;
}

let world: World | undefined;
const closing: (() => void)[] = [];
afterEach(async () => {
  await world?.venue.stop({ orders: 'leave' });
  world = undefined;
  for (const close of closing.splice(0)) close();
});

async function serve(generation: 2 | 4, onSubscribe: (socket: VenueSocket, args: unknown[]) => void) {
  const http = createServer();
  const sockets: VenueSocket[] = [];
  const connected = (socket: VenueSocket): void => {
    sockets.push(socket);
    socket.on('sup_subscribe', (...args) => onSubscribe(socket, args));
  };
  if (generation === 4) {
    const server = new Server4(http, { serveClient: false });
    server.on('connection', (socket) => connected(socket as unknown as VenueSocket));
    closing.push(() => void server.close());
  } else {
    // @ts-expect-error the alias has no types
    const { default: attach } = (await import('socket.io-v2')) as {
      default: (one: unknown, options: object) => { on(e: string, l: (s: VenueSocket) => void): void; close(): void };
    };
    const server = attach(http, { serveClient: false });
    server.on('connection', connected);
    closing.push(() => server.close());
  }
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  closing.push(() => http.close());
  return { url: `ws://127.0.0.1:${(http.address() as AddressInfo).port}/`, sockets };
}

const say = (socket: VenueSocket, rows: readonly unknown[] | undefined): void =>
  void socket.emit('sup_iitr_notify_sessions_json', null, [{ response: { res: rows } }]);

test.each([
  ['socketio2', 2],
  ['socketio4', 4],
] as const)(
  '%s: the first list proves the login, later ones are compared, a drop is told and connected again',
  async (transport, generation) => {
    const server = await serve(generation, (socket) => say(socket, [row(1)]));
    world = startSource({ transport, url: server.url, userTemplate: '{login}' });
    const here = world;
    here.rows = [row(1)];
    await until(() => here.facts.some(({ session }) => session === '1'), 'the first row');
    expect(here.told()).toEqual([
      'login session.opening',
      '- link.up http#1',
      '- link.up ws#1',
      'login session.opened',
      '1 session.opened',
    ]);
    await settle();
    const [socket] = server.sockets;
    if (socket === undefined) throw new Error('nobody connected');
    say(socket, undefined);
    await until(() => here.facts.some(({ type }) => type === 'session.closed'), 'the close');
    say(socket, [row(2)]);
    await until(() => here.facts.some(({ session }) => session === '2'), 'the second row');
    expect(here.told()).toEqual(['1 session.closed venue', '2 session.opened']);
    here.rows = [row(2)];
    socket.disconnect(true);
    await until(() => here.facts.some(({ type }) => type === 'link.retrying'), 'the end');
    expect(here.told()).toEqual(['- link.down ws#1 1000 venue', '- link.retrying ws#1']);
    await here.clock.advance(2_000);
    await until(() => server.sockets.length === 2, 'the second connection');
    expect(JSON.stringify(here.facts)).not.toContain('sid-of-login');
  },
);

test('a refused subscription proves nothing, is told, and HTTP says how the login is', async () => {
  const server = await serve(
    2,
    (socket) => void socket.emit('sup_iitr_notify_sessions_json', { message: 'no access' }, null),
  );
  world = startSource({ transport: 'socketio2', url: server.url });
  const here = world;
  await until(() => here.facts.some(({ type }) => type === 'source.fault'), 'the fault');
  await here.clock.advance(10_500);
  await until(() => here.facts.some(({ type }) => type === 'session.opened'), 'the login over HTTP');
  expect(here.told().slice(0, 7)).toEqual([
    'login session.opening',
    '- link.up http#1',
    '- link.up ws#1',
    '- source.fault channel_refused',
    '- link.down ws#1 1000 relay',
    '- link.retrying ws#1',
    'login session.opened',
  ]);
});

test('the wrong generation is told in the words of the link, with what to configure', async () => {
  const server = await serve(2, () => {});
  world = startSource({ transport: 'socketio4', url: server.url });
  const here = world;
  const down = await until(() => here.facts.find(({ type }) => type === 'link.down'), 'the end');
  expect(down.data).toMatchObject({ code: 0, reason: expect.stringContaining('needs transport socketio2') });
});
