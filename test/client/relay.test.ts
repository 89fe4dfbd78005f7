import { createHash } from 'node:crypto';
import { SignJWT } from 'jose';
import { WebSocket as UndiciSocket } from 'undici';
import { afterEach, describe, expect, test } from 'vitest';
import { connect as connectWithGlobal } from '../../src/client/index.js';
import {
  connect,
  type Gap,
  type RelayClient,
  type Safety,
  type SessionEvent,
  type SocketClass,
  type StatesView,
} from '../../src/client/node.js';
import { createFailingJournal } from '../support/failing-journal.js';
import { closeTestRelays, startTestRelay, TRANSPORTS } from '../support/relay.js';
import { until } from '../support/virtual-clock.js';
import { closeClients, closeLater, connected, passing } from './connected.js';

/** The client against real relays over real sockets. */
afterEach(async () => {
  await closeClients();
  await closeTestRelays();
});

const last = <T>(values: readonly T[]): T | undefined => values.at(-1);
const sha256 = (token: string): string => createHash('sha256').update(token).digest('hex');

describe.each(TRANSPORTS)('over %s', (transport) => {
  test('snapshot, events and safety are what the relay has', async () => {
    const relay = await startTestRelay(transport);
    relay.venue.open('relay', 'other');
    await relay.settled();
    const { client, is } = connected(relay);
    const events: SessionEvent[] = [];
    const views: StatesView[] = [];
    const levels: Safety[] = [];
    client.events$('deribit.>').subscribe((event) => events.push(event));
    client.states$('>').subscribe((view) => views.push(view));
    client.safety$('deribit.main.relay').subscribe((safety) => levels.push(safety));
    await is('open');
    relay.venue.update('relay', 300);
    await until(() => events.filter(({ type }) => type === 'session.updated').length === 300, 'every update');
    await until(() => last(views)?.states.get('deribit.main.relay')?.attributes.n === 300, 'the newest state');
    expect(last(views)).toEqual({ view: 'live', states: new Map(relay.relay.hub.states()) });
    expect(levels.map(({ reasons }) => reasons)).toEqual([['relay_unreachable'], ['replaying'], ['unconfirmed']]);
  });

  test('a socket that is killed in the middle of a storm: every event once, in order', async () => {
    const relay = await startTestRelay(transport);
    relay.venue.open('relay');
    await relay.settled();
    const { client, sockets, is, statuses } = connected(relay);
    const seen: unknown[] = [];
    client.events$('*.*.*.session.updated').subscribe(({ data }) => seen.push(data.changed.n));
    await is('open');
    for (let round = 0; round < 5; round++) {
      relay.venue.update('relay', 100);
      await relay.settled();
      sockets.at(-1)?.terminate();
      relay.venue.update('relay', 100);
      await relay.settled();
      await is('open');
    }
    await until(() => seen.length >= 1_000, 'all of them');
    expect(seen).toEqual(Array.from({ length: 1_000 }, (_, n) => n + 1));
    expect(sockets).toHaveLength(6);
    expect(last(statuses)).toMatchObject({ gaps: 0, resubscribed: 0, faults: 0 });
  });

  test('a command is carried out once, though the socket died before its answer', async () => {
    const relay = await startTestRelay(transport, { auth: { mode: 'none', commands: ['deribit.main:act'] } });
    let finish = (): void => undefined;
    relay.venue.answer = () =>
      new Promise((resolve) => {
        finish = () => resolve({ done: true });
      });
    const { client, sockets, is } = connected(relay);
    await is('open');
    const reply = client.command('deribit.main', 'act', { n: 7 });
    await until(() => relay.venue.calls.length === 1, 'the call');
    sockets[0]?.terminate();
    await passing(relay.clock, () => sockets.length === 2, 'a new socket');
    await is('open');
    await relay.settled();
    finish();
    expect(await reply).toMatchObject({ result: { done: true } });
    expect(relay.venue.calls).toHaveLength(1);
  });

  test('a command that the grant does not name is refused with its code', async () => {
    const relay = await startTestRelay(transport);
    const { client } = connected(relay);
    await expect(client.command('deribit.main', 'act')).rejects.toMatchObject({
      code: 'forbidden',
      data: { command: 'act', outcome: 'not_done' },
    });
    await expect(client.command('deribit.main', 'read', { n: 'x' })).rejects.toMatchObject({ code: 'invalid_params' });
  });

  test('a loop from a cursor of the past takes what was, then what comes, and ends with the client', async () => {
    const relay = await startTestRelay(transport);
    relay.venue.open('relay');
    relay.venue.update('relay', 50);
    await relay.settled();
    const { client } = connected(relay);
    const seen: unknown[] = [];
    const loop = (async () => {
      for await (const { data } of client.events('*.*.*.session.updated', { since: '0-0' })) seen.push(data.changed.n);
    })();
    await until(() => seen.length === 50, 'the past');
    relay.venue.update('relay', 10);
    await until(() => seen.length === 60, 'the present');
    await client.close();
    await loop;
    expect(seen).toEqual(Array.from({ length: 60 }, (_, n) => n + 1));
  });

  test('a relay that came back without its journal: the loss is told, and the states are the new ones', async () => {
    const first = await startTestRelay(transport);
    first.venue.open('relay', 'gone');
    await first.settled();
    let at = first;
    const { client, is } = connected(first, { address: () => `${at.url.replace('http', 'ws')}/v1/ws` });
    const gaps: Gap[] = [];
    const views: StatesView[] = [];
    client.events$('deribit.>', { onGap: (gap) => gaps.push(gap) }).subscribe();
    client.states$('deribit.>').subscribe((view) => views.push(view));
    await is('open');
    expect(last(views)?.states.size).toBe(3);
    await first.relay.close({ orders: 'leave' });
    await is('unreachable');
    const second = await startTestRelay(transport);
    at = second;
    second.venue.open('relay');
    await second.settled();
    await is('open');
    expect(gaps).toMatchObject([{ channel: 'deribit.>', why: 'not_held' }]);
    expect([...(last(views)?.states.keys() ?? [])].sort()).toEqual(['deribit.main.-', 'deribit.main.relay']);
  });

  test('a blind relay makes every level unknown until it is sighted', async () => {
    const journal = createFailingJournal();
    const relay = await startTestRelay(transport, { journal });
    relay.venue.open('relay');
    await relay.settled();
    const { client, is } = connected(relay);
    const levels: Safety[] = [];
    client.safety$('deribit.main.relay').subscribe((safety) => levels.push(safety));
    await is('open');
    journal.broken = true;
    relay.venue.update('relay');
    await relay.settled();
    await relay.clock.advance(1_000);
    await is('blind');
    expect(last(levels)?.reasons).toEqual(['relay_blind']);
    journal.broken = false;
    await passing(relay.clock, () => last(levels)?.reasons[0] !== 'relay_blind', 'sight');
    await is('open');
  });

  test('a drained relay is left when it says so', async () => {
    const relay = await startTestRelay(transport);
    const { is, sockets } = connected(relay);
    await is('open');
    const drained = relay.relay.drain();
    await is('draining');
    expect(sockets).toHaveLength(1);
    await is('unreachable');
    await passing(relay.clock, () => sockets.length > 1, 'another try');
    await relay.clock.advance(30_000);
    await drained;
  });

  describe('with credentials', () => {
    const KEYS = {
      mode: 'keys',
      keys: [{ name: 'desk', sha256: sha256('desk'), channels: ['deribit.>'], commands: [], fields: 'redacted' }],
    } as const;

    test('a key is taken, and what it does not show is told as such', async () => {
      const relay = await startTestRelay(transport, { auth: KEYS });
      relay.venue.open('relay');
      const { client, is } = connected(relay, { token: 'desk' });
      const levels: Safety[] = [];
      const events: unknown[] = [];
      client.safety$('ibkr.gateway.sso').subscribe((safety) => levels.push(safety));
      client.events$('deribit.>').subscribe(({ id }) => events.push(id));
      client.events$('>').subscribe({ error: ({ code }: { readonly code: string }) => events.push(code) });
      await is('open');
      await until(() => last(levels)?.reasons[0] === 'not_granted', 'the refusal');
      expect(events).toContain('forbidden');
      relay.venue.update('relay');
      await until(() => events.some((id) => id !== 'forbidden'), 'an event');
    });

    test('a wrong one stops the client', async () => {
      const relay = await startTestRelay(transport, { auth: KEYS });
      const { is, statuses } = connected(relay, { token: 'wrong' });
      await is('closed');
      expect(last(statuses)).toMatchObject({ error: { code: 'unauthenticated' } });
    });

    test('tokens that expire are replaced on the same connection, for hours', async () => {
      const secret = 'a secret of at least thirty-two bytes';
      const relay = await startTestRelay(transport, { auth: { mode: 'jwt', secret } });
      let given = 0;
      const { client, is, sockets, statuses } = connected(relay, {
        token: () => {
          given++;
          return new SignJWT({ channels: ['>'], fields: 'full' })
            .setProtectedHeader({ alg: 'HS256' })
            .setSubject('bot')
            .setExpirationTime(Math.floor(relay.clock.now() / 1_000) + 600)
            .sign(new TextEncoder().encode(secret));
        },
      });
      const heardAt = (): number => {
        const status = last(statuses);
        return status !== undefined && 'heartbeatAtMs' in status ? (status.heartbeatAtMs ?? 0) : 0;
      };
      client.events$('>').subscribe();
      await is('open');
      let granted = 1;
      sockets[0]?.on('message', (bytes) => {
        if (String(bytes).includes('"identity"')) granted++;
      });
      for (let beat = 0; beat < 240; beat++) {
        await relay.clock.advance(15_000);
        // Signing and checking take real time, while hours pass in moments.
        await until(() => heardAt() > relay.clock.now() - 15_000 && granted === given, 'a heartbeat');
      }
      expect(sockets).toHaveLength(1);
      expect(given).toBeGreaterThan(6);
      expect(given).toBeLessThan(12);
      await is('open');
    });
  });

  const sockets: readonly (readonly [string, SocketClass | undefined])[] = [
    ['ws', undefined],
    ['undici’s WebSocket, which Node 22 has as its own', UndiciSocket],
  ];
  test.each(sockets)('on %s: connects, hears, and closes without a trace', async (_, socket) => {
    const relay = await startTestRelay(transport);
    const client = connect(relay.url, { clock: relay.clock, ...(socket === undefined ? {} : { WebSocket: socket }) });
    closeLater(client);
    const events: SessionEvent[] = [];
    client.events$('>').subscribe((event) => events.push(event));
    await expectOpen(client);
    relay.venue.open('relay');
    await until(() => events.length > 0, 'an event');
    await client.close();
    await passing(relay.clock, () => relay.relay.url !== '' && isClosed(client), 'the end');
  });

  test.skipIf(noGlobalSocket(transport))('on the global WebSocket of this Node, by the entry of browsers', async () => {
    const relay = await startTestRelay(transport);
    relay.venue.open('relay');
    const client = connectWithGlobal(relay.url, { clock: relay.clock });
    closeLater(client);
    const views: StatesView[] = [];
    client.states$('>').subscribe((view) => views.push(view));
    await expectOpen(client);
    expect(last(views)?.states.size).toBe(2);
  });
});

/** Node has one from 22 on: what is left out before is said. */
function noGlobalSocket(transport: string): boolean {
  const isMissing = Reflect.get(globalThis, 'WebSocket') === undefined;
  if (isMissing)
    process.stderr.write(`SKIPPED on Node ${process.versions.node}: its global WebSocket over ${transport}\n`);
  return isMissing;
}

async function expectOpen(client: RelayClient): Promise<void> {
  let state = '';
  const subscription = client.status$.subscribe((status) => {
    ({ state } = status);
  });
  await until(() => state === 'open', 'open');
  subscription.unsubscribe();
}

function isClosed(client: RelayClient): boolean {
  let state = '';
  client.status$.subscribe((status) => {
    ({ state } = status);
  });
  return state === 'closed';
}
