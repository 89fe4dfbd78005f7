import { createHash } from 'node:crypto';
import { afterAll, afterEach, expect, test, vi } from 'vitest';
import { closePages, describeInChromium, keepScreenshot, openPage, quitChromium } from '../support/chromium.js';
import { closeDesks, startDesk } from '../support/desk.js';
import { createScriptedVenue } from '../support/scripted-venue.js';
import { detail, overflow, sessionRow, sessions, timeline, until, untilLive, untilRow } from './screen.js';

/** Phones, walls, and thousands of sessions. Pictures of what is seen are kept in `.artifacts/screenshots`. */
vi.setConfig({ testTimeout: 60_000 });
afterEach(async () => {
  await closePages();
  await closeDesks();
});
afterAll(quitChromium);

const KEY = 'deribit.main.relay';

describeInChromium.each([
  ['360', 360, 640, 'light'],
  ['768', 768, 1024, 'light'],
  ['1440-light', 1440, 900, 'light'],
  ['1440-dark', 1440, 900, 'dark'],
  ['3840', 3840, 2160, 'dark'],
] as const)('at %s px', (name, width, height, theme) => {
  test('nothing stands beyond the edge: list, detail, dialog', async () => {
    const desk = await startDesk({
      simulated: ['deribit', 'tradernet', 'ibkr', 'snaptrade'],
      auth: { mode: 'none', commands: ['*.*:*', 'deribit.main:logout'] },
    });
    const page = await openPage(desk.url, { width, height, theme });
    await untilLive(page);
    desk.venue('snaptrade').fault('break_connection');
    desk.venue('deribit').fault('lock_index', { index: 'btc_usd', reasons: ['price_deviation'] });
    await sessions(page).getByText('Unsafe', { exact: true }).first().waitFor();
    expect(await overflow(page)).toBe(0);
    await keepScreenshot(page, `${name}-list`);
    await page.getByRole('searchbox').fill('deribit');
    await sessionRow(page, KEY).click();
    await detail(page, KEY).waitFor();
    await detail(page, KEY).getByRole('button', { name: 'Log out…' }).scrollIntoViewIfNeeded();
    expect(await overflow(page)).toBe(0);
    await keepScreenshot(page, `${name}-detail`);
    await detail(page, KEY).getByRole('button', { name: 'Log out…' }).click();
    await page.getByRole('dialog').waitFor();
    expect(await overflow(page)).toBe(0);
    await keepScreenshot(page, `${name}-dialog`);
  });
});

describeInChromium('at 360 px', () => {
  test('sign-in fits, too', async () => {
    const sha256 = createHash('sha256').update('right').digest('hex');
    const keys = [{ name: 'desk', sha256, channels: ['>'], commands: [], fields: 'full' as const }];
    const { url } = await startDesk({ auth: { mode: 'keys', keys } });
    const page = await openPage(url, { width: 360, height: 640 });
    await page.getByRole('form', { name: 'Sign in' }).waitFor();
    expect(await overflow(page)).toBe(0);
    await keepScreenshot(page, '360-sign-in');
  });
});

describeInChromium('5,000 sessions', () => {
  /** What a screen shows, some beyond each edge, and the names of the columns. */
  const MOST_ROWS = 60;
  const MOST_ELEMENTS = 4_000;

  test('cost as many rows as the screen shows; the last one is reached by scroll and by key', async () => {
    const venue = createScriptedVenue();
    const desk = await startDesk({ venues: [venue] });
    venue.open(...Array.from({ length: 5_000 }, (_, n) => `bot-${String(n).padStart(4, '0')}`));
    const page = await openPage(desk.url, { width: 1600, height: 1000 });
    await page.getByText('5000 sessions', { exact: true }).waitFor();
    const count = async (): Promise<number> => sessions(page).getByRole('row').count();
    const isBounded = async (): Promise<void> => {
      expect(await count()).toBeGreaterThan(5);
      expect(await count()).toBeLessThan(MOST_ROWS);
      expect(await timeline(page).getByRole('row').count()).toBeLessThan(MOST_ROWS);
      expect(await page.evaluate('document.querySelectorAll("*").length')).toBeLessThan(MOST_ELEMENTS);
    };
    await isBounded();
    expect(await sessions(page).getAttribute('aria-rowcount')).toBe('5001');
    await page.evaluate('{ const grid = document.getElementById("sessions"); grid.scrollTop = grid.scrollHeight; }');
    await sessionRow(page, 'deribit.main.bot-4999').waitFor();
    expect(await sessionRow(page, 'deribit.main.bot-4999').getAttribute('aria-rowindex')).toBe('5001');
    await isBounded();
    await sessions(page).focus();
    await page.keyboard.press('Home');
    await sessionRow(page, 'deribit.main.bot-0000').waitFor();
    await page.keyboard.press('End');
    await sessionRow(page, 'deribit.main.bot-4999').waitFor();
    // One of them that changes while another part is looked at is told, and stands first.
    venue.tell({ source: 'main', session: 'bot-2500', type: 'session.lost', data: { reason: 'evicted' } });
    await page.getByRole('button', { name: 'Unsafe 1' }).waitFor();
    await page.keyboard.press('Home');
    await until(() => sessionRow(page, 'deribit.main.bot-2500').getAttribute('aria-rowindex')).toBe('2');
    await untilRow(page, 'deribit.main.bot-2500', 'Unsafe', 'lost by a fault');
    await page.getByRole('searchbox').fill('bot-4999');
    await page.getByText('1 of 5000 sessions').waitFor();
  });
});
