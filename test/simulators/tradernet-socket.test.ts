import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { startTradernetSimulator } from '../../src/simulators/tradernet.js';
import { tradernetConfig } from '../../src/venues/tradernet/options.js';
import { VirtualClock } from '../support/virtual-clock.js';
import { harness, hmac, refusedUpgrade, sessionIds, sidOf, signedV3, stateOf } from './tradernet-client.js';

const { start, connect, closeAll } = harness();
afterEach(closeAll);

/** A simulator on virtual time, and a socket of its customer that has asked for the list. */
async function live() {
  const clock = new VirtualClock();
  const simulator = await start({ clock });
  const client = await connect(simulator, `?SID=${await sidOf(simulator)}`);
  await client.wait('userData');
  client.send(['sessions']);
  await client.wait('sessions');
  return { clock, simulator, client };
}

describe('a simulator', () => {
  test('names itself as a source that the configuration takes', async () => {
    const simulator = await start();
    const { venue, ...source } = simulator.source;
    expect(venue).toBe('tradernet');
    expect(tradernetConfig.parse(source)).toMatchObject({ id: 'desk', transport: 'websocket', url: simulator.url });
    expect(simulator.url).toMatch(/^ws:\/\/127\.0\.0\.1:\d+\/$/);
  });

  test('on a port that is taken rejects with port_in_use, and says which', async () => {
    const simulator = await start();
    const port = Number(new URL(simulator.url).port);
    await expect(startTradernetSimulator({ port })).rejects.toMatchObject({
      code: 'port_in_use',
      message: expect.stringContaining(`127.0.0.1:${port}`),
    });
  });

  test('closes twice without harm, ends its sockets, and leaves no timer behind', async () => {
    const { clock, simulator, client } = await live();
    simulator.fault('missing_row');
    simulator.fault('maintenance', { forMs: 60_000 });
    await Promise.all([simulator.close(), simulator.close()]);
    expect((await client.closed()).code).toBe(1006);
    expect(clock.timers).toBe(0);
  });

  test('says the same for the same seed, and something else for another', async () => {
    const told: string[] = [];
    for (const seed of [5, 5, 6]) {
      const simulator = await start({ clock: new VirtualClock(), seed });
      const client = await connect(simulator, `?SID=${await sidOf(simulator)}`);
      client.send(['sessions']);
      await client.wait('sessions');
      simulator.fault('open_session', { safetyTypeId: 14 });
      await client.wait('sessions', 2);
      told.push(client.texts.join('\n') + (await sidOf(simulator)));
    }
    expect(told[1]).toBe(told[0]);
    expect(told[2]).not.toBe(told[0]);
  });
});

describe('userData', () => {
  test('of a good SID says prod and whose it is, with the time of the server as third element', async () => {
    const { client } = await live();
    expect(client.texts[0]).toBe(
      '["userData",{"isDemo":false,"mode":"prod","authLogin":"desk@example.test","login":"desk@example.test",' +
        '"clientLogin":"desk@example.test","marketDataDelay":false,"connections":{},"version":"4.4.0.prod"},' +
        '"wstm=2026-11-23T08:00:00.000Z"]',
    );
  });

  test.each([
    ['no SID', ''],
    ['a bad SID', '?SID=nonsense'],
    ['an empty SID', '?SID='],
  ])('of %s says demo without any error, and such a socket has no sessions', async (_, query) => {
    const simulator = await start();
    const client = await connect(simulator, query);
    expect(await client.wait('userData')).toMatchObject({ isDemo: true, mode: 'demo' });
    client.send(['sessions']);
    expect(await client.wait('sessions')).toEqual([]);
    simulator.fault('open_session');
    await client.fence();
    expect(client.frames.map(([name]) => name)).toEqual(['userData', 'sessions']);
  });

  test('of a signature over the time says prod; of a wrong, an old or another key’s one it says demo', async () => {
    const clock = new VirtualClock();
    const simulator = await start({ clock });
    const signed = signedV3(simulator, '', clock.now());
    const queries: readonly (readonly [Record<string, string>, string])[] = [
      [signed, 'prod'],
      [{ ...signed, 'X-NtApi-Sig': hmac('other', signed['X-NtApi-Timestamp'] ?? '') }, 'demo'],
      [signedV3(simulator, '', clock.now() - 301_000), 'demo'],
      [{ ...signed, 'X-NtApi-PublicKey': 'OTHER' }, 'demo'],
    ];
    for (const [query, mode] of queries) {
      const client = await connect(simulator, `?${new URLSearchParams(query)}`);
      expect(await client.wait('userData')).toMatchObject({ mode });
    }
  });
});

