import { config } from 'rxjs';
import { afterEach, describe, expect, test } from 'vitest';
import { createMemoryJournal } from '../../src/hub/journal/memory.js';
import { type Sessions, type SessionsOptions, sessions } from '../../src/hub/sessions.js';
import type { SessionEvent } from '../../src/model/event.js';
import { isSessionState } from '../../src/model/fold.js';
import type { Safety } from '../../src/model/session.js';
import type { Log } from '../../src/net/log.js';
import { type FaultyJournal, faultyJournal } from '../hub/world.js';
import { type FakeVenue, fact, fakeVenue, linkUp, opened } from '../support/fake-venue.js';
import { describeEvent } from '../support/stage.js';
import { settle, VirtualClock } from '../support/virtual-clock.js';

interface Bot {
  readonly clock: VirtualClock;
  readonly venue: FakeVenue;
  readonly journal: FaultyJournal;
  readonly live: Sessions;
  readonly logged: readonly string[];
}

async function bot(venue = fakeVenue(), more: SessionsOptions = {}): Promise<Bot> {
  const clock = new VirtualClock();
  const journal = faultyJournal();
  const logged: string[] = [];
  const write = (message: string): void => {
    logged.push(message);
  };
  const log: Log = { debug: write, info: write, warn: write, error: write };
  const live = sessions([venue], { clock, journal, log, random: () => 0.5, ...more });
  await settle();
  return { clock, venue, journal, live, logged };
}

const KEY = 'tradernet.desk.login';

describe('safety$', () => {
  function watch(live: Sessions, key = KEY): readonly Safety[] {
    const seen: Safety[] = [];
    live.safety$(key).subscribe((safety) => seen.push(safety));
    return seen;
  }

  test('emits at once and says unknown until it is proved, then each change', async () => {
    const clock = new VirtualClock();
    const venue = fakeVenue();
    const live = sessions([venue], { clock });
    const seen = watch(live);
    expect(seen).toEqual([{ level: 'unknown', reasons: ['relay_blind'], notes: [] }]);
    await settle();
    venue.say(linkUp(), opened('login'));
    await clock.advance(3_000);
    venue.say(fact('login', 'session.lost', { reason: 'x' }));
    await settle();
    expect(seen.map(({ level, reasons }) => [level, ...reasons])).toEqual([
      ['unknown', 'relay_blind'],
      ['unknown', 'unconfirmed'],
      ['safe'],
      ['unsafe', 'lost'],
    ]);
  });

  test('is never silent about a key that nobody knows, nor about one that was dropped', async () => {
    const { venue, live, clock } = await bot();
    const ghost = watch(live, 'deribit.none.none');
    expect(ghost).toMatchObject([{ level: 'unknown' }]);
    venue.say(opened('login'));
    await clock.advance(3_000);
    const seen = watch(live);
    venue.say(fact('login', 'session.closed', { by: 'venue' }), fact('login', 'session.removed', {}));
    await settle();
    expect(seen.at(-1)?.level).toBe('unknown');
    expect(live.state(KEY)).toBeUndefined();
    expect(ghost).toHaveLength(1);
  });

  test('says relay_blind while the journal does not commit, and comes back', async () => {
    const { venue, live, clock, journal } = await bot();
    venue.say(opened('login'));
    await clock.advance(3_000);
    const seen = watch(live);
    journal.mode = 'fail';
    venue.say(fact('login', 'session.updated', { changed: { a: 1 } }));
    await clock.advance(1_000);
    journal.mode = 'fine';
    await clock.advance(10_000);
    expect(seen.map(({ level, reasons }) => [level, ...reasons])).toEqual([
      ['safe'],
      ['unknown', 'relay_blind'],
      ['safe'],
    ]);
  });

  test('ends with unknown when it is stopped, and says the same to whoever comes later', async () => {
    const { venue, live, clock } = await bot();
    venue.say(opened('login'));
    await clock.advance(3_000);
    let completed = false;
    const seen: string[] = [];
    live.safety$(KEY).subscribe({
      next: ({ level }) => seen.push(level),
      complete: () => {
        completed = true;
      },
    });
    await live.stop({ orders: 'leave' });
    expect([seen, completed]).toEqual([['safe', 'unknown'], true]);
    expect(watch(live)).toEqual([{ level: 'unknown', reasons: ['relay_blind'], notes: [] }]);
  });

  test('says unknown for good where it cannot start', async () => {
    const journal = faultyJournal();
    journal.open = () => Promise.reject(new Error('no such disk'));
    const { live, logged } = await bot(fakeVenue(), { journal });
    expect(watch(live)).toEqual([{ level: 'unknown', reasons: ['relay_blind'], notes: [] }]);
    await expect(live.command('tradernet.desk', 'read')).rejects.toMatchObject({ code: 'journal_failed' });
    expect(logged.join()).toContain('could not be started');
    await live.stop({ orders: 'leave' });
  });
});

