import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { CommandReply, CommandRequest } from '../../src/bus/bus.js';
import { VenueError, VenueTimeoutError } from '../../src/errors.js';
import { MAX_WAITING } from '../../src/hub/lanes.js';
import { REQUEST_MEMORY_MS } from '../../src/hub/request-memory.js';
import type { Json } from '../../src/model/json.js';
import { fakeVenue, opened } from '../support/fake-venue.js';
import { settle } from '../support/virtual-clock.js';
import { createWorld, startWorld, type World } from './world.js';

let requests = 0;
function ask(world: World, given: Partial<CommandRequest> = {}): Promise<CommandReply> {
  return world.hub.command({
    by: 'desk-ui',
    source: 'tradernet.desk',
    command: 'act',
    params: {},
    requestId: `request-${++requests}`,
    ...given,
  });
}
/** What a promise came to, as a value: a rejection that is looked at later is not unhandled. */
function outcome(reply: Promise<CommandReply>): Promise<unknown> {
  return reply.catch((thrown: unknown) => thrown);
}

const unhandled: unknown[] = [];
const note = (thrown: unknown): void => {
  unhandled.push(thrown);
};
beforeEach(() => {
  unhandled.length = 0;
  process.on('unhandledRejection', note);
});
afterEach(async () => {
  await settle();
  process.off('unhandledRejection', note);
  expect(unhandled).toEqual([]);
});

describe('the audit trail', () => {
  test('accepted is committed before the venue is called, the outcome before the caller knows', async () => {
    const world = await startWorld();
    world.journal.mode = 'hang';
    const reply = ask(world, { requestId: 'r1', params: { a: 1 } });
    await settle();
    expect(world.venue.calls).toEqual([]);
    world.journal.mode = 'fine';

    const second = await startWorld();
    const asked = ask(second, { requestId: 'r1', params: { a: 1 } });
    await settle();
    expect(second.take()).toEqual(['- command.accepted act']);
    expect(second.venue.lastCall).toMatchObject({ source: 'desk', command: 'act', params: { a: 1 } });
    second.venue.lastCall.answer({ ok: true });
    expect(await asked).toEqual({ result: { ok: true }, cursor: second.hub.head(), requestId: 'r1' });
    expect(second.take()).toEqual(['- command.succeeded act']);
    expect(second.events.map(({ data }) => data)).toEqual([
      { command: 'act', by: 'desk-ui', requestId: 'r1' },
      { command: 'act', by: 'desk-ui', requestId: 'r1' },
    ]);
    void reply;
  });

  test('carries the token of the session that it concerns; `-` is no session', async () => {
    const world = await startWorld({ venue: fakeVenue({ answer: () => 'ok' }) });
    world.venue.say(opened('login'));
    await settle();
    world.take();
    await ask(world, { session: 'login' });
    await ask(world, { session: '-' });
    expect(world.take()).toEqual([
      'login command.accepted act',
      'login command.succeeded act',
      '- command.accepted act',
      '- command.succeeded act',
    ]);
  });

  test('the same requestId is recorded anew when its time is over', async () => {
    const world = await startWorld({ venue: fakeVenue({ answer: () => 'ok' }) });
    await ask(world, { requestId: 'again' });
    await world.clock.advance(REQUEST_MEMORY_MS + 1);
    await ask(world, { requestId: 'again' });
    expect(world.take().filter((line) => line.includes('command'))).toEqual([
      '- command.accepted act',
      '- command.succeeded act',
      '- command.accepted act',
      '- command.succeeded act',
    ]);
  });

  test('a command that the venue carries out later is marked as pending', async () => {
    const world = await startWorld({ venue: fakeVenue({ answer: () => ({ pending: true }) }) });
    await ask(world);
    expect(world.events.at(-1)?.data).toMatchObject({ pending: true });
  });

  test('a caller that is gone changes nothing: the outcome is recorded, and nothing is left unhandled', async () => {
    const world = await startWorld();
    const gone = outcome(ask(world));
    await settle();
    world.venue.lastCall.fail(new VenueError(13009, 'unauthorized'));
    await settle();
    expect(world.take()).toEqual(['- command.accepted act', '- command.failed act']);
    await gone;
  });
});

