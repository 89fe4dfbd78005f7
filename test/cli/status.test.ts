import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { createMemoryJournal } from '../../src/hub/journal/memory.js';
import type { Fact } from '../../src/model/event.js';
import { cli, endCliRuns } from '../support/cli-run.js';
import { closeTestRelays, startTestRelay, type TestRelay } from '../support/relay.js';

const SAFE_AFTER_MS = 3_000;
/** The journal is tried again within this. */
const BROKEN_RETRY_MS = 10_000;
const closing: (() => void)[] = [];

afterEach(async () => {
  await endCliRuns();
  await closeTestRelays();
  for (const close of closing.splice(0)) close();
});

function said(session: string, type: 'session.lost' | 'session.attention'): Fact {
  if (type === 'session.lost') return { source: 'main', session, type, data: { reason: 'evicted' } };
  return { source: 'main', session, type, data: { action: 'login', instructions: 'Log in.' } };
}

/** A relay whose one session `good` is safe. */
async function safeRelay(options: Parameters<typeof startTestRelay>[1] = {}): Promise<TestRelay> {
  const relay = await startTestRelay('ws', options);
  relay.venue.open('good');
  relay.venue.tell(
    { source: 'main', session: '-', type: 'venue.normal', data: {} },
    { source: 'main', session: '-', type: 'account.unlocked', data: { what: 'all' } },
  );
  await relay.settled();
  await relay.clock.advance(SAFE_AFTER_MS);
  await relay.settled();
  return relay;
}

async function status(...args: readonly string[]) {
  const one = cli(['status', ...args]);
  const code = await one.code;
  return { code, stderr: one.stderr(), rows: one.lines().map((line) => line.split(/ {2,}/)) };
}

/** A server that answers every request with one text. */
async function serving(text: string): Promise<string> {
  const server = createServer((_request, response) => void response.end(text));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('status exits by the worst level', () => {
  test('0 where all are safe', async () => {
    const { url } = await safeRelay();
    expect(await status(url)).toEqual({
      code: 0,
      stderr: '',
      rows: [
        ['SAFETY', 'SESSION', 'STATUS', 'EXPIRES', 'REASONS'],
        ['safe', 'deribit.main.good', 'active', '-', '-'],
      ],
    });
  });

  test('1 where one is unknown', async () => {
    const { url, venue, settled } = await safeRelay();
    venue.tell({ source: 'main', session: 'new', type: 'session.opening', data: {} });
    await settled();
    const { code, rows } = await status(url);
    expect(code).toBe(1);
    expect(rows.slice(1).map(([level, key]) => [level, key])).toEqual([
      ['unknown', 'deribit.main.new'],
      ['safe', 'deribit.main.good'],
    ]);
  });

  test('2 where one is unsafe, which stands first', async () => {
    const { url, venue, settled } = await safeRelay();
    venue.tell(said('bad', 'session.lost'));
    venue.tell({ source: 'main', session: 'new', type: 'session.opening', data: {} });
    await settled();
    const { code, rows } = await status(url);
    expect(code).toBe(2);
    expect(rows.slice(1).map(([level, key]) => [level, key])).toEqual([
      ['unsafe', 'deribit.main.bad'],
      ['unknown', 'deribit.main.new'],
      ['safe', 'deribit.main.good'],
    ]);
    expect(rows[1]?.at(-1)).toBe('lost');
  });

  test('1 where the relay has no session: that nothing was seen is no safety', async () => {
    const { url } = await startTestRelay('ws');
    expect(await status(url)).toMatchObject({ code: 1, rows: [['no sessions']] });
  });

  test('1 where a source has no session, which is a row of its own', async () => {
    const { url, venue, settled } = await startTestRelay('ws');
    venue.tell({
      source: 'main',
      session: '-',
      type: 'link.retrying',
      data: { carrier: 'ws', generation: 1, attempt: 1, delayMs: 100 },
    });
    await settled();
    const { code, rows } = await status(url);
    expect(code).toBe(1);
    expect(rows[1]).toEqual(['unknown', 'deribit.main.-', 'no session', '-', 'unconfirmed']);
  });

  test('1 where the relay itself is blind, whatever it said before', async () => {
    const journal = createMemoryJournal();
    let isBroken = false;
    const { url, venue, settled, clock } = await safeRelay({
      journal: {
        ...journal,
        append: (batch) => (isBroken ? Promise.reject(new Error('the disk is full')) : journal.append(batch)),
      },
    });
    isBroken = true;
    venue.update('good');
    await settled();
    const { code, rows, stderr } = await status(url);
    expect(code).toBe(1);
    expect(rows[1]).toEqual(['unknown', 'deribit.main.good', 'active', '-', 'relay_blind']);
    expect(stderr).toContain('blind');
    isBroken = false;
    await clock.advance(BROKEN_RETRY_MS);
  });

  test('of more sessions than one page holds', async () => {
    const { url, venue, settled } = await safeRelay();
    venue.open(...Array.from({ length: 1_200 }, (_, n) => `s${n}`));
    venue.tell(said('s999', 'session.attention'));
    await settled();
    const { code, rows } = await status(url);
    expect(code).toBe(2);
    expect(rows).toHaveLength(1 + 1 + 1_200);
    expect(rows[1]?.[1]).toBe('deribit.main.s999');
  });
});

describe('status exits 3 when the relay cannot be asked', () => {
  test('nobody listens there', async () => {
    const { code, stderr, rows } = await status('http://127.0.0.1:1');
    expect({ code, rows }).toEqual({ code: 3, rows: [] });
    expect(stderr).toMatch(/^session-relay: the relay at http:\/\/127\.0\.0\.1:1 cannot be asked: .*ECONNREFUSED/);
  });

  test.each([['[]'], ['{"sessions":[{"key":1}]}'], ['<html>'], ['{"sessions":[],"next":""}'], ['{"sessions":[]}']])(
    'what answers is no relay: %s',
    async (text) => {
      expect((await status(await serving(text))).code).toBe(3);
    },
  );

  test('a page that names itself as the next one does not go on for ever', async () => {
    expect((await status(await serving('{"sessions":[],"next":"a"}'))).code).toBe(3);
  });

  test('the token is wrong, and is not repeated', async () => {
    const sha256 = createHash('sha256').update('right').digest('hex');
    const auth = {
      mode: 'keys',
      keys: [{ name: 'a', sha256, channels: ['>'], commands: [], fields: 'full' }],
    } as const;
    const { url } = await safeRelay({ auth });
    expect((await status(url, '--token', 'right')).code).toBe(0);
    const { code, stderr } = await status(url, '--token', 'wr0ng-one');
    expect(code).toBe(3);
    expect(stderr).toContain('(status 401)');
    expect(stderr).not.toContain('wr0ng');
    const byEnvironment = cli(['status', url], { env: { SESSION_RELAY_TOKEN: 'right' } });
    expect(await byEnvironment.code).toBe(0);
  });

  test('the command line is wrong: 2 would say unsafe', async () => {
    for (const args of [['nonsense'], ['--what'], ['http://127.0.0.1:1', 'more']]) {
      const { code, stderr } = await status(...args);
      expect(code).toBe(3);
      expect(stderr).toContain('usage: session-relay status');
    }
  });
});
