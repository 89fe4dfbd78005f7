import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { Journal } from '../src/hub/journal/journal.js';
import { createLmdbJournal } from '../src/hub/journal/lmdb.js';
import { createMemoryJournal } from '../src/hub/journal/memory.js';
import type { SessionEvent } from '../src/model/event.js';
import { fold } from '../src/model/fold.js';
import type { State } from '../src/model/session.js';
import { state as stateSchema } from '../src/model/state-schema.js';
import { addressOf, matches } from '../src/model/subject.js';
import { createFailingJournal } from './support/failing-journal.js';
import { closeTestRelays, startTestRelay, type TestRelay, TRANSPORTS } from './support/relay.js';
import type { Subscriber } from './support/subscriber.js';
import { until } from './support/virtual-clock.js';

/**
 * PROTOCOL.md §6, one test a promise: what a subscriber relies on, at the relay as a whole. Each has many more behind
 * it (`conformance/`, `edge/`, `hub/`, `journal/`, `restart/`, `stress/`).
 */
const UPDATES = '*.*.*.session.updated';
const folders: string[] = [];
afterEach(async () => {
  await closeTestRelays();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'session-relay-promises-'));
  folders.push(folder);
  return folder;
}

/** The durable journal, as `serve` uses it. */
function durable(path: string): Journal {
  return createLmdbJournal({ path });
}

/** Everything that the journal holds. */
async function journaled({ relay }: TestRelay): Promise<readonly SessionEvent[]> {
  const events: SessionEvent[] = [];
  for (let at = '0-0'; ; ) {
    const page = await relay.hub.read(at, 1_000);
    events.push(...page.events);
    at = page.cursor;
    if (!page.more) return events;
  }
}

function idsOf(events: readonly SessionEvent[], channel = '>'): readonly string[] {
  return events.filter((event) => matches(channel, addressOf(event))).map(({ id }) => id);
}

/** Sessions that are proved, and so may be safe. */
function prove({ venue }: TestRelay, ...sessions: readonly string[]): void {
  venue.open(...sessions);
  venue.tell(
    { source: 'main', session: '-', type: 'venue.normal', data: {} },
    { source: 'main', session: '-', type: 'account.unlocked', data: { what: 'all' } },
  );
}

async function levelOf({ url }: TestRelay, session: string): Promise<string> {
  const shape = z.looseObject({ safety: z.looseObject({ level: z.string() }) });
  return shape.parse(await (await fetch(`${url}/v1/sessions/deribit.main.${session}`)).json()).safety.level;
}

/** All that the connection was sent of a channel's states: the snapshot, then every event over it. */
function tableOf(subscriber: Subscriber, channel: string): ReadonlyMap<string, State> {
  const table = new Map<string, State>();
  const snapshot = z.object({ channel: z.literal(channel), states: z.array(stateSchema) });
  const event = z.object({ channel: z.literal(channel), data: z.custom<SessionEvent>() });
  for (const { method, params } of subscriber.messages) {
    if (method === 'snapshot') for (const one of snapshot.parse(params).states) table.set(one.key, one);
    if (method !== 'subscription') continue;
    const { data } = event.parse(params);
    const after = fold(table.get(data.subject), data);
    if (after === undefined) table.delete(data.subject);
    else table.set(data.subject, after);
  }
  return table;
}

