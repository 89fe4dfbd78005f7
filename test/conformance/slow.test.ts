import { afterEach, describe, expect, test } from 'vitest';
import { createMemoryJournal } from '../../src/hub/journal/memory.js';
import type { Fact } from '../../src/model/event.js';
import { closeTestRelays, startTestRelay, type TestRelay, TRANSPORTS } from '../support/relay.js';
import type { Subscriber } from '../support/subscriber.js';
import { until } from '../support/virtual-clock.js';
import { watchTransport } from '../support/watched-transport.js';

/**
 * PROTOCOL.md §4 (`lag`, `caught_up`, `gap`, 4408) and §6.5: a subscriber that does not keep up is replayed at its own
 * pace, costs no more than its buffer, loses nothing, and delays nobody.
 */
const UPDATES = '*.*.*.session.updated';
const BOTS = 'deribit.main.bot.>';
const MAX_BUFFERED = 256 * 1024;
/** Of 2 KiB each: more than the kernel's own buffers between two sockets of one machine take, so that the relay's fill up. */
const FLOOD = 6_000;
const PART = 100;
const PAD = 'x'.repeat(2_000);
afterEach(closeTestRelays);

const large = (session: string, n: number): Fact => ({
  source: 'main',
  session,
  type: 'session.updated',
  data: { changed: { n, pad: PAD } },
  key: `${session}-${n}`,
});
let told = 0;
/** Large updates of one session, part by part; the others have each part before the next is told. */
async function flood(
  { venue, settled }: TestRelay,
  others: readonly Subscriber[],
  { count = FLOOD, sessions = ['bot'] }: { readonly count?: number; readonly sessions?: readonly string[] } = {},
): Promise<void> {
  for (let sent = 0; sent < count; sent += PART) {
    const before = others.map((one) => one.events(UPDATES).length);
    for (let n = 0; n < PART; n++) venue.tell(large(sessions[n % sessions.length] ?? 'bot', ++told));
    await settled();
    for (const [index, one] of others.entries())
      await one.until(() => one.events(UPDATES).length === (before[index] ?? 0) + PART);
  }
}
const ids = (one: Subscriber, channel: string): readonly string[] => one.events(channel).map(({ id }) => id);
const count = (one: Subscriber, method: string): number =>
  one.messages.filter((message) => message.method === method).length;

