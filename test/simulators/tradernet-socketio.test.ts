import { io as connect4 } from 'socket.io-client';
import { connect as connect2 } from 'socket.io-client-v2';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { Json } from '../../src/model/json.js';
import type { TradernetSimulator } from '../../src/simulators/tradernet.js';
import { serveSocketIo2 } from '../support/socketio-2.js';
import { until, VirtualClock } from '../support/virtual-clock.js';
import { connectRaw, harness, sessionIds, sidOf, stateOf } from './tradernet-client.js';

const { start, connect, closeAll } = harness();
const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
  await closeAll();
});

const CHANNEL = 'iitr_notify_sessions_json';
const EVENT = `sup_${CHANNEL}`;

interface Client {
  /** Arguments of every `sup_iitr_notify_sessions_json` so far. */
  readonly heard: readonly (readonly unknown[])[];
  /** Every other event of the venue's. */
  readonly others: readonly (readonly unknown[])[];
  readonly isConnected: boolean;
  /** In the client's own words. */
  readonly ended: string | undefined;
  readonly failed: boolean;
  subscribe(user?: unknown, channel?: unknown): void;
  emit(event: string, ...args: readonly unknown[]): void;
}

interface How {
  readonly transports?: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
}

type Connect = (url: string, how?: How) => Client;

const packet = z.looseObject({ type: z.number(), data: z.unknown().optional() });
const EVENT_PACKETS: readonly number[] = [2, 5];

/** The generations of clients; over 2.x also what the manager says, as the relay reads it. */
const clients: Readonly<Record<'2' | '4', Connect>> = {
  2: (url, { transports = ['websocket'], headers = {} } = {}) => {
    const base = { forceNew: true, forceNode: true, reconnection: false, timeout: 5_000 };
    const options = { ...base, transports, extraHeaders: headers };
    const socket = connect2(url, options);
    open.push(() => socket.close());
    const client = kept((event, ...args) => socket.emit(event, ...args));
    socket.io.on('packet', (given) => {
      const { type, data } = packet.parse(given);
      if (type === 0) client.opened();
      if (EVENT_PACKETS.includes(type)) client.take(z.array(z.unknown()).parse(data));
    });
    socket.io.on('close', (reason) => client.end(String(reason)));
    socket.io.on('connect_error', () => client.fail());
    return client;
  },
  4: (url, { transports = ['websocket'], headers = {} } = {}) => {
    const options = { forceNew: true, reconnection: false, transports: [...transports], extraHeaders: { ...headers } };
    const socket = connect4(url, options);
    open.push(() => socket.close());
    const client = kept((event, ...args) => void socket.emit(event, ...args));
    socket.on('connect', () => client.opened());
    socket.onAny((...event) => client.take(event));
    socket.on('disconnect', (reason) => client.end(reason));
    socket.on('connect_error', () => client.fail());
    return client;
  },
};

function kept(emit: Client['emit']) {
  const heard: (readonly unknown[])[] = [];
  const others: (readonly unknown[])[] = [];
  const client = {
    heard,
    others,
    isConnected: false,
    ended: undefined as string | undefined,
    failed: false,
    emit,
    subscribe: (user: unknown = '%username', channel: unknown = CHANNEL) => emit('sup_subscribe', channel, user),
    opened() {
      client.isConnected = true;
    },
    take([name, ...args]: readonly unknown[]) {
      if (name === EVENT) heard.push(args);
      else others.push([name, ...args]);
    },
    end(reason: string) {
      client.ended = reason;
    },
    fail() {
      client.failed = true;
    },
  };
  return client;
}

const answer = z.tuple([
  z.null(),
  z.tuple([z.object({ response: z.object({ res: z.array(z.looseObject({ id: z.number() })).nullish() }) })]),
]);
const idsOf = (args: readonly unknown[] | undefined): readonly number[] =>
  answer.parse(args)[1][0].response.res?.map(({ id }) => id) ?? [];

/** A socket.io 2.5.1 server beside the simulator, closed after the test. */
async function serveVersion2(simulator: TradernetSimulator): Promise<string> {
  const { url, close } = await serveSocketIo2(simulator);
  open.push(close);
  return url;
}

/** Client, server, and how the client connects: every pair that can work. */
const pairs = [
  ['2', 'the simulator', ['websocket']],
  ['2', 'the simulator', ['polling', 'websocket']],
  ['2', 'the simulator', ['polling']],
  ['2', 'socket.io 2.5.1', ['websocket']],
  ['2', 'socket.io 2.5.1', ['polling', 'websocket']],
  ['4', 'the simulator', ['websocket']],
  ['4', 'the simulator', ['polling', 'websocket']],
  ['4', 'the simulator', ['polling']],
] as const;

async function world(server: (typeof pairs)[number][1] = 'the simulator') {
  const clock = new VirtualClock();
  const simulator = await start({ clock });
  const url = server === 'the simulator' ? simulator.url : await serveVersion2(simulator);
  return { clock, simulator, url, sid: await sidOf(simulator) };
}

