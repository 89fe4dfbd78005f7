import { describe, expect, test } from 'vitest';
import { BLIND_AFTER_MS } from '../../src/edge/limits.js';
import { MAX_INBOX_FACTS, MAX_VENUE_FACTS } from '../../src/hub/inbox.js';
import { SLOW_COMMIT_MS } from '../../src/hub/intake.js';
import { fact, fakeVenue, opened } from '../support/fake-venue.js';
import { settle } from '../support/virtual-clock.js';
import { createWorld, startWorld, stopWorld } from './world.js';

describe('while the journal does not commit', () => {
  test.each(['fail', 'fail_after_commit'] as const)(
    'a journal that answers with %s: in the end everything is told once, in order',
    async (mode) => {
      const { venue, journal, events, clock, hub } = await startWorld();
      venue.say(opened('s0'));
      await settle();
      journal.mode = mode;
      for (let index = 1; index <= 50; index++) {
        venue.say(opened(`s${index}`, {}, `k${index}`));
        if (index % 10 === 0) await clock.advance(300);
      }
      journal.mode = 'fine';
      await clock.advance(10_000);
      const told = events.filter(({ type }) => type === 'session.opened').map(({ subject }) => subject);
      expect(told).toEqual(Array.from({ length: 51 }, (_, index) => `tradernet.desk.s${index}`));
      expect(events.map(({ id }) => Number(id.split('-')[1]))).toEqual(events.map((_, index) => index + 1));
      expect((await hub.read('0-0', 1_000)).events).toEqual(events);
    },
  );

  test('the hub is blind from the first failure until it commits again, and says since when', async () => {
    const { venue, journal, sights, clock, hub } = await startWorld();
    const failedAt = clock.now();
    journal.mode = 'fail';
    venue.say(opened('login'));
    await clock.advance(3_000);
    expect(sights.at(-1)).toEqual({
      blind: true,
      since: failedAt,
      forMs: 0,
      why: 'the journal does not commit: disk full',
    });
    const { length } = sights;
    journal.mode = 'fine';
    await clock.advance(5_000);
    // What had become due meanwhile is told before the relay says that it follows.
    expect(sights.slice(length)).toEqual([{ blind: false, cursor: `${failedAt}-2` }]);
    expect(hub.head().split('-')[0]).toBe(String(failedAt));
  });

  test('a commit that neither succeeds nor fails leaves it blind in time for subscribers to hear of it within a second', async () => {
    const { venue, journal, sights, clock } = await startWorld();
    const askedAt = clock.now();
    journal.mode = 'hang';
    venue.say(opened('login'));
    await clock.advance(SLOW_COMMIT_MS - 1);
    expect(sights.at(-1)?.blind).toBe(false);
    await clock.advance(1);
    expect(sights.at(-1)).toMatchObject({ blind: true, since: askedAt, forMs: SLOW_COMMIT_MS });
    expect(SLOW_COMMIT_MS).toBeLessThan(BLIND_AFTER_MS);
  });

  test('the same batch is tried again, with the same keys and times, at a pace that slows down', async () => {
    const { venue, journal, clock } = await startWorld();
    journal.mode = 'fail';
    const before = journal.asked.length;
    venue.say(opened('login'));
    await clock.advance(60_000);
    const tries = journal.asked.slice(before);
    expect(new Set(tries).size).toBe(1);
    expect(tries.length).toBeGreaterThan(5);
    expect(tries.length).toBeLessThan(60);
  });

  test('signs of life are not kept for later', async () => {
    const { venue, journal, turns, clock } = await startWorld();
    venue.say(opened('login'));
    await settle();
    journal.mode = 'fail';
    venue.say(fact('login', 'session.contested', {}));
    await clock.advance(1_000);
    const before = turns.length;
    for (let beat = 0; beat < 100; beat++) venue.say(fact('login', 'heartbeat.pulse', {}));
    journal.mode = 'fine';
    await clock.advance(10_000);
    expect(turns.slice(before).flatMap(({ pulses }) => pulses)).toEqual([]);
  });

  test('no command reaches a venue', async () => {
    const { venue, journal, hub, clock } = await startWorld();
    journal.mode = 'fail';
    venue.say(opened('login'));
    await clock.advance(1);
    const asked = hub.command({ by: 'me', source: 'tradernet.desk', command: 'act', params: {}, requestId: 'r' });
    await expect(asked).rejects.toMatchObject({ code: 'journal_failed' });
    journal.mode = 'fine';
    await clock.advance(10_000);
    expect(venue.calls).toEqual([]);
  });

  test('a command whose acceptance is recorded too late is not sent any more, and is said to have failed', async () => {
    const { venue, journal, hub, clock, take } = await startWorld();
    journal.mode = 'fail';
    const asked = hub.command({ by: 'me', source: 'tradernet.desk', command: 'act', params: {}, requestId: 'r' });
    const said = asked.catch((thrown: unknown) => thrown);
    await clock.advance(31_000);
    journal.mode = 'fine';
    await clock.advance(10_000);
    expect(await said).toMatchObject({ code: 'journal_failed' });
    expect(venue.calls).toEqual([]);
    expect(take()).toEqual(['- command.accepted act', '- command.failed act']);
  });
});

