import { spawnSync } from 'node:child_process';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { createLmdbJournal } from '../../src/hub/journal/lmdb.js';
import { readAll } from '../support/journaled-events.js';
import { connectSubscriber } from '../support/subscriber.js';
import { removeTempFolders, tempFolder } from '../support/temp-folder.js';
import { type Child, killChildren, startChild } from './child.js';

/** What a journal may grow to here. */
const FILE_KIB = 3_000;
/** Each event fills a page or more: the limit is reached within seconds. */
const TEXT_BYTES = 20_000;
const TEST_MS = 60_000;

afterEach(async () => {
  await killChildren();
  removeTempFolders();
});

const ready = z.object({ url: z.url() });
const verdict = z.object({ level: z.string(), reasons: z.array(z.string()) });
const health = z.object({ checks: z.object({ journal: z.string(), blind: z.string() }) });
const blindness = z.object({ sinceMs: z.number() });

/** Lets the process write on: as when somebody has made room on its disk. */
function makeRoom({ process: { pid } }: Child): void {
  const { status, stderr } = spawnSync('prlimit', ['--pid', String(pid), '--fsize=unlimited:unlimited']);
  if (status !== 0) throw new Error(`prlimit: ${stderr}`);
}

const canLimit = spawnSync('prlimit', ['--version']).status === 0;

describe.runIf(canLimit)('a disk that is full while the relay runs', () => {
  test(
    'is told to everybody, readiness is red, and once there is room nothing is lost, doubled or out of order',
    async () => {
      const data = tempFolder();
      const child = startChild({ data, textBytes: TEXT_BYTES, fileKiB: FILE_KIB });
      const { url } = ready.parse(await child.line());
      const subscriber = await connectSubscriber(url);
      await subscriber.request('subscribe', { channels: ['>'], since: '0-0' });
      blindness.parse(await subscriber.next('blind'));
      const red = await fetch(`${url}/readyz`);
      expect(red.status).toBe(503);
      const { checks } = health.parse(await red.json());
      expect(checks.journal).toMatch(/^(the journal does not commit: .*|a commit takes longer than 1000 ms)$/);
      expect(checks.blind).toMatch(/^blind since /);
      await expect(fetch(`${url}/livez`)).resolves.toMatchObject({ status: 200 });
      const before = subscriber.events('>').length;

      makeRoom(child);
      await subscriber.next('sighted');
      await subscriber.until(() => subscriber.events('>').length > before + 20);
      expect((await fetch(`${url}/readyz`)).status).toBe(200);
      const lines = child.stderr().trimEnd().split('\n');
      for (const line of lines) expect(() => JSON.parse(line)).not.toThrow();
      expect(lines[0]).toContain(`the journal in ${data} cannot be written: EFBIG: file too large`);
      expect(lines[0]).toContain('make room');
      await child.kill();
      expect(subscriber.losses).toEqual([]);

      const journal = createLmdbJournal({ path: data });
      await journal.open(0);
      const held = await readAll(journal);
      const seen = subscriber.events('>');
      expect(held.slice(0, seen.length)).toEqual(seen);
      const numbers = held.flatMap(({ type, key }) =>
        type === 'session.updated' ? [Number(key.split('-').at(-1))] : [],
      );
      expect(numbers).toEqual(numbers.map((_, index) => index + 1));
      await journal.close();
    },
    TEST_MS,
  );

  test(
    'leaves a bot’s own library with unknown, until it commits again',
    async () => {
      const child = startChild({ data: tempFolder(), mode: 'library', textBytes: TEXT_BYTES, fileKiB: FILE_KIB });
      const next = async (wanted: (said: z.infer<typeof verdict>) => boolean): Promise<z.infer<typeof verdict>> => {
        for (;;) {
          const said = verdict.parse(await child.line());
          if (wanted(said)) return said;
        }
      };
      const isBlind = ({ reasons }: z.infer<typeof verdict>): boolean => reasons.includes('relay_blind');
      expect(await next(() => true)).toEqual({ level: 'unknown', reasons: ['relay_blind'] });
      await next((said) => !isBlind(said));
      expect(await next(isBlind)).toEqual({ level: 'unknown', reasons: ['relay_blind'] });
      makeRoom(child);
      await next((said) => !isBlind(said));
    },
    TEST_MS,
  );

  test.each([4, 12, 24])('a relay does not start on it, and says why (room for %i KiB)', async (fileKiB) => {
    const child = startChild({ data: tempFolder(), fileKiB });
    await expect(child.line()).rejects.toThrow(/the journal in \S+ cannot be opened: EFBIG: file too large/);
    expect(await child.exited).toEqual([1, null]);
  });
});
