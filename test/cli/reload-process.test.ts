import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type Simulator, startDeribitSimulator, startSnaptradeSimulator } from '../../src/simulators/index.js';
import { TRANSPORTS } from '../support/relay.js';
import { secret } from '../support/secrets.js';
import { endServeProcesses, type ServeProcess, startServe } from '../support/serve-process.js';
import { connectSubscriber, type Subscriber } from '../support/subscriber.js';

/** SIGHUP to `session-relay serve`: a real process, real sockets, simulated venues. */
const TEST_MS = 60_000;
const opened: { close(): unknown }[] = [];
afterEach(async () => {
  await endServeProcesses();
  for (const one of opened.splice(0).reverse()) await one.close();
});

async function deribit(): Promise<Simulator> {
  const simulator = await startDeribitSimulator();
  opened.push(simulator);
  return simulator;
}

async function subscriber(url: string, token?: string): Promise<Subscriber> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const one = await connectSubscriber(url, { headers });
  opened.push({ close: () => one.socket.terminate() });
  return one;
}

async function following(url: string, token?: string, channel = '>'): Promise<Subscriber> {
  const one = await subscriber(url, token);
  await one.request('subscribe', { channels: [{ channel, since: '0-0' }] });
  return one;
}

const venue = z.looseObject({
  connections: z.array(z.looseObject({ id: z.number() })),
  ended: z.array(z.looseObject({ cause: z.string(), cancelledOrders: z.array(z.unknown()) })),
  requests: z.looseObject({ methods: z.record(z.string(), z.number()) }),
});
const connectionsOf = (simulator: Simulator): readonly number[] =>
  venue.parse(simulator.state()).connections.map(({ id }) => id);
const endsOf = (simulator: Simulator) => venue.parse(simulator.state()).ended;
const loginsOf = (simulator: Simulator): number => venue.parse(simulator.state()).requests.methods['public/auth'] ?? 0;

const typesOf = (one: Subscriber, key: string, channel = '>'): readonly string[] =>
  one
    .events(channel)
    .filter(({ subject }) => subject === key)
    .map(({ type }) => type);
const saw = (one: Subscriber, key: string, type: string, times = 1): Promise<void> =>
  one.until(() => typesOf(one, key).filter((each) => each === type).length >= times);

const verdict = (one: Subscriber, key: string) =>
  one.events('>').findLast(({ subject, type }) => subject === key && type === 'safety.changed')?.data;
const judged = (one: Subscriber, key: string, level: string): Promise<void> =>
  one.until(() => z.looseObject({ level: z.literal(level) }).safeParse(verdict(one, key)).success);

const reloads = async ({ url }: ServeProcess): Promise<Readonly<Record<string, number>>> => {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Object.fromEntries(
    [...text.matchAll(/^session_relay_reloads_total\{outcome="(\w+)"\} (\d+)$/gm)].map(([, outcome, count]) => [
      outcome ?? '',
      Number(count),
    ]),
  );
};

const key = (name: string, token: string, channels: readonly string[] = ['>'], commands: readonly string[] = []) => ({
  name,
  sha256: createHash('sha256').update(token).digest('hex'),
  channels,
  commands,
  fields: 'full',
});