describe('events$ and states$', () => {
  test('events come in journal order, each once, to every subscriber; both streams complete after stop', async () => {
    const { venue, live, clock } = await bot();
    const seen: string[][] = [[], []];
    const completed: string[] = [];
    for (const lines of seen)
      live.events$.subscribe({
        next: (event) => lines.push(describeEvent(event)),
        complete: () => completed.push('events'),
      });
    live.states$.subscribe({ complete: () => completed.push('states') });
    venue.say(linkUp(), opened('login'));
    await clock.advance(3_000);
    await live.stop({ orders: 'leave' });
    expect(seen[0]).toEqual(['- link.up ws', 'login session.opened login', 'login safety.changed safe']);
    expect(seen[1]).toEqual(seen[0]);
    expect(completed.toSorted()).toEqual(['events', 'events', 'states']);
    let late = false;
    live.events$.subscribe({
      complete: () => {
        late = true;
      },
    });
    expect(late).toBe(true);
  });

  test('the state that an event made is there when the event is told', async () => {
    const { venue, live } = await bot();
    const seen: unknown[] = [];
    live.on('session.lost', ({ subject }) => {
      const state = live.state(subject);
      seen.push(state !== undefined && isSessionState(state) && state.status);
    });
    venue.say(opened('login'), fact('login', 'session.lost', { reason: 'x' }));
    await settle();
    expect(seen).toEqual(['lost']);
  });

  test('states$ begins with what is, and tells each change once a turn; a pulse is no change, but state() shows it', async () => {
    const { venue, live, clock } = await bot();
    venue.say(opened('login'), fact('login', 'heartbeat.armed', { intervalMs: 10_000 }));
    await clock.advance(3_000);
    const seen: string[] = [];
    live.states$.subscribe((state) => seen.push(`${state.session} ${isSessionState(state) ? state.status : 'source'}`));
    expect(seen).toEqual(['login active']);
    venue.say(fact('login', 'session.contested', {}), fact('login', 'session.lost', { reason: 'x' }), linkUp());
    await settle();
    expect(seen).toEqual(['login active', 'login lost', '- source']);
    venue.say(fact('login', 'heartbeat.pulse', { rttMs: 7 }));
    await settle();
    expect(seen).toHaveLength(3);
    expect(live.state(KEY)).toMatchObject({ heartbeat: { rttMs: 7 } });
  });

  test('states() is a copy', async () => {
    const { venue, live } = await bot();
    const before = live.states();
    venue.say(opened('login'));
    await settle();
    expect([before.size, live.states().size]).toEqual([0, 1]);
  });
});

describe('a consumer that fails', () => {
  afterEach(() => {
    config.onUnhandledError = null;
  });

  test('a subscriber that throws is reported by RxJS; the others and the hub go on, and so does it', async () => {
    const reported: unknown[] = [];
    config.onUnhandledError = (thrown: unknown) => reported.push(thrown);
    const { venue, live } = await bot();
    let before = 0;
    let thrower = 0;
    let after = 0;
    live.events$.subscribe(() => before++);
    live.events$.subscribe(() => {
      thrower++;
      throw new Error('the bot is broken');
    });
    live.events$.subscribe(() => after++);
    venue.say(opened('a'));
    await settle();
    venue.say(opened('b'));
    await settle();
    // RxJS reports on a timer of its own: wait for it turn by turn.
    for (let turn = 0; turn < 1_000 && reported.length < 2; turn++) await settle();
    expect([before, thrower, after]).toEqual([2, 2, 2]);
    expect(reported).toEqual([new Error('the bot is broken'), new Error('the bot is broken')]);
    expect(live.states().size).toBe(2);
  });

  test('a listener that throws or rejects is logged and called again, and stops no other', async () => {
    const { venue, live, logged } = await bot();
    const calls: string[] = [];
    live.on('session.opened', () => {
      calls.push('throws');
      throw new Error('broken');
    });
    live.on('session.opened', async () => {
      calls.push('rejects');
      throw new Error('broken later');
    });
    live.on('session.opened', () => calls.push('works'));
    venue.say(opened('a'), opened('b'));
    await settle();
    expect(calls).toEqual(['throws', 'rejects', 'works', 'throws', 'rejects', 'works']);
    expect(logged.filter((line) => line.includes('a listener of session.opened failed'))).toHaveLength(4);
  });
});