describe('the list', () => {
  const rows = z.array(
    z.strictObject({
      id: z.int(),
      owner_login: z.literal('desk@example.test'),
      user_login: z.literal('desk@example.test'),
      safety_type_id: z.int(),
      key_current: z.string().min(1),
      start_datetime: z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}$/),
      expire_datetime: z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}$/),
      expire: z.int(),
      ip: z.string().length(31).optional(),
      ip_client: z.string().optional(),
    }),
  );

  test('has the rows of the reference page: times in UTC without a zone, `expire` in seconds', async () => {
    const { clock, client } = await live();
    const list = rows.parse(client.heard('sessions')[0]);
    expect(list.map(({ safety_type_id }) => safety_type_id)).toEqual([4, 3]);
    expect(list[0]?.key_current).toBe('Login, password');
    for (const row of list) {
      const left = (Date.parse(`${row.expire_datetime}Z`) - clock.now()) / 1_000;
      expect(row.expire).toBe(Math.floor(left));
      expect(row.expire).toBeGreaterThan(10 * 3_600);
    }
  });

  test('comes whole on each change, oldest first, and lacks the address in some rows', async () => {
    const { simulator, client } = await live();
    for (let opened = 0; opened < 20; opened++) simulator.fault('open_session', { safetyTypeId: 14 });
    await client.wait('sessions', 21);
    const last = rows.parse(client.heard('sessions').at(-1));
    expect(last.map(({ id }) => id)).toEqual(sessionIds(simulator));
    expect(last.map(({ id }) => id)).toEqual(last.map(({ id }) => id).toSorted((a, b) => a - b));
    expect(new Set(last.map(({ ip }) => ip === undefined))).toEqual(new Set([true, false]));
    expect(last.every(({ ip, ip_client }) => (ip === undefined) === (ip_client === undefined))).toBe(true);
  });

  test('loses a session that runs out without saying so: it is missing from the next one', async () => {
    const { clock, simulator, client } = await live();
    simulator.fault('open_session', { safetyTypeId: 17, lifeSeconds: 30 });
    await client.wait('sessions', 2);
    await clock.advance(30_000);
    await client.fence();
    expect(client.lists()).toHaveLength(2);
    client.send(['sessions']);
    await client.wait('sessions', 3);
    expect(client.lists()[2]).toEqual(client.lists()[0]);
  });

  test('comes to whoever asked and to nobody else', async () => {
    const { simulator, client } = await live();
    const silent = await connect(simulator, `?SID=${await sidOf(simulator)}`);
    await silent.wait('userData');
    simulator.fault('open_session');
    await client.wait('sessions', 2);
    await silent.fence();
    expect(silent.heard('sessions')).toEqual([]);
  });

  test.each([
    ['both', ['sessions', 'session']],
    ['sessions', ['sessions']],
    ['session', ['session']],
  ] as const)('is asked for with %s; a word that is not taken is passed over', async (sessionsCommand, answered) => {
    const simulator = await start({ sessionsCommand });
    const client = await connect(simulator, `?SID=${await sidOf(simulator)}`);
    client.send(['sessions']);
    client.send(['session', null]);
    await client.fence();
    expect(client.heard('sessions')).toHaveLength(answered.length);
    expect(client.heard('error')).toEqual([]);
  });
});

describe('the socket', () => {
  test('says keepAlive every 60 s from its opening on', async () => {
    const { clock, client } = await live();
    await clock.advance(59_999);
    expect(client.heard('keepAlive')).toEqual([]);
    await clock.advance(1);
    await client.wait('keepAlive');
    expect(client.texts.at(-1)).toBe('["keepAlive",[],"wstm=2026-11-23T08:01:00.000Z"]');
    await clock.advance(60_000);
    await client.wait('keepAlive', 2);
  });

  test('answers what it does not know with an error event, and goes on', async () => {
    const { simulator, client } = await live();
    client.send(['sesions']);
    client.send('{"cmd":"sessions"}');
    client.send('[');
    client.send([7]);
    await client.wait('error', 4);
    expect(client.heard('error')).toEqual([
      { errMsg: 'Unsupported query method', code: 2 },
      { errMsg: 'Bad json', code: 2 },
      { errMsg: 'Bad json', code: 2 },
      { errMsg: 'Bad json', code: 2 },
    ]);
    expect(stateOf(simulator).requests.socket).toEqual({ sessions: 1, unknown: 4 });
  });

  test('takes the other channels of the documentation, null as data too, without a word', async () => {
    const { client } = await live();
    client.send(['quotes', ['AAPL.US']]);
    client.send(['orders', null]);
    client.send(['portfolio']);
    await client.fence();
    expect(client.frames).toHaveLength(2);
  });

  test('is in the state with its mode, and its end as well; the state holds no secret', async () => {
    const { simulator, client } = await live();
    await connect(simulator);
    expect(stateOf(simulator).connections).toEqual([
      { id: 1, carrier: 'websocket', mode: 'prod', subscribed: true, halfOpen: false },
      { id: 2, carrier: 'websocket', mode: 'demo', subscribed: false, halfOpen: false },
    ]);
    client.socket.close();
    await client.closed();
    expect(stateOf(simulator)).toMatchObject({ connections: [{ id: 2 }], ended: [{ connection: 1, cause: 'client' }] });
    const said = JSON.stringify(simulator.state());
    expect(said).not.toContain(await sidOf(simulator));
    expect(said).not.toMatch(/PASSWORD|SECRET|PUBLIC|246810/);
  });

  test('is not accepted at another path', async () => {
    const simulator = await start();
    expect(await refusedUpgrade(`${simulator.url}elsewhere`)).toEqual({ status: 404, retryAfter: undefined });
    expect(stateOf(simulator).refusedUpgrades).toEqual({ 404: 1 });
  });
});
