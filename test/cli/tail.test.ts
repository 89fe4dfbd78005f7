import { createHash } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { Fact } from '../../src/model/event.js';
import {
  type Line,
  type PuppetConnection,
  type PuppetRelay,
  startLine,
  startPuppetRelay,
} from '../support/cli-relay.js';
import { type CliRun, cli, endCliRuns } from '../support/cli-run.js';
import { closeTestRelays, startTestRelay, type TestRelay } from '../support/relay.js';

const HEARTBEAT_MS = 15_000;
const closing: (Line | PuppetRelay)[] = [];

afterEach(async () => {
  await endCliRuns();
  await closeTestRelays();
  for (const one of closing.splice(0)) await one.close();
});

async function line(to: string): Promise<Line> {
  const one = await startLine(to);
  closing.push(one);
  return one;
}

async function puppet(options: Parameters<typeof startPuppetRelay>[0] = {}): Promise<PuppetRelay> {
  const one = await startPuppetRelay(options);
  closing.push(one);
  return one;
}

const shown = z.looseObject({ id: z.string(), subject: z.string(), type: z.string() });

/** The events that a tail has printed, `<session> <type>`. */
function events(tail: CliRun): readonly string[] {
  return tail.lines().map((text) => {
    const { subject, type } = shown.parse(JSON.parse(text));
    return `${subject.split('.')[2]} ${type}`;
  });
}

/** The numbers of the `session.updated` that a tail has printed. */
function updates(tail: CliRun): readonly unknown[] {
  const updated = z.looseObject({
    type: z.literal('session.updated'),
    data: z.object({ changed: z.object({ n: z.number() }) }),
  });
  return tail.lines().flatMap((text) => updated.safeParse(JSON.parse(text)).data?.data.changed.n ?? []);
}

/** A tail of a relay, once it is subscribed. */
async function tailing(relay: TestRelay, url: string, ...args: readonly string[]): Promise<CliRun> {
  const one = cli(['tail', url, ...args]);
  await subscribed(relay, 1);
  return one;
}

/** Resolves when the relay has so many subscriptions' worth of connections. */
async function subscribed(relay: TestRelay, groups: number): Promise<void> {
  const health = z.looseObject({ groups: z.number() });
  for (;;) {
    const body: unknown = await (await fetch(`${relay.url}/readyz`)).json();
    if (health.parse(body).groups >= groups) return;
  }
}

/** What the screen shows now: the last drawing. */
function screen(tail: CliRun): string {
  const drawn = tail.stdout().split('\u001b[H').at(-1) ?? '';
  return drawn.replaceAll('\u001b[K', '').replaceAll('\u001b[J', '').replaceAll('\r\n', '\n');
}

const lost = (session: string): Fact => ({
  source: 'main',
  session,
  type: 'session.lost',
  data: { reason: 'evicted' },
});

