import { createHash } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import type { AuthOptions } from '../../src/edge/auth.js';
import { compareCursors } from '../../src/model/cursor.js';
import type { State } from '../../src/model/session.js';
import { closeTestRelays, startTestRelay, TRANSPORTS } from '../support/relay.js';
import type { ScriptedVenue } from '../support/scripted-venue.js';
import type { Message, Params, Subscriber } from '../support/subscriber.js';
import { until } from '../support/virtual-clock.js';

/** PROTOCOL.md §4, States mode: merged, one frame in 250 ms, skipping instead of lagging, chained all the same. */
const sha256 = (token: string): string => createHash('sha256').update(token).digest('hex');
const SESSION_TYPES = '*.*.*.session.*';
const KEYS: AuthOptions = {
  mode: 'keys',
  keys: [
    { name: 'all', sha256: sha256('all'), channels: ['>'], commands: [], fields: 'full' },
    {
      name: 'narrow',
      sha256: sha256('narrow'),
      channels: [SESSION_TYPES, 'deribit.main.desk.>'],
      commands: [],
      fields: 'full',
    },
    {
      name: 'same',
      sha256: sha256('same'),
      channels: ['deribit.main.desk.>', '*.*.*.session.>'],
      commands: [],
      fields: 'full',
    },
  ],
};
const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
const BOT = 'deribit.main.bot';

/** As large as the hub lets a fact be, or nearly. */
const PAD = Object.fromEntries(Array.from({ length: 14 }, (_, index) => [`pad${index}`, 'x'.repeat(2_000)]));

/** The frames of states mode so far, in order. */
function framesOf({ messages }: Subscriber): readonly Params[] {
  return messages.flatMap(({ method, params }) =>
    method === 'subscription' && params !== undefined && 'states' in params ? [params] : [],
  );
}

/** What a subscriber makes of one channel's messages, as PROTOCOL.md §4 tells it to. */
function tableOf(messages: readonly Message[], channel: string): ReadonlyMap<string, State> {
  const table = new Map<string, State>();
  let partial = false;
  for (const { method, params } of messages) {
    if (params?.channel !== channel) continue;
    if (method === 'gap' || (method === 'snapshot' && !partial)) table.clear();
    if (method === 'snapshot') partial = params.last === false;
    for (const state of (params.states ?? []) as readonly State[]) table.set(state.key, state);
    for (const key of (params.removed ?? []) as readonly string[]) table.delete(key);
  }
  return table;
}
/** A session ends, and is dropped. */
function remove(venue: ScriptedVenue, session: string): void {
  venue.tell(
    { source: 'main', session, type: 'session.closed', data: { by: 'venue' } },
    { source: 'main', session, type: 'session.removed', data: {} },
  );
}
const n = (table: ReadonlyMap<string, State>, key = BOT): unknown => table.get(key)?.attributes.n;

afterEach(closeTestRelays);