describe.each(TRANSPORTS)('SIGHUP over %s', (transport) => {
  const listen = { transport };

  test(
    'adds and removes sources; one that is unchanged keeps its socket, and nobody misses an event',
    async () => {
      const [one, two] = [await deribit(), await deribit()];
      const second = { ...two.source, id: 'second' };
      const serve = await startServe({ listen, sources: [one.source] });
      const watcher = await following(serve.url);
      await saw(watcher, 'deribit.main.relay', 'protection.armed');
      const [connections, logins] = [connectionsOf(one), loginsOf(one)];

      const added = await serve.reload({ listen, sources: [one.source, second] });
      expect(added).toMatchObject({ added: ['deribit.second'], kept: ['deribit.main'], removed: [], changed: [] });
      await saw(watcher, 'deribit.second.relay', 'protection.armed');

      await judged(watcher, 'deribit.second.relay', 'safe');
      const before = watcher.events('>').length;
      const removed = await serve.reload({ listen, sources: [one.source] });
      expect(removed).toMatchObject({ removed: ['deribit.second'], kept: ['deribit.main'] });
      await saw(watcher, 'deribit.second.relay', 'session.stale');
      const told = watcher
        .events('>')
        .slice(before)
        .filter(({ source }) => source === '/deribit/second');
      expect(told.map(({ subject, type }) => `${subject} ${type}`).slice(0, 2)).toEqual([
        'deribit.second.- link.down',
        'deribit.second.relay session.stale',
      ]);
      // What nobody follows any more is unknown at once, not only after the grace of a link.
      await judged(watcher, 'deribit.second.relay', 'unknown');
      expect(verdict(watcher, 'deribit.second.relay')).toMatchObject({ reasons: ['unconfirmed'], previous: 'safe' });
      expect(told[0]).toMatchObject({ data: { initiator: 'relay', clean: true } });
      // Orders stay, as in a drain.
      expect(endsOf(two)).toMatchObject([{ cause: 'logout', cancelledOrders: [] }]);
      await expect(
        watcher.request('command', { source: 'deribit.second', command: 'get_cancel_on_disconnect' }),
      ).rejects.toMatchObject({ code: 4404 });
      const { sources }: { sources: unknown } = await watcher.request('get_sources', {});
      expect(sources).toMatchObject([{ venue: 'deribit', source: 'main' }]);

      // A line that was missing by mistake: the session is found again.
      await serve.reload({ listen, sources: [second, one.source] });
      await saw(watcher, 'deribit.second.relay', 'session.restored');

      expect(connectionsOf(one)).toEqual(connections);
      expect(loginsOf(one)).toBe(logins);
      expect(endsOf(one)).toEqual([]);
      expect(typesOf(watcher, 'deribit.main.relay')).not.toContain('session.stale');
      expect(watcher.losses).toEqual([]);
      expect(await reloads(serve)).toEqual({ applied: 3, incomplete: 0, refused: 0 });
      await watcher.close();
      serve.child.kill('SIGTERM');
      expect(await serve.exited).toBe(0);
    },
    TEST_MS,
  );

  test(
    'a source that is changed begins anew, with what is remembered of it',
    async () => {
      const one = await deribit();
      const serve = await startServe({ listen, sources: [one.source] });
      const watcher = await following(serve.url);
      await saw(watcher, 'deribit.main.relay', 'protection.armed');
      const [connection] = connectionsOf(one);

      const changed = await serve.reload({ listen, sources: [{ ...one.source, heartbeatSeconds: 20 }] });
      expect(changed).toMatchObject({ changed: ['deribit.main'], kept: [], added: [], removed: [] });
      await saw(watcher, 'deribit.main.relay', 'session.restored');
      await saw(watcher, 'deribit.main.relay', 'heartbeat.armed', 2);
      const types = typesOf(watcher, 'deribit.main.relay').filter((type) => type.startsWith('session.'));
      expect(types.slice(types.indexOf('session.stale'), types.indexOf('session.restored') + 1)).toEqual([
        'session.stale',
        'session.restored',
      ]);
      expect(types).not.toContain('session.lost');
      expect(endsOf(one)).toMatchObject([{ cause: 'logout', cancelledOrders: [] }]);
      expect(connectionsOf(one)).toHaveLength(1);
      expect(connectionsOf(one)).not.toEqual([connection]);

      // Another role is told by what opens the session: it is no restored one.
      await serve.reload({ listen, sources: [{ ...one.source, heartbeatSeconds: 20, safety: { role: 'trading' } }] });
      await saw(watcher, 'deribit.main.relay', 'session.opened', 2);
      const state: unknown = await (await fetch(`${serve.url}/v1/sessions/deribit.main.relay`)).json();
      expect(state).toMatchObject({ role: 'trading', status: 'active' });
      expect(watcher.losses).toEqual([]);
    },
    TEST_MS,
  );

  test(
    'a file that is wrong changes nothing, and says where; the next one that is right is taken',
    async () => {
      const one = await deribit();
      const serve = await startServe({ listen, sources: [one.source] });
      const watcher = await following(serve.url);
      await saw(watcher, 'deribit.main.relay', 'protection.armed');
      const connections = connectionsOf(one);
      const credential = secret('a-credential-that-stands-in-the-file');
      const wrong: readonly (readonly [object | string, string])[] = [
        [{ listen, limits: { maxChannels: 0 }, sources: [one.source] }, 'limits.maxChannels'],
        [
          { listen, sources: [one.source, { ...one.source, id: 'b', clientSecret: credential }] },
          'sources[1].clientSecret',
        ],
        [{ listen, sources: [{ ...one.source, heartbeatSeconds: 20 }, one.source] }, 'sources[1].id'],
        // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the configuration's own syntax
        [{ listen, sources: [{ ...one.source, url: '${NOT_SET}' }] }, 'sources[0].url'],
        [`sources: [ { credentials: "${credential}`, 'relay.yaml:1'],
      ];
      for (const [config, where] of wrong) {
        const line = await serve.reload(config);
        expect(line).toMatchObject({ level: 50, code: 'config_invalid' });
        expect(z.array(z.string()).parse(line.problems).join('\n')).toContain(where);
      }
      expect(serve.log().filter(({ level }) => level >= 50)).toHaveLength(wrong.length);
      expect(connectionsOf(one)).toEqual(connections);
      const counts = await reloads(serve);
      expect(counts).toEqual({ applied: 0, incomplete: 0, refused: wrong.length });
      expect(await serve.reload({ listen, sources: [one.source] })).toMatchObject({ kept: ['deribit.main'] });
      expect(connectionsOf(one)).toEqual(connections);
      expect(endsOf(one)).toEqual([]);
      expect(watcher.losses).toEqual([]);
    },
    TEST_MS,
  );

  test(
    'auth: the right connection is closed, the other goes on; one that may do less loses only that',
    async () => {
      const one = await deribit();
      const tokens = ['token-of-the-desk-ui', 'token-of-the-bot', 'token-of-a-wallboard'].map((each) => secret(each));
      const [desk = '', bot = '', board = ''] = tokens;
      const config = (keys: readonly object[]): object => ({
        listen,
        auth: { mode: 'keys', keys },
        sources: [one.source],
      });
      const serve = await startServe(config([key('desk', desk), key('bot', bot), key('board', board)]));
      const [kept, gone, less] = [
        await following(serve.url, desk),
        await following(serve.url, bot),
        await following(serve.url, board),
      ];
      await less.request('subscribe', { channels: ['*.*.*.session.opened'] });
      await Promise.all([kept, gone, less].map((each) => saw(each, 'deribit.main.relay', 'protection.armed')));

      const line = await serve.reload(config([key('desk', desk), key('board', board, ['*.*.*.session.*'])]));
      expect(line).toMatchObject({
        auth: 'replaced',
        subscribers: { kept: 1, changed: 1, closed: 1, pending: 0 },
        kept: ['deribit.main'],
      });
      expect(await gone.closed).toMatchObject({ code: 4401 });
      expect(await less.next('unsubscribed')).toMatchObject({ channel: '>' });
      await expect(less.request('subscribe', { channels: ['>'] })).rejects.toMatchObject({ code: 4403 });
      await expect(subscriber(serve.url, bot)).rejects.toMatchObject({ status: 401 });
      one.fault('close');
      await saw(kept, 'deribit.main.relay', 'session.restored');
      await less.request('ping', {});
      expect(typesOf(less, 'deribit.main.-')).not.toContain('link.down');
      expect([...kept.losses, ...less.losses]).toEqual([]);
    },
    TEST_MS,
  );

  test(
    'rules of safety are judged by at once, on the connection that there is',
    async () => {
      const one = await deribit();
      const source = { ...one.source, safety: { role: 'trading' } };
      const serve = await startServe({ listen, sources: [source] });
      const watcher = await following(serve.url);
      await judged(watcher, 'deribit.main.relay', 'safe');
      const connections = connectionsOf(one);
      const lock = { role: 'trading', only: ['btc_usd'] };
      one.fault('lock_index', { index: 'btc_usd' });
      await saw(watcher, 'deribit.main.-', 'venue.degraded');
      expect(verdict(watcher, 'deribit.main.relay')).toMatchObject({ level: 'safe' });
      const line = await serve.reload({ listen, sources: [{ ...source, safety: lock }] });
      expect(line).toMatchObject({ revised: ['deribit.main'], changed: [], kept: [] });
      await judged(watcher, 'deribit.main.relay', 'at_risk');
      expect(verdict(watcher, 'deribit.main.relay')).toMatchObject({ reasons: ['venue_degraded'], previous: 'safe' });
      expect(connectionsOf(one)).toEqual(connections);
      expect(watcher.losses).toEqual([]);
    },
    TEST_MS,
  );
});

