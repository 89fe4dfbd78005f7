import { afterAll, afterEach, expect, test, vi } from 'vitest';
import { createMemoryJournal } from '../../src/hub/journal/memory.js';
import { closePages, describeInChromium, openPage, quitChromium } from '../support/chromium.js';
import { type Line, startLine } from '../support/cli-relay.js';
import { closeDesks, startDesk } from '../support/desk.js';
import { createFailingJournal } from '../support/failing-journal.js';
import { createScriptedVenue } from '../support/scripted-venue.js';
import { alarm, detail, sessionRow, sessions, shownKeys, timeline, until, untilLive, untilRow } from './screen.js';

/** What goes wrong at the venues, on the way, and in the relay: on the page at once, with the right level and words. */
vi.setConfig({ testTimeout: 60_000 });
let line: Line | undefined;
afterEach(async () => {
  await closePages();
  await line?.close();
  line = undefined;
  await closeDesks();
});
afterAll(quitChromium);

describeInChromium('incidents', () => {
  test('of each venue are told by level and in words; and the unsafe stand first', async () => {
    const desk = await startDesk({
      simulated: ['deribit', 'tradernet', 'ibkr', 'snaptrade'],
      settings: { deribit: { safety: { role: 'trading', protection: 'required', grace: '1s' } } },
    });
    const page = await openPage(desk.url, { width: 1600, height: 1200 });
    await untilRow(page, 'deribit.main.relay', 'Safe');
    await untilRow(page, 'tradernet.desk.login', 'Safe');
    await sessionRow(page, 'ibkr.gateway.brokerage').waitFor();
    // A cut link, and one that does not come back.
    desk.venue('deribit').fault('refuse_upgrade', { count: 50 });
    desk.venue('deribit').fault('drop');
    // A login that has run out, and is not renewed.
    desk.venue('tradernet').fault('bad_credentials');
    desk.venue('tradernet').fault('eviction');
    desk.venue('ibkr').fault('competing', { forMs: 60_000 });
    desk.venue('snaptrade').fault('break_connection');
    await untilRow(page, 'deribit.main.relay', 'Unsafe', 'the connection to the venue is down');
    await untilRow(page, 'tradernet.desk.login', 'Unsafe', /lost by a fault|only a person can mend it/);
    await untilRow(page, 'ibkr.gateway.brokerage', 'Unsafe', 'contested: another login holds it, or takes it');
    const broken = sessions(page).getByRole('row').filter({ hasText: 'snaptrade' }).filter({ hasText: 'Unsafe' });
    await broken.filter({ hasText: 'only a person can mend it' }).waitFor();
    // What lived in the login is not seen any more; within its grace that is a note.
    await untilRow(page, 'tradernet.desk.7165011', 'Safe', 'noted: the relay cannot see it at the moment');
    await page.getByRole('button', { name: 'Unsafe 4' }).waitFor();
    await until(() => page.title()).toContain('(4) unsafe');
    const keys = await shownKeys(page);
    expect(new Set(keys.slice(0, 4).map((key) => key.split('.')[0]))).toEqual(
      new Set(['deribit', 'tradernet', 'ibkr', 'snaptrade']),
    );
    await timeline(page).getByText('link.down').first().waitFor();
    // What the detail says is what the row says, with its code.
    await sessionRow(page, 'ibkr.gateway.brokerage').click();
    await detail(page, 'ibkr.gateway.brokerage').getByText('contested', { exact: true }).first().waitFor();
  });

  test('a protection that cannot be read back any more makes a session that needs it unsafe', async () => {
    const desk = await startDesk({
      simulated: ['deribit'],
      settings: { deribit: { safety: { role: 'trading', protection: 'required' } } },
    });
    const page = await openPage(desk.url, { width: 1600 });
    await untilRow(page, 'deribit.main.relay', 'Safe', 'conn armed');
    desk.venue('deribit').fault('bad_protection');
    desk.venue('deribit').fault('drop');
    await untilRow(page, 'deribit.main.relay', 'Unsafe', /whether cancel-on-disconnect is armed is not known/);
  });

  test('a relay that is blind is told loudly, and nothing is safe meanwhile', async () => {
    const journal = createFailingJournal();
    const venue = createScriptedVenue();
    const { url } = await startDesk({ venues: [venue], journal });
    venue.open('bot');
    const page = await openPage(url);
    await untilRow(page, 'deribit.main.bot', 'Unknown');
    journal.broken = true;
    venue.update('bot');
    await alarm(page).filter({ hasText: 'not known to be true now' }).filter({ hasText: 'cannot see' }).waitFor();
    await untilRow(page, 'deribit.main.bot', 'Unknown', 'the relay itself cannot see this source');
    journal.broken = false;
    await alarm(page).waitFor({ state: 'detached' });
    await untilLive(page);
  });

  test('events that the journal no longer holds leave a mark where they are missing', async () => {
    const venue = createScriptedVenue();
    const journal = createMemoryJournal({ retention: { maxAgeMs: 86_400_000, maxBytes: 300_000 } });
    const desk = await startDesk({ venues: [venue], journal });
    venue.open('bot');
    line = await startLine(desk.url);
    const page = await openPage(line.url, { allow: /WebSocket connection to/ });
    await untilLive(page);
    venue.update('bot', 3);
    await timeline(page).getByText('session.updated').first().waitFor();
    line.cut();
    await alarm(page).filter({ hasText: 'not known to be true now' }).waitFor();
    venue.update('bot', 3_000);
    await until(async () => (await fetch(`${desk.url}/v1/sessions/deribit.main.bot`)).text()).toContain('"n":3003');
    // As its hub does once a minute.
    await journal.truncate(Date.now());
    line.mend();
    await untilLive(page);

    await timeline(page)
      .getByText(/Events of .* are missing here/)
      .first()
      .waitFor();
    await page.getByText('1 gap', { exact: true }).waitFor();
  });
});