describe('tail prints', () => {
  test('each event as one line of JSON, whole, in order', async () => {
    const relay = await startTestRelay('ws');
    const tail = await tailing(relay, relay.url);
    relay.venue.open('relay');
    relay.venue.update('relay', 2);
    await tail.until(() => updates(tail).length === 2);
    expect(events(tail).slice(0, 2)).toEqual(['- link.up', 'relay session.opened']);
    expect(updates(tail)).toEqual([1, 2]);
    expect(JSON.parse(tail.lines()[0] ?? '')).toEqual({
      id: expect.stringMatching(/^\d+-\d+$/),
      key: expect.any(String),
      source: '/deribit/main',
      subject: 'deribit.main.-',
      type: 'link.up',
      time: expect.any(String),
      data: { carrier: 'ws', generation: 1, url: 'wss://venue.test' },
    });
    tail.stop();
    expect(await tail.code).toBe(0);
    expect(tail.stderr()).toBe('');
  });

  test('only the channels that were asked for, each event once where they overlap', async () => {
    const relay = await startTestRelay('ws');
    const tail = cli([
      'tail',
      relay.url,
      '--channel',
      'deribit.main.a.>',
      '--channel',
      '*.*.*.session.lost',
      '--channel',
      '*.*.*.session.*',
    ]);
    await subscribed(relay, 3);
    relay.venue.open('a', 'b');
    relay.venue.tell(lost('a'), lost('b'));
    await tail.until(() => events(tail).filter((one) => one.endsWith('session.lost')).length >= 2);
    relay.venue.update('a');
    await tail.until(() => updates(tail).length > 0);
    const lines = events(tail).filter((one) => !one.includes('safety'));
    expect(lines.toSorted()).toEqual([
      'a session.lost',
      'a session.opened',
      'a session.updated',
      'b session.lost',
      'b session.opened',
    ]);
  });

  test('from a cursor on', async () => {
    const relay = await startTestRelay('ws');
    relay.venue.open('relay');
    relay.venue.update('relay', 3);
    await relay.settled();
    const tail = cli(['tail', relay.url, '--since', '0-0']);
    await tail.until(() => updates(tail).length === 3);
    const { id } = shown.parse(JSON.parse(tail.lines().find((text) => text.includes('"n":1')) ?? ''));
    const later = cli(['tail', relay.url, '--since', id]);
    await later.until(() => updates(later).length === 2);
    expect(updates(later)).toEqual([2, 3]);
  });

  test('lines for a person on a terminal, without anything that moves its cursor', async () => {
    const relay = await startTestRelay('ws');
    relay.venue.open('relay');
    relay.venue.tell({
      source: 'main',
      session: '-',
      type: 'venue.degraded',
      data: { what: 'btc_usd', reason: 'a\n\u001b[2Jb' },
    });
    await relay.settled();
    const tail = cli(['tail', relay.url, '--since', '0-0'], { isTTY: true, env: { NO_COLOR: '1' } });
    await tail.until(() => tail.stdout().includes('venue.degraded'));
    // The line of counts below the events is all that is written over.
    const text = tail
      .lines()
      .find((one) => one.includes('venue.degraded'))
      ?.split('\r\u001b[K')
      .at(-1);
    expect(text).toMatch(/^\d\d:\d\d:\d\d\.\d{3}Z deribit\.main\.- venue\.degraded .*what=btc_usd/);
    expect(text).toContain('reason=a\\u000ab');
  });

  test('JSON on a terminal too with --json', async () => {
    const relay = await startTestRelay('ws');
    relay.venue.open('relay');
    const tail = cli(['tail', relay.url, '--since', '0-0', '--json'], { isTTY: true });
    await tail.until(() => tail.lines().length >= 2);
    expect(events(tail)).toContain('relay session.opened');
  });

  test("the relay's socket URL is its URL too", async () => {
    const relay = await startTestRelay('ws');
    const tail = await tailing(relay, `${relay.url.replace('http', 'ws')}/v1/ws`);
    relay.venue.open('relay');
    await tail.until(() => events(tail).includes('relay session.opened'));
  });
});

describe('tail --states', () => {
  test('prints the states there are, and each again when it changes', async () => {
    const relay = await startTestRelay('ws');
    relay.venue.open('a', 'b');
    await relay.settled();
    const tail = cli(['tail', relay.url, '--states', '--channel', 'deribit.>']);
    const states = z.looseObject({ key: z.string(), status: z.string().optional(), attributes: z.looseObject({}) });
    const seen = (): readonly z.infer<typeof states>[] => tail.lines().map((text) => states.parse(JSON.parse(text)));
    await tail.until(() => tail.lines().length === 3);
    expect(seen().map(({ key, status }) => `${key} ${status}`)).toEqual([
      'deribit.main.- undefined',
      'deribit.main.a active',
      'deribit.main.b active',
    ]);
    relay.venue.tell(lost('a'));
    await tail.until(() => seen().some(({ status }) => status === 'lost'));
    expect(
      seen()
        .slice(3)
        .every(({ key }) => key === 'deribit.main.a'),
    ).toBe(true);
    relay.venue.update('b');
    await tail.until(() => seen().at(-1)?.key === 'deribit.main.b');
    expect(seen().at(-1)?.attributes).toMatchObject({ n: 1 });
  });

  test('says what is true after an outage, and what did not change only once', async () => {
    const relay = await startTestRelay('ws');
    relay.venue.open('a', 'b');
    await relay.settled();
    const cable = await line(relay.url);
    const tail = cli(['tail', cable.url, '--states']);
    await tail.until(() => tail.lines().length === 3);
    cable.cut();
    await tail.until(() => tail.stderr().includes('trying again'));
    relay.venue.tell(lost('a'));
    await relay.settled();
    cable.mend();
    await tail.until(() => tail.stdout().includes('"status":"lost"'));
    relay.venue.update('b');
    await tail.until(() => tail.stdout().includes('"n":1'));
    expect(tail.lines().filter((text) => text.includes('"key":"deribit.main.b"'))).toHaveLength(2);
  });

  test('prints lines for a person on a terminal', async () => {
    const relay = await startTestRelay('ws');
    relay.venue.open('a');
    await relay.settled();
    const tail = cli(['tail', relay.url, '--states'], { isTTY: true, env: { NO_COLOR: '1' } });
    await tail.until(() => screen(tail).includes('live'));
    expect(screen(tail)).toMatch(/^unknown +deribit\.main\.a +active +- +- +-\/- +unconfirmed$/m);
    relay.venue.tell(lost('a'));
    await tail.until(() => screen(tail).includes('lost'));
    expect(screen(tail)).toMatch(/1 unsafe {2}0 unknown {2}0 at_risk {2}0 safe {2}2 events/);
    tail.stop();
    expect(await tail.code).toBe(0);
    expect(tail.stdout().endsWith('\u001b[?1049l')).toBe(true);
  });

  test('an outage makes every level unknown on the screen, until the relay has caught up', async () => {
    const relay = await startTestRelay('ws');
    relay.venue.open('a');
    await relay.settled();
    const cable = await line(relay.url);
    const tail = cli(['tail', cable.url, '--states'], { isTTY: true, env: { NO_COLOR: '1' } });
    relay.venue.tell(lost('a'));
    await tail.until(() => /^unsafe +deribit/m.test(screen(tail)));
    cable.cut();
    await tail.until(() => /^unknown +deribit\.main\.a .*was unsafe lost/m.test(screen(tail)));
    expect(screen(tail)).toContain('UNREACHABLE');
    expect(screen(tail)).toContain('the connection ended');
    cable.mend();
    await tail.until(() => /^unsafe +deribit/m.test(screen(tail)));
    expect(screen(tail)).not.toContain('UNREACHABLE');
  });
});