describe('when more waits than may wait', () => {
  test('nothing more is taken in, nothing is remembered that was not told, and it stays blind until it is started again', async () => {
    const other = fakeVenue({ id: 'other' });
    const { venue, journal, sights, events, clock, hub, logged } = await startWorld({ others: [other] });
    journal.mode = 'fail';
    venue.say(opened('login'));
    await settle();
    const crowd = Array.from({ length: 1_000 }, () => fact('login', 'session.step', { step: 'x' }));
    const othersCrowd = Array.from({ length: 1_000 }, () => fact('other/login', 'session.step', { step: 'x' }));
    for (let batch = 0; batch < MAX_VENUE_FACTS / 1_000; batch++) {
      venue.say(...crowd);
      other.say(...othersCrowd);
    }
    venue.tell({ facts: [fact('login', 'session.lost', { reason: 'too much' })], memory: { list: 'after the hole' } });
    journal.mode = 'fine';
    await clock.advance(5_000);
    await settle(1_000);
    venue.tell({ facts: [opened('login')], memory: { list: 'later' } });
    await settle();
    await clock.advance(600_000);
    expect(events.filter(({ type }) => type !== 'session.step').map(({ type }) => type)).toEqual(['session.opened']);
    expect(events).toHaveLength(1 + MAX_INBOX_FACTS);
    expect(sights.at(-1)).toMatchObject({ blind: true, lasting: true });
    expect(logged.join('\n')).toContain('the journal does not follow');
    expect(journal.taken.some(({ memory }) => memory?.has('tradernet.desk'))).toBe(false);
    await expect(
      hub.command({ by: 'me', source: 'tradernet.desk', command: 'act', params: {}, requestId: 'r' }),
    ).rejects.toMatchObject({ code: 'journal_failed' });
  }, 60_000);

  test('a venue that says more than its share is followed no more, which is told; the others go on', async () => {
    const other = fakeVenue({ id: 'other' });
    const { venue, journal, sights, clock, take, state, logged } = await startWorld({ others: [other] });
    venue.say(opened('login'));
    other.say(opened('other/login'));
    await settle();
    take();
    journal.mode = 'fail';
    const crowd = Array.from({ length: 1_000 }, () => fact('login', 'heartbeat.resumed', { silentMs: 1 }));
    for (let batch = 0; batch <= MAX_VENUE_FACTS / 1_000; batch++) venue.say(...crowd);
    const answers: boolean[] = [];
    venue.tell({ facts: [fact('login', 'session.contested', {})], committed: (done) => answers.push(done) });
    other.say(fact('other/login', 'session.contested', {}));
    journal.mode = 'fine';
    await clock.advance(5_000);
    await settle(1_000);
    const told = take().filter((line) => !line.includes('heartbeat.resumed'));
    expect(told).toContain('- source.fault inconsistent');
    expect(told).toContain('login session.stale link_down');
    expect(told).toContain('login session.contested');
    expect(answers).toEqual([false]);
    expect(state('login')).toMatchObject({ status: 'active', stale: true });
    expect(state('tradernet.other.login')).toMatchObject({ status: 'contested', stale: false });
    expect(sights.at(-1)?.blind).toBe(false);
    expect(logged.join('\n')).toContain('tradernet.desk says no more');
  });
});

describe('stopping', () => {
  test.each(['fail', 'hang'] as const)('ends within seconds where the journal does %s', async (mode) => {
    const world = await startWorld({ venue: fakeVenue({ farewell: [opened('late')] }) });
    world.journal.mode = mode;
    world.venue.say(opened('login'));
    await settle();
    const stopping = world.hub.stop({ orders: 'leave' });
    await world.clock.advance(2_000);
    await stopping;
    expect(world.events).toEqual([]);
    expect(world.logged.join('\n')).toContain('what it did not take is lost');
    expect(world.clock.timers).toBe(0);
  });

  test('ends where the journal never opens', async () => {
    const world = createWorld();
    world.journal.open = () => new Promise(() => {});
    void world.hub.start().catch(() => undefined);
    await stopWorld(world);
    expect(world.clock.timers).toBe(0);
  });

  test('ends in the midst of a start that the journal holds up', async () => {
    const first = await startWorld();
    first.venue.say(opened('login'));
    await settle();
    first.journal.kill();
    const second = createWorld({ journal: first.journal, clock: first.clock });
    second.journal.mode = 'fail';
    const starting = second.hub.start().catch((thrown: unknown) => thrown);
    await settle();
    await stopWorld(second);
    expect(await starting).toMatchObject({ code: 'closed' });
    expect(second.venue.starts).toBe(0);
  });

  test('a command whose end cannot be recorded any more is unknown, now and at the next start', async () => {
    const first = await startWorld();
    const asked = first.hub.command({ by: 'me', source: 'tradernet.desk', command: 'act', params: {}, requestId: 'r' });
    const said = asked.catch((thrown: unknown) => thrown);
    await settle();
    first.journal.mode = 'hang';
    first.venue.lastCall.answer({ done: true });
    await settle();
    await stopWorld(first);
    expect(await said).toMatchObject({ code: 'venue_timeout' });
    first.journal.mode = 'fine';
    const second = await startWorld({ journal: first.journal, clock: first.clock });
    expect(second.take()).toEqual(['- command.unknown act']);
  });
});

test('retention runs by itself, and its failure is logged and stops nothing', async () => {
  const world = await startWorld();
  let runs = 0;
  world.journal.truncate = () => {
    runs++;
    return Promise.reject(new Error('busy'));
  };
  await world.clock.advance(35_000);
  expect(runs).toBe(3);
  expect(world.logged.join('\n')).toContain('retention failed');
});
