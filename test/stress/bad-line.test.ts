import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { until } from '../support/virtual-clock.js';
import { type BadLine, startBadLine, type Toxics } from './bad-line.js';
import { createDraw } from './draw.js';

/** An echo server behind the line. */
let server: Server;
let accepted: Socket[] = [];
let line: BadLine;
let clients: Socket[] = [];

beforeEach(async () => {
  accepted = [];
  clients = [];
  server = createServer({ allowHalfOpen: true }, (socket) => {
    accepted.push(socket);
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => socket.write(bytes));
    socket.on('end', () => socket.end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(async () => {
  await line.close();
  for (const socket of [...clients, ...accepted]) socket.destroy();
  server.close();
  await once(server, 'close');
});

async function through(toxics: Partial<Toxics> = {}): Promise<void> {
  line = await startBadLine({ to: (server.address() as AddressInfo).port, draw: createDraw(1), toxics });
}

interface Client {
  readonly socket: Socket;
  readonly pieces: Buffer[];
  readonly received: () => Buffer;
  readonly ended: () => boolean;
  readonly closed: () => 'reset' | 'clean' | undefined;
}

async function client(): Promise<Client> {
  const socket = connect({ host: '127.0.0.1', port: line.port, allowHalfOpen: true });
  clients.push(socket);
  const pieces: Buffer[] = [];
  let ended = false;
  let closed: 'reset' | 'clean' | undefined;
  socket.on('data', (bytes: Buffer) => pieces.push(bytes));
  socket.on('end', () => {
    ended = true;
  });
  socket.on('error', () => undefined);
  socket.on('close', (failed) => {
    closed = failed ? 'reset' : 'clean';
  });
  // A refused one is closed with an error, perhaps before it knows that it was connected.
  await Promise.race([once(socket, 'connect'), once(socket, 'close')]).catch(() => undefined);
  return { socket, pieces, received: () => Buffer.concat(pieces), ended: () => ended, closed: () => closed };
}

function numbered(size: number): Buffer {
  return Buffer.from(Array.from({ length: size }, (_, index) => index % 251));
}

/** Longer than anything takes that passes the line at once. */
async function aWhile(): Promise<void> {
  const before = performance.now();
  await until(() => performance.now() - before > 60, 'a while', 5_000);
}

describe('a bad line', () => {
  test.each<[string, Partial<Toxics>]>([
    ['clear', {}],
    ['with latency and jitter', { latencyMs: 5, jitterMs: 20 }],
    ['that cuts into pieces', { sliceBytes: 7 }],
    ['with little bandwidth', { bytesPerSecond: 200_000 }],
    ['with all of it', { latencyMs: 2, jitterMs: 5, sliceBytes: 100, bytesPerSecond: 400_000 }],
  ])('%s loses, changes and reorders nothing', async (_how, toxics) => {
    await through(toxics);
    const one = await client();
    const bytes = numbered(20_000);
    one.socket.write(bytes.subarray(0, 5_000));
    one.socket.end(bytes.subarray(5_000));
    await until(() => one.ended(), 'the end comes through');
    expect(one.received().equals(bytes)).toBe(true);
  });

  test('with latency holds bytes back until it is cleared', async () => {
    await through({ latencyMs: 60_000 });
    const one = await client();
    one.socket.write('held');
    await aWhile();
    expect(one.received()).toHaveLength(0);
    line.set({ latencyMs: 0 });
    await until(() => one.received().toString() === 'held', 'it comes at once');
  });

  test('with little bandwidth takes its time', async () => {
    await through({ bytesPerSecond: 20_000 });
    const one = await client();
    const began = performance.now();
    one.socket.write(Buffer.alloc(4_000));
    await until(() => one.received().length === 4_000, 'it all comes');
    // Up and down, one after the other: never faster than either.
    expect(performance.now() - began).toBeGreaterThan(190);
  });

  test('with slow close passes the end on later, and bytes meanwhile', async () => {
    await through({ slowCloseMs: 60_000 });
    const one = await client();
    one.socket.end('last words');
    await until(() => one.received().toString() === 'last words', 'they come back');
    await aWhile();
    expect(one.ended()).toBe(false);
  });

  test('that is reset ends both sides by RST', async () => {
    await through();
    const one = await client();
    await until(() => line.live === 1 && accepted.length === 1, 'it is through');
    expect(line.cut('reset')).toBe(1);
    await until(() => one.closed() === 'reset', 'the near side is reset');
    await until(() => accepted[0]?.destroyed, 'the far side is gone');
    expect(line.live).toBe(0);
  });

  test('that is closed says FIN both ways, behind what is on its way', async () => {
    await through({ latencyMs: 30 });
    const one = await client();
    await until(() => accepted.length === 1, 'it is through');
    accepted[0]?.write('behind this');
    await until(() => line.live === 1, 'it lives');
    await aWhile();
    line.cut('close');
    await until(() => one.ended(), 'FIN comes');
    expect(one.received().toString()).toBe('behind this');
    one.socket.end();
    await until(() => one.closed() === 'clean', 'and it is closed, not reset');
  });

  test('that is half open swallows bytes and FIN in both directions, and TCP stays up', async () => {
    await through();
    const one = await client();
    await until(() => accepted.length === 1, 'it is through');
    line.cut('half_open');
    expect(line.live).toBe(0);
    one.socket.write('into the void');
    accepted[0]?.write('into the void');
    await aWhile();
    accepted[0]?.end();
    await aWhile();
    expect(one.received()).toHaveLength(0);
    expect([one.ended(), one.closed()]).toEqual([false, undefined]);
    const next = await client();
    next.socket.write('newcomers pass');
    await until(() => next.received().toString() === 'newcomers pass', 'they do');
  });

  test('refuses newcomers by a reset, and takes them again', async () => {
    await through();
    line.refuse(true);
    const refused = await client();
    await until(() => refused.closed() === 'reset', 'it is refused');
    expect(line.accepted).toBe(0);
    line.refuse(false);
    const taken = await client();
    taken.socket.write('hello');
    await until(() => taken.received().toString() === 'hello', 'it is taken');
  });

  test('whose far side cannot be reached is reset', async () => {
    await through();
    const nobody = createServer();
    nobody.listen(0, '127.0.0.1');
    await once(nobody, 'listening');
    const { port } = nobody.address() as AddressInfo;
    nobody.close();
    line.reroute(port);
    const one = await client();
    await until(() => one.closed() === 'reset', 'it is reset');
  });

  test('reads no more than it can pass on', async () => {
    await through({ latencyMs: 60_000 });
    const one = await client();
    // Far beyond what the line holds and the kernel takes between two sockets.
    const chunk = Buffer.alloc(1024 * 1024);
    let isFull = false;
    for (let count = 0; count < 64 && !isFull; count++) {
      isFull = !one.socket.write(chunk);
      if (isFull) await aWhile();
      isFull &&= one.socket.writableLength > 0;
    }
    expect(isFull).toBe(true);
  });
});
