import { connect, type Socket } from 'node:net';
import { NEVER, of } from 'rxjs';
import { afterEach, describe, expect, test } from 'vitest';
import type { Bus } from '../../src/bus/bus.js';
import { createEdge } from '../../src/edge/edge.js';
import { MAX_PENDING_REQUESTS } from '../../src/edge/limits.js';
import { liveAuthenticator } from '../../src/edge/live-auth.js';
import { MAX_REQUESTS_AT_ONCE } from '../../src/http/requests.js';
import { createMemoryJournal } from '../../src/hub/journal/memory.js';
import { silentLog } from '../../src/net/log.js';
import { MAX_BODIES_BYTES } from '../../src/transports/body-budget.js';
import { closeTestRelays, startTestRelay, TRANSPORTS } from '../support/relay.js';
import { until, VirtualClock } from '../support/virtual-clock.js';

/** What subscribers and whoever else connects can make the relay hold (ARCHITECTURE.md, "Every queue and its bound"). */
const opened: Socket[] = [];
afterEach(async () => {
  for (const socket of opened.splice(0)) socket.destroy();
  await closeTestRelays();
});

describe.each(TRANSPORTS)('over %s', (transport) => {
  test('connections: maxConnections; one more is refused with 503 and Retry-After', async () => {
    const { connect: subscribe, relay } = await startTestRelay(transport, { limits: { maxConnections: 3 } });
    for (let count = 0; count < 3; count++) await subscribe();
    await expect(subscribe()).rejects.toMatchObject({ status: 503, headers: { 'retry-after': '5' } });
    expect(relay.transport).toBe(transport);
  });

  test('channels of a connection: maxChannels; one more is refused with 4429, and none of that request is taken', async () => {
    const { connect: subscribe } = await startTestRelay(transport);
    const subscriber = await subscribe();
    const channels = Array.from({ length: 256 }, (_, n) => `deribit.main.s${n}.>`);
    await subscriber.request('subscribe', { channels, snapshot: false });
    await expect(
      subscriber.request('subscribe', { channels: [channels[0], 'tradernet.>'], snapshot: false }),
    ).rejects.toMatchObject({ code: 4429, data: { maxChannels: 256 } });
  });

  test('requests of a connection: 64 are answered at once; one more gets 4429 and when to ask again', async () => {
    const journal = createMemoryJournal();
    const {
      connect: subscribe,
      venue,
      settled,
    } = await startTestRelay(transport, {
      journal,
      limits: { maxRequestsPerSecond: 1_000 },
    });
    venue.open('bot');
    await settled();
    const subscriber = await subscribe();
    const release: (() => void)[] = [];
    const read = journal.read.bind(journal);
    journal.read = async (...args) => {
      await new Promise<void>((resolve) => release.push(resolve));
      return read(...args);
    };
    const asked = Array.from({ length: MAX_PENDING_REQUESTS }, () =>
      subscriber.request('get_events', { since: '0-0' }),
    );
    await expect(subscriber.request('get_events', { since: '0-0' })).rejects.toMatchObject({
      code: 4429,
      data: { retryAfterMs: expect.any(Number) },
    });
    journal.read = read;
    for (const goOn of release) goOn();
    await Promise.all(asked);
  });

  test('requests over HTTP: 512 are answered at once; one more gets 503 and when to ask again, and health is always told', async () => {
    const journal = createMemoryJournal();
    const { url, venue, settled } = await startTestRelay(transport, { journal });
    venue.open('bot');
    await settled();
    const release: (() => void)[] = [];
    const read = journal.read.bind(journal);
    journal.read = async (...args) => {
      await new Promise<void>((resolve) => release.push(resolve));
      return read(...args);
    };
    const ask = (path: string): Promise<Response> => fetch(`${url}${path}`);
    const asked = Array.from({ length: MAX_REQUESTS_AT_ONCE }, () => ask('/v1/events?since=0-0'));
    await until(() => release.length === MAX_REQUESTS_AT_ONCE, 'all of them are under way');
    const more = await ask('/v1/sessions');
    expect([more.status, more.headers.get('retry-after')]).toEqual([503, '1']);
    expect((await ask('/livez')).status).toBe(200);
    expect((await ask('/readyz')).status).toBe(200);
    journal.read = read;
    for (const goOn of release) goOn();
    for (const answer of await Promise.all(asked)) expect(answer.status).toBe(200);
    expect((await ask('/v1/sessions')).status).toBe(200);
  });

  test('bodies of requests: 256 KiB each and 32 MiB together; more is refused unread, and there is room again once they are gone', async () => {
    const { url } = await startTestRelay(transport);
    const large = await fetch(`${url}/v1/commands`, { method: 'POST', body: 'x'.repeat(256 * 1024 + 1) });
    expect(large.status).toBe(413);
    const { hostname, port, host } = new URL(url);
    const part = Buffer.alloc(255 * 1024, 0x20);
    const answers: string[] = [];
    const send = (): void => {
      const socket = connect(Number(port), hostname);
      opened.push(socket);
      socket.on('error', () => {});
      socket.on('data', (bytes) => answers.push(String(bytes).split('\r\n', 1)[0] ?? ''));
      socket.write(`POST /v1/hooks/deribit/main HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${256 * 1024}\r\n\r\n`);
      socket.write(part);
    };
    // Each lacks its last bytes: what was sent is held until they come.
    const most = Math.floor(MAX_BODIES_BYTES / part.length);
    for (let count = 0; count < most + 10; count++) send();
    await until(() => answers.length >= 10, 'those beyond the bound are refused');
    expect(new Set(answers)).toEqual(new Set(['HTTP/1.1 503 Service Unavailable']));
    for (const socket of opened.splice(0)) socket.destroy();
    await until(() => true, 'a turn');
    let status = 503;
    while (status === 503)
      status = (await fetch(`${url}/v1/hooks/deribit/main`, { method: 'POST', body: '{}' })).status;
    expect(status).toBe(200);
  });
});