describe('what comes back', () => {
  test('a credential is never in a result, whatever the grant', async () => {
    const answer: Json = { access_token: 'secret-1', nested: [{ refresh_token: 'secret-2', scope: 'session:x' }] };
    const world = await startWorld({ venue: fakeVenue({ answer: () => answer }) });
    const reply = await ask(world);
    expect(reply).toMatchObject({
      result: { access_token: '[redacted]', nested: [{ refresh_token: '[redacted]', scope: 'session:x' }] },
    });
    expect(JSON.stringify(world.journal.taken.map(({ memory }) => [...(memory ?? [])]))).not.toContain('secret');
  });

  test('a venue’s error comes back as it is, and is recorded without what is secret in it', async () => {
    const world = await startWorld();
    const reply = outcome(ask(world));
    await settle();
    world.venue.lastCall.fail(new VenueError(13009, 'bad token=abcdef of someone@example.test'));
    expect(await reply).toMatchObject({ code: 'venue_error', venueCode: 13009 });
    const recorded = JSON.stringify(world.events.at(-1)?.data);
    expect(recorded).toContain('venue_error');
    expect(recorded).not.toMatch(/abcdef|someone@/);
  });

  test('parameters are kept nowhere', async () => {
    const world = await startWorld({ venue: fakeVenue({ answer: () => 'ok' }) });
    await ask(world, { params: { code: 'hush-123456' } });
    expect(JSON.stringify([world.events, world.journal.taken.map(({ memory }) => [...(memory ?? [])])])).not.toContain(
      'hush',
    );
  });

  test('no answer within 30 s is unknown, and the next command has its turn', async () => {
    const world = await startWorld();
    const first = outcome(ask(world));
    const second = ask(world);
    await world.clock.advance(29_999);
    expect(world.venue.calls).toHaveLength(1);
    await world.clock.advance(1);
    expect(await first).toMatchObject({ code: 'venue_timeout' });
    expect(world.take()).toEqual(['- command.accepted act', '- command.unknown act', '- command.accepted act']);
    world.venue.calls[0]?.fail(new Error('late'));
    world.venue.lastCall.answer('second');
    expect(await second).toMatchObject({ result: 'second' });
  });

  test.each([
    ['the venue’s own timeout', new VenueTimeoutError('the socket broke'), 'venue_timeout'],
    ['a fault of our own', new TypeError('x is not a function'), 'venue_timeout'],
  ])('after %s nobody knows whether the venue acted', async (_, thrown, code) => {
    const world = await startWorld();
    const reply = outcome(ask(world));
    await settle();
    world.venue.lastCall.fail(thrown);
    expect(await reply).toMatchObject({ code });
    expect(world.take()).toEqual(['- command.accepted act', '- command.unknown act']);
  });

  test('a venue that throws before it asks is a failure like any other', async () => {
    const venue = fakeVenue();
    venue.command = () => {
      throw new VenueError('closed', 'not connected');
    };
    const world = await startWorld({ venue });
    await expect(ask(world)).rejects.toMatchObject({ code: 'venue_error' });
    expect(world.take()).toEqual(['- command.accepted act', '- command.failed act']);
  });

  test.each([
    ['source', { source: 'tradernet.none' }, 'not_found'],
    ['command', { command: 'none' }, 'not_found'],
    ['session', { session: 'none' }, 'not_found'],
    ['parameter', { command: 'set', params: { interval: 'x' } }, 'invalid_params'],
    ['parameter too many', { command: 'set', params: { interval: 1, other: 2 } }, 'invalid_params'],
  ])('an unknown %s is refused without a trail', async (_, given, code) => {
    const world = await startWorld();
    await expect(ask(world, given)).rejects.toMatchObject({ code });
    expect(world.take()).toEqual([]);
    expect(world.venue.calls).toEqual([]);
  });

  test('before the start and after the stop there is nothing to command', async () => {
    const world = createWorld();
    await expect(ask(world)).rejects.toMatchObject({ code: 'source_unavailable' });
    await world.hub.start();
    await world.hub.stop({ orders: 'leave' });
    await expect(ask(world)).rejects.toMatchObject({ code: 'source_unavailable' });
  });
});

