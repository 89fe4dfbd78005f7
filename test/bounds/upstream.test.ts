import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import type { Fact } from '../../src/model/event.js';
import { createJsonRpc, MAX_PENDING_CALLS } from '../../src/net/json-rpc.js';
import { silentLog } from '../../src/net/log.js';
import type { Socket, SocketEnd } from '../../src/net/socket.js';
import { createHttpClient, MAX_REQUESTS_AT_ONCE } from '../../src/net/undici-http.js';
import { connectWs, MAX_UNREAD_BYTES } from '../../src/net/ws-socket.js';
import type { Connection } from '../../src/venues/deribit/connection.js';
import { createHeartbeat, MAX_UNANSWERED_TESTS } from '../../src/venues/deribit/heartbeat.js';
import * as deribit from '../../src/venues/deribit/mapper.js';
import * as ibkr from '../../src/venues/ibkr/mapper.js';
import { emptyState as ibkrState } from '../../src/venues/ibkr/state.js';
import { createHookMemory } from '../../src/venues/snaptrade/hook-memory.js';
import * as snaptrade from '../../src/venues/snaptrade/mapper.js';
import { MAX_ROWS as MAX_CONNECTIONS, readConnections } from '../../src/venues/snaptrade/messages.js';
import { createPortalWatch, MAX_TOLD_IDS } from '../../src/venues/snaptrade/portal.js';
import { noteFault } from '../../src/venues/snaptrade/source-facts.js';
import { emptyState as snaptradeState } from '../../src/venues/snaptrade/state.js';
import { diffList } from '../../src/venues/tradernet/diff.js';
import * as tradernet from '../../src/venues/tradernet/mapper.js';
import { MAX_FRAME_CHARACTERS, MAX_ROWS, readList, readText } from '../../src/venues/tradernet/messages.js';
import { emptyState as tradernetState } from '../../src/venues/tradernet/state.js';
import { settle, until, VirtualClock } from '../support/virtual-clock.js';

/** What a venue can make the relay's side of it hold, driven to its bound (ARCHITECTURE.md, "Every queue and its bound"). */
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function socketTo(
  server: WebSocketServer,
): Promise<{ readonly socket: Socket; readonly ended: Promise<SocketEnd> }> {
  await once(server, 'listening');
  closing.push(() => {
    for (const peer of server.clients) peer.terminate();
    server.close();
  });
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  let socket: Socket | undefined;
  let end: (how: SocketEnd) => void = () => {};
  const ended = new Promise<SocketEnd>((resolve) => {
    end = resolve;
  });
  await new Promise<void>((resolve) => {
    socket = connectWs(url, {}, { opened: resolve, message() {}, pong() {}, ended: (how) => end(how) });
  });
  if (socket === undefined) throw new Error('it did not open');
  return { socket, ended };
}

