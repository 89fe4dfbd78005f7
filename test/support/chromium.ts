import { existsSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { describe, expect } from 'vitest';

/** A real browser, one a test file; each page in a context of its own, and watched. */
const EXECUTABLE = [process.env.CHROMIUM_PATH, '/usr/bin/chromium'].find(
  (path) => path !== undefined && path !== '' && existsSync(path),
);
if (EXECUTABLE === undefined) {
  if (process.env.CI === 'true') throw new Error('there is no Chromium: install it, or say where by CHROMIUM_PATH');
  process.stderr.write('SKIPPED: every test in a browser. There is no Chromium (CHROMIUM_PATH, /usr/bin/chromium)\n');
}

export const describeInChromium: typeof describe.skip = EXECUTABLE === undefined ? describe.skip : describe;

/** Where pictures of the page go; ignored by git, left by CI for whoever looks. */
export const SCREENSHOTS = fileURLToPath(new URL('../../.artifacts/screenshots/', import.meta.url));

const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // Containers have a small /dev/shm, and pages that do not fit there crash.
  '--disable-dev-shm-usage',
];
/** A condition that does not come true within this never will. */
const PATIENCE_MS = 15_000;

export interface PageOptions {
  readonly width?: number;
  readonly height?: number;
  readonly theme?: 'light' | 'dark';
  /** Complaints of the browser that the test itself brings about. */
  readonly allow?: RegExp;
}

interface Watched {
  readonly context: BrowserContext;
  readonly complaints: readonly string[];
}

let browser: Promise<Browser> | undefined;
const watched = new Set<Watched>();

/**
 * Opens a page. What it complains of (errors in the console, among them refusals by the Content-Security-Policy; errors
 * that nobody caught; requests to another host than the relay) fails the test in {@link closePages}.
 */
export async function openPage(url: string, options: PageOptions = {}): Promise<Page> {
  const { width = 1280, height = 800, theme = 'light', allow } = options;
  // Playwright gives each browser a fresh profile, and removes it with the browser.
  browser ??= chromium.launch({ ...(EXECUTABLE === undefined ? {} : { executablePath: EXECUTABLE }), args: ARGS });
  const context = await (await browser).newContext({
    viewport: { width, height },
    colorScheme: theme,
    reducedMotion: 'reduce',
  });
  context.setDefaultTimeout(PATIENCE_MS);
  const complaints: string[] = [];
  const complain = (text: string): void => {
    if (allow?.test(text) !== true) complaints.push(text);
  };
  const { host } = new URL(url);
  context.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complain(`console: ${message.text()}`);
  });
  context.on('weberror', (error) => complain(`uncaught: ${error.error().stack ?? error.error().message}`));
  context.on('request', (request) => {
    const to = new URL(request.url());
    if (to.host !== host && to.protocol !== 'data:') complain(`request to ${request.url()}`);
  });
  watched.add({ context, complaints });
  const page = await context.newPage();
  page.on('websocket', (socket) => {
    if (new URL(socket.url()).host !== host) complain(`socket to ${socket.url()}`);
  });
  await page.goto(url);
  return page;
}

/** For `afterEach`: closes what a test opened, and fails it where a page complained. */
export async function closePages(): Promise<void> {
  const closed = [...watched];
  watched.clear();
  for (const { context } of closed) await context.close();
  expect(closed.flatMap(({ complaints }) => complaints)).toEqual([]);
}

/** For `afterAll`. */
export async function quitChromium(): Promise<void> {
  const quitting = browser;
  browser = undefined;
  await (await quitting)?.close();
}

/** Keeps a picture of the page as it is. */
export async function keepScreenshot(page: Page, name: string): Promise<void> {
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: `${SCREENSHOTS}${name}.png` });
}
