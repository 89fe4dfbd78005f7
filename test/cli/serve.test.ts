import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { z } from 'zod';
import { type Simulator, startDeribitSimulator, startTradernetSimulator } from '../../src/simulators/index.js';
import { type CliRun, cli, endCliRuns } from '../support/cli-run.js';
import { withSecretShown } from '../support/secrets.js';
import { serveSocketIo2 } from '../support/socketio-2.js';
import { connectSubscriber } from '../support/subscriber.js';

let folder = '';
let simulator: Simulator;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'serve-'));
  simulator = await startDeribitSimulator();
});
afterEach(async () => {
  await endCliRuns();
  await simulator.close();
  rmSync(folder, { recursive: true, force: true });
});

function configured(config: object): string {
  const file = join(folder, 'relay.yaml');
  // Beside the file, as a relative path of a configuration is.
  writeFileSync(file, stringify({ ...('journal' in config ? {} : { journal: { path: 'data' } }), ...config }));
  return file;
}

const ready = z.looseObject({ listening: z.string(), transport: z.enum(['uws', 'ws']) });

/** The ready line, which is the first and only thing on stdout. */
async function listening(serve: CliRun): Promise<z.infer<typeof ready>> {
  await serve.until(() => serve.lines().length > 0);
  return ready.parse(JSON.parse(serve.lines()[0] ?? ''));
}

async function serving(config: object, ...args: readonly string[]) {
  const file = configured({ sources: [simulator.source], ...config });
  const serve = cli(['serve', '--config', file, '--port', '0', ...args]);
  return { serve, ...(await listening(serve)) };
}

/** Resolves when the relay holds Deribit's session. */
async function sessionOpened(url: string): Promise<void> {
  const tail = cli(['tail', url, '--since', '0-0', '--channel', '*.*.*.session.opened']);
  await tail.until(() => tail.lines().length > 0);
  tail.stop();
  await tail.code;
}

/** How the venue saw each connection end. */
function ends(): unknown {
  return z.looseObject({ ended: z.array(z.unknown()) }).parse(simulator.state()).ended;
}