test('upgrades being decided: they count as connections, so that tokens that take long to check make no queue', async () => {
  const bus: Bus = {
    node: 'test',
    turns$: NEVER,
    sight$: of({ blind: false, cursor: '1-0' } as const),
    head: () => '1-0',
    lag: () => Promise.resolve({ oldestMs: 0, waiting: 0, bytes: 0 }),
    states: () => Promise.reject(new Error('not asked')),
    events: () => Promise.reject(new Error('not asked')),
    holds: () => Promise.resolve(true),
    sources: () => Promise.resolve([]),
    command: () => Promise.reject(new Error('not asked')),
    webhook: () => Promise.reject(new Error('not asked')),
  };
  let refuse: (() => void)[] = [];
  const edge = createEdge({
    bus,
    authenticator: liveAuthenticator({
      mode: 'jwt',
      loopbackOnly: false,
      anonymous: undefined,
      authenticate: () =>
        new Promise((_resolve, reject) => {
          refuse.push(() => reject(new Error('the key set cannot be fetched')));
        }),
    }),
    limits: { maxConnections: 5 },
    clock: new VirtualClock(),
    random: Math.random,
    log: silentLog,
    version: '0',
  });
  const upgrade = () =>
    edge.upgrade({ url: '/v1/ws', headers: { host: 'relay', authorization: 'Bearer t' }, remoteAddress: '10.0.0.1' });
  const deciding = Array.from({ length: 5 }, upgrade);
  expect(await upgrade()).toMatchObject({ accept: false, status: 503, headers: { 'retry-after': '5' } });
  expect(refuse).toHaveLength(5);
  for (const one of refuse) one();
  for (const decision of await Promise.all(deciding)) expect(decision).toMatchObject({ accept: false, status: 503 });
  refuse = [];
  void upgrade();
  expect(refuse).toHaveLength(1);
  edge.close();
});
