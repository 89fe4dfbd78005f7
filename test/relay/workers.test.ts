import { createHash } from 'node:crypto';
import { get } from 'node:http';
import type { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { AuthOptions } from '../../src/edge/auth.js';
import type { Log } from '../../src/net/log.js';
import { type Relay, type RelayOptions, startRelay } from '../../src/relay.js';
import { openStream, type StreamClient } from '../support/event-stream.js';
import { TRANSPORTS } from '../support/relay.js';
import { createScriptedVenue, type ScriptedVenue } from '../support/scripted-venue.js';
import { secret } from '../support/secrets.js';
import { connectSubscriber, type Subscriber } from '../support/subscriber.js';
import { VirtualClock } from '../support/virtual-clock.js';

/**
 * A relay that serves by two worker threads (of `dist/`, as it is shipped), on real time: what it promises holds whichever
 * of them a subscriber came to. Connections go to the threads in turn, so that of two that follow each other each has one.
 */
const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

interface Running {
  readonly relay: Relay;
  readonly url: string;
  readonly venue: ScriptedVenue;
  readonly threads: readonly Worker[];
  readonly logged: readonly string[];
  connect(options?: Parameters<typeof connectSubscriber>[1]): Promise<Subscriber>;
  stream(query: string, token?: string): Promise<StreamClient>;
}

async function start(options: Partial<RelayOptions> = {}): Promise<Running> {
  const venue = createScriptedVenue();
  const threads: Worker[] = [];
  const logged: string[] = [];
  const write = (text: string, fields: object = {}): void => void logged.push(`${text} ${JSON.stringify(fields)}`);
  const log: Log = { debug: write, info: write, warn: write, error: write };
  const relay = await startRelay({
    listen: { port: 0 },
    venues: [venue],
    transport: 'uws',
    workers: 2,
    workerStarted: (worker) => threads.push(worker),
    drainTimeoutMs: 5_000,
    log,
    ...options,
  });
  open.push(() => relay.close({ orders: 'leave' }));
  return {
    relay,
    url: relay.url,
    venue,
    threads,
    logged,
    async connect(how) {
      const one = await connectSubscriber(relay.url, how);
      open.push(() => one.socket.terminate());
      return one;
    },
    async stream(query, token) {
      // A new connection each, or both would go where the first one went.
      const headers = { connection: 'close', ...(token === undefined ? {} : bearer(token).headers) };
      const one = await openStream(`${relay.url}/v1/stream?${query}`, headers);
      open.push(() => one.close());
      return one;
    },
  };
}

const tokenOf = (name: string): string => secret(`token-of-${name}-for-workers`);
const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
type Key = { readonly name: string; readonly channels?: readonly string[]; readonly fields?: 'full' | 'redacted' };
const keys = (...list: readonly Key[]): AuthOptions => ({
  mode: 'keys',
  keys: list.map(({ name, channels = ['>'], fields = 'full' }) => {
    const sha256 = createHash('sha256').update(tokenOf(name)).digest('hex');
    return { name, sha256, channels, commands: ['deribit.main:act', 'deribit.main:read'], fields };
  }),
});

/** Over a connection of its own. */
function ask(
  url: string,
  headers: Readonly<Record<string, string>> = {},
  method = 'GET',
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false, headers, method }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: String(Buffer.concat(parts)) }));
    }).on('error', reject);
  });
}

const numberOf = (text: string, name: string): number => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
const ALL = 'deribit.>';
const following = async (running: Running, count: number): Promise<readonly Subscriber[]> => {
  const all: Subscriber[] = [];
  for (let n = 0; n < count; n++) {
    const one = await running.connect();
    await one.request('subscribe', { channels: [ALL] });
    all.push(one);
  }
  return all;
};
async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 20));
}
/** An error that nobody in the thread catches: a message that is none. */
const crash = (worker: Worker | undefined): void => worker?.postMessage(null);