describe('after a reconnect', () => {
  test('tail goes on where it was: nothing is missing and nothing comes twice', async () => {
    const relay = await startTestRelay('ws');
    relay.venue.open('relay');
    await relay.settled();
    const cable = await line(relay.url);
    const tail = await tailing(relay, cable.url, '--channel', 'deribit.main.relay.session.*');
    relay.venue.update('relay', 3);
    await tail.until(() => updates(tail).length === 3);
    for (let round = 0; round < 2; round++) {
      cable.cut();
      await tail.until(() => tail.stderr().split('trying again').length === round + 2);
      relay.venue.update('relay', 50);
      await relay.settled();
      cable.mend();
      relay.venue.update('relay', 5);
      await tail.until(() => updates(tail).length >= 3 + (round + 1) * 55);
    }
    expect(updates(tail)).toEqual(Array.from({ length: 113 }, (_, index) => index + 1));
    expect(tail.stderr()).not.toContain('gap');
  });

  test('an outage before the first event is resumed too', async () => {
    const relay = await startTestRelay('ws');
    relay.venue.open('relay');
    await relay.settled();
    const cable = await line(relay.url);
    const tail = await tailing(relay, cable.url);
    cable.cut();
    await tail.until(() => tail.stderr().includes('trying again'));
    relay.venue.update('relay', 2);
    await relay.settled();
    cable.mend();
    await tail.until(() => updates(tail).length === 2);
    expect(updates(tail)).toEqual([1, 2]);
  });

  test('a relay that was started anew cannot replay, and that is said', async () => {
    const before = await startTestRelay('ws');
    before.venue.open('relay');
    await before.settled();
    const cable = await line(before.url);
    const tail = await tailing(before, cable.url);
    before.venue.update('relay');
    await tail.until(() => updates(tail).length === 1);
    const after = await startTestRelay('ws');
    after.venue.open('relay');
    await after.settled();
    cable.reroute(after.url);
    await before.close();
    await tail.until(() => tail.stderr().includes('gap: >: events after '));
    after.venue.update('relay', 2);
    await tail.until(() => updates(tail).length === 3);
    expect(updates(tail)).toEqual([1, 1, 2]);
    expect(tail.stderr().split('gap: ')).toHaveLength(2);
  });

  test('a relay that drains is left for as long as it says', async () => {
    const relay = await puppet();
    const tail = cli(['tail', relay.url]);
    const first = await relay.next();
    await answered(first, '1-1');
    first.notify('draining', { retryAfterMs: 1 });
    first.close(1001, 'shutting down');
    const second = await relay.next();
    const { params } = await second.request();
    expect(params.channels).toEqual([{ channel: '>', since: '1-1' }]);
    expect(tail.stderr()).toMatch(/the connection ended with 1001: shutting down; trying again in \d+ s/);
  });
});

/** Answers the next `subscribe` of a connection: its one channel begins at a cursor. */
async function answered(connection: PuppetConnection, cursor: string, recovered = true): Promise<unknown> {
  const { params, answer } = await connection.request();
  const [entry] = z
    .array(z.union([z.string(), z.object({ channel: z.string(), since: z.string() })]))
    .parse(params.channels);
  const channel = typeof entry === 'string' ? entry : (entry?.channel ?? '');
  answer({ channels: [{ channel, cursor, recovered }] });
  return entry;
}

