import { expect, test } from 'vitest';
import { fact, fakeVenue, opened } from '../support/fake-venue.js';
import { settle } from '../support/virtual-clock.js';
import { startWorld } from './world.js';

const HOUR_MS = 3_600_000;

test('ended sessions are dropped after forgetAfter, each counted from its own end; living ones never', async () => {
  const { venue, clock, hub, take } = await startWorld({ venue: fakeVenue({ forgetAfterMs: 2 * HOUR_MS }) });
  venue.say(opened('living'), opened('closed'), opened('lost'), opened('expired'), opened('asked'));
  venue.say(fact('closed', 'session.closed', { by: 'user' }));
  venue.say(fact('asked', 'session.attention', { action: 'login', instructions: 'Log in.' }));
  await clock.advance(HOUR_MS);
  venue.say(
    fact('lost', 'session.lost', { reason: 'x' }),
    fact('expired', 'session.expired', { expiresAt: '2026-11-23T09:00:00.000Z' }),
  );
  await settle();
  take();
  await clock.advance(HOUR_MS + 60_000);
  expect(take()).toEqual(['closed session.removed']);
  await clock.advance(HOUR_MS);
  expect(take()).toEqual(['lost session.removed', 'expired session.removed']);
  await clock.advance(48 * HOUR_MS);
  expect(take()).toEqual([]);
  expect([...hub.states().keys()]).toEqual(['tradernet.desk.living', 'tradernet.desk.asked']);
});

test('a session that lives again in time is kept', async () => {
  const { venue, clock, take } = await startWorld({ venue: fakeVenue({ forgetAfterMs: 2 * HOUR_MS }) });
  venue.say(opened('login'), fact('login', 'session.lost', { reason: 'x' }));
  await clock.advance(HOUR_MS);
  venue.say(fact('login', 'session.restored', {}));
  await clock.advance(HOUR_MS);
  venue.say(fact('login', 'session.lost', { reason: 'x' }));
  await settle();
  take();
  await clock.advance(HOUR_MS + 120_000);
  expect(take()).toEqual([]);
});

test('the count goes on across a restart', async () => {
  const first = await startWorld({ venue: fakeVenue({ forgetAfterMs: 2 * HOUR_MS }) });
  first.venue.say(opened('login'), fact('login', 'session.closed', { by: 'user' }));
  await first.clock.advance(HOUR_MS);
  first.journal.kill();
  const second = await startWorld({
    journal: first.journal,
    clock: first.clock,
    venue: fakeVenue({ forgetAfterMs: 2 * HOUR_MS }),
  });
  second.take();
  await second.clock.advance(HOUR_MS - 60_001);
  expect(second.take()).toEqual([]);
  await second.clock.advance(120_000);
  expect(second.take()).toEqual(['login session.removed']);
});

test('a wall clock that jumps forgets nothing early', async () => {
  const { venue, clock, take } = await startWorld({ venue: fakeVenue({ forgetAfterMs: 2 * HOUR_MS }) });
  venue.say(opened('login'), fact('login', 'session.closed', { by: 'user' }));
  await clock.advance(5_000);
  take();
  clock.jump(30 * 86_400_000);
  await clock.advance(HOUR_MS);
  expect(take()).toEqual([]);
});

test('what was dropped leaves nothing behind: no state, no timer, and the journal forgets it too', async () => {
  const world = await startWorld({ venue: fakeVenue({ forgetAfterMs: HOUR_MS }) });
  const { timers } = world.clock;
  for (let index = 0; index < 50; index++) {
    world.venue.say(opened(`s${index}`), fact(`s${index}`, 'session.lost', { reason: 'x' }), opened(`s${index}`));
    world.venue.say(fact(`s${index}`, 'session.closed', { by: 'venue' }));
  }
  await world.clock.advance(HOUR_MS + 120_000);
  expect(world.hub.states().size).toBe(0);
  expect(world.clock.timers).toBe(timers);
  world.journal.kill();
  expect((await world.journal.open(0)).states).toEqual([]);
});

test('a session is dropped once, also where the journal holds it up', async () => {
  const { venue, clock, journal, take } = await startWorld({ venue: fakeVenue({ forgetAfterMs: HOUR_MS }) });
  venue.say(opened('login'), fact('login', 'session.closed', { by: 'user' }));
  await clock.advance(HOUR_MS - 1_000);
  take();
  journal.mode = 'fail';
  venue.say(opened('other'));
  await clock.advance(600_000);
  journal.mode = 'fine';
  await clock.advance(60_000);
  expect(take().filter((line) => line.includes('removed'))).toEqual(['login session.removed']);
});