describe.each(TRANSPORTS)('over %s', (transport) => {
  test('promise 1: per channel one total order, the same for every subscriber', async () => {
    const running = await startTestRelay(transport, { journal: durable(newFolder()) });
    const { venue, connect, settled } = running;
    venue.open('a', 'b');
    await settled();
    const [first, second] = [await connect(), await connect()];
    for (const one of [first, second]) await one.request('subscribe', { channels: ['>', UPDATES] });
    for (let round = 0; round < 40; round++) {
      venue.update('a', 3);
      venue.update('b', 2);
      if (round % 10 === 0) await settled();
    }
    await first.until(() => first.events(UPDATES).length === 200);
    await second.until(() => second.events(UPDATES).length === 200);
    // One who comes late and asks for all of it is told the same.
    const late = await connect();
    await late.request('subscribe', { channels: ['>', UPDATES], since: '0-0' });
    await late.until(() => late.events(UPDATES).length === 200);
    await late.until(() => late.messages.filter(({ method }) => method === 'caught_up').length === 2);
    const all = await journaled(running);
    expect(idsOf(late.events('>'))).toEqual(idsOf(all));
    for (const one of [first, second]) {
      expect(idsOf(one.events(UPDATES))).toEqual(idsOf(all, UPDATES));
      expect(idsOf(one.events('>'))).toEqual(idsOf(all).slice(-one.events('>').length));
    }
    expect(idsOf(late.events(UPDATES))).toEqual(idsOf(all, UPDATES));
    expect([first, second, late].flatMap(({ losses }) => losses)).toEqual([]);
  });

  test('promise 2: at least once across reconnects and a restart, and the same fact has the same key', async () => {
    const path = newFolder();
    const first = await startTestRelay(transport, { journal: durable(path) });
    first.venue.open('a');
    const before = await first.connect();
    await before.request('subscribe', { channels: [UPDATES] });
    first.venue.update('a', 10);
    await before.until(() => before.events(UPDATES).length === 10);
    before.socket.terminate();
    await before.closed;
    first.venue.update('a', 10);
    await first.settled();
    await first.close();

    const second = await startTestRelay(transport, { journal: durable(path) });
    second.venue.open('a');
    // The venue tells again what it told the life before: the numbers begin anew, and so do the facts' own names.
    second.venue.update('a', 25);
    const after = await second.connect();
    await after.request('subscribe', { channels: [{ channel: UPDATES, since: before.cursor(UPDATES) }] });
    await after.until(() => after.events(UPDATES).length === 15);
    await after.next('caught_up');
    const told = [...before.events(UPDATES), ...after.events(UPDATES)];
    const names = Array.from({ length: 25 }, (_, index) => `deribit.main.a.session.updated:update-${index + 1}`);
    expect(told.map(({ key }) => key)).toEqual(names);
    const epochs = new Set(told.map(({ id }) => id.split('-')[0]));
    expect(epochs.size).toBe(2);
    const keys = (await journaled(second)).map(({ key }) => key);
    expect(new Set(keys).size).toBe(keys.length);
    expect(after.losses).toEqual([]);
  });

  test('promise 3: every loss is announced or shows', async () => {
    const { venue, clock, connect, settled, relay } = await startTestRelay(transport, {
      journal: createMemoryJournal({ retention: { maxAgeMs: 60_000, maxBytes: 20_000 } }),
    });
    venue.open('a');
    await settled();
    const old = relay.hub.head();
    venue.update('a', 200);
    await settled();
    await clock.advance(20_000);
    expect(relay.hub.holds(old)).toBe(false);
    const one = await connect();
    expect(await one.request('subscribe', { channels: [{ channel: UPDATES, since: old }] })).toMatchObject({
      channels: [{ recovered: false }],
    });
    expect(await one.next('gap')).toMatchObject({ channel: UPDATES, from: old });
    await one.next('caught_up');
    venue.update('a', 1);
    await one.until(() => one.events(UPDATES).length === 1);
    // A last frame that was lost shows at the next heartbeat.
    await clock.advance(15_000);
    const beat = await one.next('heartbeat', ({ last }) => UPDATES in z.record(z.string(), z.string()).parse(last));
    expect(beat.last).toEqual({ [UPDATES]: one.cursor(UPDATES) });
    expect(one.losses).toEqual([]);
  });

  test('promise 4: snapshot + events = a later snapshot', async () => {
    const running = await startTestRelay(transport);
    const { venue, clock, connect, settled } = running;
    prove(running, 'a', 'b', 'c');
    await settled();
    const early = await connect();
    await early.request('subscribe', { channels: ['>'] });
    await early.next('snapshot');
    venue.update('a', 5);
    venue.tell({ source: 'main', session: 'b', type: 'session.lost', data: { reason: 'evicted' } });
    await clock.advance(5_000);
    venue.tell({ source: 'main', session: 'd', type: 'session.opening', data: {} });
    venue.tell({ source: 'main', session: 'c', type: 'session.closed', data: { by: 'venue' } });
    // Ended ones are dropped a day later.
    await clock.advance(86_500_000);
    await settled();
    const late = await connect();
    await late.request('subscribe', { channels: ['>'] });
    await late.next('snapshot', ({ last }) => last === true);
    await early.until(() => early.cursor('>') === late.cursor('>'));
    const [table, snapshot] = [tableOf(early, '>'), tableOf(late, '>')];
    expect(new Map([...table].toSorted())).toEqual(new Map([...snapshot].toSorted()));
    expect([...snapshot.keys()]).not.toContain('deribit.main.c');
    expect(snapshot.size).toBeGreaterThan(2);
  });

  test('promise 5: a slow subscriber costs what it may, loses nothing, and delays nobody', async () => {
    const maxBufferedBytes = 32 * 1024;
    const FLOOD = 16_000;
    const { venue, connect, settled, relay, url } = await startTestRelay(transport, { limits: { maxBufferedBytes } });
    venue.open('a');
    await settled();
    const [slow, good] = [await connect(), await connect()];
    for (const one of [slow, good]) await one.request('subscribe', { channels: [UPDATES] });
    slow.socket.pause();
    for (let sent = 0; sent < FLOOD; sent += 400) {
      venue.update('a', 400);
      // The other one has each turn before the next begins, whatever the slow one does.
      await good.until(() => good.events(UPDATES).length === sent + 400);
    }
    slow.socket.resume();
    await slow.until(() => slow.events(UPDATES).length === FLOOD);
    await slow.next('lag');
    await slow.next('caught_up');
    expect(idsOf(slow.events(UPDATES))).toEqual(idsOf(good.events(UPDATES)));
    expect([...slow.losses, ...good.losses]).toEqual([]);
    // And it is live again.
    venue.update('a', 1);
    await slow.until(() => slow.events(UPDATES).length === FLOOD + 1);
    expect((await fetch(`${url}/livez`)).status).toBe(200);
    await relay.close({ orders: 'leave' });
  }, 60_000);

  test('promise 6: a command cut off by a fault is reported as unknown', async () => {
    const path = newFolder();
    const first = await startTestRelay(transport, {
      journal: durable(path),
      auth: { mode: 'none', commands: ['deribit.main:act', 'deribit.main:read'] },
    });
    first.venue.open('a');
    first.venue.answer = () => new Promise(() => {});
    await first.settled();
    const one = await first.connect();
    const command = { source: 'deribit.main', command: 'act', params: {}, requestId: 'r-1' };
    const asked = one.request('command', command).catch((thrown: unknown) => thrown);
    await until(() => first.venue.calls.length === 1, 'the venue is asked');
    // No answer within the time that there is: neither done nor not done.
    await first.clock.advance(30_000);
    expect(await asked).toMatchObject({ code: 4504 });
    await first.close();

    const second = await startTestRelay(transport, {
      journal: durable(path),
      auth: { mode: 'none', commands: ['deribit.main:act', 'deribit.main:read'] },
    });
    second.venue.open('a');
    await second.settled();
    const again = await second.connect();
    expect(await again.request('command', command)).toMatchObject({
      replayed: true,
      outcome: 'unknown',
      requestId: 'r-1',
    });
    expect(second.venue.calls).toEqual([]);
    const trail = (await journaled(second)).filter(({ type }) => type.startsWith('command.'));
    expect(trail.map(({ type }) => type)).toEqual(['command.accepted', 'command.unknown']);
  });

  test('promise 7: the relay never says safe of what it cannot see', async () => {
    const journal = createFailingJournal();
    const first = await startTestRelay(transport, { journal });
    prove(first, 'a');
    await first.clock.advance(5_000);
    expect(await levelOf(first, 'a')).toBe('safe');
    // Its journal does not commit: what it says may be old.
    journal.broken = true;
    first.venue.update('a');
    await first.clock.advance(1_000);
    expect(await levelOf(first, 'a')).toBe('unknown');
    expect((await fetch(`${first.url}/readyz`)).status).toBe(503);
    journal.broken = false;
    await first.clock.advance(10_000);
    expect(await levelOf(first, 'a')).toBe('safe');
    // The link is gone.
    const link = { carrier: 'ws', generation: 1, code: 1006, reason: '', clean: false, initiator: 'network' } as const;
    first.venue.tell({ source: 'main', session: '-', type: 'link.down', data: link });
    await first.clock.advance(60_000);
    expect(await levelOf(first, 'a')).toBe('unknown');
    // And after a restart nothing is believed before it was proved again.
    await first.close();
    const second = await startTestRelay(transport, { journal });
    expect(await levelOf(second, 'a')).toBe('unknown');
    prove(second, 'a');
    await second.clock.advance(5_000);
    expect(await levelOf(second, 'a')).toBe('safe');
  });
});