function event(id: string, type = 'session.updated', data: object = { changed: {} }) {
  const time = '2026-11-22T13:15:02.123Z';
  return { id, key: id, source: '/deribit/main', subject: 'deribit.main.relay', type, time, data };
}

describe('what no right relay does is noticed', () => {
  test('a frame that does not follow the last one: tail asks again from the last good one', async () => {
    const relay = await puppet();
    const tail = cli(['tail', relay.url]);
    const connection = await relay.next();
    expect(await answered(connection, '1-1')).toBe('>');
    connection.event('>', '1-1', event('1-2'));
    connection.event('>', '1-3', event('1-4'));
    connection.event('>', '1-4', event('1-5'));
    expect(await answered(connection, '1-5')).toEqual({ channel: '>', since: '1-2' });
    connection.event('>', '1-2', event('1-3'));
    connection.event('>', '1-3', event('1-4'));
    connection.event('>', '1-4', event('1-5'));
    connection.notify('caught_up', { channel: '>', cursor: '1-5' });
    connection.event('>', '1-5', event('1-6'));
    await tail.until(() => tail.lines().length === 5);
    expect(tail.lines().map((text) => shown.parse(JSON.parse(text)).id)).toEqual(['1-2', '1-3', '1-4', '1-5', '1-6']);
    expect(tail.stderr()).toContain('frames of > are missing');
  });

  test('a last frame that never came shows at the next heartbeat', async () => {
    const relay = await puppet();
    const tail = cli(['tail', relay.url]);
    const connection = await relay.next();
    await answered(connection, '1-1');
    connection.notify('heartbeat', { now: 'now', cursor: '1-2', last: { '>': '1-2' } });
    expect(await answered(connection, '1-2')).toEqual({ channel: '>', since: '1-1' });
    connection.event('>', '1-1', event('1-2'));
    await tail.until(() => tail.lines().length === 1);
  });

  test('frames that are missing again and again: tail connects anew', async () => {
    const relay = await puppet();
    const tail = cli(['tail', relay.url]);
    const connection = await relay.next();
    await answered(connection, '1-1');
    for (let round = 0; round < 5; round++) {
      connection.event('>', '9-9', event('9-10'));
      await answered(connection, '1-1');
    }
    connection.event('>', '9-9', event('9-10'));
    expect(await answered(await relay.next(), '1-1')).toEqual({ channel: '>', since: '1-1' });
    expect(tail.lines()).toEqual([]);
  });

  test('a relay that falls silent: tail connects anew and resumes', async () => {
    const relay = await puppet({ heartbeatMs: 40 });
    const tail = cli(['tail', relay.url]);
    await answered(await relay.next(), '1-1');
    expect(await answered(await relay.next(), '1-1')).toEqual({ channel: '>', since: '1-1' });
    expect(tail.stderr()).toContain('nothing was heard for');
  });
});

describe('what a newer relay says', () => {
  test('events of types that are not known here are printed whole, and break no chain', async () => {
    const relay = await puppet();
    const tail = cli(['tail', relay.url]);
    const connection = await relay.next();
    await answered(connection, '1-1');
    const unknown = { ...event('1-2', 'order.filled', { amount: 1 }), trace: 'x' };
    connection.event('>', '1-1', unknown);
    connection.event('>', '1-2', event('1-3'));
    await tail.until(() => tail.lines().length === 2);
    expect(JSON.parse(tail.lines()[0] ?? '')).toEqual(unknown);
    connection.notify('novelty', {});
    connection.event('>', '1-3', event('1-4'));
    await tail.until(() => tail.lines().length === 3);
    expect(tail.stderr()).toBe('');
  });

  test('a relay that lags a slow tail replays, and tail follows', async () => {
    const relay = await puppet();
    const tail = cli(['tail', relay.url]);
    const connection = await relay.next();
    await answered(connection, '1-1');
    connection.event('>', '1-1', event('1-2'));
    connection.notify('lag', { since: { '>': '1-2' } });
    connection.event('>', '1-2', event('1-3'));
    connection.notify('caught_up', { channel: '>', cursor: '1-3' });
    connection.event('>', '1-3', event('1-4'));
    await tail.until(() => tail.lines().length === 3);
  });

  test('that it is blind, and that it sees again, is told', async () => {
    const relay = await puppet();
    const tail = cli(['tail', relay.url]);
    const connection = await relay.next();
    await answered(connection, '1-1');
    connection.notify('blind', { sinceMs: 1_000 });
    connection.notify('sighted', { cursor: '1-1' });
    await tail.until(() => tail.stderr().includes('again'));
    expect(tail.stderr()).toContain('take every level for unknown');
  });
});

