import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { SLOW_COMMIT_MS } from '../../src/hub/intake.js';
import { closeTestRelays, startTestRelay, type TestRelay, TRANSPORTS } from '../support/relay.js';
import { createSlowJournal, type SlowJournal } from '../support/slow-journal.js';
import type { Subscriber } from '../support/subscriber.js';

/** PROTOCOL.md §4, `blind` and `sighted`: counted from when the oldest fact began to wait, whatever the journal does. */
const UPDATES = '*.*.*.session.updated';
const mends: (() => Promise<void>)[] = [];
afterEach(async () => {
  // A relay whose journal does not follow takes its time to end, and time is ours.
  for (const mend of mends.splice(0)) await mend();
  await closeTestRelays();
});

interface Blindable extends TestRelay {
  readonly journal: SlowJournal;
  readonly subscriber: Subscriber;
}

async function start(transport: 'uws' | 'ws'): Promise<Blindable> {
  const journal = createSlowJournal();
  const running = await startTestRelay(transport, { journal });
  journal.clock = running.clock;
  mends.push(async () => {
    journal.takes = 0;
    journal.fails = false;
    journal.release();
    await running.clock.advance(10_000);
  });
  running.venue.open('bot');
  await running.settled();
  const subscriber = await running.connect();
  await subscriber.request('subscribe', { channels: [UPDATES] });
  return { ...running, journal, subscriber };
}

/** How often a subscriber was told. */
async function told(subscriber: Subscriber, method: string): Promise<readonly unknown[]> {
  // Whatever was sent before the answer has arrived with it.
  await subscriber.request('ping');
  return subscriber.messages.filter((one) => one.method === method).map(({ params }) => params);
}

const body = z.looseObject({
  checks: z.record(z.string(), z.string()),
  journal: z.object({ lagMs: z.number(), waiting: z.number() }),
  eventLoop: z.object({ lateMs: z.number() }),
});

async function readiness(url: string) {
  const answer = await fetch(`${url}/readyz`);
  return { code: answer.status, ...body.parse(await answer.json()) };
}

const failures: readonly (readonly [string, (journal: SlowJournal) => void])[] = [
  ['fails at once', (journal) => (journal.fails = true)],
  [
    'fails only after 900 ms',
    (journal) => {
      journal.takes = 900;
      journal.fails = true;
    },
  ],
  ['hangs', (journal) => (journal.takes = 'hang')],
];