describe('sockets and calls', () => {
  test('a frame of a venue: 16 MiB; a larger one ends the socket with 1009, unread', async () => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    server.on('connection', (peer) => peer.send('x'.repeat(16 * 1024 * 1024 + 1)));
    const { ended } = await socketTo(server);
    expect(await ended).toMatchObject({ code: 1009, clean: false });
  });

  test('a frame of Tradernet: 1 MiB is parsed; a longer one is a fault', () => {
    expect(readText(`["q","${'x'.repeat(MAX_FRAME_CHARACTERS)}"]`)).toMatchObject({ kind: 'bad', why: 'too long' });
  });

  test('unread by a venue: 4 MiB; then nothing more is sent, and whoever asked is told that it was not', async () => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1', maxPayload: 64 * 1024 * 1024 });
    server.on('connection', (peer) => peer.pause());
    const { socket } = await socketTo(server);
    const text = 'x'.repeat(512 * 1024);
    const sendAll = (): void => {
      for (let sent = 0; sent < 200; sent++) socket.send(text);
    };
    expect(sendAll).toThrow(expect.objectContaining({ code: 'source_unavailable' }));
    expect(socket.bufferedBytes).toBeGreaterThan(MAX_UNREAD_BYTES);
    expect(socket.bufferedBytes).toBeLessThan(MAX_UNREAD_BYTES + 2 * text.length);
    const rpc = createJsonRpc({ clock: new VirtualClock(), send: (frame) => socket.send(frame) });
    await expect(rpc.call('private/buy')).rejects.toMatchObject({ code: 'source_unavailable' });
    expect(rpc.pending).toBe(0);
  });

  test('calls to a venue: 1,000 wait for their answers; one more is not sent, and said not to be', async () => {
    const sent: string[] = [];
    const rpc = createJsonRpc({ clock: new VirtualClock(), send: (text) => sent.push(text) });
    const asked = Array.from({ length: MAX_PENDING_CALLS }, () => rpc.call('public/test').catch(() => undefined));
    await expect(rpc.call('public/test')).rejects.toMatchObject({ code: 'source_unavailable' });
    expect([sent.length, rpc.pending]).toEqual([MAX_PENDING_CALLS, MAX_PENDING_CALLS]);
    // A logout is what orders depend on: it finds a place, of which there are a hundred more.
    for (let count = 0; count < 100; count++)
      asked.push(rpc.call('private/logout', {}, { urgent: true }).catch(() => undefined));
    expect(sent).toHaveLength(MAX_PENDING_CALLS + 100);
    await expect(rpc.call('private/logout', {}, { urgent: true })).rejects.toMatchObject({
      code: 'source_unavailable',
    });
    rpc.close('over');
    await Promise.all(asked);
  });

  test('answers to test requests: 16 on their way; a venue that asks faster is answered by those', async () => {
    const waiting: (() => void)[] = [];
    const say = (): Promise<null> => new Promise((resolve) => waiting.push(() => resolve(null)));
    const connection: Connection = {
      generation: 1,
      isLive: true,
      ask: say,
      request: say,
      say,
      pause: () => Promise.resolve(false),
      accept: () => ({ kind: 'late', id: 1 }),
      end() {},
    };
    const clock = new VirtualClock();
    const heartbeat = createHeartbeat({ clock, wish: 0, tell() {}, refused() {}, dead() {} });
    heartbeat.attach(connection);
    for (let asked = 0; asked < 10_000; asked++) heartbeat.answer();
    expect(waiting).toHaveLength(MAX_UNANSWERED_TESTS);
    waiting[0]?.();
    await settle();
    heartbeat.answer();
    heartbeat.answer();
    expect(waiting).toHaveLength(MAX_UNANSWERED_TESTS + 1);
    heartbeat.detach();
  });

  test('requests to a venue over HTTP: 64 at once; one more is not sent, and said not to be', async () => {
    let arrived = 0;
    const server = createServer(() => arrived++);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    closing.push(() => {
      server.closeAllConnections();
      server.close();
    });
    const client = createHttpClient({});
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const asked = Array.from({ length: MAX_REQUESTS_AT_ONCE }, () =>
      client.request({ method: 'GET', url }).catch(() => undefined),
    );
    await expect(client.request({ method: 'GET', url })).rejects.toMatchObject({ code: 'source_unavailable' });
    await until(() => arrived === MAX_REQUESTS_AT_ONCE, 'all that were sent have arrived');
    await client.close();
    await Promise.all(asked);
  });
});

