import { chmodSync, linkSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { open as openLmdb } from 'lmdb';
import { afterEach, describe, expect, test } from 'vitest';
import type { Journal } from '../../../src/hub/journal/journal.js';
import { createLmdbJournal, type LmdbJournalOptions } from '../../../src/hub/journal/lmdb.js';
import { eventKey, weightOf } from '../../../src/hub/journal/records.js';
import type { Log } from '../../../src/net/log.js';
import { batchOf, eventOf, readAll, START_MS, stateOf } from '../../support/journaled-events.js';
import { removeTempFolders, tempFolder } from '../../support/temp-folder.js';

const made: Journal[] = [];
afterEach(async () => {
  for (const journal of made.splice(0)) await journal.close();
  removeTempFolders();
});

function journalIn(path: string, options: Partial<LmdbJournalOptions> = {}): Journal {
  const journal = createLmdbJournal({ path, ...options });
  made.push(journal);
  return journal;
}

const modeOf = (path: string): number => statSync(path).mode & 0o777;
const onPosix = test.skipIf(process.platform === 'win32');

/** A folder with a journal of three events, a state and something remembered, closed. */
async function filled(): Promise<{ readonly path: string; readonly file: string; readonly epoch: number }> {
  const path = tempFolder();
  const journal = createLmdbJournal({ path });
  const { epoch } = await journal.open(START_MS);
  const state = stateOf('marked-state', `${epoch}-3`);
  await journal.append(
    batchOf(epoch, [1, 2, 3], {
      states: new Map([[state.key, state]]),
      memory: new Map([['deribit.main', { wish: 'marked-wish' }]]),
    }),
  );
  await journal.close();
  return { path, file: join(path, 'journal.mdb'), epoch };
}

/** Writes something else of the same length wherever a text stands in a file. */
function overwrite(file: string, text: string, by: string): void {
  const bytes = readFileSync(file);
  for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) bytes.write(by.padEnd(text.length), at);
  writeFileSync(file, bytes);
}

describe('where a journal is', () => {
  onPosix(
    'a folder that is missing is made, and is this user’s alone, as its files are, whatever the umask',
    async () => {
      const before = process.umask(0);
      try {
        const path = join(tempFolder(), 'a', 'b.c');
        const journal = journalIn(path);
        await journal.open(START_MS);
        expect(modeOf(path)).toBe(0o700);
        expect(readdirSync(path).toSorted()).toEqual(['journal.mdb', 'journal.mdb-lock']);
        for (const name of readdirSync(path)) expect([name, modeOf(join(path, name))]).toEqual([name, 0o600]);
      } finally {
        process.umask(before);
      }
    },
  );

  onPosix('a folder that is there keeps its rights; wider ones of the files are taken back', async () => {
    const { path, file } = await filled();
    chmodSync(path, 0o755);
    chmodSync(file, 0o664);
    chmodSync(`${file}-lock`, 0o666);
    const warned: string[] = [];
    const log: Log = { debug() {}, info() {}, warn: (message) => warned.push(message), error() {} };
    const journal = journalIn(path, { log });
    await journal.open(START_MS);
    expect([modeOf(path), modeOf(file), modeOf(`${file}-lock`)]).toEqual([0o755, 0o600, 0o600]);
    expect(warned).toEqual([]);
    await journal.close();
    chmodSync(path, 0o777);
    await journal.open(START_MS);
    expect(warned).toEqual([expect.stringContaining('others may write in the folder')]);
  });

  test('what a start that was cut off left is no journal, and does not stand in the way', async () => {
    const path = tempFolder();
    writeFileSync(join(path, 'new.mdb'), 'half of it');
    writeFileSync(join(path, 'new.mdb-lock'), '');
    const journal = journalIn(path);
    await expect(journal.open(START_MS)).resolves.toMatchObject({ epoch: START_MS });
    expect(readdirSync(path).toSorted()).toEqual(['journal.mdb', 'journal.mdb-lock']);
  });

  test.each([
    ['a file', (folder: string) => writeFileSync(join(folder, 'data'), 'x'), 'data'],
    ['below a file', (folder: string) => writeFileSync(join(folder, 'data'), 'x'), 'data/inner'],
    [
      'where its file is a folder',
      (folder: string) => mkdirSync(join(folder, 'data', 'journal.mdb'), { recursive: true }),
      'data',
    ],
  ])('a path that is %s is a clear refusal', async (_, prepare, name) => {
    const folder = tempFolder();
    prepare(folder);
    const path = join(folder, name);
    const opened = journalIn(path).open(START_MS);
    await expect(opened).rejects.toMatchObject({ code: 'journal_failed', message: expect.stringContaining(path) });
  });

  // Root may write everywhere.
  test.skipIf(process.getuid?.() === 0)('a folder that cannot be written is a clear refusal', async () => {
    const folder = tempFolder();
    chmodSync(folder, 0o500);
    for (const path of [folder, join(folder, 'data')]) {
      await expect(journalIn(path).open(START_MS)).rejects.toMatchObject({
        code: 'journal_failed',
        message: expect.stringMatching(/cannot be opened: (EACCES|Permission denied)/),
      });
    }
    chmodSync(folder, 0o700);
  });
});