describe.each(TRANSPORTS)('blindness over %s', (transport) => {
  test.each(failures)(
    'a commit that %s: every subscriber is told 1 s after it began, and not before',
    async (_how, fail) => {
      const { journal, venue, clock, settled, subscriber, connect } = await start(transport);
      const other = await connect();
      fail(journal);
      venue.update('bot', 2);
      await settled();
      await clock.advance(999);
      expect(await told(subscriber, 'blind')).toEqual([]);
      await clock.advance(1);
      expect(await told(subscriber, 'blind')).toEqual([{ sinceMs: 1_000 }]);
      expect(await told(other, 'blind')).toEqual([{ sinceMs: 1_000 }]);
      await clock.advance(4_000);
      expect(await told(await connect(), 'blind')).toEqual([{ sinceMs: 5_000 }]);
      expect(await told(subscriber, 'blind')).toHaveLength(1);
      expect(subscriber.events(UPDATES)).toEqual([]);
    },
  );

  test('what waits behind a slow commit counts from when it came: a queue that is a second old is blindness too', async () => {
    const { journal, venue, clock, settled, subscriber } = await start(transport);
    journal.takes = 700;
    venue.update('bot');
    await settled();
    await clock.advance(100);
    venue.update('bot');
    // The first is committed at 700 ms, the second would be at 1 400 ms, 1 300 ms after it came.
    await clock.advance(999);
    expect(await told(subscriber, 'blind')).toEqual([]);
    await clock.advance(1);
    expect(await told(subscriber, 'blind')).toEqual([{ sinceMs: 1_000 }]);
    await clock.advance(300);
    expect(await told(subscriber, 'sighted')).toEqual([{ cursor: subscriber.cursor(UPDATES) }]);
    expect(subscriber.events(UPDATES)).toHaveLength(2);
  });

  test('a commit that takes less than a second, again and again, is told to nobody', async () => {
    const { journal, venue, clock, settled, subscriber } = await start(transport);
    journal.takes = 900;
    for (let round = 0; round < 5; round++) {
      venue.update('bot');
      await settled();
      await clock.advance(950);
    }
    expect(await told(subscriber, 'blind')).toEqual([]);
    expect(await told(subscriber, 'sighted')).toEqual([]);
    expect(subscriber.events(UPDATES)).toHaveLength(5);
  });

  test.each(failures)(
    'a commit that %s, and then does not: everything follows once, in order, and only then `sighted`',
    async (_how, fail) => {
      const { journal, venue, clock, settled, subscriber } = await start(transport);
      fail(journal);
      for (let round = 0; round < 30; round++) {
        venue.update('bot', 40);
        await settled();
        await clock.advance(200);
      }
      journal.fails = false;
      journal.takes = 0;
      journal.release();
      await clock.advance(10_000);
      await subscriber.until(() => subscriber.events(UPDATES).length >= 1_200);
      expect(await told(subscriber, 'sighted')).toHaveLength(1);
      const names = subscriber.messages.flatMap(({ method }) => (method === undefined ? [] : [method]));
      expect(names.lastIndexOf('subscription')).toBeLessThan(names.indexOf('sighted'));
      const numbers = subscriber.events(UPDATES).map(({ data }) => JSON.stringify(data));
      expect(numbers).toEqual(Array.from({ length: 1_200 }, (_, index) => `{"changed":{"n":${index + 1}}}`));
      expect(subscriber.losses).toEqual([]);
      expect(await told(subscriber, 'sighted')).toEqual([{ cursor: subscriber.cursor(UPDATES) }]);
    },
  );

  test('blind for 30 s, counted from the same moment: everybody is closed with 4500, and whoever comes later too', async () => {
    const { journal, venue, clock, settled, subscriber, connect } = await start(transport);
    journal.takes = 'hang';
    venue.update('bot');
    await settled();
    await clock.advance(29_999);
    await subscriber.request('ping');
    await clock.advance(1);
    expect(await subscriber.closed).toMatchObject({ code: 4500 });
    const late = await connect();
    expect(await late.next('blind')).toEqual({ sinceMs: 30_000 });
    expect(await late.closed).toMatchObject({ code: 4500 });
    journal.takes = 0;
    journal.release();
    await clock.advance(1_000);
    await (await connect()).request('subscribe', { channels: ['>'] });
  });

  test('readiness turns red at once where a commit fails, and in time where it hangs; both lags are told in any case', async () => {
    const { journal, venue, clock, settled, url } = await start(transport);
    expect(await readiness(url)).toMatchObject({
      code: 200,
      checks: { journal: 'ok', eventLoop: 'ok', blind: 'ok' },
      journal: { lagMs: 0, waiting: 0 },
      eventLoop: { lateMs: expect.any(Number) },
    });
    journal.takes = 'hang';
    venue.update('bot', 3);
    await settled();
    venue.update('bot', 4);
    await settled();
    await clock.advance(SLOW_COMMIT_MS - 1);
    expect(await readiness(url)).toMatchObject({ code: 200, journal: { lagMs: SLOW_COMMIT_MS - 1, waiting: 7 } });
    await clock.advance(1);
    expect(await readiness(url)).toMatchObject({ code: 503, journal: { lagMs: SLOW_COMMIT_MS, waiting: 7 } });
    journal.takes = 0;
    journal.release();
    await clock.advance(1_000);
    expect(await readiness(url)).toMatchObject({ code: 200, journal: { lagMs: 0, waiting: 0 } });
    journal.fails = true;
    venue.update('bot');
    await settled();
    expect(await readiness(url)).toMatchObject({
      code: 503,
      checks: {
        journal: 'the journal does not commit: no space left on device',
        blind: expect.stringMatching(/^blind since /),
      },
      journal: { lagMs: 0, waiting: 1 },
    });
    expect((await fetch(`${url}/livez`)).status).toBe(200);
  });

  test('over HTTP, where nobody hears `blind`, every level is unknown until the relay follows again', async () => {
    const { journal, venue, clock, settled, url } = await start(transport);
    venue.tell(
      { source: 'main', session: '-', type: 'venue.normal', data: {} },
      { source: 'main', session: '-', type: 'account.unlocked', data: { what: 'all' } },
    );
    await settled();
    await clock.advance(4_000);
    const path = `${url}/v1/sessions/deribit.main.bot`;
    const before = await fetch(path);
    const tag = before.headers.get('etag') ?? '';
    const { safety } = z.object({ safety: z.object({ level: z.string() }) }).parse(await before.json());
    expect(safety.level).not.toBe('unknown');
    journal.fails = true;
    venue.update('bot');
    await settled();
    const blind = { safety: { level: 'unknown', reasons: ['relay_blind'], notes: [] } };
    const during = await fetch(path, { headers: { 'if-none-match': tag } });
    expect([during.status, await during.json()]).toMatchObject([200, blind]);
    const listed = z
      .object({ sessions: z.array(z.looseObject({ kind: z.string() })) })
      .parse(await (await fetch(`${url}/v1/sessions`)).json());
    expect(listed.sessions.filter(({ kind }) => kind !== 'source')).toMatchObject([blind]);
    journal.fails = false;
    await clock.advance(10_000);
    expect(await (await fetch(path)).json()).toMatchObject({ safety: { level: safety.level } });
  });
});