test(
  'limits hold for what comes; what needs a restart is named, and the rest of the file is taken',
  async () => {
    const one = await deribit();
    const serve = await startServe({ sources: [one.source] });
    const [first, second] = [await following(serve.url), await subscriber(serve.url)];
    await saw(first, 'deribit.main.relay', 'session.opened');
    const limits = { maxConnections: 1, maxChannels: 2, maxPayloadBytes: '32KiB' };
    const line = await serve.reload({
      limits,
      drain: { timeout: '10s' },
      log: { level: 'debug' },
      journal: { path: 'elsewhere' },
      sources: [one.source],
    });
    expect(line).toMatchObject({ limits: ['maxConnections', 'maxChannels'], kept: ['deribit.main'] });
    const { needsRestart } = await serve.logged(({ msg }) => msg.startsWith('changed but needs a restart'));
    expect(z.array(z.string()).parse(needsRestart).toSorted()).toEqual([
      'drain.timeout',
      'journal.path',
      'limits.maxPayloadBytes',
      'log.level',
    ]);
    // Nobody is sent away by a lower count; who comes is.
    await second.request('subscribe', { channels: ['deribit.>', 'ibkr.>'] });
    await expect(second.request('subscribe', { channels: ['tradernet.>'] })).rejects.toMatchObject({ code: 4429 });
    await expect(subscriber(serve.url)).rejects.toMatchObject({ status: 503 });
    expect(await reloads(serve)).toEqual({ applied: 0, incomplete: 1, refused: 0 });
  },
  TEST_MS,
);

