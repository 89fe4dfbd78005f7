import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { parseConfig } from '../src/cli/config.js';
import { startRelay } from '../src/relay.js';
import { type Simulator, startDeribitSimulator } from '../src/simulators/index.js';
import { deribit } from '../src/venues/deribit/index.js';
import { example } from './support/readme.js';

/** The README's examples run as they stand there: as modules inside the package, which they import by its name. */
let folder = '';
let simulator: Simulator;
const children: ChildProcess[] = [];

beforeAll(async () => {
  folder = mkdtempSync(fileURLToPath(new URL('./.readme-', import.meta.url)));
  simulator = await startDeribitSimulator();
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await simulator.close();
});

/** Runs an example; `line` waits for a line of its output that contains a text. */
function run(name: string, env: Readonly<Record<string, string>>) {
  const file = join(folder, `${name}.mjs`);
  writeFileSync(file, example(name));
  const child = spawn(process.execPath, [file], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    child,
    async line(containing: string): Promise<string> {
      for (;;) {
        const { done, value } = await lines.next();
        if (done === true) throw new Error(`${name} ended without a line that contains ${containing}`);
        if (value.includes(containing)) return value;
      }
    },
  };
}

function credentials(): { readonly clientId: string; readonly clientSecret: string } {
  const { credentials: found } = simulator.source;
  return found as { readonly clientId: string; readonly clientSecret: string };
}

describe('README', () => {
  test('a bot quotes while its session is safe, and pulls over HTTP when its socket dies', async () => {
    const { clientId, clientSecret } = credentials();
    const bot = run('bot', {
      DERIBIT_URL: simulator.url,
      DERIBIT_HTTP_URL: simulator.url.replace('ws:', 'http:').replace('/ws/api/v2', '/api/v2'),
      DERIBIT_CLIENT_ID: clientId,
      DERIBIT_CLIENT_SECRET: clientSecret,
    });
    expect(await bot.line('safety')).toBe('safety unknown relay_blind');
    await bot.line('safety safe');
    await bot.line('quoting');
    simulator.fault('drop');
    await bot.line('pulling');
    expect(await bot.line('pulled')).toBe('pulled 200');
    await bot.line('protection_pending');
    bot.child.kill('SIGTERM');
    expect(await once(bot.child, 'exit')).toEqual([0, null]);
  });

  test('a subscriber needs nothing but a WebSocket', async () => {
    const relay = await startRelay({ venues: [deribit({ id: 'public', url: simulator.url })], listen: { port: 0 } });
    try {
      const subscriber = run('subscribe', { RELAY_URL: `${relay.url.replace('http:', 'ws:')}/v1/ws` });
      await subscriber.line('deribit.public.public');
      simulator.fault('lock_index', { index: 'btc_usd' });
      expect(await subscriber.line('venue.degraded')).toContain('btc_usd');
    } finally {
      await relay.close({ orders: 'leave' });
    }
  });

  test('a relay runs inside another program', async () => {
    const own = run('relay', { DERIBIT_URL: simulator.url });
    const [, url] = /listening (\S+)/.exec(await own.line('listening')) ?? [];
    const answer = await fetch(`${url}/livez`);
    expect(answer.status).toBe(200);
    own.child.kill('SIGTERM');
    expect(await once(own.child, 'exit')).toEqual([0, null]);
  });

  test('a simulator runs inside a test', async () => {
    const own = run('simulators', {});
    expect(await own.line('simulating')).toContain('ws://127.0.0.1:');
    expect(await once(own.child, 'exit')).toEqual([0, null]);
  });

  test('its configuration is valid', () => {
    const env = {
      DESK_UI_SHA256: 'a'.repeat(64),
      DERIBIT_CLIENT_ID: 'id',
      DERIBIT_CLIENT_SECRET: 'secret',
      TN_LOGIN: 'desk',
      TN_PASSWORD: 'secret',
      IBKR_FINGERPRINT: Array.from({ length: 32 }, () => 'AB').join(':'),
      SNAPTRADE_ID: 'PARTNER',
      SNAPTRADE_KEY: 'secret',
      CUSTOMER_ID: 'customer',
      CUSTOMER_SECRET: 'secret',
    };
    const { sources } = parseConfig(example('config'), { file: 'README.md', env });
    expect(sources.map(({ module, id }) => `${module.venue}.${id}`)).toEqual([
      'deribit.main',
      'tradernet.desk',
      'ibkr.gateway',
      'snaptrade.partner',
    ]);
  });
});