describe('the queue of a source', () => {
  test('one runs and sixteen wait; the next is told when to come back, and the others are not disturbed', async () => {
    const world = await startWorld();
    const replies = Array.from({ length: 1 + MAX_WAITING }, (_, index) => outcome(ask(world, { params: { index } })));
    const refused = await outcome(ask(world));
    expect(refused).toMatchObject({ code: 'rate_limited', data: { retryAfterMs: expect.any(Number) } });
    for (let index = 0; index <= MAX_WAITING; index++) {
      await world.clock.advance(1_000);
      expect(world.venue.calls).toHaveLength(index + 1);
      expect(world.venue.lastCall.params).toEqual({ index });
      world.venue.lastCall.answer(index);
    }
    expect(await Promise.all(replies)).toMatchObject(replies.map((_, index) => ({ result: index })));
  });

  test('a refused command may be asked again with the same requestId', async () => {
    const world = await startWorld();
    const replies = Array.from({ length: 1 + MAX_WAITING }, () => outcome(ask(world)));
    await expect(ask(world, { requestId: 'patient' })).rejects.toMatchObject({ code: 'rate_limited' });
    for (const _ of replies) {
      await world.clock.advance(1_000);
      world.venue.lastCall.answer('ok');
    }
    const again = ask(world, { requestId: 'patient' });
    await world.clock.advance(1_000);
    world.venue.lastCall.answer('now');
    expect(await again).toMatchObject({ result: 'now' });
    await Promise.all(replies);
  });

  test('five a second reach the venue, whoever asks', async () => {
    const world = await startWorld({ venue: fakeVenue({ answer: () => 'ok' }) });
    let done = 0;
    for (let index = 0; index < 12; index++) void ask(world, { by: `user-${index}` }).then(() => done++);
    await settle(20);
    expect(done).toBe(5);
    await world.clock.advance(1_000);
    expect(done).toBe(10);
    await world.clock.advance(400);
    expect(done).toBe(12);
  });

  test('sources do not wait for each other', async () => {
    const other = fakeVenue({ id: 'other', answer: () => 'other' });
    const world = await startWorld({ others: [other] });
    const stuck = outcome(ask(world));
    expect(await ask(world, { source: 'tradernet.other' })).toMatchObject({ result: 'other' });
    world.venue.lastCall.answer('at last');
    await stuck;
  });
});

describe('equal reads', () => {
  const read = { command: 'read', params: { a: 1, b: { c: 2 } } } as const;

  test('within a second are answered together, to each with its own requestId', async () => {
    const world = await startWorld();
    const first = ask(world, { ...read, requestId: 'one' });
    const second = ask(world, { ...read, params: { b: { c: 2 }, a: 1 }, requestId: 'two', by: 'someone' });
    await world.clock.advance(900);
    const third = ask(world, { ...read, requestId: 'three' });
    await settle();
    expect(world.venue.calls).toHaveLength(1);
    world.venue.lastCall.answer({ at: 1 });
    const replies = await Promise.all([first, second, third]);
    expect(replies.map((reply) => [reply.requestId, 'result' in reply && reply.result])).toEqual([
      ['one', { at: 1 }],
      ['two', { at: 1 }],
      ['three', { at: 1 }],
    ]);
  });

  test.each([
    ['other parameters', { ...read, params: { a: 2 } }],
    ['a list where there was an object', { ...read, params: { a: 1, b: [['c', 2]] } }],
    ['another command', { command: 'act', params: read.params }],
  ])('%s are no equal read', async (_, other) => {
    const world = await startWorld();
    const replies = [outcome(ask(world, read)), outcome(ask(world, other))];
    await settle();
    world.venue.lastCall.answer(1);
    await settle();
    expect(world.venue.calls).toHaveLength(2);
    world.venue.lastCall.answer(2);
    await Promise.all(replies);
  });

  test('after a second the venue is asked anew', async () => {
    const world = await startWorld({ venue: fakeVenue({ answer: () => 'ok' }) });
    await ask(world, read);
    await world.clock.advance(1_001);
    await ask(world, read);
    expect(world.take().filter((line) => line === '- command.accepted read')).toHaveLength(2);
  });

  test('what was read before something acted is not the answer to what is asked after it', async () => {
    let value = 0;
    const venue = fakeVenue({ answer: ({ command }) => (command === 'act' ? ++value : value) });
    const world = await startWorld({ venue });
    expect(await ask(world, read)).toMatchObject({ result: 0 });
    await ask(world);
    expect(await ask(world, read)).toMatchObject({ result: 1 });
  });

  test('a read that is shared needs no place in a queue that is full', async () => {
    const world = await startWorld();
    const first = outcome(ask(world, read));
    await settle();
    const shared = outcome(ask(world, read));
    const others = Array.from({ length: MAX_WAITING }, (_, index) =>
      outcome(ask(world, { ...read, params: { index } })),
    );
    expect(await outcome(ask(world))).toMatchObject({ code: 'rate_limited' });
    const also = outcome(ask(world, read));
    world.venue.lastCall.answer('together');
    expect(await Promise.all([first, shared, also])).toMatchObject(Array(3).fill({ result: 'together' }));
    for (const _ of others) {
      await world.clock.advance(1_000);
      world.venue.lastCall.answer('own');
    }
    await Promise.all(others);
  });
});