describe.each(pairs)('client %s of %s over %j', (version, server, transports) => {
  const client = clients[version];

  test('subscribes as the reference page does, and hears the list at data[0].response.res, then each change', async () => {
    const { simulator, url, sid } = await world(server);
    const one = client(`${url}?SID=${sid}`, { transports });
    await until(() => one.isConnected, 'the connection');
    one.subscribe();
    await until(() => one.heard.length === 1, 'the list');
    expect(idsOf(one.heard[0])).toEqual(sessionIds(simulator));
    simulator.fault('open_session', { safetyTypeId: 14 });
    await until(() => one.heard.length === 2, 'the next list');
    expect(idsOf(one.heard[1])).toEqual(sessionIds(simulator));
    expect(one.others).toEqual([]);
    expect(stateOf(simulator).connections).toMatchObject([{ carrier: 'socketio', mode: 'prod', subscribed: true }]);
  });

  test('that drops ends without a word', async () => {
    const { simulator, url, sid } = await world(server);
    const one = client(`${url}?SID=${sid}`, { transports });
    await until(() => one.isConnected, 'the connection');
    one.subscribe();
    await until(() => one.heard.length === 1, 'the list');
    simulator.fault('drop');
    await until(() => one.ended, 'the end');
    expect(one.ended).toMatch(/^transport (close|error)$/);
    expect(stateOf(simulator).connections).toEqual([]);
  });
});