describe.each(TRANSPORTS)('slow subscribers over %s', (transport) => {
  test('one that stops reading costs its buffer, is told lag, gets everything in order once it reads, and is live again', async () => {
    const watched = await watchTransport(transport);
    const relay = await startTestRelay(watched.transport);
    const { connect, venue, settled } = relay;
    venue.open('bot');
    await settled();
    const good = await connect();
    const slow = await connect();
    for (const one of [good, slow]) await one.request('subscribe', { channels: [UPDATES] });
    slow.socket.pause();
    await flood(relay, [good]);
    expect(Math.max(...watched.highest)).toBeLessThanOrEqual(MAX_BUFFERED);
    expect(watched.highest[1]).toBeGreaterThan(MAX_BUFFERED / 4);
    slow.socket.resume();
    await slow.next('caught_up');
    await slow.until(() => slow.events(UPDATES).length === FLOOD);
    expect(ids(slow, UPDATES)).toEqual(ids(good, UPDATES));
    expect(count(slow, 'lag')).toBeGreaterThan(0);
    expect(count(slow, 'caught_up')).toBe(count(slow, 'lag'));
    expect(count(good, 'lag')).toBe(0);
    const before = slow.messages.length;
    await flood(relay, [good, slow], { count: PART });
    expect(slow.messages.slice(before).every(({ method }) => method === 'subscription')).toBe(true);
    expect(await slow.request('ping', 1)).toBe(1);
    expect([...good.losses, ...slow.losses]).toEqual([]);
    expect(Math.max(...watched.highest)).toBeLessThanOrEqual(MAX_BUFFERED);
  }, 60_000);

  test('all its channels lag together and each catches up; a quiet one is not searched for in the whole journal', async () => {
    const relay = await startTestRelay(transport);
    const { connect, venue, settled } = relay;
    venue.open('bot', 'desk');
    await settled();
    const good = await connect();
    const slow = await connect();
    const channels = ['>', UPDATES, BOTS, 'deribit.main.desk.session.lost'];
    for (const one of [good, slow]) await one.request('subscribe', { channels, snapshot: false });
    slow.socket.pause();
    await flood(relay, [good], { count: FLOOD / 2, sessions: ['bot', 'desk'] });
    slow.socket.resume();
    const { since } = await slow.next('lag');
    expect(Object.keys(since as object).toSorted()).toEqual(channels.toSorted());
    for (const channel of channels) await slow.next('caught_up', (params) => params.channel === channel);
    for (const channel of channels) {
      await slow.until(() => slow.events(channel).length === good.events(channel).length);
      expect(ids(slow, channel)).toEqual(ids(good, channel));
    }
    venue.tell({ source: 'main', session: 'desk', type: 'session.lost', data: { reason: 'x' } });
    await slow.until(() => slow.events('deribit.main.desk.session.lost').length === 1);
    expect([...good.losses, ...slow.losses]).toEqual([]);
  }, 60_000);

  test('one that falls behind while a resume of it is still running loses nothing of either', async () => {
    const relay = await startTestRelay(transport);
    const { connect, venue, settled } = relay;
    venue.open('bot');
    await settled();
    const good = await connect();
    const { cursor } = await good.next('welcome');
    await good.request('subscribe', { channels: [UPDATES] });
    await flood(relay, [good], { count: FLOOD / 2 });
    const slow = await connect();
    await slow.request('subscribe', { channels: [BOTS], snapshot: false });
    slow.socket.pause();
    slow.send(
      JSON.stringify({
        jsonrpc: '2.0',
        id: 'mine',
        method: 'subscribe',
        params: { channels: [{ channel: UPDATES, since: cursor }] },
      }),
    );
    await settled();
    await flood(relay, [good], { count: FLOOD / 2 });
    slow.socket.resume();
    await slow.until(() => count(slow, 'caught_up') >= 2);
    const got = slow.messages.filter(({ method, params }) => method === 'subscription' && params?.channel === UPDATES);
    expect(got.map(({ params }) => (params as { data: { id: string } }).data.id)).toEqual(ids(good, UPDATES));
    expect(slow.events(BOTS).filter(({ type }) => type === 'session.updated')).toHaveLength(FLOOD / 2);
  }, 60_000);

  test('the reply to unsubscribe is a fence while it lags too, and a new subscription of the channel has its own terms', async () => {
    const relay = await startTestRelay(transport);
    const { connect, venue, settled } = relay;
    venue.open('bot');
    await settled();
    const good = await connect();
    const slow = await connect();
    for (const one of [good, slow]) await one.request('subscribe', { channels: [UPDATES, BOTS], snapshot: false });
    slow.socket.pause();
    await flood(relay, [good]);
    const gone = slow.request('unsubscribe', { channels: [UPDATES] });
    const again = slow.request('subscribe', { channels: [BOTS], snapshot: false });
    await settled();
    slow.socket.resume();
    await gone;
    const seen = slow.events(BOTS).length;
    await again;
    expect(slow.events(BOTS).length).toBe(seen);
    expect(seen).toBeLessThan(FLOOD);
    venue.tell(large('bot', ++told));
    await slow.until(() => slow.events(BOTS).length === seen + 1);
    await slow.request('ping');
    expect([...good.losses, ...slow.losses]).toEqual([]);
  }, 60_000);

  test('what the journal drops meanwhile is a gap from the last event that was sent, with the states behind it', async () => {
    const journal = createMemoryJournal({ retention: { maxAgeMs: 3_600_000, maxBytes: 1024 * 1024 } });
    const relay = await startTestRelay(transport, { journal });
    const { connect, venue, clock, settled } = relay;
    venue.open('bot');
    await settled();
    const good = await connect();
    const slow = await connect();
    for (const one of [good, slow]) await one.request('subscribe', { channels: [UPDATES, BOTS], snapshot: false });
    slow.socket.pause();
    // More than an edge keeps of its own.
    await flood(relay, [good], { count: 2 * FLOOD });
    await clock.advance(10_000);
    const had = slow.events(UPDATES).length;
    slow.socket.resume();
    for (const channel of [UPDATES, BOTS]) {
      const { from, to } = await slow.next('gap', (params) => params.channel === channel);
      const sent = slow.events(channel).at(-1)?.id;
      expect([from, to]).toEqual([sent, ids(good, channel).at(-1)]);
      expect(slow.events(channel).length).toBeGreaterThanOrEqual(had);
    }
    await slow.next('snapshot', (params) => params.channel === BOTS);
    await slow.next('caught_up', (params) => params.channel === UPDATES);
    await flood(relay, [good, slow], { count: PART });
    expect(ids(slow, BOTS).slice(-PART)).toEqual(ids(good, BOTS).slice(-PART));
    expect([...good.losses, ...slow.losses]).toEqual([]);
  }, 60_000);

  test('one that reads nothing for 30 s while something waits for it is closed with 4408, and resumes without a hole', async () => {
    const watched = await watchTransport(transport);
    const relay = await startTestRelay(watched.transport);
    const { connect, venue, clock, settled } = relay;
    venue.open('bot');
    await settled();
    const stalled = await connect();
    const good = await connect();
    for (const one of [good, stalled]) await one.request('subscribe', { channels: [UPDATES] });
    stalled.socket.pause();
    await flood(relay, [good]);
    await clock.advance(29_000);
    expect(await good.request('ping', 1)).toBe(1);
    expect(watched.closes).toEqual([]);
    // The kernel may take some more by itself, which is progress to whoever writes: up to its own bounds.
    for (let more = 0; more < 40 && watched.closes[0] === undefined; more++) await clock.advance(15_000);
    expect(watched.closes).toEqual([4408]);
    stalled.socket.resume();
    expect(await stalled.closed).toMatchObject({ code: 4408 });
    const got = ids(stalled, UPDATES);
    expect(got.length).toBeLessThan(FLOOD);
    expect(got).toEqual(ids(good, UPDATES).slice(0, got.length));
    const resumed = await connect();
    await resumed.request('subscribe', { channels: [{ channel: UPDATES, since: stalled.cursor(UPDATES) }] });
    await resumed.next('caught_up');
    expect([...got, ...ids(resumed, UPDATES)]).toEqual(ids(good, UPDATES));
    expect([...good.losses, ...stalled.losses, ...resumed.losses]).toEqual([]);
  }, 60_000);

  test('one that asks and does not read the replies is closed with 4408, within its buffer', async () => {
    const watched = await watchTransport(transport);
    const relay = await startTestRelay(watched.transport, { limits: { maxRequestsPerSecond: 100_000 } });
    const { connect, venue, settled } = relay;
    venue.open('bot');
    await settled();
    for (let n = 0; n < 100; n++) venue.tell(large('bot', ++told));
    await settled();
    const hostile = await connect();
    const good = await connect();
    hostile.socket.pause();
    const ask = { jsonrpc: '2.0', id: 1, method: 'get_events', params: { channel: UPDATES } };
    for (let asked = 0; asked < 400 && watched.closes[0] === undefined; asked++) {
      hostile.send(JSON.stringify(ask));
      expect(await good.request('ping', asked)).toBe(asked);
    }
    hostile.socket.resume();
    expect(await hostile.closed).toMatchObject({ code: 4408 });
    expect(Math.max(...watched.highest)).toBeLessThanOrEqual(MAX_BUFFERED);
    expect(good.losses).toEqual([]);
  }, 60_000);

  test('a page of events finds room behind a stream that waits', async () => {
    const watched = await watchTransport(transport);
    const relay = await startTestRelay(watched.transport);
    const { connect, venue, settled } = relay;
    venue.open(...Array.from({ length: 400 }, (_, n) => `s${n}`));
    await settled();
    const good = await connect();
    const slow = await connect();
    for (const one of [good, slow]) await one.request('subscribe', { channels: [UPDATES] });
    slow.socket.pause();
    await flood(relay, [good]);
    const events = slow.request('get_events', { channel: UPDATES });
    await settled();
    slow.socket.resume();
    expect(((await events) as { events: unknown[] }).events.length).toBeGreaterThan(10);
    await slow.next('caught_up');
    expect(Math.max(...watched.highest)).toBeLessThanOrEqual(MAX_BUFFERED);
    expect(slow.losses).toEqual([]);
  }, 60_000);

  test('a long replay goes at the pace of a subscriber that reads in fits: nothing is lost and it is not closed', async () => {
    const relay = await startTestRelay(transport);
    const { connect, venue, settled } = relay;
    venue.open('bot');
    await settled();
    const { cursor } = await (await connect()).next('welcome');
    await flood(relay, []);
    const slow = await connect();
    await slow.request('subscribe', { channels: [UPDATES], since: cursor });
    while (count(slow, 'caught_up') === 0) {
      slow.socket.pause();
      await settled();
      slow.socket.resume();
      const before = slow.messages.length;
      await until(() => slow.messages.length > before, 'the replay goes on');
    }
    expect(slow.events(UPDATES)).toHaveLength(FLOOD);
    expect(slow.losses).toEqual([]);
  }, 60_000);
});