describe('what a venue says', () => {
  test('rows of a list: 10,000 of Tradernet, 20,000 of SnapTrade; what lies beyond is not read, and ends nobody', async () => {
    const list = readList(
      Array.from({ length: MAX_ROWS + 5 }, (_, id) => ({ id })),
      true,
    );
    expect(list).toMatchObject({ kind: 'sessions', unread: 5 });
    const connections = await readConnections(
      Array.from({ length: MAX_CONNECTIONS + 7 }, (_, id) => ({ id: `c${id}`, disabled: false })),
    );
    expect([connections?.rows.length, connections?.unread]).toEqual([MAX_CONNECTIONS, 7]);
  });

  test('connections that webhooks announce: 20,000; one more is a fault', () => {
    let state = snaptradeState({ source: 'partner', role: 'watch' });
    state = {
      ...state,
      rows: new Map(
        Array.from({ length: MAX_CONNECTIONS }, (_, id) => [
          `c${id}`,
          { status: 'opening', life: 0, breaks: 0, seen: true, role: 'watch', attributes: {} },
        ]),
      ),
    };
    const hook = { what: 'added', connection: 'new', atMs: 1 } as const;
    const [after, facts] = snaptrade.takeStatusHook(state, hook);
    expect(after.rows.size).toBe(MAX_CONNECTIONS);
    expect(facts.map(({ type }) => type)).toEqual(['source.fault']);
    expect(snaptrade.takeStatusHook(after, hook)[1]).toEqual([]);
  });

  test('lives that left a list: the last 500', () => {
    let state = tradernetState({ source: 'desk', role: 'watch' });
    for (let id = 0; id < 2_000; id++) {
      const row = { id: String(id), start: '2026-11-23T08:00:00.000Z', attributes: {}, doubts: [] };
      [state] = diffList(state, new Map([[row.id, row]]), { complete: true, atMs: 0, generation: 1 });
    }
    expect(state.gone.size).toBe(500);
    expect(state.rows.size).toBe(1);
  });

  test('kinds of faults: 64 of Deribit a connection, 100 of the others; each is told once, whatever is made up', () => {
    const MADE_UP = 5_000;
    const told = { deribit: 0, tradernet: 0, ibkr: 0, snaptrade: 0 };
    let one = deribit.initialMapperState('main', 'bot');
    let two = tradernetState({ source: 'desk', role: 'watch' });
    let three = ibkrState({ source: 'gateway', role: 'watch', loginUrl: 'https://localhost/' });
    let four = snaptradeState({ source: 'partner', role: 'watch' });
    for (let n = 0; n < MADE_UP; n++) {
      const long = `made-up-${n}-${'x'.repeat(2_000)}`;
      let facts: readonly Fact[];
      [one, facts] = deribit.mapFrame(one, { kind: 'notification', method: long, params: null }, 1);
      told.deribit += facts.length;
      const frame = { kind: 'unknown', event: `made-up-${n}` } as const;
      [two, facts] = tradernet.mapFrame(two, { frame, generation: 1, atMs: 0, proved: true });
      told.tradernet += facts.length;
      [three, facts] = ibkr.noteFault(three, `made-up-${n}`, 'unknown_frame', long);
      told.ibkr += facts.length;
      [four, facts] = noteFault(four, `made-up-${n}`, 'unknown_value', long);
      told.snaptrade += facts.length;
    }
    expect(told).toEqual({ deribit: 64, tradernet: 100, ibkr: 100, snaptrade: 100 });
    expect([one.faults.size, two.faults.size, three.faults.size, four.faults.size]).toEqual([64, 100, 100, 100]);
    expect(Math.max(...[...one.faults.keys()].map(({ length }) => length))).toBeLessThan(200);
  });

  test('parts of a venue: 1,000 indices and locks of Deribit; one more is a fault, told once', () => {
    let state = deribit.initialMapperState('main', 'bot');
    let faults = 0;
    const take = (frame: deribit.Frame): void => {
      const [after, facts] = deribit.mapFrame(state, frame, 1);
      state = after;
      faults += facts.filter(({ type }) => type === 'source.fault').length;
    };
    const on = (channel: string, data: { readonly [name: string]: string | boolean }): deribit.Frame => ({
      kind: 'notification',
      method: 'subscription',
      params: { channel, data },
    });
    for (let n = 0; n < deribit.MAX_PARTS + 100; n++) {
      take(on('platform_state', { price_index: `i${n}`, locked: true }));
      take(on('user.lock', { currency: `C${n}`, locked: true }));
    }
    expect([state.parts.size, state.accountLocked.size, faults]).toEqual([deribit.MAX_PARTS, deribit.MAX_PARTS, 1]);
    take(on('user.lock', { currency: 'ALL', locked: true }));
    expect(state.accountLocked.has('all')).toBe(true);
    const many = Array.from({ length: 3_000 }, (_, n) => `j${n}`);
    take({ kind: 'status', result: { locked: 'partial', locked_indices: many }, confirms: true });
    expect(state.parts.size).toBe(deribit.MAX_PARTS);
    const rows = [...many.map((currency) => ({ currency, locked: true })), { currency: 'all', locked: true }];
    take({ kind: 'user_locks', result: rows, confirms: true });
    expect(state.accountLocked.size).toBe(deribit.MAX_PARTS);
    expect(state.accountLocked.has('all')).toBe(true);
  });

  test('portal events: 10,000 ids, the newest', () => {
    const clock = new VirtualClock();
    const remembered: unknown[] = [];
    const source = { takePortal: (_events: unknown, memory: unknown) => void remembered.push(memory) };
    const watch = createPortalWatch({
      config: {
        sessionEvents: 'off',
        pollSeconds: 60,
        id: 'partner',
        credentials: { clientId: 'c', consumerKey: 'k' },
      },
      clock,
      random: Math.random,
      log: silentLog,
      sources: () => [],
      sourceOf: () => source as never,
      send: () => Promise.reject(new Error('not asked')),
      absent() {},
      unreadable() {},
    });
    watch.start(undefined);
    const events = Array.from({ length: MAX_TOLD_IDS + 2_000 }, (_, n) => ({
      id: `e${n}`,
      step: 'x',
      portal: 'p',
      createdMs: clock.now() + n,
    }));
    watch.take(events);
    expect(remembered).toMatchObject([{ 'portal events': { ids: expect.objectContaining({ length: MAX_TOLD_IDS }) } }]);
  });

  test('webhooks remembered: 20,000 for a day, the oldest forgotten first', async () => {
    const clock = new VirtualClock();
    const memory = createHookMemory(clock, undefined);
    let forgotten = 0;
    for (let id = 0; id < 20_100; id++) {
      const { remember, done } = memory.begin(`h${id}`);
      forgotten += Object.values(remember).filter((value) => value === null).length;
      done(true);
    }
    expect(forgotten).toBe(100);
    expect(memory.find('h99')).toBeUndefined();
    expect(memory.find('h100')).toBe(true);
    await clock.advance(86_400_000);
    expect(Object.values(memory.begin('next').remember).filter((value) => value === null)).toHaveLength(20_000);
  });
});