describe('who holds a journal', () => {
  test('a second one of the same folder is refused, and holds nothing up when it is gone', async () => {
    const path = tempFolder();
    const first = journalIn(path);
    const { epoch } = await first.open(START_MS);
    const second = journalIn(path);
    await expect(second.open(START_MS + 1)).rejects.toMatchObject({
      code: 'journal_failed',
      message: expect.stringContaining(`${path} is held by this process itself`),
    });
    await first.append(batchOf(epoch, [1]));
    await first.close();
    await expect(second.open(START_MS + 1)).resolves.toMatchObject({ epoch: START_MS + 1 });
    expect(await readAll(second)).toHaveLength(1);
  });

  test('where no lock keeps two apart, the one that opened first writes no more, and no cursor names two events', async () => {
    const { path, file } = await filled();
    const first = journalIn(path);
    const { epoch } = await first.open(START_MS + 10);
    // The same files under another name: to the lock a folder of its own, as to a container with the same volume.
    const elsewhere = tempFolder();
    linkSync(file, join(elsewhere, 'journal.mdb'));
    linkSync(`${file}-lock`, join(elsewhere, 'journal.mdb-lock'));
    const second = journalIn(elsewhere);
    const { epoch: later } = await second.open(START_MS + 10);
    expect(later).toBe(epoch + 1);
    const refused = { code: 'journal_failed', message: expect.stringContaining('another relay has opened') };
    await expect(first.append(batchOf(epoch, [1]))).rejects.toMatchObject(refused);
    await second.append(batchOf(later, [1]));
    await expect(first.append(batchOf(epoch, [1]))).rejects.toMatchObject(refused);
    await expect(first.truncate(START_MS + 30 * 86_400_000)).rejects.toMatchObject(refused);
    expect(first.head()).toBe(`${epoch}-0`);
    expect((await readAll(second)).map(({ id }) => id)).toEqual([
      ...[1, 2, 3].map((offset) => `${START_MS}-${offset}`),
      `${later}-1`,
    ]);
  });

  test('one that loses its journal while it commits is refused, and what it wrote is not taken for the other’s', async () => {
    const { path, file, epoch: before } = await filled();
    const first = journalIn(path);
    const { epoch } = await first.open(START_MS + 10);
    const root = openLmdb<string, string>({ path: file });
    const meta = root.openDB<string, string>({ name: 'meta', encoding: 'string', useVersions: true });
    const now = meta.getEntry('head');
    // What another relay's start writes, with the very version that the next commit would give it.
    const text = (now?.value ?? '').replace(String(epoch), String(epoch + 1));
    await meta.put('head', text, (now?.version ?? 0) + 1);
    await expect(first.append(batchOf(epoch, [1]))).rejects.toThrow('another relay has opened');
    await root.close();
    expect(first.head()).toBe(`${epoch}-0`);
    expect((await readAll(first)).map(({ id }) => id)).toEqual([1, 2, 3].map((offset) => `${before}-${offset}`));
  });
});