describe('the same requestId', () => {
  test('joins the running command, and later gets its first result', async () => {
    const world = await startWorld();
    const first = ask(world, { requestId: 'r' });
    await settle();
    const joined = ask(world, { requestId: 'r' });
    await settle();
    expect(world.venue.calls).toHaveLength(1);
    world.venue.lastCall.answer('once');
    expect(await joined).toEqual(await first);
    await world.clock.advance(REQUEST_MEMORY_MS - 1_000);
    expect(await ask(world, { requestId: 'r' })).toEqual(await first);
    expect(world.venue.calls).toHaveLength(1);
    expect(world.take().filter((line) => line.includes('accepted'))).toHaveLength(1);
  });

  test('gets the first error again', async () => {
    const world = await startWorld();
    const first = outcome(ask(world, { requestId: 'r' }));
    await settle();
    world.venue.lastCall.fail(new VenueError(1, 'no'));
    expect(await first).toMatchObject({ code: 'venue_error' });
    await expect(ask(world, { requestId: 'r' })).rejects.toBe(await first);
    expect(world.venue.calls).toHaveLength(1);
  });

  test.each([
    ['command', { command: 'read' }],
    ['parameters', { params: { a: 2 } }],
    ['session', { session: 'login' }],
    ['source', { source: 'tradernet.other' }],
  ])('with another %s is a conflict', async (_, other) => {
    const world = await startWorld({ others: [fakeVenue({ id: 'other' })], venue: fakeVenue({ answer: () => 'ok' }) });
    world.venue.say(opened('login'));
    await ask(world, { requestId: 'r' });
    await expect(ask(world, { requestId: 'r', ...other })).rejects.toMatchObject({
      code: 'conflict',
      data: { why: 'request_id_reused' },
    });
  });

  test('belongs to its identity, however the two are spelled', async () => {
    const world = await startWorld({ venue: fakeVenue({ answer: ({ params }) => params }) });
    const spellings = [
      ['a', 'b\nc'],
      ['a\nb', 'c'],
      ['a","b', 'c'],
      ['a', 'b","c'],
    ] as const;
    for (const [index, [by, requestId]] of spellings.entries()) {
      const reply = ask(world, { by, requestId, params: { index } });
      await world.clock.advance(1_000);
      expect(await reply).toMatchObject({ result: { index } });
    }
  });

  test('however many reads are asked, an acting command is not forgotten before its time', async () => {
    const world = await startWorld({ venue: fakeVenue({ answer: () => 'ok' }) });
    await ask(world, { requestId: 'precious' });
    for (let index = 0; index < 12_000; index++) await ask(world, { command: 'read', requestId: `read-${index}` });
    world.take();
    await ask(world, { requestId: 'precious' });
    expect(world.take()).toEqual([]);
  });
});