describe('serve', () => {
  test('says one JSON line when it listens, serves, and drains on the first signal: orders are left', async () => {
    const { serve, listening: url, transport } = await serving({});
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    await sessionOpened(url);
    const ready: unknown = await (await fetch(`${url}/readyz`)).json();
    expect(ready).toMatchObject({ status: 'ready', transport });
    serve.stop();
    expect(await serve.code).toBe(0);
    expect(serve.lines()).toHaveLength(1);
    expect(ends()).toMatchObject([{ cause: 'logout', cancelledOrders: [] }]);
    await expect(fetch(`${url}/livez`)).rejects.toThrow();
  });

  test('ends within half a second on the second signal, with 128 + its number, also then logged out', async () => {
    const { serve, listening: url } = await serving({ drain: { timeout: '20s' } });
    await sessionOpened(url);
    // A subscriber that stays holds the drain up.
    const subscriber = await connectSubscriber(url);
    serve.stop();
    await subscriber.next('draining');
    serve.hurry();
    expect(await serve.code).toBe(143);
    expect(serve.stderr()).toContain('SIGTERM again: ending now');
    expect(ends()).toMatchObject([{ cause: 'logout', cancelledOrders: [] }]);
  });

  test('tells its subscribers when it drains, and sends them away within its timeout', async () => {
    const { serve, listening: url } = await serving({ drain: { timeout: '500ms' } });
    const subscriber = await connectSubscriber(url);
    serve.stop();
    expect(await subscriber.next('draining')).toEqual({ retryAfterMs: expect.any(Number) });
    expect((await subscriber.closed).code).toBe(1001);
    expect(await serve.code).toBe(0);
  });

  test('SIGHUP while it starts is remembered: the file is read again once it runs', async () => {
    const file = configured({ sources: [simulator.source] });
    const serve = cli(['serve', '--config', file, '--port', '0']);
    serve.hangUp();
    configured({ limits: { maxChannels: 7 }, sources: [simulator.source] });
    const { listening: url } = await listening(serve);
    await serve.until(() => serve.stderr().includes('the configuration was read again'));
    const subscriber = await connectSubscriber(url);
    expect(await subscriber.next('welcome')).toMatchObject({ limits: { maxChannels: 7 } });
    await subscriber.close();
  });

  test('logs JSON lines to stderr, without a secret', async () => {
    const credentials = z.looseObject({ clientId: z.string(), clientSecret: z.string() });
    const { clientSecret } = credentials.parse(simulator.source.credentials);
    const { serve, listening: url } = await serving({ log: { level: 'debug' }, listen: { transport: 'ws' } });
    await sessionOpened(url);
    simulator.fault('drop');
    simulator.fault('garbage');
    serve.stop();
    await serve.code;
    for (const text of serve.stderr().split('\n').slice(0, -1)) expect(() => JSON.parse(text)).not.toThrow();
    expect(serve.stderr() + serve.stdout()).not.toContain(clientSecret);
  });

  test('a port that is taken is a clear message and bad input', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    try {
      for (const transport of ['auto', 'ws']) {
        const file = configured({ listen: { port, transport }, sources: [simulator.source] });
        const serve = cli(['serve', '--config', file]);
        expect(await serve.code).toBe(2);
        expect(serve.stdout()).toBe('');
        expect(serve.stderr()).toContain(`http://127.0.0.1:${port} is taken by another process`);
      }
      const simulate = cli(['simulate', 'deribit', '--port', String(port)]);
      expect(await simulate.code).toBe(2);
      expect(simulate.stderr()).toContain('is taken by another process');
      const demo = cli(['demo', '--port', String(port)]);
      expect(await demo.code).toBe(2);
      expect(demo.stderr()).toContain('is taken by another process');
    } finally {
      other.close();
    }
  });

  test('an address that this machine does not have is a clear message and bad input', async () => {
    const file = configured({ listen: { host: '192.0.2.1', transport: 'ws' }, sources: [simulator.source] });
    const serve = cli(['serve', '--config', file, '--port', '0', '--insecure']);
    expect(await serve.code).toBe(2);
    expect(serve.stderr()).toContain('listen: 192.0.2.1, port 0: this machine has no such address');
  });

  test('a configuration that is wrong is one message a problem and bad input; check says the same', async () => {
    const file = configured({ listen: { host: '0.0.0.0' }, journal: { engine: 'tape' }, sources: [simulator.source] });
    const serve = cli(['serve', '--config', file]);
    const check = cli(['check', '--config', file]);
    expect([await serve.code, await check.code]).toEqual([2, 2]);
    expect(serve.stderr()).toBe(check.stderr());
    expect(serve.stderr().trimEnd().split('\n')).toEqual([
      expect.stringContaining(`session-relay: ${file}:2: listen.host: 0.0.0.0 can be reached`),
      expect.stringContaining(`session-relay: ${file}:4: journal.engine: expected one of "lmdb"|"memory"`),
    ]);
  });

  test('beyond loopback it answers to any name with --insecure', async () => {
    const { listening: url } = await serving({}, '--host', '0.0.0.0', '--insecure');
    const { port } = new URL(url);
    const answer = await fetch(`http://127.0.0.1:${port}/v1/sessions`);
    expect(answer.status).toBe(200);
    const named = await connectSubscriber(`http://127.0.0.1:${port}`, { headers: { host: 'relay.test' } });
    await named.next('welcome');
    await named.close();
  });
});

const page = z.looseObject({
  events: z.array(z.looseObject({ id: z.string(), type: z.string() })),
  complete: z.boolean(),
});

