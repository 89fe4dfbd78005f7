import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { test, vi } from 'vitest';
import { type Relay, startRelay } from '../../src/relay.js';
import { type Simulator, startDeribitSimulator } from '../../src/simulators/index.js';
import { deribit } from '../../src/venues/deribit/index.js';
import { closeAfterEach, describeInChromium, openPage } from '../support/chromium.js';
import { packageFolder } from '../support/package-folder.js';
import { example } from '../support/readme.js';

/** README, "In a page: ten lines": bundled as a UI developer would, in a real browser, against a relay. */
vi.setConfig({ testTimeout: 60_000 });
const folders: string[] = [];
let simulator: Simulator | undefined;
let relay: Relay | undefined;
closeAfterEach(async () => {
  await relay?.close({ orders: 'leave' });
  await simulator?.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** A page of the developer's own, in the place of the dashboard: the relay is its origin. */
async function builtPage(): Promise<string> {
  const folder = packageFolder();
  folders.push(folder);
  const served = join(folder, 'served');
  await build({
    stdin: { contents: example('page'), resolveDir: folder },
    bundle: true,
    format: 'esm',
    platform: 'browser',
    preserveSymlinks: true,
    outfile: join(served, 'assets', 'page.js'),
  });
  writeFileSync(
    join(served, 'index.html'),
    `<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,"><title>Sessions</title>
<p id="relay"></p><pre id="sessions"></pre><p id="alarm"></p><script type="module" src="./assets/page.js"></script></html>`,
  );
  return served;
}

describeInChromium('the ten lines of a page', () => {
  test('show the relay, its sessions with their levels, and what becomes of protection', async () => {
    simulator = await startDeribitSimulator();
    const { credentials } = simulator.source as { readonly credentials: { clientId: string; clientSecret: string } };
    const venue = deribit({
      id: 'main',
      url: simulator.url,
      credentials,
      scope: 'session:relay',
      heartbeatSeconds: 10,
      cancelOnDisconnect: 'enable',
      safety: { role: 'watch' },
    });
    relay = await startRelay({ venues: [venue], listen: { port: 0 }, dashboard: await builtPage() });
    const page = await openPage(relay.url);
    await page.getByText('open', { exact: true }).waitFor();
    await page.getByText('deribit.main.relay active safe').waitFor();
    simulator.fault('drop');
    await page.getByText(/deribit\.main\.relay protection\.(triggered|armed)/).waitFor();
    await page.getByText(/deribit\.main\.relay active (safe|at_risk)/).waitFor();
  });
});