describe('on and off', () => {
  test('a listener is called for its type alone, once however often it was added, until it is taken off', async () => {
    const { venue, live } = await bot();
    const seen: SessionEvent['type'][] = [];
    const listener = (event: SessionEvent): void => {
      seen.push(event.type);
    };
    live.on('session.opened', listener);
    live.on('session.opened', listener);
    live.on('session.lost', listener);
    venue.say(opened('login'), fact('login', 'session.contested', {}), fact('login', 'session.lost', { reason: 'x' }));
    await settle();
    expect(seen).toEqual(['session.opened', 'session.lost']);
    live.off('session.opened', listener);
    live.off('session.opened', listener);
    venue.say(opened('login'), fact('login', 'session.lost', { reason: 'x' }));
    await settle();
    expect(seen).toEqual(['session.opened', 'session.lost', 'session.lost']);
  });

  test('the data is typed by the event type', async () => {
    const { venue, live } = await bot();
    const reasons: string[] = [];
    live.on('session.lost', (event) => reasons.push(event.data.reason));
    venue.say(opened('login'), fact('login', 'session.lost', { reason: 'eviction' }));
    await settle();
    expect(reasons).toEqual(['eviction']);
  });
});

describe('command', () => {
  test('waits for the start, and gives every call a request of its own', async () => {
    const clock = new VirtualClock();
    const venue = fakeVenue({ answer: ({ command, params }) => ({ command, ...params }) });
    const live = sessions([venue], { clock });
    const replies = await Promise.all([
      live.command('tradernet.desk', 'act', { a: 1 }),
      live.command('tradernet.desk', 'act', { a: 1 }),
    ]);
    expect(replies).toMatchObject([{ result: { command: 'act', a: 1 } }, { result: { command: 'act', a: 1 } }]);
    expect(replies[0]?.requestId).not.toBe(replies[1]?.requestId);
    await expect(live.command('tradernet.none', 'act')).rejects.toMatchObject({ code: 'not_found' });
  });

  test('a bot that starts again on the same journal is not taken for its last life', async () => {
    const journal = createMemoryJournal();
    const clock = new VirtualClock();
    const first = sessions([fakeVenue({ answer: () => 1 })], { clock, journal });
    await first.command('tradernet.desk', 'act');
    await first.stop({ orders: 'leave' });
    const second = sessions([fakeVenue({ answer: () => 2 })], { clock, journal });
    expect(await second.command('tradernet.desk', 'act')).toMatchObject({ result: 2 });
    await second.stop({ orders: 'leave' });
  });

  test('the same requestId is done once', async () => {
    const { live, venue } = await bot(fakeVenue());
    const replies = [1, 2].map(() => live.command('tradernet.desk', 'act', {}, { requestId: 'mine' }));
    await settle();
    venue.lastCall.answer('done');
    expect(await Promise.all(replies)).toMatchObject([{ result: 'done' }, { result: 'done' }]);
    expect(venue.calls).toHaveLength(1);
  });
});

describe('stop', () => {
  test('the first call decides about orders; every call resolves, and nothing is left', async () => {
    const { live, venue, clock } = await bot();
    await Promise.all([live.stop({ orders: 'cancel' }), live.stop({ orders: 'leave' })]);
    await live.stop({ orders: 'leave' });
    expect(venue.stops).toEqual([{ orders: 'cancel' }]);
    expect(clock.timers).toBe(0);
    expect(live.states().size).toBe(0);
    await expect(live.command('tradernet.desk', 'act')).rejects.toMatchObject({ code: 'source_unavailable' });
  });

  test('two venues of one name are refused at once', () => {
    expect(() => sessions([fakeVenue(), fakeVenue()])).toThrow(expect.objectContaining({ code: 'config_invalid' }));
  });
});
