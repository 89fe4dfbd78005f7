import { expect, test } from 'vitest';
import { sessions } from '../../src/hub/sessions.js';
import type { Safety } from '../../src/model/session.js';
import { fact, fakeVenue, linkUp, opened } from '../support/fake-venue.js';
import { createSlowJournal, type SlowJournal } from '../support/slow-journal.js';
import { settle, VirtualClock } from '../support/virtual-clock.js';

/** A bot's own word while the journal of its own hub does not follow: `unknown` with `relay_blind`, within a second. */
const KEY = 'ibkr.desk.brokerage';

async function start() {
  const clock = new VirtualClock();
  const journal = createSlowJournal();
  journal.clock = clock;
  const venue = fakeVenue({ venue: 'ibkr', role: 'watch', provedBy: { brokerage: ['http'] } });
  const live = sessions([venue], { clock, journal });
  const said: Safety[] = [];
  live.safety$(KEY).subscribe((safety) => said.push(safety));
  await settle();
  venue.say(linkUp('http'), opened('brokerage', { kind: 'brokerage', role: 'watch' }), fact('-', 'venue.normal', {}));
  await clock.advance(4_000);
  expect(said.at(-1)?.level).toBe('safe');
  return { clock, journal, venue, live, said };
}

test.each([
  [
    'fails',
    0,
    (journal: SlowJournal): void => {
      journal.fails = true;
    },
  ],
  [
    'hangs',
    1_000,
    (journal: SlowJournal): void => {
      journal.takes = 'hang';
    },
  ],
] as const)(
  'where a commit %s safety is unknown with relay_blind at most %i ms later, and what it was once it follows',
  async (_how, withinMs, fail) => {
    const { clock, journal, venue, live, said } = await start();
    fail(journal);
    venue.say(fact('brokerage', 'session.updated', { changed: { n: 1 } }));
    await clock.advance(withinMs);
    expect(said.at(-1)).toEqual({ level: 'unknown', reasons: ['relay_blind'], notes: [] });
    journal.fails = false;
    journal.takes = 0;
    journal.release();
    await clock.advance(10_000);
    expect(said.at(-1)?.level).toBe('safe');
    await live.stop({ orders: 'leave' });
    expect(said.at(-1)).toMatchObject({ level: 'unknown', reasons: ['relay_blind'] });
    expect(clock.timers).toBe(0);
  },
);
