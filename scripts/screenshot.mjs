// Makes src/dashboard/screenshot.png anew, README's picture of the page: the built demo, once its first incidents are
// there. Wants Chromium: CHROMIUM_PATH, or /usr/bin/chromium.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const root = fileURLToPath(new URL('..', import.meta.url));
const picture = `${root}src/dashboard/screenshot.png`;
const PATIENCE_MS = 60_000;

const demo = spawn(process.execPath, [`${root}dist/cli/main.js`, 'demo', '--port', '0'], {
  stdio: ['ignore', 'pipe', 'inherit'],
});
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM_PATH ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
});
try {
  const { value } = await createInterface({ input: demo.stdout })[Symbol.asyncIterator]().next();
  const page = await browser.newPage({ viewport: { width: 1200, height: 680 }, colorScheme: 'light' });
  page.setDefaultTimeout(PATIENCE_MS);
  await page.goto(JSON.parse(value).listening);
  // IBKR's session is contested, SnapTrade's connection broken; the rest has been confirmed by then.
  const sessions = page.getByRole('grid', { name: 'Sessions' });
  await sessions.getByText('contested: another login', { exact: false }).first().waitFor();
  await page.screenshot({ path: picture });
  console.log(picture);
} finally {
  await browser.close();
  demo.kill('SIGTERM');
}
