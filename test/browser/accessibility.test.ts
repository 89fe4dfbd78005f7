import { createHash } from 'node:crypto';
import axe from 'axe-core';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { closePages, describeInChromium, openPage, quitChromium } from '../support/chromium.js';
import { closeDesks, startDesk } from '../support/desk.js';
import { detail, sessionRow, sessions, timeline, until, untilLive, untilRow } from './screen.js';

/** Whoever cannot see the page, its colours, or use a mouse on it. */
vi.setConfig({ testTimeout: 60_000 });
afterEach(async () => {
  await closePages();
  await closeDesks();
});
afterAll(quitChromium);

const KEY = 'deribit.main.relay';
const COMMANDS = ['*.*:*', 'deribit.main:logout'];
const found = z.array(z.looseObject({ id: z.string(), nodes: z.array(z.looseObject({ html: z.string() })) }));

/** What axe finds wrong by WCAG 2.2 A and AA and by good practice; what it finds nothing to say of is no violation. */
async function violations(page: Page): Promise<readonly string[]> {
  await page.evaluate(`{ const module = undefined; const define = undefined; ${axe.source} }`);
  const result: unknown = await page.evaluate('axe.run(document).then(({ violations }) => violations)');
  return found.parse(result).flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 200)}`));
}

const hasFocus = (page: Page, selector: string): Promise<unknown> =>
  page.evaluate(`document.activeElement?.matches(${JSON.stringify(selector)}) ?? false`);
const focused = (page: Page): Promise<unknown> =>
  page.evaluate('document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent');

describeInChromium.each(['light', 'dark'] as const)('in the %s theme axe finds nothing wrong', (theme) => {
  test('in the list, while things go wrong; in the detail; in a dialog', async () => {
    const desk = await startDesk({
      simulated: ['deribit', 'tradernet', 'ibkr', 'snaptrade'],
      auth: { mode: 'none', commands: COMMANDS },
    });
    const page = await openPage(desk.url, { theme, width: 1600, height: 1000, allow: /WebSocket connection to/ });
    await untilRow(page, KEY, 'Safe');
    desk.venue('snaptrade').fault('break_connection');
    await sessions(page).getByText('Unsafe', { exact: true }).first().waitFor();
    expect(await violations(page)).toEqual([]);
    await sessionRow(page, KEY).click();
    await detail(page, KEY).getByRole('button', { name: 'Log out…' }).waitFor();
    expect(await violations(page)).toEqual([]);
    await detail(page, KEY).getByRole('button', { name: 'Log out…' }).click();
    await page.getByRole('dialog').waitFor();
    expect(await violations(page)).toEqual([]);
    await page.keyboard.press('Escape');
    await desk.relay.close({ orders: 'leave' });
    await page.getByRole('alert').filter({ hasText: 'not known to be true' }).waitFor();
    expect(await violations(page)).toEqual([]);
  });

  test('at sign-in, also after a wrong token', async () => {
    const sha256 = createHash('sha256').update('right').digest('hex');
    const keys = [{ name: 'desk', sha256, channels: ['>'], commands: [], fields: 'full' as const }];
    const { url } = await startDesk({ auth: { mode: 'keys', keys } });
    const page = await openPage(url, { theme });
    await page.getByRole('form', { name: 'Sign in' }).waitFor();
    expect(await violations(page)).toEqual([]);
    await page.getByLabel('Token').fill('wrong');
    await page.keyboard.press('Enter');
    await page.getByRole('form', { name: 'Sign in' }).getByRole('alert').waitFor();
    expect(await violations(page)).toEqual([]);
  });
});

describeInChromium('by the keyboard alone', () => {
  test('a session is found, opened, commanded, and left; focus is never lost', async () => {
    const desk = await startDesk({
      simulated: ['deribit', 'ibkr'],
      auth: { mode: 'none', commands: ['deribit.main:get_cancel_on_disconnect'] },
    });
    const page = await openPage(desk.url, { width: 1600, height: 1000 });
    await untilLive(page);
    for (const key of [KEY, 'ibkr.gateway.brokerage', 'ibkr.gateway.sso']) await sessionRow(page, key).waitFor();

    await page.keyboard.press('/');
    expect(await hasFocus(page, 'input[type=search]')).toBe(true);
    await page.keyboard.type('deribit');
    await page.getByText('1 of 3 sessions').waitFor();
    await page.keyboard.press('Escape');
    expect(await hasFocus(page, '#sessions')).toBe(true);
    await page.keyboard.press('Home');
    await until(() => sessions(page).getAttribute('aria-activedescendant')).toBe(`sessions-${KEY}`);
    await page.keyboard.press('Enter');
    await detail(page, KEY).waitFor();
    await until(() => focused(page)).toContain(KEY);
    // On to the command, and through its dialog, which keeps the focus.
    for (let tabs = 0; (await focused(page)) !== 'Read cancel-on-disconnect…'; tabs++) {
      expect(tabs).toBeLessThan(20);
      await page.keyboard.press('Tab');
    }
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog');
    await dialog.waitFor();
    for (let tabs = 0; (await focused(page)) !== 'Run'; tabs++) {
      expect(tabs).toBeLessThan(20);
      await page.keyboard.press('Tab');
    }
    await page.keyboard.press('Enter');
    await dialog.getByRole('heading', { name: 'Done' }).waitFor();
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    expect(await focused(page)).toBe('Read cancel-on-disconnect…');
    await page.keyboard.press('Escape');
    await detail(page, KEY).waitFor({ state: 'detached' });
    expect(await hasFocus(page, '#sessions')).toBe(true);
    // The timeline is a list like the other.
    for (let tabs = 0; !(await hasFocus(page, '#timeline')); tabs++) {
      expect(tabs).toBeLessThan(20);
      await page.keyboard.press('Tab');
    }
    await page.keyboard.press('End');
    await until(() => timeline(page).getAttribute('aria-activedescendant')).toBe('timeline-0');
    await page.keyboard.press('Enter');
    await page.getByRole('dialog', { name: /^Event / }).waitFor();
    await page.keyboard.press('Escape');
    expect(await hasFocus(page, '#timeline')).toBe(true);
  });
});
