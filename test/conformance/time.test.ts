import { afterEach, describe, expect, test } from 'vitest';
import { createMemoryJournal } from '../../src/hub/journal/memory.js';
import { createFailingJournal } from '../support/failing-journal.js';
import { closeTestRelays, startTestRelay, TRANSPORTS } from '../support/relay.js';

/** PROTOCOL.md §4: heartbeat, blind and sighted, draining; on virtual time. */
const UPDATES = '*.*.*.session.updated';
afterEach(closeTestRelays);

describe.each(TRANSPORTS)('time over %s', (transport) => {
  test('a heartbeat comes every 15 s whatever else was sent, and names the channels that moved since the last one', async () => {
    const { connect, venue, clock, settled } = await startTestRelay(transport);
    venue.open('bot');
    await settled();
    const subscriber = await connect();
    await subscriber.request('subscribe', { channels: [UPDATES, '*.*.*.session.lost'] });
    await clock.advance(14_000);
    venue.update('bot', 2);
    await settled();
    await clock.advance(1_000);
    const first = await subscriber.next('heartbeat');
    expect(first).toEqual({
      now: '2026-11-23T08:00:15.000Z',
      cursor: subscriber.cursor(UPDATES),
      last: { [UPDATES]: subscriber.cursor(UPDATES) },
    });
    await clock.advance(15_000);
    expect(await subscriber.next('heartbeat')).toMatchObject({ now: '2026-11-23T08:00:30.000Z', last: {} });
    for (let second = 0; second < 15; second++) {
      venue.update('bot');
      await settled();
      await clock.advance(1_000);
    }
    expect(await subscriber.next('heartbeat')).toMatchObject({ now: '2026-11-23T08:00:45.000Z' });
    expect(subscriber.losses).toEqual([]);
  });

  test('the heartbeat cursor can be resumed from: all before it was sent, all behind it follows', async () => {
    const { connect, venue, clock, settled } = await startTestRelay(transport);
    venue.open('bot');
    await settled();
    const first = await connect();
    await first.request('subscribe', { channels: [UPDATES] });
    venue.update('bot', 3);
    await settled();
    await clock.advance(15_000);
    const { cursor } = await first.next('heartbeat');
    expect(first.events(UPDATES)).toHaveLength(3);
    await first.close();
    venue.update('bot', 3);
    await settled();
    const second = await connect();
    await second.request('subscribe', { channels: [UPDATES], since: cursor });
    await second.next('caught_up');
    expect(second.events(UPDATES)).toHaveLength(3);
    expect(second.losses).toEqual([]);
  });

  test('a heartbeat says nothing of a channel that is still replaying', async () => {
    const journal = createMemoryJournal();
    const { connect, venue, clock, settled } = await startTestRelay(transport, { journal });
    venue.open('bot');
    await settled();
    const subscriber = await connect();
    const { cursor } = await subscriber.next('welcome');
    venue.update('bot', 700);
    await settled();
    const read = journal.read.bind(journal);
    let release: (() => void) | undefined;
    journal.read = async (after, limit) => {
      await new Promise<void>((resolve) => (release = resolve));
      return read(after, limit);
    };
    await subscriber.request('subscribe', { channels: [UPDATES], since: cursor });
    venue.update('bot', 2);
    await settled();
    await clock.advance(15_000);
    expect((await subscriber.next('heartbeat')).last).toEqual({});
    journal.read = read;
    release?.();
    await subscriber.next('caught_up');
    await clock.advance(15_000);
    expect(await subscriber.next('heartbeat')).toMatchObject({ last: { [UPDATES]: subscriber.cursor(UPDATES) } });
    expect(subscriber.events(UPDATES)).toHaveLength(702);
    expect(subscriber.losses).toEqual([]);
  });

  test('blind from 1 s on, sighted when the journal commits again, and what was held back comes in order', async () => {
    const journal = createFailingJournal();
    const { connect, venue, clock, settled } = await startTestRelay(transport, { journal });
    venue.open('bot');
    await settled();
    const subscriber = await connect();
    await subscriber.request('subscribe', { channels: [UPDATES] });
    journal.broken = true;
    venue.update('bot', 2);
    await settled();
    await clock.advance(999);
    await subscriber.request('ping');
    expect(subscriber.messages.filter(({ method }) => method === 'blind')).toEqual([]);
    await clock.advance(1);
    expect(await subscriber.next('blind')).toEqual({ sinceMs: 1_000 });
    const late = await connect();
    expect(await late.next('blind')).toEqual({ sinceMs: 1_000 });
    expect(subscriber.events(UPDATES)).toEqual([]);
    journal.broken = false;
    await clock.advance(10_000);
    const sighted = await subscriber.next('sighted');
    expect(subscriber.events(UPDATES)).toHaveLength(2);
    expect(sighted).toEqual({ cursor: subscriber.cursor(UPDATES) });
    expect(subscriber.losses).toEqual([]);
  });

  test('a fault of less than a second is not told', async () => {
    const journal = createFailingJournal();
    const { connect, venue, clock, settled } = await startTestRelay(transport, { journal });
    venue.open('bot');
    await settled();
    const subscriber = await connect();
    await subscriber.request('subscribe', { channels: [UPDATES] });
    journal.broken = true;
    venue.update('bot');
    await settled();
    journal.broken = false;
    await clock.advance(900);
    await subscriber.until(() => subscriber.events(UPDATES).length === 1);
    await clock.advance(5_000);
    await subscriber.request('ping');
    expect(subscriber.messages.filter(({ method }) => method === 'blind' || method === 'sighted')).toEqual([]);
  });

  test('after 30 s blind everybody is closed with 4500, and so is whoever comes then', async () => {
    const journal = createFailingJournal();
    const { connect, venue, clock, settled } = await startTestRelay(transport, { journal });
    venue.open('bot');
    await settled();
    const subscriber = await connect();
    journal.broken = true;
    venue.update('bot');
    await settled();
    await clock.advance(30_000);
    expect(await subscriber.closed).toMatchObject({ code: 4500 });
    expect(await (await connect()).closed).toMatchObject({ code: 4500 });
    journal.broken = false;
    await clock.advance(10_000);
    await (await connect()).request('subscribe', { channels: ['>'] });
  });

  test('draining: told at once with a time of one’s own, closed with 1001 well before the end, newcomers get 503', async () => {
    const { relay, connect, venue, clock, url } = await startTestRelay(transport, { drainTimeoutMs: 20_000 });
    const subscribers = await Promise.all(Array.from({ length: 8 }, () => connect()));
    let drained = false;
    const draining = relay.drain().then(() => {
      drained = true;
    });
    const told = await Promise.all(subscribers.map((one) => one.next('draining')));
    expect(venue.stopped).toEqual({ orders: 'leave' });
    expect(new Set(told.map(({ retryAfterMs }) => retryAfterMs)).size).toBe(8);
    await expect(connect()).rejects.toMatchObject({ status: 503, headers: { 'retry-after': expect.any(String) } });
    const ready = await fetch(`${url}/readyz`);
    expect([ready.status, await ready.json()]).toMatchObject([503, { checks: { draining: 'draining' } }]);
    expect(drained).toBe(false);
    await clock.advance(16_000);
    const ends = await Promise.all(subscribers.map(({ closed }) => closed));
    expect(ends.map(({ code }) => code)).toEqual(Array.from({ length: 8 }, () => 1001));
    await draining;
    await expect(fetch(`${url}/livez`)).rejects.toThrow();
  });

  test('a restart of the hub over one journal: what was missed is replayed across the epochs', async () => {
    const journal = createMemoryJournal();
    const before = await startTestRelay(transport, { journal });
    before.venue.open('bot');
    await before.settled();
    const first = await before.connect();
    await first.request('subscribe', { channels: ['>'] });
    before.venue.update('bot', 2);
    await first.until(() => first.events('>').length > 1);
    const since = first.cursor('>');
    before.venue.update('bot', 2);
    await before.settled();
    await before.close();
    const after = await startTestRelay(transport, { journal });
    const second = await after.connect();
    expect(await second.request('subscribe', { channels: [UPDATES, 'deribit.main.bot.>'], since })).toMatchObject({
      channels: [{ recovered: true }, { recovered: true }],
    });
    await second.next('caught_up');
    await second.next('caught_up');
    after.venue.open('bot');
    await second.until(() => second.events('deribit.main.bot.>').some(({ type }) => type === 'session.opened'));
    const types = second.events('deribit.main.bot.>').map(({ type }) => type);
    expect(types).toContain('session.stale');
    expect(second.losses).toEqual([]);
  });
});
