import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { SessionEvent, StatesView } from '../../src/client/node.js';
import { createLmdbJournal } from '../../src/hub/journal/lmdb.js';
import { closeTestRelays, startTestRelay, TRANSPORTS } from '../support/relay.js';
import { until } from '../support/virtual-clock.js';
import { closeClients, connected, passing } from './connected.js';

/** What a relay does for subscribers that are slow, show many sessions, or outlive it: the client against the real one. */
const folders: string[] = [];
afterEach(async () => {
  await closeClients();
  await closeTestRelays();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

const last = <T>(values: readonly T[]): T | undefined => values.at(-1);

describe.each(TRANSPORTS)('over %s', (transport) => {
  test('a client that does not read is replayed by the relay at its pace: every event once, nothing is unknown for longer', async () => {
    const relay = await startTestRelay(transport);
    relay.venue.open('relay');
    await relay.settled();
    const { client, sockets, is, statuses } = connected(relay);
    const seen: unknown[] = [];
    const views: StatesView[] = [];
    client.events$('deribit.>').subscribe((event: SessionEvent) => {
      if (event.type === 'session.updated') seen.push(event.data.changed.n);
    });
    client.states$('deribit.>').subscribe((view) => views.push(view));
    await is('open');
    const [statusesBefore, viewsBefore] = [statuses.length, views.length];
    sockets[0]?.pause();
    // Far more than the relay holds for one subscriber, and than the kernel's buffers take.
    for (let round = 0; round < 40; round++) {
      relay.venue.update('relay', 500);
      await relay.settled();
    }
    sockets[0]?.resume();
    await passing(relay.clock, () => seen.length >= 20_000, 'all of them');
    expect(seen).toEqual(Array.from({ length: 20_000 }, (_, n) => n + 1));
    await is('open');
    expect(statuses.slice(statusesBefore).some(({ state }) => state === 'replaying')).toBe(true);
    expect(views.slice(viewsBefore).some(({ view }) => view === 'replaying')).toBe(true);
    expect(last(views)).toEqual({ view: 'live', states: new Map(relay.relay.hub.states()) });
    expect(last(statuses)).toMatchObject({ gaps: 0, resubscribed: 0, faults: 0 });
    expect(sockets).toHaveLength(1);
  }, 60_000);

  test('states mode: far fewer frames, the same states; whoever wants events too gets each from then on', async () => {
    const relay = await startTestRelay(transport);
    relay.venue.open('relay', 'gone');
    await relay.settled();
    const { client, sockets, is, statuses } = connected(relay);
    const views: StatesView[] = [];
    client.states$('deribit.>', { mode: 'states' }).subscribe((view) => views.push(view));
    await is('open');
    expect(last(views)?.states.size).toBe(3);
    let frames = 0;
    sockets[0]?.on('message', (bytes) => {
      if (String(bytes).includes('"subscription"')) frames++;
    });
    const asTheRelay = (): boolean => {
      const held = last(views)?.states.get('deribit.main.relay');
      return held !== undefined && held.cursor === relay.relay.hub.states().get(held.key)?.cursor;
    };
    for (let round = 0; round < 20; round++) {
      relay.venue.update('relay', 10);
      await relay.settled();
      await relay.clock.advance(25);
    }
    await passing(relay.clock, asTheRelay, 'the newest state');
    expect(frames).toBeLessThan(10);
    relay.venue.tell(
      { source: 'main', session: 'gone', type: 'session.closed', data: { by: 'user' } },
      { source: 'main', session: 'gone', type: 'session.removed', data: {} },
    );
    await passing(relay.clock, () => last(views)?.states.size === 2, 'the removal');
    const events: SessionEvent[] = [];
    client.events$('deribit.>').subscribe((event) => events.push(event));
    await is('open');
    relay.venue.update('relay', 3);
    await until(() => events.length === 3, 'three events');
    await until(asTheRelay, 'the state after them');
    expect(last(views)).toEqual({ view: 'live', states: new Map(relay.relay.hub.states()) });
    expect(last(statuses)).toMatchObject({ gaps: 0, resubscribed: 0, faults: 0 });
  });

  test('a relay that restarts on its journal: every event once across it, and a command under way is not done twice', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'client-journal-'));
    folders.push(folder);
    const auth = { mode: 'none', commands: ['deribit.main:act'] } as const;
    const first = await startTestRelay(transport, { auth, journal: createLmdbJournal({ path: folder }) });
    first.venue.open('relay');
    await first.settled();
    let at = first;
    const { client, is, statuses } = connected(first, { address: () => `${at.url.replace('http', 'ws')}/v1/ws` });
    const seen: unknown[] = [];
    client.events$('*.*.*.session.updated').subscribe(({ data }) => seen.push(data.changed.n));
    await is('open');
    first.venue.update('relay', 50);
    await until(() => seen.length === 50, 'fifty');
    first.venue.answer = () => new Promise(() => undefined);
    const command = client
      .command('deribit.main', 'act', { n: 1 }, { requestId: 'once' })
      .catch((error: unknown) => error);
    await until(() => first.venue.calls.length === 1, 'the call');
    await first.relay.close({ orders: 'leave' });
    await is('unreachable');
    const second = await startTestRelay(transport, { auth, journal: createLmdbJournal({ path: folder }) });
    at = second;
    second.venue.open('relay');
    await is('open');
    // The venue tells what it told before, and three more: the journal holds the keys of the first fifty.
    second.venue.update('relay', 53);
    await until(() => seen.length === 53, 'what came after the restart');
    expect(seen).toEqual(Array.from({ length: 53 }, (_, n) => n + 1));
    expect(await command).toMatchObject({ code: 'venue_timeout', data: { requestId: 'once', outcome: 'unknown' } });
    expect(second.venue.calls).toHaveLength(0);
    expect(last(statuses)).toMatchObject({ gaps: 0 });
  });
});
