import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { z } from 'zod';
import { createLmdbJournal } from '../../src/hub/journal/lmdb.js';
import { silentLog } from '../../src/net/log.js';
import { type Simulator, simulators } from '../../src/simulators/index.js';
import { type DeribitLine, deribitLine, plainLine } from '../support/deribit-line.js';
import { TRANSPORTS } from '../support/relay.js';
import { connectSubscriber, type Subscriber } from '../support/subscriber.js';
import { until } from '../support/virtual-clock.js';

/** The compiled command line as a process of its own, with all four venues behind it: what a signal does to it. */
const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const TEST_MS = 60_000;
const SUBSCRIBERS = 6;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const ready = z.looseObject({ listening: z.string() });

interface Running {
  readonly url: string;
  readonly child: ChildProcess;
  readonly stderr: () => string;
  readonly exited: Promise<readonly [number | null, NodeJS.Signals | null]>;
  /** What happened on the lines to the venues, in order. */
  readonly log: string[];
  readonly line: DeribitLine;
  readonly venues: {
    readonly deribit: Simulator;
    readonly tradernet: Simulator;
    readonly ibkr: Simulator;
    readonly snaptrade: Simulator;
  };
  /** Where its journal is. */
  readonly journal: string;
  /** The id of a resting order that cancel-on-disconnect protects. */
  readonly order: string;
}

