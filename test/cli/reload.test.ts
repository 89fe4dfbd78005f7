import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { loadConfig } from '../../src/cli/config.js';
import { createReloads, type Reloads } from '../../src/cli/reload.js';
import type { Log } from '../../src/net/log.js';
import type { RelayChanges, ReloadResult } from '../../src/relay.js';
import { createScriptedVenue } from '../support/scripted-venue.js';
import { settle } from '../support/virtual-clock.js';

/** When the configuration is read again, and what a relay is told of it. */
let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'reload-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const RESULT: ReloadResult = {
  ...{ added: [], removed: [], changed: [], revised: [], kept: [], limits: [], needsRestart: [] },
  auth: 'kept',
  subscribers: { kept: 0, changed: 0, closed: 0, pending: 0 },
};
const SOURCE = { venue: 'deribit', id: 'main' };

interface Stage {
  readonly reloads: Reloads;
  readonly asked: readonly RelayChanges[];
  readonly logged: readonly string[];
  readonly ending: AbortController;
  write(config: object): void;
  /** The relay is done with what it was asked. */
  done(): Promise<void>;
}

function stage(config: object, { insecure = false } = {}): Stage {
  const file = join(folder, 'relay.yaml');
  const write = (next: object): void => writeFileSync(file, stringify({ sources: [SOURCE], ...next }));
  write(config);
  const load = () => loadConfig(file, { env: {}, insecure });
  const asked: RelayChanges[] = [];
  const logged: string[] = [];
  const note = (message: string, fields: object = {}): void => void logged.push(`${message} ${JSON.stringify(fields)}`);
  const log: Log = { debug: note, info: note, warn: note, error: note };
  const ending = new AbortController();
  let end: () => void = () => {};
  const relay = {
    async reload(changes: RelayChanges | (() => RelayChanges | Promise<RelayChanges>)): Promise<ReloadResult> {
      asked.push(typeof changes === 'function' ? await changes() : changes);
      await new Promise<void>((resolve) => {
        end = resolve;
      });
      return RESULT;
    },
  };
  const venues = new Map([['deribit.main', createScriptedVenue()]]);
  const reloads = createReloads({
    ...{ relay, venues, file, insecure, load, log },
    config: load(),
    ending: ending.signal,
  });
  const done = (): Promise<void> => {
    end();
    return settle();
  };
  return { reloads, asked, logged, ending, write, done };
}

test('asked while one runs, another follows it, however often', async () => {
  const { reloads, asked, done } = stage({});
  for (let times = 0; times < 4; times++) reloads.ask();
  await settle();
  expect(asked).toHaveLength(1);
  await done();
  expect(asked).toHaveLength(2);
  await done();
  expect(asked).toHaveLength(2);
  reloads.ask();
  await settle();
  expect(asked).toHaveLength(3);
});

test('nothing is read once the relay is ending, also not what was asked before', async () => {
  const { reloads, asked, ending, logged, done } = stage({});
  reloads.ask();
  reloads.ask();
  await settle();
  ending.abort();
  reloads.ask();
  await done();
  expect(asked).toHaveLength(1);
  expect(logged.join('\n')).toContain('the relay is ending: the configuration is not read again');
});

test('a source that is unchanged stays the same object; one that changed is another', async () => {
  const { reloads, asked, write, done } = stage({});
  reloads.ask();
  await settle();
  await done();
  write({ sources: [{ ...SOURCE, heartbeatSeconds: 20 }] });
  reloads.ask();
  await settle();
  await done();
  reloads.ask();
  await settle();
  const [[first], [second], [third]] = asked.map(({ venues = [] }) => venues) as [[unknown], [unknown], [unknown]];
  expect(second).not.toBe(first);
  expect(third).toBe(second);
});

test('a relay that other machines can reach does not lose its auth because the file names another address now', async () => {
  const auth = { mode: 'keys', keys: [{ name: 'a', sha256: 'a'.repeat(64), channels: ['>'] }] };
  const open = { listen: { host: '0.0.0.0' }, auth };
  const closed = stage(open);
  closed.write({ listen: { host: '127.0.0.1' } });
  closed.reloads.ask();
  await settle();
  expect(closed.asked).toEqual([]);
  expect(closed.logged.join('\n')).toMatch(/config_invalid.*auth\.mode: none, while the relay listens on 0\.0\.0\.0/);

  const insecure = stage(open, { insecure: true });
  insecure.write({ listen: { host: '127.0.0.1' } });
  insecure.reloads.ask();
  await settle();
  expect(insecure.asked).toMatchObject([{ auth: { mode: 'none', anyHost: true }, needsRestart: ['listen.host'] }]);
});
