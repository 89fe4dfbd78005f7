import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, expect, test, vi } from 'vitest';
import { stringify } from 'yaml';
import { z } from 'zod';
import { type Simulator, startDeribitSimulator, startTradernetSimulator } from '../../src/simulators/index.js';
import { closePages, describeInChromium, openPage, quitChromium } from '../support/chromium.js';
import { type Line, startLine } from '../support/cli-relay.js';
import { closeDesks, journaled, startDesk } from '../support/desk.js';
import { createScriptedVenue } from '../support/scripted-venue.js';
import { removeTempFolders, tempFolder } from '../support/temp-folder.js';
import { alarm, sessionRow, timelineLines, until, untilLive, untilRow, untilWholeTimeline } from './screen.js';

/** The relay goes, by a kill or by a drain, and comes back: what the page says meanwhile, and that it lost nothing. */
vi.setConfig({ testTimeout: 60_000 });
const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const children = new Set<ChildProcess>();
const simulators: Simulator[] = [];
let line: Line | undefined;
afterEach(async () => {
  await closePages();
  for (const child of children) {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  }
  children.clear();
  await line?.close();
  line = undefined;
  for (const simulator of simulators.splice(0)) await simulator.close();
  await closeDesks();
  removeTempFolders();
});
afterAll(quitChromium);

const ready = z.looseObject({ listening: z.url() });
/** The browser says by itself that it cannot connect. */
const AWAY = /WebSocket connection to|ERR_CONNECTION_REFUSED/;

/** `session-relay serve` as a process of its own; resolves when it listens. */
async function serve(file: string): Promise<{ readonly url: string; kill(): Promise<void> }> {
  const child = spawn(process.execPath, [main, 'serve', '--config', file], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.add(child);
  const { value } = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next();
  return {
    url: ready.parse(JSON.parse(String(value))).listening,
    async kill() {
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

describeInChromium('a relay that is killed', () => {
  test('is told loudly while it is away; back on its journal nothing is lost, and nothing told twice', async () => {
    simulators.push(await startDeribitSimulator(), await startTradernetSimulator());
    const folder = tempFolder();
    const file = join(folder, 'relay.yaml');
    const config = {
      listen: { port: 0 },
      journal: { path: join(folder, 'data') },
      log: { level: 'error' },
      sources: simulators.map(({ source }) => source),
    };
    writeFileSync(file, stringify(config));
    const first = await serve(file);
    // What the browser knows of it stays where it is; the relay's own port could be anybody's while it is free.
    line = await startLine(first.url);
    const page = await openPage(line.url, { width: 1600, height: 1000, allow: AWAY });
    await untilRow(page, 'deribit.main.relay', 'Safe');
    await untilRow(page, 'tradernet.desk.login', 'Safe');

    await first.kill();
    await alarm(page).filter({ hasText: 'What is shown here is not known to be true now' }).waitFor();
    await alarm(page).filter({ hasText: 'The relay cannot be heard' }).waitFor();
    await untilRow(page, 'deribit.main.relay', 'Unknown', 'the relay cannot be heard');
    await untilRow(page, 'tradernet.desk.login', 'Unknown', 'the relay cannot be heard');
    await page.getByRole('button', { name: 'Safe 0', exact: true }).waitFor();
    await until(() => page.title()).toContain('not live');
    // What happens at a venue meanwhile is found out by the relay's next life.
    simulators[1]?.fault('open_session', { safetyTypeId: 3, lifeSeconds: 1_800 });

    const second = await serve(file);
    line.reroute(second.url);
    const retry = page.getByRole('button', { name: 'Try now' });
    if (await retry.isVisible()) await retry.click({ timeout: 1_000 }).catch(() => undefined);
    await untilLive(page);
    await alarm(page).waitFor({ state: 'detached' });
    await untilRow(page, 'tradernet.desk.login', 'Safe');
    const restarts = async () =>
      (await timelineLines(page)).filter(([, , words]) => words.includes('The relay restarted'));
    await until(async () => (await restarts()).length).toBe(1);
    const opened = async () => (await journaled(second.url)).filter(({ type }) => type === 'session.opened');
    await until(async () => new Set((await opened()).map(({ subject }) => subject)).size).toBe(5);
    await untilWholeTimeline(page, second.url);
    expect(await page.getByText(/\d+ gaps?/).count()).toBe(0);
  });
});

describeInChromium('a drain', () => {
  test('is told before the relay goes, and its end is no surprise', async () => {
    const venue = createScriptedVenue();
    const desk = await startDesk({ venues: [venue], drainTimeoutMs: 10_000 });
    venue.open('bot');
    const page = await openPage(desk.url, { allow: AWAY });
    await untilLive(page);
    await sessionRow(page, 'deribit.main.bot').waitFor();
    const drained = desk.relay.drain();
    await page.getByText('Relay shuts down').waitFor();
    await drained;
    await alarm(page).filter({ hasText: 'not known to be true now' }).waitFor();
    await untilRow(page, 'deribit.main.bot', 'Unknown', 'the relay cannot be heard');
  });
});