async function serve(transport: string, drain: string): Promise<Running> {
  const folder = mkdtempSync(join(tmpdir(), 'drain-'));
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
  const started = await Promise.all(Object.values(simulators).map((start) => start()));
  for (const simulator of started) cleanups.push(() => simulator.close());
  const [deribit, tradernet, ibkr, snaptrade] = started;
  if (deribit === undefined || tradernet === undefined || ibkr === undefined || snaptrade === undefined)
    throw new Error('four simulators are needed');
  const log: string[] = [];
  const line = await deribitLine(deribit.url, log);
  cleanups.push(() => line.close());
  const tradernetUrl = new URL(tradernet.url);
  const passing = await plainLine('tradernet', tradernetUrl, log);
  cleanups.push(() => passing.close());
  const file = join(folder, 'relay.yaml');
  writeFileSync(
    file,
    stringify({
      listen: { port: 0, transport },
      drain: { timeout: drain },
      log: { level: 'error' },
      journal: { engine: 'lmdb', path: join(folder, 'journal') },
      sources: [
        // Deribit is not the first that is configured: it is the first that is left all the same.
        { ...tradernet.source, url: `ws://${passing.authority}${tradernetUrl.pathname}` },
        ibkr.source,
        { ...deribit.source, url: line.url },
        snaptrade.source,
      ],
    }),
  );
  const child = spawn(process.execPath, [main, 'serve', '--config', file], { stdio: ['ignore', 'pipe', 'pipe'] });
  cleanups.push(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const exited = new Promise<readonly [number | null, NodeJS.Signals | null]>((resolve) =>
    child.once('exit', (code, signal) => resolve([code, signal])),
  );
  const { value } = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next();
  const { listening: url } = ready.parse(JSON.parse(String(value)));
  const watcher = await connectSubscriber(url);
  await watcher.request('subscribe', { channels: ['>'], since: '0-0' });
  const has = (type: string, venue: string): boolean =>
    watcher.events('>').some((event) => event.type === type && event.subject.startsWith(`${venue}.`));
  await watcher.until(
    () =>
      ['deribit', 'tradernet', 'ibkr', 'snaptrade'].every((venue) => has('session.opened', venue)) &&
      has('protection.armed', 'deribit'),
  );
  await watcher.close();
  const bought = z.looseObject({ order: z.looseObject({ order_id: z.string() }) }).parse(
    await line.inject('private/buy', {
      instrument_name: 'BTC-PERPETUAL',
      amount: 10,
      type: 'limit',
      price: 10_000,
    }),
  );
  const venues = { deribit, tradernet, ibkr, snaptrade };
  const journal = join(folder, 'journal');
  return { url, child, stderr: () => stderr, exited, log, line, venues, journal, order: bought.order.order_id };
}

async function watching(url: string, count: number): Promise<readonly Subscriber[]> {
  const subscribers = await Promise.all(Array.from({ length: count }, () => connectSubscriber(url)));
  cleanups.push(() => {
    for (const { socket } of subscribers) socket.terminate();
  });
  for (const one of subscribers) await one.request('subscribe', { channels: ['>'], snapshot: false });
  return subscribers;
}

const deribitState = z.looseObject({
  orders: z.array(z.looseObject({ orderId: z.string(), state: z.string() })),
  sessions: z.array(z.looseObject({ name: z.string() })),
  ended: z.array(z.looseObject({ cause: z.string(), cancelledOrders: z.array(z.string()) })),
});

function orderState({ venues, order }: Running): string | undefined {
  return deribitState.parse(venues.deribit.state()).orders.find(({ orderId }) => orderId === order)?.state;
}

/** The cursors of everything that a journal holds. */
async function journaledIn(path: string): Promise<readonly string[]> {
  const retention = { maxAgeMs: 86_400_000, maxBytes: 1024 * 1024 * 1024 };
  const journal = createLmdbJournal({ path, sync: 'interval', retention, log: silentLog });
  await journal.open(Date.now());
  try {
    const { events, more } = await journal.read('0-0', 10_000);
    expect(more).toBe(false);
    return events.map(({ id }) => id);
  } finally {
    await journal.close();
  }
}

/** A socket that upgrades and never reads what follows. */
async function neverReads(url: string): Promise<Socket> {
  const { hostname, port, host } = new URL(url);
  const socket = connect(Number(port), hostname);
  cleanups.push(() => socket.destroy());
  socket.on('error', () => {});
  socket.write(
    `GET /v1/ws HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
  );
  await once(socket, 'data');
  socket.pause();
  return socket;
}

/** Which operations of a venue the relay used, however its simulator counts them. */
function operations(simulator: Simulator): string {
  const { requests } = z.looseObject({ requests: z.unknown() }).parse(simulator.state());
  return JSON.stringify(requests);
}

describe.each(TRANSPORTS)('SIGTERM to `session-relay serve` over %s', (transport) => {
  test(
    'logs out of Deribit first and of no other venue, the order stays, everything said is delivered before anybody is closed, and it exits 0',
    async () => {
      const running = await serve(transport, '9s');
      const { url, child, exited, log, line, venues, stderr } = running;
      const subscribers = await watching(url, SUBSCRIBERS);
      for (const [index, { closed }] of subscribers.entries())
        void closed.then(() => log.push(`subscriber ${index} closed`));
      await neverReads(url);
      expect(orderState(running)).toBe('open');
      log.length = 0;
      child.kill('SIGTERM');
      const told = await Promise.all(subscribers.map((one) => one.next('draining')));
      expect((await fetch(`${url}/livez`)).status).toBe(200);
      const readyz = await fetch(`${url}/readyz`);
      expect([readyz.status, await readyz.json()]).toMatchObject([503, { checks: { draining: 'draining' } }]);
      await expect(connectSubscriber(url)).rejects.toMatchObject({ status: 503, headers: { 'retry-after': '5' } });
      const ends = await Promise.all(subscribers.map(({ closed }) => closed));
      expect(await exited).toEqual([0, null]);
      expect(stderr()).toBe('');

      // Deribit: first, keeping the named session's tokens, and without a cancelled order.
      const mine = log.filter((what) => !what.includes('public/test'));
      expect(mine.slice(0, 2)).toEqual(['deribit asked private/logout', 'deribit ended']);
      expect(line.asked.at(-1)).toMatchObject({ method: 'private/logout', params: { invalidate_token: false } });
      const state = deribitState.parse(venues.deribit.state());
      expect(state.ended).toMatchObject([{ cause: 'logout', cancelledOrders: [] }]);
      expect(state.sessions.map(({ name }) => name)).toContain('relay');
      expect(orderState(running)).toBe('open');
      // The others: left after it, and left as they are.
      expect(log.indexOf('tradernet ended')).toBeGreaterThan(log.indexOf('deribit ended'));
      for (const venue of [venues.tradernet, venues.ibkr, venues.snaptrade])
        expect(operations(venue)).not.toMatch(/logout|remove|disable|delete/i);
      expect(venues.ibkr.state()).toMatchObject({ sso: { valid: true } });
      // Subscribers: told, each a time of its own; then what every venue’s end means; then closed.
      expect(new Set(told.map(({ retryAfterMs }) => retryAfterMs)).size).toBe(SUBSCRIBERS);
      expect(ends.map(({ code }) => code)).toEqual(Array.from({ length: SUBSCRIBERS }, () => 1001));
      for (const one of subscribers) {
        const down = one.events('>').filter(({ type }) => type === 'link.down');
        expect(new Set(down.map(({ subject }) => subject.split('.')[0]))).toEqual(
          new Set(['deribit', 'tradernet', 'ibkr', 'snaptrade']),
        );
        expect(one.events('>').some(({ type }) => type === 'protection.triggered')).toBe(false);
        expect(one.losses).toEqual([]);
      }
      expect(log.findIndex((what) => what.startsWith('subscriber'))).toBeGreaterThan(log.indexOf('deribit ended'));
      // What they saw last is what the journal holds last.
      const journaled = await journaledIn(running.journal);
      for (const one of subscribers) {
        const seen = one.events('>').map(({ id }) => id);
        expect(journaled.slice(-seen.length)).toEqual(seen);
      }
    },
    TEST_MS,
  );

  test(
    'twice: Deribit is logged out all the same, and it ends with 128 + the signal without waiting for the drain',
    async () => {
      const running = await serve(transport, '600s');
      const { url, child, exited, venues, stderr, log } = running;
      const [subscriber] = await watching(url, 1);
      child.kill('SIGTERM');
      await subscriber?.next('draining');
      child.kill('SIGTERM');
      expect(await exited).toEqual([143, null]);
      expect(stderr()).toContain('SIGTERM again: ending now');
      expect(log).toContain('deribit asked private/logout');
      expect(deribitState.parse(venues.deribit.state()).ended).toMatchObject([
        { cause: 'logout', cancelledOrders: [] },
      ]);
      expect(orderState(running)).toBe('open');
    },
    TEST_MS,
  );
});

test(
  'a Deribit that does not answer is asked all the same, and holds neither the second signal nor the drain up',
  async () => {
    const running = await serve('auto', '600s');
    const { url, child, exited, log, line } = running;
    const [subscriber] = await watching(url, 1);
    line.deafen();
    child.kill('SIGTERM');
    await subscriber?.next('draining');
    child.kill('SIGINT');
    expect(await exited).toEqual([130, null]);
    expect(log).toContain('deribit asked private/logout');
    expect(orderState(running)).toBe('open');
  },
  TEST_MS,
);

test(
  'what these tests can see: a relay that is killed leaves Deribit without a logout, and the order is cancelled',
  async () => {
    const running = await serve('auto', '9s');
    const { child, exited, log, venues } = running;
    child.kill('SIGKILL');
    expect(await exited).toEqual([null, 'SIGKILL']);
    while (deribitState.parse(venues.deribit.state()).ended.length === 0)
      await new Promise<void>((resolve) => setImmediate(resolve));
    await until(() => orderState(running) === 'cancelled', 'the order is cancelled');
    expect(log).not.toContain('deribit asked private/logout');
  },
  TEST_MS,
);
