import { afterEach, describe, expect, test } from 'vitest';
import { SNAPSHOT_BYTES } from '../../src/edge/limits.js';
import type { SessionEvent } from '../../src/model/event.js';
import { fold } from '../../src/model/fold.js';
import type { State } from '../../src/model/session.js';
import { closeTestRelays, startTestRelay, TRANSPORTS } from '../support/relay.js';

/** PROTOCOL.md §4, Methods and Notifications: what a channel delivers, in which order, and how it proves it. */
const UPDATES = '*.*.*.session.updated';
const numbers = (events: readonly SessionEvent[]): unknown[] =>
  events.map((event) => (event.type === 'session.updated' ? event.data.changed.n : event.type));
const upTo = (count: number, from = 1): number[] =>
  Array.from({ length: count - from + 1 }, (_, index) => from + index);

afterEach(closeTestRelays);

describe.each(TRANSPORTS)('subscribe over %s', (transport) => {
  test('the snapshot comes after the reply and before any live frame, and events continue it without a hole', async () => {
    const { connect, venue, settled } = await startTestRelay(transport);
    venue.open('bot', 'desk');
    await settled();
    const subscriber = await connect();
    const { channels } = await subscriber.request('subscribe', { channels: ['>'] });
    venue.update('bot', 3);
    await subscriber.until(() => subscriber.events('>').some((event) => numbers([event])[0] === 3));
    const order = subscriber.messages.map(({ method }) => method ?? 'reply');
    expect(order.slice(0, 3)).toEqual(['welcome', 'reply', 'snapshot']);
    const snapshot = await subscriber.next('snapshot');
    expect((snapshot.states as State[]).map(({ key }) => key)).toEqual([
      'deribit.main.-',
      'deribit.main.bot',
      'deribit.main.desk',
    ]);
    expect(snapshot).toMatchObject({ last: true, cursor: (channels as { cursor: string }[])[0]?.cursor });
    expect(subscriber.losses).toEqual([]);
  });

  test('members of one group that join at different times each get an unbroken chain', async () => {
    const { connect, venue, settled } = await startTestRelay(transport);
    venue.open('bot');
    await settled();
    const first = await connect();
    await first.request('subscribe', { channels: [UPDATES] });
    venue.update('bot', 2);
    await first.until(() => first.events(UPDATES).length === 2);
    const second = await connect();
    const reply = await second.request('subscribe', { channels: [UPDATES] });
    expect(reply).toEqual({ channels: [{ channel: UPDATES, cursor: first.cursor(UPDATES), recovered: true }] });
    venue.update('bot', 2);
    await second.until(() => second.events(UPDATES).length === 2);
    await first.until(() => first.events(UPDATES).length === 4);
    expect(numbers(first.events(UPDATES))).toEqual([1, 2, 3, 4]);
    expect(numbers(second.events(UPDATES))).toEqual([3, 4]);
    expect([...first.losses, ...second.losses]).toEqual([]);
  });

  test('a subscriber that resumes with its last cursor gets what it missed, then caught_up, then live, each event once', async () => {
    const { connect, venue, settled } = await startTestRelay(transport);
    venue.open('bot');
    await settled();
    const first = await connect();
    await first.request('subscribe', { channels: [UPDATES] });
    venue.update('bot', 2);
    await first.until(() => first.events(UPDATES).length === 2);
    const since = first.cursor(UPDATES);
    await first.close();
    venue.update('bot', 1_500);
    await settled();
    const second = await connect();
    const replied = second.request('subscribe', { channels: [{ channel: UPDATES, since }] });
    venue.update('bot', 3);
    expect(await replied).toMatchObject({ channels: [{ recovered: true }] });
    await second.next('caught_up');
    venue.update('bot', 1);
    await second.until(() => second.events(UPDATES).length === 1_504);
    expect(numbers(second.events(UPDATES))).toEqual(upTo(1_506, 3));
    expect(second.losses).toEqual([]);
  });

  test('caught_up is said of an empty replay too, and a since of the present is one', async () => {
    const { connect, venue, settled } = await startTestRelay(transport);
    venue.open('bot');
    await settled();
    const subscriber = await connect();
    const { cursor } = await subscriber.next('welcome');
    await subscriber.request('subscribe', { channels: [UPDATES], since: cursor });
    await subscriber.next('caught_up');
    venue.update('bot');
    await subscriber.until(() => subscriber.events(UPDATES).length === 1);
    expect(subscriber.losses).toEqual([]);
  });

  test.each([
    ['an unknown epoch', () => '5-1'],
    ['an offset beyond what is held', (now: string) => `${now.split('-')[0]}-999999`],
  ])('%s is recovered:false and a gap, with a snapshot behind it', async (_what, beyond) => {
    const { connect, venue, settled } = await startTestRelay(transport);
    venue.open('bot');
    await settled();
    const subscriber = await connect();
    const since = beyond(String((await subscriber.next('welcome')).cursor));
    const reply = await subscriber.request('subscribe', { channels: ['>', UPDATES], since });
    expect(reply).toMatchObject({ channels: [{ recovered: false }, { recovered: false }] });
    expect(await subscriber.next('gap', ({ channel }) => channel === '>')).toMatchObject({ from: since });
    expect(await subscriber.next('snapshot')).toMatchObject({ channel: '>', last: true });
    await subscriber.next('gap', ({ channel }) => channel === UPDATES);
    await subscriber.next('caught_up', ({ channel }) => channel === UPDATES);
    venue.update('bot');
    await subscriber.until(() => subscriber.events(UPDATES).length === 1 && subscriber.events('>').length > 0);
    expect(subscriber.losses).toEqual([]);
  });

  test('the reply to unsubscribe is a fence: no frame of the channel follows it', async () => {
    const { connect, venue, settled } = await startTestRelay(transport);
    venue.open('bot');
    await settled();
    // The group lives on through the other one: leaving it is what counts.
    const other = await connect();
    await other.request('subscribe', { channels: [UPDATES] });
    const subscriber = await connect();
    await subscriber.request('subscribe', { channels: [UPDATES] });
    for (let round = 0; round < 20; round++) {
      const done = subscriber.request('unsubscribe', { channels: [UPDATES] });
      venue.update('bot', 5);
      expect(await done).toEqual({ channels: [UPDATES] });
      venue.update('bot', 5);
      const again = subscriber.request('subscribe', { channels: [UPDATES] });
      venue.update('bot', 5);
      await again;
    }
    await subscriber.request('ping');
    expect(subscriber.losses).toEqual([]);
  });

  test('subscribing again replaces the terms at the reply: pulses end behind it', async () => {
    const { connect, venue, settled } = await startTestRelay(transport);
    venue.open('bot');
    await settled();
    const subscriber = await connect();
    const beats = (): number => subscriber.messages.filter(({ params }) => params?.pulse === true).length;
    await subscriber.request('subscribe', { channels: ['>'] });
    venue.pulse('bot');
    await subscriber.request('ping');
    expect(beats()).toBe(0);
    await subscriber.request('subscribe', { channels: ['>'], pulses: true });
    venue.pulse('bot');
    await subscriber.until(() => beats() === 1);
    await subscriber.request('subscribe', { channels: ['>'] });
    venue.pulse('bot');
    await settled();
    await subscriber.request('ping');
    expect(beats()).toBe(1);
    expect(subscriber.losses).toEqual([]);
  });

  test('a snapshot of many states comes in chunks of at most 200 states and 32 KiB, only the last of which says so', async () => {
    const { connect, venue, settled } = await startTestRelay(transport);
    venue.open(...Array.from({ length: 450 }, (_, index) => `s${String(index).padStart(3, '0')}`));
    await settled();
    const subscriber = await connect();
    await subscriber.request('subscribe', { channels: ['>'] });
    await subscriber.next('snapshot', ({ last }) => last === true);
    const chunks = subscriber.messages.flatMap(({ method, params }) =>
      method === 'snapshot' && params !== undefined ? [params] : [],
    );
    expect(chunks.length).toBeGreaterThan(2);
    expect(chunks.map(({ last }) => last)).toEqual([...chunks.slice(1).map(() => false), true]);
    for (const chunk of chunks) {
      expect((chunk.states as State[]).length).toBeLessThanOrEqual(200);
      expect(Buffer.byteLength(JSON.stringify(chunk))).toBeLessThan(SNAPSHOT_BYTES + 1_024);
    }
    const keys = chunks.flatMap(({ states }) => (states as State[]).map(({ key }) => key));
    expect(new Set(keys).size).toBe(451);
  });

  test('a channel that names a type has no snapshot, and snapshot:false sends none', async () => {
    const { connect, venue, settled } = await startTestRelay(transport);
    venue.open('bot');
    await settled();
    const subscriber = await connect();
    await subscriber.request('subscribe', { channels: [UPDATES] });
    await subscriber.request('subscribe', { channels: ['>'], snapshot: false });
    venue.update('bot');
    await subscriber.until(() => subscriber.events('>').length > 0 && subscriber.events(UPDATES).length === 1);
    expect(subscriber.messages.filter(({ method }) => method === 'snapshot')).toEqual([]);
    expect(subscriber.losses).toEqual([]);
  });

  test('snapshot:true together with since sends the states before the replay', async () => {
    const { connect, venue, settled } = await startTestRelay(transport);
    venue.open('bot');
    await settled();
    const subscriber = await connect();
    const { cursor } = await subscriber.next('welcome');
    venue.update('bot', 3);
    await settled();
    await subscriber.request('subscribe', { channels: ['deribit.>'], since: cursor, snapshot: true });
    await subscriber.next('caught_up');
    const order = subscriber.messages.slice(2).map(({ method }) => method);
    expect(order).toEqual(['snapshot', 'subscription', 'subscription', 'subscription', 'caught_up']);
    expect(subscriber.losses).toEqual([]);
  });

  test('snapshot + events = a later snapshot', async () => {
    const { connect, venue, settled } = await startTestRelay(transport);
    venue.open('bot');
    await settled();
    const first = await connect();
    await first.request('subscribe', { channels: ['>'] });
    venue.update('bot', 20);
    venue.tell({ source: 'main', session: 'bot', type: 'session.lost', data: { reason: 'evicted' } });
    await settled();
    await first.request('ping');
    const states = new Map(((await first.next('snapshot')).states as State[]).map((state) => [state.key, state]));
    for (const event of first.events('>')) {
      const next = fold(states.get(event.subject), event);
      if (next !== undefined) states.set(event.subject, next);
    }
    const second = await connect();
    await second.request('subscribe', { channels: ['>'] });
    expect([...states.values()]).toEqual((await second.next('snapshot')).states);
  });

  test('one bad channel refuses the whole request: all or nothing', async () => {
    const { connect, venue, settled } = await startTestRelay(transport);
    venue.open('bot');
    await settled();
    const subscriber = await connect();
    await expect(subscriber.request('subscribe', { channels: [UPDATES, 'a..b'] })).rejects.toMatchObject({
      code: -32602,
    });
    venue.update('bot');
    await settled();
    await subscriber.request('ping');
    expect(subscriber.events(UPDATES)).toEqual([]);
    expect(subscriber.losses).toEqual([]);
  });

  test('more than maxChannels channels are refused, and replacing one of them is not', async () => {
    const { connect } = await startTestRelay(transport, { limits: { maxChannels: 2 } });
    const subscriber = await connect();
    await subscriber.request('subscribe', { channels: ['a.>', 'b.>'] });
    await subscriber.request('subscribe', { channels: ['b.>'] });
    await expect(subscriber.request('subscribe', { channels: ['c.>'] })).rejects.toMatchObject({ code: 4429 });
  });

  test('every subscriber of a channel sees the same order', async () => {
    const { connect, venue, settled } = await startTestRelay(transport);
    venue.open('bot', 'desk');
    await settled();
    const all = await Promise.all([connect(), connect(), connect()]);
    for (const one of all) await one.request('subscribe', { channels: ['>'] });
    for (let round = 0; round < 50; round++) {
      venue.update('bot');
      venue.update('desk');
      if (round % 10 === 0) await settled();
    }
    for (const one of all) await one.until(() => numbers(one.events('>')).includes(100));
    const orders = all.map((one) => one.events('>').map(({ id }) => id));
    expect(orders[1]).toEqual(orders[0]);
    expect(orders[2]).toEqual(orders[0]);
    expect(all.flatMap(({ losses }) => losses)).toEqual([]);
  });
});