describe.each(TRANSPORTS)('states mode over %s', (transport) => {
  test('a burst of 1,000 updates is a few frames, 250 ms apart, and the table ends with the newest state', async () => {
    const { connect, venue, clock, settled } = await startTestRelay(transport);
    venue.open('bot', 'desk');
    await settled();
    const subscriber = await connect();
    await subscriber.request('subscribe', { channels: ['>'], mode: 'states' });
    await subscriber.next('snapshot');
    venue.update('bot', 1_000);
    await settled();
    await clock.advance(249);
    await subscriber.request('ping');
    expect(framesOf(subscriber)).toHaveLength(1);
    await clock.advance(1);
    await subscriber.until(() => n(tableOf(subscriber.messages, '>')) === 1_000);
    await clock.advance(5_000);
    await subscriber.request('ping');
    expect(framesOf(subscriber)).toHaveLength(2);
    expect([...tableOf(subscriber.messages, '>').keys()]).toEqual(['deribit.main.-', BOT, 'deribit.main.desk']);
    expect(subscriber.events('>')).toEqual([]);
    expect(subscriber.losses).toEqual([]);
  });

  test('every member of a group sees the very same frames, also one that joined later', async () => {
    const { connect, venue, clock, settled } = await startTestRelay(transport);
    venue.open('bot', 'desk');
    await settled();
    const first = await connect();
    await first.request('subscribe', { channels: ['deribit.>'], mode: 'states', snapshot: false });
    venue.update('bot', 5);
    await settled();
    venue.update('desk', 5);
    await settled();
    const second = await connect();
    const reply = await second.request('subscribe', { channels: ['deribit.>'], mode: 'states', snapshot: false });
    expect(reply).toMatchObject({ channels: [{ cursor: first.cursor('deribit.>'), recovered: true }] });
    await clock.advance(250);
    venue.update('bot');
    await settled();
    await clock.advance(250);
    await second.until(() => framesOf(second).length === 2);
    await first.until(() => framesOf(first).length === 3);
    expect(framesOf(second)).toEqual(framesOf(first).slice(1));
    expect([...first.losses, ...second.losses]).toEqual([]);
  });

  test('a subscriber that does not read skips and is never sent lag; it ends with the newest values, the others are not delayed', async () => {
    const { connect, venue, clock, settled, logged } = await startTestRelay(transport, {
      limits: { stallMs: 3_600_000 },
    });
    const sessions = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
    venue.open(...sessions);
    await settled();
    const [good, slow, witness] = [await connect(), await connect(), await connect()];
    for (const one of [good, slow]) {
      await one.request('subscribe', { channels: ['>'], mode: 'states' });
      await one.next('snapshot');
    }
    await witness.request('subscribe', { channels: ['>'], snapshot: false });
    slow.socket.pause();
    const ROUNDS = 120;
    for (let round = 1; round <= ROUNDS; round++) {
      venue.tell(
        ...sessions.map((session) => ({
          source: 'main',
          session,
          type: 'session.updated' as const,
          data: { changed: { n: round, ...PAD } },
        })),
      );
      await settled();
      await clock.advance(250);
      await good.until(() => n(tableOf(good.messages.slice(-8), '>'), 'deribit.main.h') === round);
    }
    slow.socket.resume();
    // Its socket drains in real time, the flush that follows comes in virtual time.
    const isNewest = (): boolean => {
      const table = tableOf(slow.messages, '>');
      return sessions.every((session) => n(table, `deribit.main.${session}`) === ROUNDS);
    };
    for (let turn = 0; turn < 500 && !isNewest(); turn++) await clock.advance(25);
    expect(isNewest()).toBe(true);
    expect(framesOf(slow).length).toBeLessThan(framesOf(good).length);
    expect(tableOf(slow.messages, '>')).toEqual(tableOf(good.messages, '>'));
    await clock.advance(15_000);
    await slow.request('ping');
    expect(slow.messages.filter(({ method }) => ['lag', 'gap', 'caught_up'].includes(method ?? ''))).toEqual([]);
    // No heartbeat promised what had not been sent: what came before its cursor is in the table by then.
    const events = witness.events('>');
    for (const [index, { method, params }] of slow.messages.entries()) {
      if (method !== 'heartbeat') continue;
      const told = String(params?.cursor);
      const table = tableOf(slow.messages.slice(0, index), '>');
      for (const { id, subject } of events) {
        if (compareCursors(id, told) > 0) break;
        expect(compareCursors(table.get(subject)?.cursor ?? '', id)).toBeGreaterThanOrEqual(0);
      }
    }
    expect([...good.losses, ...slow.losses]).toEqual([]);
    expect(logged.filter((line) => line.includes('failed'))).toEqual([]);
  }, 60_000);

  test('many tables at once for one that reads slowly come whole, each at its turn, and it is not closed', async () => {
    const { connect, venue, settled } = await startTestRelay(transport);
    const sessions = Array.from({ length: 30 }, (_, index) => `s${index}`);
    venue.open(...sessions);
    for (const session of sessions)
      venue.tell({ source: 'main', session, type: 'session.updated', data: { changed: PAD } });
    await settled();
    const { cursor } = await (await connect()).next('welcome');
    const channels = ['>', '*.>', 'deribit.>', '*.*.>', '*.main.>', 'deribit.*.>', 'deribit.main.>', '*.*.*.>'];
    const replayed = ['deribit.main.*.>', '*.main.*.>', 'deribit.*.*.>', '*.*.*.session.*', '*.*.*.session.updated'];
    const slow = await connect();
    const epoch = String(cursor).split('-')[0];
    const subscribed = Promise.all([
      slow.request('subscribe', { channels, mode: 'states' }),
      slow.request('subscribe', { channels: replayed, mode: 'states', since: `${epoch}-0` }),
    ]);
    const isDone = (): boolean =>
      slow.messages.filter(({ method, params }) => method === 'caught_up' || params?.last === true).length ===
      channels.length + replayed.length;
    while (!isDone()) {
      slow.socket.pause();
      await settled();
      slow.socket.resume();
      const before = slow.messages.length;
      await until(() => slow.messages.length > before || slow.socket.readyState !== slow.socket.OPEN, 'a message');
      expect(slow.socket.readyState).toBe(slow.socket.OPEN);
    }
    await subscribed;
    for (const channel of [...channels, ...replayed])
      expect([...tableOf(slow.messages, channel).keys()]).toEqual(
        expect.arrayContaining(sessions.map((session) => `deribit.main.${session}`)),
      );
    expect(await slow.request('ping', 1)).toBe(1);
    expect(slow.losses).toEqual([]);
  }, 60_000);

  test('the heartbeat names the last frame’s cursor, and its own cursor resumes in either mode without a hole', async () => {
    const { connect, venue, clock, settled } = await startTestRelay(transport);
    venue.open('bot');
    await settled();
    const subscriber = await connect();
    await subscriber.request('subscribe', { channels: ['>'], mode: 'states' });
    await clock.advance(14_990);
    venue.update('bot');
    await settled();
    venue.update('bot');
    await settled();
    await clock.advance(10);
    const { cursor, last } = await subscriber.next('heartbeat');
    const [frame] = framesOf(subscriber);
    expect(framesOf(subscriber)).toHaveLength(1);
    expect(last).toEqual({ '>': frame?.cursor });
    // The second update has not been sent yet, and the cursor does not claim it.
    for (const mode of ['events', 'states']) {
      const resumed = await connect();
      await resumed.request('subscribe', { channels: ['>'], since: cursor, mode });
      await clock.advance(250);
      await resumed.next('caught_up');
      await resumed.until(() => resumed.events('>').length === 1 || n(tableOf(resumed.messages, '>')) === 2);
      expect(resumed.losses).toEqual([]);
    }
    await clock.advance(15_000);
    expect((await subscriber.next('heartbeat')).last).toEqual({ '>': subscriber.cursor('>') });
    expect(n(tableOf(subscriber.messages, '>'))).toBe(2);
    expect(subscriber.losses).toEqual([]);
  });

  test('a subscriber that resumes gets the states that changed since, and what is gone, then caught_up, then live', async () => {
    const { connect, venue, clock, settled } = await startTestRelay(transport);
    venue.open('bot', 'desk', 'old');
    await settled();
    const first = await connect();
    await first.request('subscribe', { channels: ['>'], mode: 'states' });
    await first.next('snapshot');
    const since = first.cursor('>');
    await first.close();
    venue.update('bot', 700);
    remove(venue, 'old');
    await settled();
    const second = await connect();
    const reply = await second.request('subscribe', { channels: ['>'], since, mode: 'states' });
    expect(reply).toMatchObject({ channels: [{ recovered: true }] });
    await second.next('caught_up');
    expect(framesOf(second).flatMap(({ states }) => (states as State[]).map(({ key }) => key))).toEqual([BOT]);
    expect(framesOf(second).flatMap(({ removed }) => removed ?? [])).toEqual(['deribit.main.old']);
    venue.update('bot');
    await settled();
    await clock.advance(250);
    await second.until(() => n(tableOf(second.messages, '>')) === 701);
    expect(second.losses).toEqual([]);
  });

  test('a since that is not held is recovered:false and a gap, with the table behind it where the channel has one', async () => {
    const { connect, venue, settled } = await startTestRelay(transport);
    venue.open('bot');
    await settled();
    const subscriber = await connect();
    const asked = { channels: ['>', SESSION_TYPES], since: '5-1', mode: 'states' };
    expect(await subscriber.request('subscribe', asked)).toMatchObject({
      channels: [{ recovered: false }, { recovered: false }],
    });
    expect(await subscriber.next('gap', ({ channel }) => channel === '>')).toMatchObject({ from: '5-1' });
    expect(await subscriber.next('snapshot')).toMatchObject({ channel: '>', last: true });
    await subscriber.next('gap', ({ channel }) => channel === SESSION_TYPES);
    await subscriber.next('caught_up', ({ channel }) => channel === SESSION_TYPES);
    venue.update('bot');
    await subscriber.until(() => framesOf(subscriber).length === 2);
    expect(subscriber.losses).toEqual([]);
  });

  test('a grant sees the states of its own sessions alone, whatever else has events on the channel', async () => {
    const { connect, venue, clock, settled } = await startTestRelay(transport, { auth: KEYS });
    venue.open('bot', 'desk');
    await settled();
    const [narrow, all] = [await connect(bearer('narrow')), await connect(bearer('all'))];
    for (const one of [narrow, all]) await one.request('subscribe', { channels: [SESSION_TYPES], mode: 'states' });
    venue.update('bot', 2);
    venue.update('desk');
    remove(venue, 'bot');
    await settled();
    await clock.advance(250);
    await all.until(() => n(tableOf(all.messages, SESSION_TYPES), 'deribit.main.desk') === 3);
    await narrow.until(() => n(tableOf(narrow.messages, SESSION_TYPES), 'deribit.main.desk') === 3);
    expect(JSON.stringify(narrow.messages)).not.toContain(BOT);
    expect(JSON.stringify(framesOf(all))).toContain(BOT);
    expect([...narrow.losses, ...all.losses]).toEqual([]);
  });

  test('a grant that is replaced ends what would show other sessions, and leaves what shows the same', async () => {
    const { connect, venue, clock, settled } = await startTestRelay(transport, { auth: KEYS });
    venue.open('bot', 'desk');
    await settled();
    const subscriber = await connect(bearer('narrow'));
    await subscriber.request('subscribe', { channels: [SESSION_TYPES], mode: 'states' });
    await subscriber.request('auth', { token: 'same' });
    venue.update('desk');
    await settled();
    await clock.advance(250);
    await subscriber.until(() => framesOf(subscriber).length === 1);
    const cursor = subscriber.cursor(SESSION_TYPES);
    await subscriber.request('auth', { token: 'all' });
    expect(await subscriber.next('unsubscribed')).toMatchObject({ channel: SESSION_TYPES, cursor });
    venue.update('desk');
    await settled();
    await clock.advance(250);
    await subscriber.request('ping');
    expect(framesOf(subscriber)).toHaveLength(1);
    expect(subscriber.losses).toEqual([]);
  });

  test('subscribing in the other mode replaces the terms at the reply, each way, with the cursor it had', async () => {
    const { connect, venue, clock, settled } = await startTestRelay(transport);
    venue.open('bot');
    await settled();
    const subscriber = await connect();
    await subscriber.request('subscribe', { channels: ['>'] });
    for (let round = 1; round <= 5; round++) {
      venue.update('bot');
      await subscriber.until(() => subscriber.events('>').some(({ data }) => 'changed' in data));
      const since = subscriber.cursor('>');
      const replaced = subscriber.request('subscribe', { channels: ['>'], since, mode: 'states' });
      venue.update('bot');
      await replaced;
      const events = subscriber.events('>').length;
      await clock.advance(250);
      await subscriber.until(() => n(tableOf(subscriber.messages, '>')) === round * 3 - 1);
      venue.update('bot');
      await settled();
      await clock.advance(250);
      await subscriber.until(() => n(tableOf(subscriber.messages, '>')) === round * 3);
      expect(subscriber.events('>')).toHaveLength(events);
      const frames = framesOf(subscriber).length;
      await subscriber.request('subscribe', { channels: ['>'], since: subscriber.cursor('>') });
      await subscriber.request('ping');
      expect(framesOf(subscriber)).toHaveLength(frames);
    }
    expect(subscriber.losses).toEqual([]);
  });

  test('the reply to unsubscribe is a fence in states mode too, and nothing is left of the group', async () => {
    const { connect, venue, clock, settled, relay } = await startTestRelay(transport);
    venue.open('bot');
    await settled();
    const subscriber = await connect();
    const idle = clock.timers;
    await subscriber.request('subscribe', { channels: ['>'], mode: 'states' });
    for (let round = 0; round < 10; round++) {
      const done = subscriber.request('unsubscribe', { channels: ['>'] });
      venue.update('bot', 3);
      await done;
      venue.update('bot', 3);
      await settled();
      await clock.advance(20);
      await subscriber.request('subscribe', { channels: ['>'], mode: 'states' });
      venue.update('bot', 3);
    }
    await subscriber.request('unsubscribe', { channels: ['>'] });
    await clock.advance(1_000);
    await subscriber.request('ping');
    expect(subscriber.losses).toEqual([]);
    expect(clock.timers).toBe(idle);
    await relay.close({ orders: 'leave' });
  });

  test('with pulses the rows are freshened without a step of the cursor; without, a pulse sends nothing', async () => {
    const { connect, venue, clock, settled } = await startTestRelay(transport);
    venue.open('bot');
    venue.tell({ source: 'main', session: 'bot', type: 'heartbeat.armed', data: { intervalMs: 10_000 } });
    await settled();
    const [fresh, quiet] = [await connect(), await connect()];
    await fresh.request('subscribe', { channels: ['>'], mode: 'states', pulses: true });
    await quiet.request('subscribe', { channels: ['>'], mode: 'states' });
    for (const one of [fresh, quiet]) await one.next('snapshot');
    const before = fresh.cursor('>');
    for (let beat = 0; beat < 10; beat++) {
      venue.pulse('bot');
      await settled();
      await clock.advance(50);
    }
    await clock.advance(250);
    await fresh.until(() => framesOf(fresh).length === 3);
    await quiet.request('ping');
    expect(tableOf(fresh.messages, '>').get(BOT)).toMatchObject({ heartbeat: { rttMs: 7 } });
    expect(fresh.cursor('>')).toBe(before);
    expect(framesOf(quiet)).toEqual([]);
    expect(fresh.messages.filter(({ params }) => params?.pulse === true)).toEqual([]);
    expect(fresh.losses).toEqual([]);
  });
});