describe('tail gives up, with exit code 3, where trying again cannot help', () => {
  test.each([[4401], [4403], [4400], [1003], [1009]])('after a close with %i', async (code) => {
    const relay = await puppet();
    const tail = cli(['tail', relay.url]);
    const connection = await relay.next();
    await answered(connection, '1-1');
    connection.close(code, 'for a reason');
    expect(await tail.code).toBe(3);
    expect(tail.stderr()).toContain('(for a reason)');
    expect(relay.attempts()).toBe(1);
  });

  test.each([[401], [403], [404]])('after a refusal with %i, also when it was connected before', async (status) => {
    const relay = await puppet();
    const tail = cli(['tail', relay.url, '--token', 's3cret']);
    const connection = await relay.next();
    expect(connection.headers.authorization).toBe('Bearer s3cret');
    await answered(connection, '1-1');
    relay.refuse(status);
    connection.close(1012);
    expect(await tail.code).toBe(3);
    expect(tail.stderr()).toContain(`refused the connection with ${status}`);
    expect(tail.stderr()).not.toContain('s3cret');
    expect(relay.attempts()).toBe(2);
  });

  test.each([[4403], [-32_602], [4401]])('after a subscription that was refused with %i', async (code) => {
    const relay = await puppet();
    const tail = cli(['tail', relay.url]);
    (await (await relay.next()).request()).fail(code, 'no');
    expect(await tail.code).toBe(3);
    expect(relay.attempts()).toBe(1);
  });

  test('where the relay ended the channel', async () => {
    const relay = await puppet();
    const tail = cli(['tail', relay.url]);
    const connection = await relay.next();
    await answered(connection, '1-1');
    connection.notify('unsubscribed', { channel: '>', cursor: '1-1', reason: 'the grant no longer contains it' });
    expect(await tail.code).toBe(3);
    expect(tail.stderr()).toContain('the relay ended >: the grant no longer contains it');
  });

  test('where nobody listens', async () => {
    const tail = cli(['tail', 'http://127.0.0.1:1']);
    expect(await tail.code).toBe(3);
    expect(tail.stderr()).toMatch(/^session-relay: the relay at http:\/\/127\.0\.0\.1:1 cannot be asked: /);
  });

  test('where a token is wanted, and says how to give one', async () => {
    const sha256 = createHash('sha256').update('right').digest('hex');
    const key = { name: 'a', sha256, channels: ['deribit.>'], commands: [], fields: 'full' } as const;
    const relay = await startTestRelay('ws', { auth: { mode: 'keys', keys: [key] } });
    for (const args of [[], ['--token', 'wr0ng']]) {
      const tail = cli(['tail', relay.url, ...args]);
      expect(await tail.code).toBe(3);
      expect(tail.stderr()).toContain('SESSION_RELAY_TOKEN');
      expect(tail.stderr()).not.toContain('wr0ng');
    }
    const narrow = cli(['tail', relay.url], { env: { SESSION_RELAY_TOKEN: 'right' } });
    expect(await narrow.code).toBe(3);
    expect(narrow.stderr()).toContain('the relay refused');
    const right = cli(['tail', relay.url, '--channel', 'deribit.>'], { env: { SESSION_RELAY_TOKEN: 'right' } });
    await subscribed(relay, 1);
    relay.venue.open('relay');
    await right.until(() => events(right).includes('relay session.opened'));
  });
});

test.each([[4408], [4429], [4500], [1001], [1012]])(
  'a close with %i is followed by another try that resumes',
  async (code) => {
    const relay = await puppet();
    cli(['tail', relay.url]);
    const connection = await relay.next();
    await answered(connection, '1-7');
    connection.close(code);
    expect(await answered(await relay.next(), '1-7')).toEqual({ channel: '>', since: '1-7' });
  },
);

test('a heartbeat of a right relay carries a quiet channel on without a word', async () => {
  const relay = await startTestRelay('ws');
  const cable = await line(relay.url);
  const tail = await tailing(relay, cable.url, '--channel', 'deribit.main.quiet.>');
  relay.venue.open('relay');
  await relay.settled();
  await relay.clock.advance(HEARTBEAT_MS);
  await relay.clock.advance(HEARTBEAT_MS);
  relay.venue.open('quiet');
  await tail.until(() => events(tail).includes('quiet session.opened'));
  expect(tail.stderr()).toBe('');
});