describe.each(['2', '4'] as const)('with client %s', (version) => {
  const client = clients[version];
  async function connected(query = '', how?: How) {
    const made = await world();
    const one = client(`${made.url}${query.replace('GOOD', made.sid)}`, how);
    await until(() => one.isConnected, 'the connection');
    return { ...made, one };
  }
  async function live() {
    const made = await connected('?SID=GOOD');
    made.one.subscribe();
    await until(() => made.one.heard.length === 1, 'the list');
    return made;
  }

  test('a bad SID is an error, the first of two arguments', async () => {
    const { simulator, one } = await connected('?SID=nonsense');
    one.subscribe();
    await until(() => one.heard.length === 1, 'the answer');
    expect(one.heard[0]).toEqual([{ error: 'User is not found', code: 7 }, null]);
    simulator.fault('open_session');
    one.subscribe();
    await until(() => one.heard.length === 2, 'the next answer');
    expect(one.heard[1]?.[0]).toEqual({ error: 'User is not found', code: 7 });
  });

  test('the SID may come as a cookie', async () => {
    const { url, sid } = await world();
    const one = client(url, { headers: { cookie: `a=b; SID=${sid}` } });
    await until(() => one.isConnected, 'the connection');
    one.subscribe();
    await until(() => one.heard.length === 1, 'the list');
    expect(idsOf(one.heard[0])).toHaveLength(2);
  });

  test('no sessions is a missing or a falsy list, and no error', async () => {
    const { simulator, one } = await live();
    for (const id of sessionIds(simulator)) simulator.fault('close_session', { id });
    for (let asked = 0; asked < 40; asked++) one.subscribe();
    await until(() => one.heard.length === 43, 'the lists');
    const empty = one.heard.slice(2).map((args) => JSON.stringify(args));
    expect(new Set(empty)).toEqual(
      new Set([
        '[null,[{"response":{}}]]',
        '[null,[{"response":{"res":null}}]]',
        '[null,[{"response":{"res":false}}]]',
      ]),
    );
  });

  test('the user may be the placeholder of the page or the login, with or without its sign; no other', async () => {
    const { simulator, one } = await connected('?SID=GOOD');
    const { login } = z.object({ credentials: z.object({ login: z.string() }) }).parse(simulator.source).credentials;
    for (const user of ['%username', login, `%${login}`]) one.subscribe(user);
    for (const user of ['%other', 7, null]) one.subscribe(user);
    await until(() => one.heard.length === 6, 'the answers');
    expect(one.heard.slice(0, 3).map(idsOf)).toEqual([
      [...sessionIds(simulator)],
      ...Array(2).fill(sessionIds(simulator)),
    ]);
    for (const [failure] of one.heard.slice(3)) expect(failure).toEqual({ error: 'Access denied', code: 12 });
  });

  test('another channel, and an odd one, are refused without harm', async () => {
    const { simulator, one } = await connected('?SID=GOOD');
    one.subscribe('%username', 'iitr_notify_tides');
    one.subscribe('%username', 7);
    one.emit('nobody_knows', 1, 2);
    await until(() => one.others.length === 2, 'the answers');
    const failure = { errMsg: 'Unsupported query method', code: 2 };
    expect(one.others).toEqual([
      ['sup_iitr_notify_tides', failure, null],
      ['sup_', failure, null],
    ]);
    expect(stateOf(simulator).requests.socket).toEqual({ unknown: 2 });
  });

  test('token_expiry shows at the next question; eviction at once', async () => {
    const { simulator, one } = await live();
    simulator.fault('token_expiry');
    simulator.fault('open_session');
    await until(() => one.heard.length === 2, 'the list that was subscribed before');
    expect(idsOf(one.heard[1])).toHaveLength(3);
    one.subscribe();
    await until(() => one.heard.length === 3, 'the refusal');
    expect(one.heard[2]?.[0]).toEqual({ error: 'User is not found', code: 7 });

    const other = client(`${simulator.url}?SID=${await sidOf(simulator)}`);
    await until(() => other.isConnected, 'another connection');
    other.subscribe();
    await until(() => other.heard.length === 1, 'the list');
    simulator.fault('eviction');
    await until(() => other.heard.length === 2, 'the refusal');
    expect(other.heard[1]).toEqual([{ error: 'User is not found', code: 7 }, null]);
  });

  test('silence loses lists, and after it they come again', async () => {
    const { clock, simulator, one } = await live();
    simulator.fault('silence', { forMs: 5_000 });
    simulator.fault('open_session');
    await clock.advance(5_000);
    simulator.fault('open_session');
    await until(() => one.heard.length === 2, 'a list');
    expect(idsOf(one.heard[1])).toHaveLength(4);
  });

  test('close disconnects from the side of the venue', async () => {
    const { simulator, one } = await live();
    simulator.fault('close');
    await until(() => one.ended, 'the end');
    expect(one.ended).toMatch(
      version === '4' ? /io server disconnect/ : /io server disconnect|transport close|forced close/,
    );
  });

  test('half_open: nothing comes any more, and nothing ends', async () => {
    const { simulator, one } = await live();
    simulator.fault('half_open');
    simulator.fault('open_session');
    one.subscribe();
    const witness = await connect(simulator, `?SID=${await sidOf(simulator)}`);
    await witness.fence();
    expect(one.heard).toHaveLength(1);
    expect(one.ended).toBeUndefined();
    expect(stateOf(simulator).connections[0]).toMatchObject({ carrier: 'socketio', halfOpen: true });
  });

  test('garbage cannot be decoded', async () => {
    const { simulator, one } = await live();
    simulator.fault('garbage');
    // The older client passes over it, the newer one ends the connection.
    if (version === '4') await until(() => one.ended === 'parse error', 'the end');
    simulator.fault('open_session');
    if (version === '2') await until(() => one.heard.length === 2, 'the list after it');
  });

  test('duplicates, an older list after a newer one, and unknown events', async () => {
    const { simulator, one } = await live();
    simulator.fault('duplicate_frame');
    simulator.fault('reordered_reply');
    simulator.fault('open_session');
    await until(() => one.heard.length === 4, 'the lists');
    expect(one.heard.map((args) => idsOf(args).length)).toEqual([2, 2, 3, 2]);
    simulator.fault('unknown_value', { what: 'event' });
    await until(() => one.others.length === 3, 'the events');
    expect(one.others).toEqual([['tides'], ['tides', { high: true }], ['tides', { high: true }]]);
  });

  test.each([
    ['refuse_upgrade', {}],
    ['refuse_upgrade', { status: 403 }],
    ['maintenance', {}],
  ] as const)(
    '%s %j refuses the connection, the next one works',
    async (fault, params: { readonly [name: string]: Json }) => {
      const { clock, simulator, url, sid } = await world();
      simulator.fault(fault, params);
      const refused = client(`${url}?SID=${sid}`);
      await until(() => refused.failed, 'the refusal');
      await clock.advance(10_000);
      const one = client(`${url}?SID=${sid}`);
      await until(() => one.isConnected, 'the connection');
    },
  );
});

test.each(['the simulator', 'socket.io 2.5.1'] as const)(
  'silence takes the pongs of the engine of %s too, so that the connection looks dead',
  async (server) => {
    const { clock, simulator, url } = await world(server);
    // The older engine: `2` is a ping of the client's, `3` the answer.
    const engine = await connectRaw(`${url}socket.io/?EIO=3&transport=websocket`);
    open.push(() => engine.socket.terminate());
    await until(() => engine.texts.includes('40'), 'the connection');
    engine.send('2');
    await until(() => engine.texts.at(-1) === '3', 'a pong');
    simulator.fault('silence', { forMs: 5_000 });
    engine.send('2');
    await engine.fence();
    expect(engine.texts.filter((text) => text === '3')).toHaveLength(1);
    await clock.advance(5_000);
    engine.send('2');
    await until(() => engine.texts.filter((text) => text === '3').length === 2, 'a pong');
  },
);

test('a client of generation 4 cannot reach socket.io 2.5.1, as it cannot reach the real endpoint', async () => {
  const { url, sid } = await world('socket.io 2.5.1');
  const one = clients[4](`${url}?SID=${sid}`);
  await until(() => one.failed, 'the failure');
  expect(one.isConnected).toBe(false);
});
