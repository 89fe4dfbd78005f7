import { createHash } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { AuthOptions } from '../../src/edge/auth.js';
import { createMemoryJournal } from '../../src/hub/journal/memory.js';
import { openStream, type StreamClient } from '../support/event-stream.js';
import { createFailingJournal } from '../support/failing-journal.js';
import { closeTestRelays, startTestRelay, TRANSPORTS } from '../support/relay.js';
import { settle } from '../support/virtual-clock.js';

/** PROTOCOL.md §5, Server-Sent Events and tickets. */
const open: StreamClient[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
  await closeTestRelays();
});
const stream = async (url: string, headers?: Readonly<Record<string, string>>): Promise<StreamClient> => {
  const one = await openStream(url, headers);
  open.push(one);
  return one;
};
const UPDATES = '*.*.*.session.updated';
const sha256 = (token: string): string => createHash('sha256').update(token).digest('hex');
const KEYS: AuthOptions = {
  mode: 'keys',
  keys: [{ name: 'desk', sha256: sha256('desk'), channels: ['deribit.main.a.>'], commands: [], fields: 'redacted' }],
};
const isEvent = (name: string) => (blocks: StreamClient['blocks']) => blocks.some(({ event }) => event === name);

describe.each(TRANSPORTS)('event streams over %s', (transport) => {
  test('the present states first, then the union of the channels in journal order, each event once', async () => {
    const { url, venue, settled, relay } = await startTestRelay(transport);
    venue.open('a', 'b');
    await settled();
    const one = await stream(
      `${url}/v1/stream?channel=deribit.main.a.%3E&channel=${UPDATES}&channel=deribit.main.b.%3E`,
    );
    expect([one.status, one.headers.get('content-type')]).toEqual([200, 'text/event-stream']);
    await one.until(isEvent('relay.snapshot'));
    const table = z.object({
      states: z.array(z.looseObject({ key: z.string() })),
      last: z.literal(true),
      cursor: z.string(),
    });
    const { states, cursor } = table.parse(one.blocks.find(({ event }) => event === 'relay.snapshot')?.data);
    expect(states.map(({ key }) => key)).toEqual(['deribit.main.a', 'deribit.main.b']);
    expect(one.lastEventId()).toBe(cursor);
    for (let round = 0; round < 20; round++) {
      venue.update('a');
      venue.update('b', 2);
    }
    await one.until(() => one.events().length === 60);
    const page = await relay.hub.read(cursor, 1_000);
    expect(one.events()).toEqual(page.events.filter(({ type }) => type === 'session.updated'));
    expect(one.blocks.filter(({ id }) => id !== undefined).at(-1)?.id).toBe(one.events().at(-1)?.id);
  });

  test('resumes by Last-Event-ID, which wins over since, says when it has caught up, and goes on live', async () => {
    const { url, venue, settled } = await startTestRelay(transport);
    venue.open('a');
    venue.update('a', 700);
    await settled();
    const all = await stream(`${url}/v1/stream?channel=${UPDATES}&since=0-0`);
    await all.until(isEvent('relay.caught_up'));
    expect(all.events()).toHaveLength(700);
    const middle = all.events()[299]?.id ?? '';
    const rest = await stream(`${url}/v1/stream?channel=${UPDATES}&since=0-0`, { 'last-event-id': middle });
    await rest.until(isEvent('relay.caught_up'));
    expect(rest.events()).toEqual(all.events().slice(300));
    venue.update('a', 3);
    await rest.until(() => rest.events().length === 403);
    expect(rest.blocks.some(({ event }) => event === 'relay.snapshot')).toBe(false);
  });

  test('what the journal no longer holds is announced, and the table takes its place where there is one', async () => {
    const { url, venue, clock, settled, relay } = await startTestRelay(transport, {
      journal: createMemoryJournal({ retention: { maxAgeMs: 60_000, maxBytes: 20_000 } }),
    });
    venue.open('a');
    await settled();
    const old = relay.hub.head();
    venue.update('a', 200);
    await settled();
    await clock.advance(20_000);
    const typed = await stream(`${url}/v1/stream?channel=${UPDATES}&since=${old}`);
    await typed.until(isEvent('relay.caught_up'));
    expect(typed.blocks.flatMap(({ event }) => event ?? [])).toEqual(['relay.gap', 'relay.caught_up']);
    const whole = await stream(`${url}/v1/stream?channel=%3E&since=${old}`);
    await whole.until(isEvent('relay.snapshot'));
    expect(whole.blocks.find(({ event }) => event === 'relay.gap')?.data).toMatchObject({ from: old, channel: '>' });
    venue.update('a');
    await whole.until(() => whole.events().length === 1);
  });

  test('an id alone at every heartbeat moves what a client resumes with', async () => {
    const { url, venue, clock, settled } = await startTestRelay(transport);
    venue.open('a');
    await settled();
    const one = await stream(`${url}/v1/stream?channel=deribit.main.none.%3E`);
    await one.until(isEvent('relay.snapshot'));
    venue.update('a', 5);
    await settled();
    await clock.advance(15_000);
    const before = one.blocks.length;
    await one.until((blocks) => blocks.length > before);
    const [beat] = one.blocks.slice(before);
    expect(Object.keys(beat ?? {})).toEqual(['id']);
    const rest = await stream(`${url}/v1/stream?channel=${UPDATES}`, { 'last-event-id': beat?.id ?? '' });
    await rest.until(isEvent('relay.caught_up'));
    expect(rest.events()).toEqual([]);
  });

  test('a client that reads nothing costs a chunk; what it left comes when it reads, in order', async () => {
    const { url, venue, settled, relay } = await startTestRelay(transport);
    venue.open('a');
    await settled();
    const slow = await stream(`${url}/v1/stream?channel=${UPDATES}&since=${relay.hub.head()}`);
    for (let sent = 0; sent < 20_000; sent += 1_000) {
      venue.update('a', 1_000);
      await settle(20);
    }
    // Other blocks come in between: it is the last event that is waited for, near the end of what has come.
    await slow.until((blocks) =>
      blocks.slice(-100).some(({ data }) => JSON.stringify(data ?? 0).includes('"n":20000')),
    );
    const numbers = slow
      .events()
      .map(({ data }) => z.object({ changed: z.object({ n: z.number() }) }).parse(data).changed.n);
    expect(numbers).toEqual(Array.from({ length: 20_000 }, (_, index) => index + 1));
  }, 40_000);

  test('shows what the grant shows, and is refused where the grant does not contain the channel', async () => {
    const { url, venue, settled } = await startTestRelay(transport, { auth: KEYS });
    venue.open('a', 'b');
    await settled();
    const bearer = { authorization: 'Bearer desk' };
    expect((await stream(`${url}/v1/stream?channel=%3E`, bearer)).status).toBe(403);
    expect((await stream(`${url}/v1/stream?channel=deribit.main.a.%3E`)).status).toBe(401);
    for (const query of ['', '?channel=a..b', '?channel=%3E&since=now', '?channel=%3E&unknown=1'])
      expect((await stream(`${url}/v1/stream${query}`, bearer)).status).toBe(400);
    expect(
      (await stream(`${url}/v1/stream?channel=deribit.main.a.%3E`, { ...bearer, origin: 'http://elsewhere.test' }))
        .status,
    ).toBe(403);
    const one = await stream(`${url}/v1/stream?channel=deribit.main.a.%3E&since=0-0`, bearer);
    await one.until(isEvent('relay.caught_up'));
    expect(JSON.stringify(one.events())).toContain('[redacted]');
    expect(one.events().every(({ subject }) => subject === 'deribit.main.a')).toBe(true);
  });

  test('a ticket stands for credentials: redeemed within 30 s, again only to resume, within 60 s of the last end', async () => {
    const { url, venue, clock, settled } = await startTestRelay(transport, { auth: KEYS });
    venue.open('a');
    await settled();
    const issue = async (): Promise<string> => {
      const answer = await fetch(`${url}/v1/ticket`, { method: 'POST', headers: { authorization: 'Bearer desk' } });
      return z.object({ ticket: z.string(), redeemWithinMs: z.literal(30_000) }).parse(await answer.json()).ticket;
    };
    expect((await fetch(`${url}/v1/ticket`, { method: 'POST' })).status).toBe(401);
    const path = (ticket: string): string => `${url}/v1/stream?channel=deribit.main.a.%3E&ticket=${ticket}`;
    const late = await issue();
    await clock.advance(30_001);
    expect((await stream(path(late))).status).toBe(401);
    const ticket = await issue();
    const first = await stream(path(ticket));
    await first.until(isEvent('relay.snapshot'));
    const id = first.lastEventId() ?? '';
    expect((await stream(path(ticket))).status).toBe(401);
    await first.close();
    await clock.advance(50_000);
    await settle(20);
    const cut = await stream(path(ticket), { 'last-event-id': id });
    await cut.until(isEvent('relay.caught_up'));
    // A browser that lost its connection comes back before the relay knows: the one it has lost ends.
    const again = await stream(path(ticket), { 'last-event-id': id });
    await again.until(isEvent('relay.caught_up'));
    await cut.ended();
    await again.close();
    await settle(20);
    await clock.advance(61_000);
    expect((await stream(path(ticket), { 'last-event-id': id })).status).toBe(401);
    expect((await stream(path('made-up'))).status).toBe(401);
  });

  test('blindness is told, and a drain ends streams with a time to come back after', async () => {
    const journal = createFailingJournal();
    const { url, venue, clock, settled, relay } = await startTestRelay(transport, { journal });
    venue.open('a');
    await settled();
    const one = await stream(`${url}/v1/stream?channel=%3E`);
    await one.until(isEvent('relay.snapshot'));
    journal.broken = true;
    venue.update('a');
    await clock.advance(1_000);
    await one.until(isEvent('relay.blind'));
    journal.broken = false;
    await clock.advance(10_000);
    await one.until(isEvent('relay.sighted'));
    await one.until(() => one.events().some(({ type }) => type === 'session.updated'));
    const drained = relay.drain();
    await settle(10);
    await clock.advance(20_000);
    await one.ended();
    expect(one.blocks.at(-1)?.retry).toBeGreaterThan(0);
    await drained;
    const answer = await fetch(`${url}/v1/stream?channel=%3E`).catch(() => undefined);
    expect(answer?.status ?? 503).toBe(503);
  });

  test('streams count as connections of an address', async () => {
    const { url, venue, settled } = await startTestRelay(transport, { limits: { maxConnectionsPerAddress: 2 } });
    venue.open('a');
    await settled();
    const first = await stream(`${url}/v1/stream?channel=%3E`);
    const second = await stream(`${url}/v1/stream?channel=%3E`);
    expect([first.status, second.status]).toEqual([200, 200]);
    const third = await stream(`${url}/v1/stream?channel=%3E`);
    expect([third.status, third.headers.get('retry-after')]).toEqual([429, '5']);
    await first.close();
    let status = 0;
    while (status !== 200) {
      const again = await stream(`${url}/v1/stream?channel=%3E`);
      status = again.status;
    }
  });
});
