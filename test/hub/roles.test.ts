import { expect, test } from 'vitest';
import { type FakeVenue, fakeVenue, linkUp, opened } from '../support/fake-venue.js';
import { settle } from '../support/virtual-clock.js';
import { startWorld, stopWorld } from './world.js';

/** A role is told by what opens a session: under another one after a restart, nothing may merely be restored. */
test('a relay that is started again with another role has each session opened anew, once', async () => {
  const forgotten: string[] = [];
  const venueOf = (role: 'trading' | 'watch'): FakeVenue =>
    fakeVenue({
      role,
      forget(source, session) {
        forgotten.push(`${role}: ${source} ${session}`);
        return { [session]: { opened: false } };
      },
    });
  const first = await startWorld({ venue: venueOf('watch') });
  first.venue.tell({ facts: [linkUp(), opened('login')], memory: { login: { opened: true } } });
  await settle();
  const lives: string[][] = [];
  let last = first;
  for (const role of ['watch', 'trading', 'trading', 'watch'] as const) {
    last.journal.kill();
    last = await startWorld({ journal: last.journal, clock: last.clock, venue: venueOf(role) });
    await settle();
    lives.push(forgotten.splice(0));
  }
  expect(lives).toEqual([[], ['trading: desk login'], [], ['watch: desk login']]);
  await stopWorld(last);
  const { memory } = await last.journal.open(0);
  expect(memory.get('tradernet.desk')?.get('login')).toEqual({ opened: false });
  await last.journal.close();
});
