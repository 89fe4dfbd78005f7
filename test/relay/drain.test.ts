import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { createFailingJournal } from '../support/failing-journal.js';
import { closeTestRelays, startTestRelay, type TestRelay, TRANSPORTS } from '../support/relay.js';
import { settle, until } from '../support/virtual-clock.js';

/** PROTOCOL.md §4 `draining`, 1001, 503, on virtual time over real sockets: what a relay does from the signal on. */
const TIMEOUT_MS = 20_000;
const UPDATES = '*.*.*.session.updated';
const opened: Socket[] = [];
afterEach(async () => {
  for (const socket of opened.splice(0)) socket.destroy();
  await closeTestRelays();
});

interface Drained {
  /** Ms of virtual time that the drain took. */
  readonly tookMs: number;
  readonly journaled: boolean;
}

/** Lets time pass until the hub has stopped; what is left then is the port, in real time. */
async function drained({ relay, clock }: TestRelay): Promise<Drained> {
  const startedAt = clock.monotonic();
  let endedAt: number | undefined;
  relay.hub.turns$.subscribe({
    complete: () => {
      endedAt = clock.monotonic();
    },
  });
  const ending = relay.drain();
  await settle(8);
  while (endedAt === undefined && clock.monotonic() - startedAt < 60_000) {
    await clock.advance(50);
    await settle();
  }
  return { tookMs: (endedAt ?? Number.POSITIVE_INFINITY) - startedAt, ...(await ending) };
}

