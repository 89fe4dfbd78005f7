import type { Locator, Page } from 'playwright-core';
import { expect } from 'vitest';
import { z } from 'zod';
import { journaled } from '../support/desk.js';

/** What a person finds on the page, by role and name; rows by the id that a screen reader is given. */
export const sessions = (page: Page): Locator => page.getByRole('grid', { name: 'Sessions' });
export const timeline = (page: Page): Locator => page.getByRole('grid', { name: 'Timeline', exact: true });
export const sessionRow = (page: Page, key: string): Locator => sessions(page).locator(`[id="sessions-${key}"]`);
export const detail = (page: Page, key: string): Locator => page.getByRole('region', { name: `Details of ${key}` });
export const alarm = (page: Page): Locator => page.getByRole('alert');

export type Level = 'Unsafe' | 'Unknown' | 'At risk' | 'Safe';

/** Resolves when a session's row says this level in words, and these words beside it. */
export async function untilRow(page: Page, key: string, level: Level, words?: string | RegExp): Promise<void> {
  const leveled = sessionRow(page, key).filter({ has: page.getByText(level, { exact: true }) });
  await (words === undefined ? leveled : leveled.filter({ hasText: words })).waitFor();
}

export async function untilLive(page: Page): Promise<void> {
  await page.getByText('Live', { exact: true }).waitFor();
}

/** The keys of the rows that are on the screen, in order. */
export async function shownKeys(page: Page): Promise<readonly string[]> {
  const ids = await page.evaluate(
    `[...document.querySelectorAll('#sessions [role=row][id]')]
      .sort((a, b) => Number(a.ariaRowIndex) - Number(b.ariaRowIndex))
      .map(({ id }) => id.slice('sessions-'.length))`,
  );
  return z.array(z.string()).parse(ids);
}

const lines = z.array(z.tuple([z.string(), z.string(), z.string()]));
/** The whole timeline, oldest first, as `[session, type, words]`, by scrolling through it; marks have no type. */
export async function timelineLines(page: Page): Promise<z.infer<typeof lines>> {
  const read = await page.evaluate(`(async () => {
    const grid = document.getElementById('timeline');
    const frame = () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    const seen = new Map();
    for (grid.scrollTop = 0; ; grid.scrollTop += grid.clientHeight / 2) {
      await frame();
      for (const row of grid.querySelectorAll('[role=row][id]')) {
        const [, key] = row.querySelectorAll('[role=gridcell]');
        seen.set(Number(row.ariaRowIndex), [key.textContent, row.querySelector('code')?.textContent ?? '', row.textContent]);
      }
      if (grid.scrollTop + grid.clientHeight >= grid.scrollHeight - 1) break;
    }
    grid.scrollTop = 0;
    return [...seen].sort(([a], [b]) => b - a).map(([, line]) => line);
  })()`);
  return lines.parse(read);
}

/** Resolves when the timeline has each event of the journal once and in order, marks of its own aside. */
export async function untilWholeTimeline(page: Page, url: string): Promise<void> {
  const differences = async (): Promise<readonly string[]> => {
    const events = (await journaled(url)).map(({ subject, type }) => `${subject.replace(/\.-$/, '')} ${type}`);
    const shown = (await timelineLines(page)).flatMap(([key, type]) =>
      type === '' ? [] : [`${key.replace(/\.-$/, '')} ${type}`],
    );
    const rows = Array.from({ length: Math.max(events.length, shown.length) }, (_, at) => [events[at], shown[at]]);
    return rows.flatMap(([event, row], at) => (event === row ? [] : [`${at}: ${event}, and not ${row}`]));
  };
  await until(differences).toEqual([]);
}

/** How many pixels of the page stand beyond its right edge. */
export async function overflow(page: Page): Promise<number> {
  return z
    .number()
    .parse(await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth'));
}

/** Looks until it holds; the machine may be slow, and the venues are real servers. */
export const until = (look: () => unknown): ReturnType<typeof expect.poll> =>
  expect.poll(look as () => Promise<unknown>, { timeout: 15_000, interval: 100 });