describe('what a journal holds', () => {
  test('a file of LMDB that is no journal is refused, and left as it is', async () => {
    const path = tempFolder();
    const root = openLmdb<string, string>({ path: join(path, 'journal.mdb') });
    await root.put('theirs', 'value');
    await root.close();
    await expect(journalIn(path).open(START_MS)).rejects.toMatchObject({
      code: 'journal_failed',
      message: expect.stringContaining('no journal of session-relay'),
    });
    const again = openLmdb<string, string>({ path: join(path, 'journal.mdb') });
    expect([...again.getKeys()]).toEqual(['theirs']);
    await again.close();
  });

  test('a journal of a newer layout is refused, with what to do', async () => {
    const { path, file } = await filled();
    overwrite(file, '"schema":1}', '"schema":2}');
    await expect(journalIn(path).open(START_MS)).rejects.toMatchObject({
      code: 'journal_failed',
      message: expect.stringMatching(/newer version of session-relay \(layout 2; this one knows 1\): run that version/),
    });
  });

  test.each([
    ['a state', '"session":"marked-state"', '"session":17', 'the state deribit.main.marked-state cannot be read'],
    [
      'what is remembered',
      '"value":"marked-wish"',
      '"value":"marked-wish',
      'what is remembered under ["deribit.main","wish"]',
    ],
    ['where it stands', '"dropped":false', '"dropped":maybe', 'its record head cannot be read'],
    ['its stamp', '{"journal":"session-relay"', '{"journal":"somebody-else"', 'its record journal cannot be read'],
  ])('%s that cannot be read is told at the start, with its place', async (_, text, by, place) => {
    const { path, file } = await filled();
    overwrite(file, text, by);
    const opened = journalIn(path).open(START_MS);
    await expect(opened).rejects.toMatchObject({
      code: 'journal_failed',
      message: expect.stringContaining(`the journal in ${path} is damaged: ${place}`),
    });
    // Nothing is left held.
    await expect(journalIn(path).open(START_MS)).rejects.toThrow('is damaged');
  });

  test.each([
    ['no JSON', '"key":"key-', '"key";"key-'],
    ['no event', '"type":"session.updated"', '"type":"session.unheard"'],
    ['another event', `"id":"${START_MS}-2"`, `"id":"${START_MS}-9"`],
  ])('an event that is %s is told where it is read, and is never passed over', async (_, text, by) => {
    const { path, file, epoch } = await filled();
    overwrite(file, text, by);
    const journal = journalIn(path);
    await journal.open(START_MS + 1);
    await expect(journal.read(`${epoch}-1`, 10)).rejects.toMatchObject({
      code: 'journal_failed',
      message: expect.stringContaining(`the event ${epoch}-2 cannot be read`),
    });
    await expect(journal.truncate(START_MS + 30 * 86_400_000)).rejects.toMatchObject({ code: 'journal_failed' });
    expect(journal.oldest()).toBe(`${epoch}-0`);
    expect((await journal.read(`${epoch}-3`, 10)).events).toEqual([]);
  });

  test.each([
    [1, 'the event 1795420800000-1 should be there is 1795420800000-2'],
    [2, 'the event 1795420800000-2 should be there is 1795420800000-3'],
    [3, 'the event 1795420800000-3 should be there is 1795420801000-1'],
  ])('event %i missing is told where it is read, and is never passed over', async (offset, told) => {
    const { path, file, epoch } = await filled();
    const next = createLmdbJournal({ path });
    const { epoch: later } = await next.open(START_MS + 1_000);
    await next.append(batchOf(later, [1, 2]));
    await next.close();
    const root = openLmdb<string, string>({ path: file });
    const events = root.openDB<string, Uint8Array>({ name: 'events', encoding: 'string', keyEncoding: 'binary' });
    await events.remove(eventKey(epoch, offset));
    await root.close();
    const journal = journalIn(path);
    await journal.open(START_MS + 2_000);
    await expect(journal.read('0-0', 10)).rejects.toMatchObject({
      code: 'journal_failed',
      message: expect.stringContaining(told),
    });
    expect((await journal.read(`${later}-0`, 10)).events.map(({ id }) => id)).toEqual([`${later}-1`, `${later}-2`]);
  });

  test('the last event missing is told too', async () => {
    const { path, file, epoch } = await filled();
    const root = openLmdb<string, string>({ path: file });
    const events = root.openDB<string, Uint8Array>({ name: 'events', encoding: 'string', keyEncoding: 'binary' });
    await events.remove(eventKey(epoch, 3));
    await root.close();
    const journal = journalIn(path);
    await journal.open(START_MS + 2_000);
    await expect(journal.read(`${epoch}-1`, 10)).rejects.toThrow(`the event ${epoch}-3 should be there is no other`);
    await expect(journal.read(`${epoch}-1`, 1)).rejects.toThrow('is damaged');
  });

  test('a damaged file does not start, is left as it is, and lets its folder go', async () => {
    const { path, file } = await filled();
    for (const damage of [readFileSync(file).fill(0, 0, 100), readFileSync(file).subarray(0, 9_000), Buffer.alloc(0)]) {
      writeFileSync(file, damage);
      await expect(journalIn(path).open(START_MS)).rejects.toMatchObject({
        code: 'journal_failed',
        message: expect.stringMatching(/is damaged: journal\.mdb: .* move it away to start a new one$/),
      });
      expect(readFileSync(file).equals(damage)).toBe(true);
    }
  });

  test('how much it holds is known again after a restart', async () => {
    const path = tempFolder();
    const weight = (epoch: number, offset: number): number => {
      const event = eventOf(epoch, offset);
      return weightOf(JSON.stringify(event), event.key);
    };
    const offsets = Array.from({ length: 60 }, (_, index) => index + 1);
    const bytes = offsets.reduce((sum, offset) => sum + weight(START_MS, offset), 0);
    // Room for one more, and half a one.
    const retention = { maxAgeMs: 86_400_000, maxBytes: bytes + 1.5 * weight(START_MS, 60) };
    const journal = journalIn(path, { retention });
    const { epoch } = await journal.open(START_MS);
    await journal.append(batchOf(epoch, offsets));
    await journal.close();
    const second = await journal.open(START_MS + 1);
    await journal.append(batchOf(second.epoch, [1]));
    expect(await journal.truncate(START_MS + 1)).toBe(`${epoch}-0`);
    await journal.append(batchOf(second.epoch, [2]));
    await journal.close();
    await journal.open(START_MS + 2);
    expect(await journal.truncate(START_MS + 2)).toBe(`${epoch}-1`);
    await journal.close();
    await journal.open(START_MS + 3);
    expect(await journal.truncate(START_MS + 3)).toBe(`${epoch}-1`);
    expect(await readAll(journal)).toHaveLength(61);
  });
});
