import { createHash } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import type { ConnectOptions } from '../../src/client/node.js';
import { createFeed, type Feed } from '../../src/dashboard/feed.js';
import { NO_FILTER } from '../../src/dashboard/filter.js';
import { closeClients, connected, passing } from '../client/connected.js';
import { closeTestRelays, startTestRelay, type TestRelay } from '../support/relay.js';

/** All that the page knows, over a real relay and real sockets. */
const feeds: Feed[] = [];
afterEach(async () => {
  for (const feed of feeds.splice(0)) feed.stop();
  await closeClients();
  await closeTestRelays();
});

const sha256 = (token: string): string => createHash('sha256').update(token).digest('hex');

function feedOf(relay: TestRelay, options: ConnectOptions & { readonly address?: () => string } = {}) {
  const { client, sockets } = connected(relay, options);
  let changes = 0;
  const feed = createFeed({ client, now: () => relay.clock.now(), changed: () => changes++ });
  feeds.push(feed);
  return {
    feed,
    client,
    sockets,
    get changes() {
      return changes;
    },
    until: (probe: () => boolean, what: string) => passing(relay.clock, probe, what),
  };
}

const levels = ({ rows }: Feed) => rows.map(({ key, safety }) => [key, safety.level]);
const types = ({ timeline }: Feed) =>
  timeline.select(NO_FILTER, () => undefined).map((entry) => (entry.kind === 'event' ? entry.event.type : entry.mark));

test('sessions, the past of the timeline, commands and pulses are there', async () => {
  const relay = await startTestRelay('ws');
  relay.venue.open('relay');
  await relay.settled();
  const on = feedOf(relay);
  const { feed } = on;
  expect([feed.view, feed.wasLive, feed.rows]).toEqual(['unreachable', false, []]);
  await on.until(() => feed.timeline.size >= 2 && feed.commands('deribit.main') !== undefined, 'the past and commands');
  expect(feed.view).toBe('live');
  expect(feed.rows.map(({ key }) => key)).toEqual(['deribit.main.relay']);
  expect(types(feed)).toContain('session.opened');
  expect(feed.lastEvent('deribit.main.relay')?.type).toBe('session.opened');
  // Mode `none` allows what only reads.
  expect(feed.commands('deribit.main')?.commands.map(({ acts }) => acts)).toEqual([false]);
  relay.venue.pulse('relay');
  relay.venue.update('relay', 3);
  await on.until(() => feed.timeline.size >= 5, 'updates');
  expect(feed.lastEvent('deribit.main.relay')?.type).toBe('session.updated');
});

test('when the relay cannot be heard every level is unknown at once, the outage is marked, and what follows is not lost', async () => {
  const relay = await startTestRelay('ws');
  relay.venue.open('relay');
  await relay.settled();
  let address = relay.url.replace('http', 'ws');
  const on = feedOf(relay, { address: () => `${address}/v1/ws` });
  const { feed } = on;
  await on.until(() => feed.view === 'live' && feed.timeline.size > 0, 'live');
  const before = feed.timeline.select(NO_FILTER, () => undefined).length;
  address = 'ws://127.0.0.1:9';
  on.sockets.at(-1)?.terminate();
  await on.until(() => feed.view === 'unreachable', 'the outage');
  expect(levels(feed)).toEqual([['deribit.main.relay', 'unknown']]);
  expect(feed.doubtSinceMs).toBeDefined();
  relay.venue.update('relay', 5);
  address = relay.url.replace('http', 'ws');
  await on.until(() => feed.view === 'live' && feed.timeline.size >= before + 7, 'the replay');
  expect(feed.doubtSinceMs).toBeUndefined();
  const told = types(feed);
  expect(told.filter((type) => type === 'session.updated')).toHaveLength(5);
  expect(told.filter((type) => type === 'outage')).toHaveLength(1);
  expect(told.filter((type) => type === 'back')).toHaveLength(1);
});

describe('where the relay wants a token', () => {
  const auth = {
    mode: 'keys' as const,
    keys: [
      {
        name: 'desk',
        sha256: sha256('desk'),
        channels: ['deribit.main.>'],
        commands: ['deribit.main:act'],
        fields: 'full' as const,
      },
      { name: 'none', sha256: sha256('none'), channels: ['ibkr.>'], commands: [], fields: 'full' as const },
    ],
  };

  test('none, and a wrong one, are told apart from an outage, and nothing is shown', async () => {
    const relay = await startTestRelay('ws', { auth });
    relay.venue.open('relay');
    for (const options of [{}, { token: 'wrong' }]) {
      const { feed, until } = feedOf(relay, options);
      await until(() => feed.status?.state === 'closed', 'the refusal');
      expect(feed.status).toMatchObject({ state: 'closed', error: { code: 'unauthenticated' } });
      expect([feed.view, feed.rows]).toEqual(['unreachable', []]);
    }
  });

  test('a grant of some sources shows those, and only their commands', async () => {
    const relay = await startTestRelay('ws', { auth });
    relay.venue.open('relay');
    await relay.settled();
    const { feed, until } = feedOf(relay, { token: 'desk' });
    await until(() => feed.view === 'live' && feed.rows.length > 0, 'its sources');
    expect(feed.narrowedTo).toEqual(['deribit.main']);
    expect(feed.rows.map(({ key }) => key)).toEqual(['deribit.main.relay']);
    expect(feed.commands('deribit.main')?.commands.map(({ command }) => command)).toEqual(['act']);
    relay.venue.update('relay', 2);
    await until(() => types(feed).filter((type) => type === 'session.updated').length === 2, 'its events');
  });

  test('a grant of no source shows nothing, and is not taken for live', async () => {
    const relay = await startTestRelay('ws', { auth });
    relay.venue.open('relay');
    await relay.settled();
    const { feed, until } = feedOf(relay, { token: 'none' });
    await until(() => feed.narrowedTo !== undefined && feed.status?.state === 'open', 'the answer');
    expect([feed.view, feed.rows, feed.narrowedTo]).toEqual(['unreachable', [], []]);
  });
});

test('a client that has ended leaves nothing that looks true', async () => {
  const relay = await startTestRelay('ws');
  relay.venue.open('relay');
  await relay.settled();
  const on = feedOf(relay);
  await on.until(() => on.feed.view === 'live', 'live');
  await on.client.close();
  expect([on.feed.view, levels(on.feed)]).toEqual(['unreachable', [['deribit.main.relay', 'unknown']]]);
});
