import { createHash } from 'node:crypto';
import { afterAll, afterEach, expect, test, vi } from 'vitest';
import { closePages, describeInChromium, openPage, quitChromium } from '../support/chromium.js';
import { closeDesks, startDesk } from '../support/desk.js';
import { TRANSPORTS } from '../support/relay.js';
import { createScriptedVenue } from '../support/scripted-venue.js';
import { sessionRow, sessions, untilLive } from './screen.js';

/** A relay that wants a token: asked for, kept in its tab alone, and never written where others may read it. */
vi.setConfig({ testTimeout: 60_000 });
afterEach(async () => {
  await closePages();
  await closeDesks();
});
afterAll(quitChromium);

const TOKEN = 'a-token-of-the-desk';
const keys = [
  {
    name: 'desk',
    sha256: createHash('sha256').update(TOKEN).digest('hex'),
    channels: ['>'],
    commands: [],
    fields: 'full' as const,
  },
];

describeInChromium.each(TRANSPORTS)('sign-in over %s', (transport) => {
  test('a wrong token is told, the right one shows the sessions, and neither leaves the tab', async () => {
    const venue = createScriptedVenue();
    const { url } = await startDesk({ venues: [venue], auth: { mode: 'keys', keys }, transport });
    venue.open('bot');
    const page = await openPage(url);
    const sent: string[] = [];
    page.context().on('request', (request) => sent.push(request.url(), JSON.stringify(request.headers())));
    page.on('websocket', (socket) => sent.push(socket.url()));
    const form = page.getByRole('form', { name: 'Sign in' });
    await form.waitFor();
    expect(await sessionRow(page, 'deribit.main.bot').count()).toBe(0);
    expect(await form.getByRole('alert').count()).toBe(0);
    expect(await page.getByLabel('Token').getAttribute('type')).toBe('password');
    await page.getByLabel('Token').fill('a-wrong-token');
    await page.keyboard.press('Enter');
    await form.getByRole('alert').filter({ hasText: 'The token was not taken' }).waitFor();
    expect(await sessionRow(page, 'deribit.main.bot').count()).toBe(0);
    await page.getByLabel('Token').fill(TOKEN);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await untilLive(page);
    await sessionRow(page, 'deribit.main.bot').waitFor();
    await form.waitFor({ state: 'detached' });

    // The tab keeps it through a reload; another tab of the same browser does not know it.
    await page.reload();
    await sessionRow(page, 'deribit.main.bot').waitFor();
    const other = await page.context().newPage();
    await other.goto(url);
    await other.getByRole('form', { name: 'Sign in' }).waitFor();
    expect(await sessions(other).getByRole('row').filter({ hasText: 'bot' }).count()).toBe(0);

    const kept = await page.evaluate(
      'JSON.stringify([localStorage, document.cookie, location.href, document.documentElement.outerHTML, history.state])',
    );
    expect(kept).not.toContain('-token');
    expect(sent.join('\n')).not.toContain('-token');
    await page.getByRole('button', { name: 'Forget token' }).click();
    await form.waitFor();
    expect(await page.evaluate('JSON.stringify([localStorage, sessionStorage])')).not.toContain('-token');
  });
});