test(
  'users of SnapTrade come and go on the connection that there is, from a file and from the configuration',
  async () => {
    const simulator = await startSnaptradeSimulator();
    opened.push(simulator);
    const folder = mkdtempSync(join(tmpdir(), 'users-'));
    opened.push({ close: () => rmSync(folder, { recursive: true, force: true }) });
    const { users, ...rest } = simulator.source;
    const [first, second] = z.array(z.looseObject({ alias: z.string(), userSecret: z.string() })).parse(users);
    for (const each of [first, second]) secret(each?.userSecret ?? '');
    const write = (list: unknown): void => writeFileSync(join(folder, 'users.json'), JSON.stringify(list));
    write([first]);
    const fromFile = { ...rest, id: 'file', usersFile: 'users.json' };
    const listed = (some: readonly unknown[]): object => ({ ...rest, id: 'listed', users: some });
    const serve = await startServe({ sources: [fromFile, listed([first])] }, { folder });
    const watcher = await following(serve.url);
    const lives = (source: string, channel: string): Promise<void> =>
      watcher.until(() =>
        watcher.events('>').some(({ subject, type }) => type === channel && subject.startsWith(`snaptrade.${source}.`)),
      );
    await lives('file~customer-1', 'session.opened');
    await lives('listed~customer-1', 'session.opened');

    write([{ alias: 'customer-2' }]);
    const refused = await serve.reload({ sources: [fromFile, listed([first, second])] });
    expect(refused).toMatchObject({ level: 50, code: 'config_invalid' });
    expect(z.array(z.string()).parse(refused.problems)).toEqual([expect.stringContaining('sources[0].usersFile')]);

    write([first, second]);
    const line = await serve.reload({ sources: [fromFile, listed([second])] });
    expect(line).toMatchObject({ revised: ['snaptrade.file', 'snaptrade.listed'], changed: [] });
    await lives('file~customer-2', 'session.opened');
    await lives('listed~customer-2', 'session.opened');
    await lives('listed~customer-1', 'session.stale');
    const down = watcher.events('>').filter(({ type }) => type === 'link.down');
    expect(down.map(({ subject }) => subject)).toEqual(['snaptrade.listed~customer-1.-']);
    expect(watcher.losses).toEqual([]);
  },
  TEST_MS,
);

test(
  'a relay that ends does not end by SIGHUP; one that comes during another follows it',
  async () => {
    const one = await deribit();
    const serve = await startServe({ sources: [one.source] });
    const stays = await following(serve.url);
    await saw(stays, 'deribit.main.relay', 'session.opened');
    for (let times = 0; times < 5; times++) serve.child.kill('SIGHUP');
    await serve.reload({ sources: [one.source] });
    serve.child.kill('SIGTERM');
    await stays.next('draining');
    serve.child.kill('SIGHUP');
    await serve.logged(({ msg }) => msg === 'the relay is ending: the configuration is not read again');
    await stays.close();
    expect(await serve.exited).toBe(0);
  },
  TEST_MS,
);