/** A socket that upgrades, subscribes to everything and never reads again. */
async function neverReads(url: string): Promise<Socket> {
  const { hostname, port, host } = new URL(url);
  const socket = connect(Number(port), hostname);
  opened.push(socket);
  socket.on('error', () => {});
  const head = await new Promise<string>((resolve) => {
    socket.once('data', (bytes) => resolve(String(bytes)));
    socket.write(
      `GET /v1/ws HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
    );
  });
  expect(head).toContain(' 101 ');
  socket.pause();
  return socket;
}

describe.each(TRANSPORTS)('draining over %s', (transport) => {
  test('in the turn of the call: not ready but alive, the venue is left, newcomers and what acts get 503 with Retry-After, reads are answered', async () => {
    const running = await startTestRelay(transport, { drainTimeoutMs: TIMEOUT_MS });
    const { relay, venue, url, settled } = running;
    venue.open('bot');
    await settled();
    const subscriber = await running.connect();
    const draining = relay.drain();
    expect(venue.stopped).toEqual({ orders: 'leave' });
    const ask = async (path: string, init?: RequestInit) => {
      const answer = await fetch(`${url}${path}`, init);
      return { status: answer.status, retryAfter: answer.headers.get('retry-after'), body: await answer.json() };
    };
    expect(await ask('/readyz')).toMatchObject({ status: 503, body: { checks: { draining: 'draining' } } });
    expect(await ask('/livez')).toMatchObject({ status: 200, body: { status: 'live' } });
    await expect(running.connect()).rejects.toMatchObject({ status: 503, headers: { 'retry-after': '5' } });
    const command = { source: 'deribit.main', command: 'read' };
    const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(command) };
    expect(await ask('/v1/commands', post)).toMatchObject({ status: 503, retryAfter: '5' });
    expect(await ask('/v1/hooks/deribit/main', { method: 'POST', body: '{}' })).toMatchObject({
      status: 503,
      retryAfter: '5',
    });
    expect(venue.calls).toEqual([]);
    // Whoever is still there may ask what it wants to know, until the end.
    await running.clock.advance(3_000);
    expect(await ask('/v1/sessions/deribit.main.bot')).toMatchObject({ status: 200, body: { status: 'active' } });
    expect(await ask('/v1/events?since=0-0')).toMatchObject({ status: 200, body: { complete: true } });
    await expect(subscriber.request('get_sessions')).resolves.toMatchObject({ sessions: expect.any(Array) });
    await expect(subscriber.request('command', command)).rejects.toMatchObject({ code: 4503 });
    await running.clock.advance(TIMEOUT_MS);
    expect(await draining).toEqual({ journaled: true });
    await expect(fetch(`${url}/livez`)).rejects.toThrow();
  });

  test('each subscriber is told a time of its own, in the first two thirds of the drain, and is closed with 1001 a little after it', async () => {
    const running = await startTestRelay(transport, { drainTimeoutMs: TIMEOUT_MS });
    const subscribers = await Promise.all(Array.from({ length: 20 }, () => running.connect()));
    const ends = subscribers.map(async ({ closed }) => ({ ...(await closed), atMs: running.clock.monotonic() }));
    const { tookMs, journaled } = await drained(running);
    const told = await Promise.all(subscribers.map((one) => one.next('draining')));
    const times = told.map(({ retryAfterMs }) => Number(retryAfterMs));
    expect(new Set(times).size).toBe(20);
    expect(Math.min(...times)).toBeGreaterThanOrEqual(2_000);
    expect(Math.max(...times)).toBeLessThanOrEqual(13_000);
    expect(Math.max(...times) - Math.min(...times)).toBeGreaterThan(5_000);
    for (const [index, end] of ends.entries()) {
      const { code, atMs } = await end;
      expect(code).toBe(1001);
      // Time moves in steps of 50 ms here.
      expect(atMs - (times[index] ?? 0) - 2_000).toBeGreaterThanOrEqual(0);
      expect(atMs - (times[index] ?? 0) - 2_000).toBeLessThan(400);
    }
    expect(tookMs).toBeLessThanOrEqual(15_500);
    expect(journaled).toBe(true);
  });

  test('subscribers that leave by themselves end the drain early', async () => {
    const running = await startTestRelay(transport, { drainTimeoutMs: TIMEOUT_MS });
    const subscribers = await Promise.all(Array.from({ length: 3 }, () => running.connect()));
    const draining = running.relay.drain();
    for (const one of subscribers) {
      await one.next('draining');
      await one.close();
    }
    expect(await draining).toEqual({ journaled: true });
  });

  test('what the venues’ end means is journaled and delivered before anybody is closed, also when the venue takes its whole second', async () => {
    const running = await startTestRelay(transport, { drainTimeoutMs: 4_000 });
    const { venue, clock, settled, relay } = running;
    venue.open('bot');
    await settled();
    const subscribers = await Promise.all(Array.from({ length: 5 }, () => running.connect()));
    for (const one of subscribers) await one.request('subscribe', { channels: ['>'], snapshot: false });
    venue.stopping = () =>
      new Promise((resolve) => {
        clock.setTimer(() => {
          venue.tell(
            { source: 'main', session: 'bot', type: 'session.closed', data: { by: 'relay' } },
            {
              source: 'main',
              session: '-',
              type: 'link.down',
              data: { carrier: 'ws', generation: 1, code: 1000, reason: 'stopped', clean: true, initiator: 'relay' },
            },
          );
          resolve();
        }, 1_000);
      });
    await drained(running);
    for (const one of subscribers) {
      expect(await one.closed).toMatchObject({ code: 1001 });
      expect(one.events('>').map(({ type }) => type)).toEqual(expect.arrayContaining(['session.closed', 'link.down']));
      expect(one.losses).toEqual([]);
    }
    expect(relay.hub.head()).toBe(subscribers[0]?.events('>').at(-1)?.id);
  });

  test('a subscription, and a replay, go on during the drain', async () => {
    const running = await startTestRelay(transport, { drainTimeoutMs: TIMEOUT_MS });
    const { venue, clock, settled } = running;
    venue.open('bot');
    venue.update('bot', 700);
    await settled();
    const subscriber = await running.connect();
    const draining = running.relay.drain();
    await subscriber.next('draining');
    await clock.advance(1_000);
    await subscriber.request('subscribe', { channels: [UPDATES], since: '0-0' });
    await subscriber.next('caught_up');
    expect(subscriber.events(UPDATES)).toHaveLength(700);
    expect(subscriber.losses).toEqual([]);
    await clock.advance(TIMEOUT_MS);
    await draining;
  });

  test('a subscriber that never reads does not hold the drain up beyond its time', async () => {
    const running = await startTestRelay(transport, { drainTimeoutMs: TIMEOUT_MS });
    const { venue, settled, url, relay } = running;
    venue.open('bot');
    await settled();
    const socket = await neverReads(url);
    // Enough that the close frame waits behind what nobody reads.
    socket.write(
      maskedText(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'subscribe', params: { channels: ['>'] } })),
    );
    await until(() => relay.hub.states().size > 0, 'the states are there');
    await settle(20);
    const { tookMs, journaled } = await drained(running);
    expect(journaled).toBe(true);
    expect(tookMs).toBeLessThanOrEqual(TIMEOUT_MS);
  });

  test('a venue that hangs does not either, nor does it keep anybody from being told and sent away', async () => {
    const running = await startTestRelay(transport, { drainTimeoutMs: TIMEOUT_MS });
    const subscriber = await running.connect();
    running.venue.stopping = () => new Promise(() => {});
    const { tookMs, journaled } = await drained(running);
    expect(await subscriber.closed).toMatchObject({ code: 1001 });
    expect(tookMs).toBeLessThanOrEqual(TIMEOUT_MS);
    expect(journaled).toBe(true);
    expect(running.logged.join('\n')).toContain('deribit.main does not stop');
  });

  test('where the journal hangs everybody is sent away in time, and the drain says that not all is journaled', async () => {
    const journal = createFailingJournal();
    const running = await startTestRelay(transport, { drainTimeoutMs: TIMEOUT_MS, journal });
    const { venue, settled } = running;
    venue.open('bot');
    await settled();
    const subscriber = await running.connect();
    const append = journal.append.bind(journal);
    journal.append = () => new Promise(() => {});
    venue.update('bot');
    venue.stopping = () => Promise.resolve(venue.update('bot'));
    const { tookMs, journaled } = await drained(running);
    journal.append = append;
    expect(journaled).toBe(false);
    expect(tookMs).toBeLessThanOrEqual(TIMEOUT_MS);
    expect(await subscriber.closed).toMatchObject({ code: 1001 });
    expect(running.logged.join('\n')).toContain('what it did not take is lost');
  });

  test('closing it in the midst of a drain ends everybody at once', async () => {
    const running = await startTestRelay(transport, { drainTimeoutMs: TIMEOUT_MS });
    const subscriber = await running.connect();
    const draining = running.relay.drain();
    await subscriber.next('draining');
    await running.relay.close({ orders: 'leave' });
    expect(await subscriber.closed).toMatchObject({ code: 1001 });
    expect(await draining).toEqual({ journaled: true });
    expect(running.venue.stopped).toEqual({ orders: 'leave' });
  });

  test('an answer that is under way when the relay ends is given', async () => {
    const running = await startTestRelay(transport, { drainTimeoutMs: TIMEOUT_MS });
    const { venue, url } = running;
    venue.answer = () => new Promise(() => {});
    const command = JSON.stringify({ source: 'deribit.main', command: 'read' });
    const asked = fetch(`${url}/v1/commands`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: command,
    });
    await until(() => venue.calls.length === 1, 'the command reached the venue');
    await drained(running);
    // Whether the venue acted nobody knows: that is said, and not left to a connection that breaks.
    expect((await asked).status).toBe(504);
  });
});

/** One text frame as a client sends it, with a mask of zeros. */
function maskedText(text: string): Buffer {
  const payload = Buffer.from(text);
  const head =
    payload.length < 126
      ? [0x81, 0x80 | payload.length]
      : [0x81, 0x80 | 126, payload.length >> 8, payload.length & 0xff];
  return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), payload]);
}
