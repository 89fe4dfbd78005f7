import { afterEach, describe, expect, test } from 'vitest';
import { until, VirtualClock } from '../support/virtual-clock.js';
import { harness, stateOf } from './ibkr-client.js';

const { start, api, connect, closeAll } = harness();
afterEach(closeAll);

const WAITING = '{"message":"waiting for session"}';
const SYSTEM = '{"topic":"system","success":"SIMULATOR-USER","isFT":false,"isPaper":true}';
const FULL = {
  connected: true,
  authenticated: true,
  established: true,
  competing: false,
  message: '',
  fail: '',
  serverName: expect.stringMatching(/^JifZ\d{5}$/),
  serverVersion: expect.stringMatching(/^Build /),
  username: 'SIMULATOR-USER',
};
const topics = (texts: readonly string[]): readonly unknown[] => texts.map((text) => JSON.parse(text).topic);

/** A simulator on virtual time, the session that a tickle told, and a socket with it, greeted. */
async function live(options: Parameters<typeof start>[0] = {}) {
  const clock = new VirtualClock();
  const simulator = await start({ clock, ...options });
  const gateway = api(simulator);
  const session = await gateway.session();
  const client = await connect(simulator, `api=${JSON.stringify({ session })}`);
  await client.wait('sts');
  return { clock, simulator, gateway, session, client };
}

describe('the greeting', () => {
  test('is system, act, sts, in this order and with these fields', async () => {
    const { client } = await live();
    expect(topics(client.texts)).toEqual(['system', 'act', 'sts']);
    expect(client.texts[0]).toBe(SYSTEM);
    expect(client.heard('act')[0]).toMatchObject({
      args: { accounts: ['DU0000001'], selectedAccount: 'DU0000001', isFT: false, isPaper: true },
    });
    expect(client.statuses()).toEqual([FULL]);
  });

  test.each([
    ['as JSON', (session: string) => `other=1; api={"session":"${session}"}`],
    ['as JSON, encoded', (session: string) => `api=${encodeURIComponent(JSON.stringify({ session }))}`],
    ['alone', (session: string) => `api=${session}; other=1`],
  ])('comes for a cookie with the session %s', async (_, cookie) => {
    const { simulator, session } = await live();
    const client = await connect(simulator, cookie(session));
    await client.wait('sts');
    expect(topics(client.texts)).toEqual(['system', 'act', 'sts']);
  });

  test.each([undefined, 'other=1', 'api=00000000000000000000000000000000', 'api={"session":1}'])(
    'waits for the session after the cookie %s, drops what comes first, and takes it from a text frame',
    async (cookie) => {
      const { simulator, session } = await live();
      const client = await connect(simulator, cookie);
      client.send('tic');
      client.send('smd+265598+{"fields":["31"]}');
      client.send('{"session":"00000000000000000000000000000000"}');
      await client.fence();
      expect(client.texts).toEqual([WAITING, WAITING]);
      client.send(JSON.stringify({ session }));
      await client.wait('sts');
      expect(topics(client.texts.slice(2))).toEqual(['system', 'act', 'sts']);
    },
  );

  test('of a session that is not authenticated has no accounts, and they come when it is established', async () => {
    const { clock, gateway, client } = await live({ open: false });
    expect(topics(client.texts)).toEqual(['system', 'sts']);
    expect(client.statuses()).toMatchObject([{ connected: true, authenticated: false, established: false }]);
    await gateway.init(false);
    await clock.advance(3_000);
    await client.wait('sts', 3);
    expect(topics(client.texts)).toEqual(['system', 'sts', 'sts', 'act', 'sts']);
    expect(client.statuses().slice(1)).toEqual([{ authenticated: true }, FULL]);
  });
});

describe('a greeted socket', () => {
  test('beats every ten seconds with the time of the gateway, at the same instants on every socket; one that waits for its session hears nothing', async () => {
    const { clock, simulator, session, client } = await live();
    await clock.advance(4_000);
    const later = await connect(simulator, `api=${session}`);
    const waiting = await connect(simulator);
    await later.wait('sts');
    await clock.advance(16_000);
    await client.wait('system', 3);
    await later.wait('system', 3);
    expect(client.texts.slice(3)).toEqual([
      '{"topic":"system","hb":1795420810000}',
      '{"topic":"system","hb":1795420820000}',
    ]);
    expect(later.texts.slice(3)).toEqual(client.texts.slice(3));
    simulator.fault('competing');
    await client.wait('sts', 2);
    await waiting.fence();
    expect(waiting.texts).toEqual([WAITING]);
  });

  test('answers tic four times alike', async () => {
    const { clock, session, client } = await live();
    client.send('tic');
    await client.wait('tic', 4);
    await client.fence();
    const answer = { topic: 'tic', alive: true, id: session, lastAccessed: clock.now() };
    expect(client.texts.slice(3)).toEqual(Array<string>(4).fill(JSON.stringify(answer)));
  });

  test('does not keep the brokerage session by tic: only requests over HTTP do', async () => {
    const { clock, client } = await live();
    for (let minute = 1; minute <= 5; minute++) {
      client.send('tic');
      await client.wait('tic', 4 * minute);
      await clock.advance(60_000);
    }
    await client.wait('sts', 2);
    expect(client.statuses()[1]).toEqual({ authenticated: false });
  });

  test('does not know the session frame as a topic, takes known ones in silence, and lives', async () => {
    const { simulator, session, client } = await live();
    client.send(JSON.stringify({ session }));
    client.send('sor+{}');
    client.send('ech+hb');
    client.send('nonsense');
    await until(() => client.texts.length === 5, 'the errors');
    await client.fence();
    expect(client.texts.slice(3)).toEqual([`{"error":"Topic unknown '{\\"s'"}`, `{"error":"Topic unknown 'non'"}`]);
    expect(stateOf(simulator).requests.socket).toEqual({ sor: 1, ech: 1, unknown: 2 });
  });

  test('hears that the login is gone, lives on, and ends when a person logs in anew', async () => {
    const { clock, simulator, gateway, session, client } = await live();
    simulator.fault('session_expiry');
    expect(await client.wait('sts', 2)).toEqual({ topic: 'sts', args: { authenticated: false } });
    client.send('tic');
    expect(await client.wait('tic')).toMatchObject({ alive: false });
    await clock.advance(10_000);
    await client.wait('system', 2);
    const stale = await connect(simulator, `api=${session}`);
    await stale.fence();
    expect(stale.texts).toEqual([WAITING]);
    simulator.fault('log_in');
    expect(await client.closed()).toEqual({ code: 1001, reason: '' });
    expect(await gateway.session()).not.toBe(session);
    expect(stateOf(simulator).ended).toEqual([{ connection: 1, cause: 'new_login' }]);
  });

  test('is told of no bridge drift', async () => {
    const { simulator, client } = await live();
    simulator.fault('bridge_drift');
    await client.fence();
    expect(client.texts).toHaveLength(3);
  });
});