describe('after a restart', () => {
  async function nextLife(world: World): Promise<World> {
    world.journal.kill();
    return startWorld({ journal: world.journal, clock: world.clock });
  }

  test('a command that was under way is unknown, before anything is served', async () => {
    const first = await startWorld();
    void outcome(ask(first, { requestId: 'r', session: '-' }));
    await settle();
    const second = await nextLife(first);
    expect(second.take()).toEqual(['- command.unknown act']);
    expect(second.events[0]?.data).toMatchObject({ command: 'act', by: 'desk-ui', requestId: 'r' });
    const cursor = second.events[0]?.id;
    expect(await ask(second, { requestId: 'r' })).toEqual({
      replayed: true,
      outcome: 'unknown',
      cursor,
      requestId: 'r',
    });
    expect(second.venue.calls).toEqual([]);
    expect((await nextLife(second)).take()).toEqual([]);
  });

  test('the outcome of one that ended is known, with its cursor, for the rest of its ten minutes', async () => {
    const first = await startWorld();
    const good = ask(first, { requestId: 'good' });
    await settle();
    first.venue.lastCall.answer('ok');
    const { cursor } = await good;
    const bad = outcome(ask(first, { requestId: 'bad' }));
    await settle();
    first.venue.lastCall.fail(new VenueError(1, 'no'));
    await bad;
    const badCursor = first.hub.head();
    await first.clock.advance(300_000);
    const second = await nextLife(first);
    expect(await ask(second, { requestId: 'good' })).toEqual({
      replayed: true,
      outcome: 'succeeded',
      cursor,
      requestId: 'good',
    });
    expect(await ask(second, { requestId: 'bad' })).toEqual({
      replayed: true,
      outcome: 'failed',
      cursor: badCursor,
      requestId: 'bad',
    });
    await expect(ask(second, { requestId: 'good', params: { other: 1 } })).rejects.toMatchObject({ code: 'conflict' });
    expect(second.venue.calls).toEqual([]);
    await second.clock.advance(301_000);
    void outcome(ask(second, { requestId: 'good' }));
    await settle();
    expect(second.venue.calls).toHaveLength(1);
  });

  test('what is no longer worth remembering leaves the journal too', async () => {
    const first = await startWorld({ venue: fakeVenue({ answer: () => 'ok' }) });
    for (let index = 0; index < 5; index++) await ask(first);
    await first.clock.advance(REQUEST_MEMORY_MS + 1);
    const second = await nextLife(first);
    void outcome(ask(second));
    await settle();
    second.journal.kill();
    const { memory } = await second.journal.open(0);
    expect(memory.get('hub.commands')?.size).toBe(1);
  });

  test('a command of a source that is no longer configured is unknown too', async () => {
    const first = await startWorld();
    void outcome(ask(first));
    await settle();
    first.journal.kill();
    const second = await startWorld({
      journal: first.journal,
      clock: first.clock,
      venue: fakeVenue({ id: 'another' }),
    });
    expect(second.events.map(({ subject, type }) => `${subject} ${type}`)).toEqual([
      'tradernet.desk.- command.unknown',
    ]);
  });

  test('memory that cannot be read is passed over and forgotten', async () => {
    const first = await startWorld();
    await first.hub.stop({ orders: 'leave' });
    const { journal } = first;
    await journal.open(0);
    await journal.append({
      events: [],
      states: new Map(),
      memory: new Map([['hub.commands', { odd: 7, older: { state: 'running' } }]]),
    });
    journal.kill();
    const second = await startWorld({ journal, clock: first.clock, venue: fakeVenue({ answer: () => 'ok' }) });
    expect(second.take()).toEqual([]);
    await ask(second);
    journal.kill();
    expect([...((await journal.open(0)).memory.get('hub.commands')?.keys() ?? [])]).not.toContain('odd');
  });
});

describe('when the relay stops', () => {
  test('what waits was not begun and is said to be so; what runs is unknown', async () => {
    const world = await startWorld();
    const running = outcome(ask(world));
    const waiting = outcome(ask(world));
    await settle();
    await world.hub.stop({ orders: 'leave' });
    expect(await running).toMatchObject({ code: 'venue_timeout' });
    expect(await waiting).toMatchObject({ code: 'closed' });
    expect(world.take()).toEqual(['- command.accepted act', '- command.unknown act']);
    expect(world.clock.timers).toBe(0);
  });

  test('what the venue still answers while it stops counts', async () => {
    const venue = fakeVenue({ stopping: async () => venue.lastCall.answer('done') });
    const world = await startWorld({ venue });
    const running = ask(world);
    await settle();
    await world.hub.stop({ orders: 'leave' });
    expect(await running).toMatchObject({ result: 'done' });
    expect(world.take()).toEqual(['- command.accepted act', '- command.succeeded act']);
  });
});