describe('serve with its journal', () => {
  const data = () => join(folder, 'data');

  test('what one run said the next one serves, and a subscriber resumes across the two', async () => {
    const first = await serving({});
    await sessionOpened(first.listening);
    const subscriber = await connectSubscriber(first.listening);
    await subscriber.request('subscribe', { channels: ['deribit.>'], since: '0-0' });
    await subscriber.until(() => subscriber.events('deribit.>').some(({ type }) => type === 'session.opened'));
    const since = subscriber.cursor('deribit.>');
    const seen = subscriber.events('deribit.>').map(({ id }) => id);
    await subscriber.close();
    first.serve.stop();
    expect(await first.serve.code).toBe(0);
    const second = await serving({});
    const resumed = await connectSubscriber(second.listening);
    const { channels }: { channels: unknown } = await resumed.request('subscribe', { channels: ['deribit.>'], since });
    expect(channels).toMatchObject([{ channel: 'deribit.>', recovered: true }]);
    await resumed.until(() =>
      resumed.events('deribit.>').some(({ type }) => /^session\.(opened|restored)$/.test(type)),
    );
    expect(resumed.losses).toEqual([]);
    const answer = await fetch(`${second.listening}/v1/events?channel=deribit.>&since=0-0&limit=1000`);
    const { events, complete } = page.parse(await answer.json());
    expect(complete).toBe(true);
    expect(events.map(({ id }) => id).slice(0, seen.length)).toEqual(seen);
    expect(new Set(events.map(({ id }) => id.split('-')[0])).size).toBe(2);
    expect(events.map(({ type }) => type)).toContain('session.stale');
  });

  test('--data says where, over the environment and the file', async () => {
    const other = join(folder, 'elsewhere');
    const { serve, listening: url } = await serving({}, '--data', other);
    await sessionOpened(url);
    serve.stop();
    expect(await serve.code).toBe(0);
    expect(existsSync(data())).toBe(false);
    expect(readdirSync(other).toSorted()).toEqual(['journal.mdb', 'journal.mdb-lock']);
  });

  test('a second relay of the same journal says whose it is, and takes nothing of it', async () => {
    const { listening: url } = await serving({});
    await sessionOpened(url);
    const second = cli(['serve', '--config', join(folder, 'relay.yaml'), '--port', '0']);
    expect(await second.code).toBe(1);
    expect(second.stdout()).toBe('');
    expect(second.stderr()).toMatch(/^session-relay: the journal in .*data is held by .*\n$/);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    expect(ends()).toEqual([]);
  });

  test('a journal that is damaged is one line on stderr and no start, never one without it', async () => {
    mkdirSync(data());
    writeFileSync(join(data(), 'journal.mdb'), 'no journal');
    const serve = cli(['serve', '--config', configured({ sources: [simulator.source] }), '--port', '0']);
    expect(await serve.code).toBe(1);
    expect(serve.stdout()).toBe('');
    expect(serve.stderr()).toMatch(/^session-relay: the journal in .*data is damaged: journal\.mdb: .*\n$/);
  });

  test('in memory nothing is written, where that is asked for', async () => {
    const { serve, listening: url } = await serving({ journal: { engine: 'memory', path: 'data' } });
    await sessionOpened(url);
    serve.stop();
    expect(await serve.code).toBe(0);
    expect(existsSync(data())).toBe(false);
  });
});

describe('check', () => {
  test('says what is valid', async () => {
    const file = configured({ sources: [simulator.source] });
    const check = cli(['check', '--config', file]);
    expect(await check.code).toBe(0);
    expect(check.stdout()).toBe(`${file} is valid: 1 source (deribit.main)\n`);
  });
});

describe('serve on Tradernet', () => {
  test.each([
    ['websocket', 'the raw WebSocket'],
    ['socketio2', 'socket.io 2.5.1'],
    ['socketio2', 'socket.io 4 that allows older clients'],
    ['socketio4', 'socket.io 4'],
  ])('over %s, with a server of %s: its sessions are seen, as they open and close', async (transport, server) => {
    const venue = await startTradernetSimulator();
    const older = server === 'socket.io 2.5.1' ? await serveSocketIo2(venue) : undefined;
    try {
      const source = { ...venue.source, transport, url: older?.url ?? venue.url };
      const { serve, listening: url } = await serving({ sources: [source] });
      const tail = cli(['tail', url, '--since', '0-0', '--channel', 'tradernet.>']);
      const saw = (type: string, count: number) =>
        tail.until(() => tail.lines().filter((line) => line.includes(`"type":"${type}"`)).length >= count);
      await saw('session.opened', 3); // the login and the two that there are
      venue.fault('open_session', {});
      await saw('session.opened', 4);
      venue.fault('close_session');
      await saw('session.closed', 1);
      serve.stop();
      expect(await serve.code).toBe(0);
    } finally {
      await endCliRuns();
      await older?.close();
      await venue.close();
    }
  });
});

describe('simulate', () => {
  test.each(['deribit', 'tradernet'])('%s prints one line, whose source serve takes as it is', async (venue) => {
    const simulate = cli(['simulate', venue, '--port', '0']);
    // The simulator's own credentials, for whoever connects to it.
    await withSecretShown(() => simulate.until(() => simulate.lines().length > 0));
    const { url, source } = z
      .object({ venue: z.literal(venue), url: z.string(), source: z.record(z.string(), z.unknown()) })
      .parse(JSON.parse(simulate.lines()[0] ?? ''));
    expect(url).toMatch(/^ws:\/\/127\.0\.0\.1:\d+/);
    const file = configured({ sources: [source] });
    const serve = cli(['serve', '--config', file, '--port', '0']);
    const { listening: relay } = await listening(serve);
    await sessionOpened(relay);
    serve.stop();
    expect(await serve.code).toBe(0);
    simulate.stop();
    expect(await simulate.code).toBe(0);
    expect(simulate.lines()).toHaveLength(1);
  });
});
