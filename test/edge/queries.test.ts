import { afterEach, describe, expect, test } from 'vitest';
import { createLocalBus } from '../../src/bus/local.js';
import { eventsParams, getEvents, getSessions, sessionsParams } from '../../src/edge/queries.js';
import { createHub, type Hub } from '../../src/hub/hub.js';
import { createMemoryJournal } from '../../src/hub/journal/memory.js';
import type { Grant } from '../../src/model/grant.js';
import { createScriptedVenue } from '../support/scripted-venue.js';
import { settle, VirtualClock } from '../support/virtual-clock.js';

const ALL: Grant = { identity: 'test', channels: ['>'], commands: [], fields: 'full' };
const UPDATES = '*.*.*.session.updated';
let hub: Hub | undefined;
afterEach(() => hub?.stop({ orders: 'leave' }));

async function setUp(retention = { maxAgeMs: 86_400_000, maxBytes: 1024 ** 3 }) {
  const clock = new VirtualClock();
  const venue = createScriptedVenue();
  const started = createHub({
    venues: [venue],
    journal: createMemoryJournal({ retention }),
    clock,
    random: () => 0.5,
    node: 'test',
  });
  hub = started;
  await started.start();
  venue.open('bot');
  await settle();
  const bus = createLocalBus(started);
  return { clock, venue, ask: (params: object, grant = ALL) => getEvents(bus, grant, eventsParams.parse(params)), bus };
}

describe('get_events', () => {
  test('a page ends at 128 KiB, and the pages together are the whole', async () => {
    const { venue, ask } = await setUp();
    for (let n = 0; n < 300; n++) {
      const changed = { n, pad: 'ä'.repeat(500) };
      venue.tell({ source: 'main', session: 'bot', type: 'session.updated', data: { changed }, key: `pad-${n}` });
    }
    await settle();
    const ids: string[] = [];
    let since: string | undefined = '0-0';
    let pages = 0;
    while (since !== undefined) {
      const page: Awaited<ReturnType<typeof ask>> = await ask({ channel: UPDATES, since });
      expect(Buffer.byteLength(JSON.stringify(page.events))).toBeLessThan(129 * 1024);
      ids.push(...page.events.map(({ id }) => id));
      since = page.next;
      pages++;
    }
    expect([new Set(ids).size, ids.length]).toEqual([300, 300]);
    expect(pages).toBeGreaterThan(2);
  });

  test('a page ends after 10,000 events scanned, with next though there are no events', async () => {
    const { venue, ask } = await setUp();
    for (let n = 0; n < 25; n++) {
      venue.update('bot', 500);
      await settle();
    }
    const first = await ask({ channel: '*.*.*.session.lost' });
    expect(first).toMatchObject({ events: [], complete: true, next: first.cursor });
    const second = await ask({ channel: '*.*.*.session.lost', since: first.next });
    expect(second.events).toEqual([]);
    expect(second).not.toHaveProperty('next');
  });

  test('from and to are inclusive times', async () => {
    const { venue, ask, clock } = await setUp();
    for (let n = 0; n < 5; n++) {
      await clock.advance(1_000);
      venue.update('bot');
      await settle();
    }
    const from = '2026-11-23T08:00:02.000Z';
    const to = '2026-11-23T08:00:04.000Z';
    const { events } = await ask({ channel: UPDATES, from, to });
    expect(events.map(({ time }) => time)).toEqual([from, '2026-11-23T08:00:03.000Z', to]);
  });

  test('complete is false only where part of the range was dropped: what lies before from does not count', async () => {
    const { venue, ask, clock } = await setUp({ maxAgeMs: 60_000, maxBytes: 1024 ** 3 });
    expect((await ask({})).complete).toBe(true);
    for (let n = 0; n < 12; n++) {
      await clock.advance(10_000);
      venue.update('bot');
      await settle();
    }
    expect((await ask({})).complete).toBe(false);
    expect((await ask({ from: '2026-11-23T08:00:05.000Z' })).complete).toBe(false);
    expect((await ask({ from: '2026-11-23T08:01:50.000Z' })).complete).toBe(true);
  });

  test('without a channel it is all that the grant contains', async () => {
    const { venue, ask } = await setUp();
    venue.open('desk');
    await settle();
    const grant: Grant = { ...ALL, channels: ['deribit.main.desk.>'] };
    const { events } = await ask({}, grant);
    expect(new Set(events.map(({ subject }) => subject))).toEqual(new Set(['deribit.main.desk']));
    await expect(ask({ channel: '>' }, grant)).rejects.toMatchObject({ code: 'forbidden' });
  });
});

test('get_sessions pages over what the grant shows alone, however much lies between', async () => {
  const { venue, bus } = await setUp();
  venue.open(...Array.from({ length: 2_300 }, (_, n) => `s${String(n).padStart(4, '0')}`));
  await settle(40);
  const grant: Grant = { ...ALL, channels: ['*.*.s0003.>', '*.*.s2100.>', '*.*.s2200.>'] };
  const first = await getSessions(bus, grant, sessionsParams.parse({ limit: 2 }));
  expect(first.sessions.map(({ session }) => session)).toEqual(['s0003', 's2100']);
  const second = await getSessions(bus, grant, sessionsParams.parse({ limit: 2, after: first.next }));
  expect(second.sessions.map(({ session }) => session)).toEqual(['s2200']);
  expect(second).not.toHaveProperty('next');
});

test('a page of sessions ends at 128 KiB too, and next leads to the rest', async () => {
  const { venue, bus } = await setUp();
  venue.open(...Array.from({ length: 900 }, (_, n) => `s${String(n).padStart(3, '0')}`));
  await settle(40);
  const keys: string[] = [];
  let after: string | undefined;
  let pages = 0;
  do {
    const page = await getSessions(bus, ALL, sessionsParams.parse(after === undefined ? {} : { after }));
    expect(Buffer.byteLength(JSON.stringify(page.sessions))).toBeLessThanOrEqual(128 * 1024 + page.sessions.length);
    keys.push(...page.sessions.map(({ key }) => key));
    after = page.next;
    pages++;
  } while (after !== undefined);
  expect(pages).toBeGreaterThan(2);
  expect(keys).toEqual(keys.toSorted());
  expect(new Set(keys).size).toBe(902);
});