describe.runIf(TRANSPORTS.includes('uws'))('with two workers', () => {
  test('subscribers of both get every event in order, and one that comes back to the other misses nothing', async () => {
    const running = await start();
    const { venue } = running;
    venue.open('a', 'b');
    const all = await following(running, 4);
    for (let n = 0; n < 20; n++) {
      venue.update('a', 10);
      await new Promise((resolve) => setImmediate(resolve));
    }
    for (const one of all)
      await one.until(() => one.events(ALL).filter(({ type }) => type === 'session.updated').length === 200);
    const updates = (one: Subscriber): readonly unknown[] =>
      one
        .events(ALL)
        .filter(({ type }) => type === 'session.updated')
        .map(({ id, data }) => [id, data]);
    for (const one of all) {
      expect(one.losses).toEqual([]);
      expect(updates(one)).toEqual(updates(all[0] as Subscriber));
    }
    const cursors = all.map((one) => one.cursor(ALL) ?? '');
    for (const one of all.slice(0, 3)) await one.close();
    venue.update('b', 30);
    for (const since of cursors.slice(0, 2)) {
      const again = await running.connect();
      const { channels } = z
        .object({ channels: z.array(z.object({ recovered: z.boolean() })) })
        .parse(await again.request('subscribe', { channels: [{ channel: ALL, since }] }));
      expect(channels).toEqual(
        [{ recovered: true, cursor: expect.anything(), channel: ALL }].map(({ recovered }) => ({ recovered })),
      );
      await again.until(() => again.events(ALL).length === 30);
      expect(again.losses).toEqual([]);
    }
  });

  test('states, snapshots and reads are the same at each', async () => {
    const running = await start();
    running.venue.open('a', 'b', 'c');
    await eventually(() => running.relay.hub.states().size === 4);
    const answers = await Promise.all([1, 2].map(() => ask(`${running.url}/v1/sessions`)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    expect(answers[0]?.body).toBe(answers[1]?.body);
    expect(answers[0]?.body).toContain('deribit.main.c');
    const one = await running.connect();
    await one.request('subscribe', { channels: [ALL], snapshot: true });
    await one.next('snapshot', ({ last }) => last === true);
    const stream = await running.stream(`channel=${ALL}&since=0-0`);
    await stream.until(() => stream.events().length >= 4);
    running.venue.update('a');
    await stream.until(() => stream.events().some(({ type }) => type === 'session.updated'));
  });

  test('fields that a grant does not show are shown at none, and commands reach the venue once whichever is asked', async () => {
    const running = await start({ auth: keys({ name: 'full' }, { name: 'less', fields: 'redacted' }) });
    const { venue } = running;
    const all: Subscriber[] = [];
    for (const name of ['full', 'full', 'less', 'less']) {
      const one = await running.connect(bearer(tokenOf(name)));
      await one.request('subscribe', { channels: [ALL] });
      all.push(one);
    }
    venue.open('a');
    for (const one of all) await one.until(() => one.events(ALL).some(({ type }) => type === 'session.opened'));
    const texts = all.map((one) => JSON.stringify(one.events(ALL)));
    expect(texts.map((text) => text.includes('a@example.test'))).toEqual([true, true, false, false]);
    const command = { source: 'deribit.main', command: 'act', params: { n: 1 }, requestId: 'once' };
    const first = await all[0]?.request('command', command);
    expect(first).toMatchObject({ result: { ok: true } });
    expect(await all[1]?.request('command', command)).toEqual(first);
    expect(venue.calls).toHaveLength(1);
    await expect(all[2]?.request('command', { ...command, command: 'nothing', requestId: 'x' })).rejects.toMatchObject({
      code: 4403,
    });
    venue.answer = () => Promise.reject(new Error('a bug'));
    await expect(all[3]?.request('command', { ...command, requestId: 'fails' })).rejects.toMatchObject({
      code: 4504,
    });
  });

  test('limits of connections hold over both, and a place that is given back is free at both', async () => {
    const running = await start({
      auth: keys({ name: 'one' }, { name: 'two' }),
      limits: { maxConnections: 4, maxConnectionsPerIdentity: 3 },
    });
    const mine = [];
    for (let n = 0; n < 3; n++) mine.push(await running.connect(bearer(tokenOf('one'))));
    for (let n = 0; n < 2; n++)
      await expect(running.connect(bearer(tokenOf('one')))).rejects.toMatchObject({ status: 429 });
    const late = await running.connect();
    await expect(late.request('auth', { token: tokenOf('one') })).rejects.toMatchObject({ code: 4429 });
    for (let n = 0; n < 2; n++)
      await expect(running.connect(bearer(tokenOf('two')))).rejects.toMatchObject({ status: 503 });
    await mine[0]?.close();
    await eventually(() =>
      late.request('auth', { token: tokenOf('one') }).then(
        () => true,
        () => false,
      ),
    );
    await expect(running.connect(bearer(tokenOf('one')))).rejects.toMatchObject({ status: 429 });
  });

  test('limits of an address hold over both', async () => {
    const running = await start({ limits: { maxConnectionsPerAddress: 3 } });
    for (let n = 0; n < 3; n++) await running.connect();
    for (let n = 0; n < 2; n++) await expect(running.connect()).rejects.toMatchObject({ status: 429 });
  });

  test('a ticket of one is redeemed at the other, resumes there, and ends the stream that it takes over from', async () => {
    const running = await start({ auth: keys({ name: 'page', fields: 'redacted' }) });
    running.venue.open('a');
    const issued = await ask(`${running.url}/v1/ticket`, bearer(tokenOf('page')).headers, 'POST');
    const { ticket } = z.object({ ticket: z.string() }).parse(JSON.parse(issued.body));
    const query = `channel=${ALL}&since=0-0&ticket=${ticket}`;
    const first = await running.stream(query);
    expect(first.status).toBe(200);
    await first.until(() => first.events().some(({ type }) => type === 'session.opened'));
    expect(JSON.stringify(first.events())).not.toContain('a@example.test');
    // Twice in turn: each of the two takes over from the other.
    let before = first;
    for (let n = 0; n < 2; n++) {
      running.venue.update('a');
      const again = await openStream(`${running.url}/v1/stream?${query}`, {
        connection: 'close',
        'last-event-id': before.lastEventId() ?? '',
      });
      open.push(() => again.close());
      expect(again.status).toBe(200);
      await before.ended();
      await again.until(() => again.events().some(({ type }) => type === 'session.updated'));
      before = again;
    }
    const wrong = await running.stream(`channel=${ALL}&ticket=${secret('no-such-ticket')}`);
    expect(wrong.status).toBe(401);
    const foreign = await running.stream(query);
    expect(foreign.status).toBe(401);
  });

  test('metrics are the sum of both, whichever is asked, and no counter falls when one ends', async () => {
    const running = await start();
    running.venue.open('a');
    const all = await following(running, 4);
    running.venue.update('a', 10);
    for (const one of all)
      await one.until(() => one.events(ALL).filter(({ type }) => type === 'session.updated').length === 10);
    const scrape = async (): Promise<string> => (await ask(`${running.url}/metrics`)).body;
    for (const text of [await scrape(), await scrape()]) {
      expect(numberOf(text, 'session_relay_workers')).toBe(2);
      expect(numberOf(text, 'session_relay_connections')).toBe(4);
      expect(numberOf(text, 'session_relay_deliveries_total')).toBeGreaterThanOrEqual(40);
      expect(text).toContain('session_relay_events_total{type="session.updated"} 10');
      expect(numberOf(text, 'session_relay_ingest_to_send_seconds_count')).toBeGreaterThan(0);
    }
    const before = numberOf(await scrape(), 'session_relay_deliveries_total');
    crash(running.threads[0]);
    await eventually(async () => numberOf(await scrape(), 'session_relay_worker_restarts_total') === 1);
    const after = await scrape();
    expect(numberOf(after, 'session_relay_deliveries_total')).toBe(before);
    expect(after).toMatch(/session_relay_closes_total\{code="1001"\} 2/);
  });

  test('a worker that fails sends its own subscribers away, is replaced, and the others notice nothing', async () => {
    const running = await start();
    running.venue.open('a');
    const all = await following(running, 4);
    const ended = new Map<Subscriber, number>();
    for (const one of all) void one.closed.then(({ code }) => ended.set(one, code));
    crash(running.threads[0]);
    await eventually(() => ended.size === 2);
    expect([...ended.values()]).toEqual([1001, 1001]);
    const sight = z.object({ status: z.string(), checks: z.record(z.string(), z.string()), workers: z.number() });
    const readyz = async () => sight.parse(JSON.parse((await ask(`${running.url}/readyz`)).body));
    // Until it is back, somebody is missing: the relay is not ready, and serves.
    running.venue.update('a', 5);
    const kept = all.filter((one) => !ended.has(one));
    for (const one of kept) {
      await one.until(() => one.events(ALL).filter(({ type }) => type === 'session.updated').length === 5);
      expect(one.losses).toEqual([]);
    }
    for (const one of ended.keys()) {
      const again = await running.connect();
      await again.request('subscribe', { channels: [{ channel: ALL, since: one.cursor(ALL) }] });
      await again.until(() => again.events(ALL).length === 5);
      expect(again.losses).toEqual([]);
    }
    await eventually(async () => (await readyz()).status === 'ready');
    expect(running.threads).toHaveLength(3);
    expect(running.logged.filter((line) => line.includes('failed') && line.includes('"worker":1'))).toHaveLength(1);
    expect((await readyz()).workers).toBe(2);
    expect(running.relay.hub.head()).toBe(kept[0]?.cursor(ALL));
  });

  test('while one is missing it is not ready, and where none is left it answers 503 itself', async () => {
    const running = await start();
    const states = new Set<string>();
    crash(running.threads[0]);
    crash(running.threads[1]);
    await eventually(async () => {
      const { status, body } = await ask(`${running.url}/readyz`);
      states.add(`${status} ${/"(starting|workers)":"[^"]*/.exec(body)?.[0] ?? ''}`);
      return running.threads.length === 4 && status === 200;
    });
    expect([...states].some((state) => state.startsWith('503'))).toBe(true);
    expect((await ask(`${running.url}/livez`)).status).toBe(200);
  });

  test('other rules reach everybody at both in one go, and those who come later too', async () => {
    const running = await start({ auth: keys({ name: 'stays' }, { name: 'goes' }, { name: 'less' }) });
    running.venue.open('a');
    const of = async (name: string): Promise<Subscriber> => {
      const one = await running.connect(bearer(tokenOf(name)));
      await one.request('subscribe', { channels: [ALL] });
      return one;
    };
    const stays = [await of('stays'), await of('stays')];
    const goes = [await of('goes'), await of('goes')];
    const less = [await of('less'), await of('less')];
    const result = await running.relay.reload({
      auth: keys({ name: 'stays' }, { name: 'less', channels: ['ibkr.>'] }),
      limits: { maxConnections: 4 },
    });
    expect(result).toMatchObject({
      auth: 'replaced',
      limits: ['maxConnections'],
      subscribers: { kept: 2, changed: 2, closed: 2, pending: 0 },
    });
    for (const one of goes) expect(await one.closed).toMatchObject({ code: 4401 });
    for (const one of less) await one.next('unsubscribed');
    running.venue.update('a');
    for (const one of stays) await one.until(() => one.events(ALL).some(({ type }) => type === 'session.updated'));
    for (let n = 0; n < 2; n++) {
      await expect(running.connect(bearer(tokenOf('goes')))).rejects.toMatchObject({
        status: expect.toSatisfy((code) => code === 401 || code === 503),
      });
      await expect(running.connect(bearer(tokenOf('stays')))).rejects.toMatchObject({ status: 503 });
    }
    // One that is started later has them too.
    crash(running.threads[0]);
    crash(running.threads[1]);
    await eventually(async () => running.threads.length === 4 && (await ask(`${running.url}/readyz`)).status === 200);
    for (let n = 0; n < 2; n++)
      await expect(running.connect(bearer(tokenOf('goes')))).rejects.toMatchObject({ status: 401 });
  });

  test('rules that cannot be used change nothing at either', async () => {
    const running = await start({ auth: keys({ name: 'stays' }) });
    const all = [await running.connect(bearer(tokenOf('stays'))), await running.connect(bearer(tokenOf('stays')))];
    await expect(
      running.relay.reload({ auth: { mode: 'jwt', publicKey: 'no key' }, limits: { maxConnections: 2 } }),
    ).rejects.toMatchObject({ code: 'config_invalid' });
    for (const one of all) await one.request('subscribe', { channels: [ALL] });
    await running.connect(bearer(tokenOf('stays')));
  });

  test('a drain tells everybody at both, and gives the port up', async () => {
    const running = await start();
    running.venue.open('a');
    const all = await following(running, 4);
    const drained = running.relay.drain();
    for (const one of all) {
      await one.next('draining');
      expect(await one.closed).toMatchObject({ code: 1001 });
      expect(one.losses).toEqual([]);
    }
    expect(await drained).toEqual({ journaled: true });
    await expect(ask(`${running.url}/livez`)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('the port is listened on exclusively, and is free again after a start that failed', async () => {
    const { relay } = await start();
    const port = Number(new URL(relay.url).port);
    await expect(
      startRelay({ venues: [createScriptedVenue()], listen: { port }, workers: 2, transport: 'uws' }),
    ).rejects.toMatchObject({ code: 'port_in_use' });
    await relay.close({ orders: 'leave' });
    const next = await startRelay({ venues: [createScriptedVenue()], listen: { port }, transport: 'uws' });
    await next.close({ orders: 'leave' });
  });
});

test('more than one is refused where it cannot be: over ws, on another clock, and for numbers that are none', async () => {
  const venues = [createScriptedVenue()];
  const listen = { port: 0 };
  for (const wrong of [
    { workers: 2, transport: 'ws' as const },
    { workers: 0 },
    { workers: 1.5 },
    { workers: 1_000 },
    ...(TRANSPORTS.includes('uws') ? [{ workers: 2, clock: new VirtualClock() }] : []),
  ])
    await expect(startRelay({ venues, listen, ...wrong })).rejects.toMatchObject({
      code: 'config_invalid',
      problems: [{ key: 'workers' }],
    });
  const one = await startRelay({ venues, listen, workers: 'auto', transport: 'ws' });
  await one.close({ orders: 'leave' });
});
