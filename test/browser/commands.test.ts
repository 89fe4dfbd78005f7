import { createHash } from 'node:crypto';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { SessionRelayError } from '../../src/errors.js';
import type { Simulator } from '../../src/simulators/index.js';
import { closePages, describeInChromium, openPage, quitChromium } from '../support/chromium.js';
import { closeDesks, journaled, startDesk } from '../support/desk.js';
import { createScriptedVenue } from '../support/scripted-venue.js';
import { detail, sessionRow, until, untilRow } from './screen.js';

/** Commands from the page: asked for twice where they may cost orders, told as they end, hidden where they are not allowed. */
vi.setConfig({ testTimeout: 60_000 });
afterEach(async () => {
  await closePages();
  await closeDesks();
});
afterAll(quitChromium);

const KEY = 'deribit.main.relay';
const TRADING = { deribit: { safety: { role: 'trading', protection: 'required' } } };
const OFF = 'deribit.main:disable_cancel_on_disconnect';

async function openDetail(page: Page, key: string) {
  await sessionRow(page, key).click();
  const opened = detail(page, key);
  await opened.waitFor();
  return opened;
}

/** Whether the venue cancels the orders of the relay's connection when it drops. */
function isProtected(deribit: Simulator): boolean | undefined {
  const { connections } = z
    .looseObject({ connections: z.array(z.looseObject({ session: z.string(), protected: z.boolean() })) })
    .parse(deribit.state());
  return connections.find(({ session }) => session === 'relay')?.protected;
}

describeInChromium('a command', () => {
  test('that may cost orders wants the name of its source; its outcome and its effect at the venue are shown', async () => {
    const desk = await startDesk({
      simulated: ['deribit'],
      settings: TRADING,
      auth: { mode: 'none', commands: ['*.*:*', OFF] },
    });
    const page = await openPage(desk.url, { width: 1600, height: 1000 });
    await untilRow(page, KEY, 'Safe');
    const opened = await openDetail(page, KEY);
    await opened.getByRole('button', { name: 'Disable cancel-on-disconnect…' }).click();
    const dialog = page.getByRole('dialog', { name: 'Disable cancel-on-disconnect: deribit.main' });
    await dialog.getByText(/resting orders STAY in the book/).waitFor();
    const run = dialog.getByRole('button', { name: 'Disable cancel-on-disconnect now' });
    expect(await run.isDisabled()).toBe(true);
    await dialog.getByRole('textbox', { name: /Type deribit.main to confirm/ }).fill('deribit.mai');
    expect(await run.isDisabled()).toBe(true);
    expect(isProtected(desk.venue('deribit'))).toBe(true);
    await dialog.getByRole('textbox', { name: /Type deribit.main to confirm/ }).fill('deribit.main');
    await run.click();
    await dialog.getByRole('heading', { name: 'Done' }).waitFor();
    expect(isProtected(desk.venue('deribit'))).toBe(false);
    await dialog.getByRole('button', { name: 'Close' }).click();
    await untilRow(page, KEY, 'Unsafe', /cancel-on-disconnect is off/);
    await opened.getByText('command.succeeded').first().waitFor();
    const trail = (await journaled(desk.url)).filter(({ type }) => type.startsWith('command.'));
    expect(trail.map(({ type }) => type)).toEqual(['command.accepted', 'command.succeeded']);
  });

  test('that is given up is not run', async () => {
    const desk = await startDesk({
      simulated: ['deribit'],
      settings: TRADING,
      auth: { mode: 'none', commands: [OFF] },
    });
    const page = await openPage(desk.url, { width: 1600, height: 1000 });
    const opened = await openDetail(page, KEY);
    await opened.getByRole('button', { name: 'Disable cancel-on-disconnect…' }).click();
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    expect((await journaled(desk.url)).filter(({ type }) => type.startsWith('command.'))).toEqual([]);
  });

  test('whose answer never came is told as unknown, and asked again under the same id', async () => {
    const venue = createScriptedVenue();
    const answers: (() => void)[] = [];
    venue.answer = () =>
      new Promise((_resolve, reject) => {
        answers.push(() => reject(new SessionRelayError('venue_timeout', 'the venue did not answer')));
      });
    const desk = await startDesk({ venues: [venue], auth: { mode: 'none', commands: ['deribit.main:act'] } });
    venue.open('bot');
    const page = await openPage(desk.url, { width: 1600, height: 1000 });
    const opened = await openDetail(page, 'deribit.main.bot');
    await opened.getByRole('button', { name: 'act…' }).click();
    const dialog = page.getByRole('dialog', { name: 'act: deribit.main' });
    await dialog.getByRole('textbox', { name: /Type deribit.main to confirm/ }).fill('deribit.main');
    await dialog.getByRole('button', { name: 'act now' }).click();
    await until(() => answers.length).toBe(1);
    answers[0]?.();
    await dialog.getByText('Outcome unknown').waitFor();
    await dialog.getByRole('button', { name: 'Ask again with the same id' }).click();
    await until(async () => (await journaled(desk.url)).filter(({ type }) => type === 'command.unknown').length).toBe(
      1,
    );
    // The relay remembers how it ended: the venue is not asked twice.
    expect(venue.calls).toHaveLength(1);
  });

  test('that the grant does not allow is not offered', async () => {
    const key = (name: string, commands: readonly string[]) => ({
      name,
      sha256: createHash('sha256').update(`token-of-${name}`).digest('hex'),
      channels: ['>'],
      commands,
      fields: 'full' as const,
    });
    const keys = [key('reader', ['deribit.main:*']), key('watcher', [])];
    const desk = await startDesk({ simulated: ['deribit'], auth: { mode: 'keys', keys } });
    for (const [name, offered] of [
      ['reader', ['Read cancel-on-disconnect…']],
      ['watcher', []],
    ] as const) {
      const page = await openPage(desk.url, { width: 1600, height: 1000 });
      await page.getByLabel('Token').fill(`token-of-${name}`);
      await page.getByRole('button', { name: 'Sign in' }).click();
      const opened = await openDetail(page, KEY);
      await opened.getByText('Timeline of this session').first().waitFor();
      if (offered.length > 0) await opened.getByRole('group', { name: 'Commands of deribit.main' }).waitFor();
      const names = await opened.getByRole('button').filter({ hasText: '…' }).allTextContents();
      expect(names).toEqual(offered);
    }
  });
});
