import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLmdbJournal } from '../../../src/hub/journal/lmdb.js';
import { checkPages, PageDamage } from '../../../src/hub/journal/page-check.js';
import { formatCursor } from '../../../src/model/cursor.js';
import { eventOf, START_MS, stateOf } from '../../support/journaled-events.js';
import { removeTempFolders, tempFolder } from '../../support/temp-folder.js';

const PAGE = 4_096;
let copy = '';
let intact: Buffer;

/** A journal with a past: trees of some depth, values on pages of their own, pages that are free again. */
beforeAll(async () => {
  const folder = tempFolder();
  const journal = createLmdbJournal({ path: folder, retention: { maxAgeMs: 86_400_000, maxBytes: 120_000 } });
  const { epoch } = await journal.open(START_MS);
  let offset = 0;
  for (let round = 0; round < 20; round++) {
    const events = Array.from({ length: 5 + ((round * 7) % 40) }, () =>
      eventOf(epoch, ++offset, undefined, START_MS, 'x'.repeat(offset % 50 === 0 ? 9_000 : 200)),
    );
    const state = stateOf(`s${round % 7}`, formatCursor(epoch, offset));
    const memory = new Map([['deribit.main', { [`m${round % 3}`]: 'm'.repeat(round * 500) }]]);
    await journal.append({ events, states: new Map([[state.key, state]]), memory });
    if (round % 10 === 9) await journal.truncate(START_MS);
  }
  await journal.close();
  copy = join(tempFolder(), 'journal.mdb');
  // Without the room that it has taken beforehand, which holds nothing.
  const whole = readFileSync(join(folder, 'journal.mdb'));
  const end = whole.findLastIndex((byte) => byte !== 0);
  intact = whole.subarray(0, Math.ceil((end + 1) / PAGE) * PAGE);
});
afterAll(removeTempFolders);

/** The file with something changed. */
function changed(change: (bytes: Buffer) => void): Promise<void> {
  const bytes = Buffer.from(intact);
  change(bytes);
  writeFileSync(copy, bytes);
  return checkPages(copy);
}

/** Pages of a kind: 1 branch, 2 leaf, 4 a value of its own. */
function pagesOf(kind: number): readonly number[] {
  const pages = Array.from({ length: intact.length / PAGE - 2 }, (_, index) => index + 2);
  return pages.filter((page) => intact.readUInt16LE(page * PAGE + 18) === kind);
}

describe('looking through a file before it is mapped', () => {
  test('a file as LMDB left it is in order', async () => {
    await expect(changed(() => {})).resolves.toBeUndefined();
    expect([1, 2, 4].map((kind) => pagesOf(kind).length > 0)).toEqual([true, true, true]);
  });

  test.each([
    ['is empty', (bytes: Buffer) => bytes.subarray(0, 0), 'ends within its header'],
    ['is text', () => Buffer.from('{"not":"a journal"}\n'.repeat(2_000)), 'no LMDB file'],
    ['is noise', () => Buffer.alloc(3 * PAGE, 0xa5), 'no LMDB file'],
    ['is zero', () => Buffer.alloc(3 * PAGE), 'no LMDB file'],
    ['is of another format', (bytes: Buffer) => withWord(bytes, 28, 1), 'data format 1'],
    ['has pages of no size', (bytes: Buffer) => withWord(bytes, 48, 0), 'pages of 0 bytes'],
    ['has pages of an odd size', (bytes: Buffer) => withWord(bytes, 48, 4_097), 'pages of 4097 bytes'],
    ['lost its second header', (bytes: Buffer) => bytes.fill(0, PAGE, 2 * PAGE), 'no LMDB file'],
  ])('one that %s is told', async (_, make, told) => {
    writeFileSync(copy, make(Buffer.from(intact)));
    const checked = checkPages(copy);
    await expect(checked).rejects.toThrow(PageDamage);
    await expect(checked).rejects.toThrow(told);
  });

  test('one that was cut short is told, wherever it was cut', async () => {
    for (const bytes of [1, 100, PAGE, 2 * PAGE, 2 * PAGE + 1, 10 * PAGE, intact.length / 2]) {
      writeFileSync(copy, intact);
      truncateSync(copy, Math.floor(bytes));
      await expect(checkPages(copy)).rejects.toThrow(PageDamage);
    }
  });

  test('a page that is in use and holds something else is told, whichever it is', async () => {
    const inUse: number[] = [];
    for (const page of [...pagesOf(1), ...pagesOf(2).filter((_, index) => index % 3 === 0)]) {
      const zero = await told((bytes) => bytes.fill(0, page * PAGE, (page + 1) * PAGE));
      const noise = await told((bytes) => bytes.fill(0x5a, page * PAGE, (page + 1) * PAGE));
      const number = await told((bytes) => bytes.writeUInt32LE(page + 1, page * PAGE));
      const newer = await told((bytes) => bytes.writeUInt32LE(0xffff_ffff, page * PAGE + 8));
      expect([page, noise, number, newer]).toEqual([page, zero, zero, zero]);
      if (zero) inUse.push(page);
    }
    // The others are free: nobody reads what they hold.
    expect(inUse.length).toBeGreaterThan(3);
  });

  test('two pages that changed places are told', async () => {
    const [first = 0, second = 0] = await live(pagesOf(2));
    await expect(
      changed((bytes) => {
        intact.copy(bytes, first * PAGE, second * PAGE, (second + 1) * PAGE);
        intact.copy(bytes, second * PAGE, first * PAGE, (first + 1) * PAGE);
      }),
    ).rejects.toThrow('holds something else than it should');
  });

  test('a page that two refer to is told', async () => {
    const [branch = 0] = await live(pagesOf(1));
    const [first, second] = childrenOf(branch);
    await expect(changed((bytes) => bytes.writeUInt32LE(first?.child ?? 0, second?.at ?? 0))).rejects.toThrow(
      'in use elsewhere',
    );
  });

  test('whatever is written over a header or a page, it is told or does not matter, and never breaks the check', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(intact.length / PAGE - 1),
        fc.nat(PAGE - 1),
        fc.uint8Array({ minLength: 1, maxLength: 64 }),
        async (page, offset, noise) => {
          const outcome = await changed((bytes) =>
            bytes.set(noise.subarray(0, PAGE - offset), page * PAGE + offset),
          ).then(
            () => 'in order',
            (thrown: unknown) => (thrown instanceof PageDamage ? 'told' : thrown),
          );
          expect(['in order', 'told']).toContain(outcome);
        },
      ),
      { numRuns: 100 },
    );
  });
});

async function told(change: (bytes: Buffer) => void): Promise<boolean> {
  return changed(change).then(
    () => false,
    (thrown: unknown) => {
      if (!(thrown instanceof PageDamage)) throw thrown;
      return true;
    },
  );
}

/** Two of these pages that are in use: what they hold matters. */
async function live(pages: readonly number[]): Promise<readonly number[]> {
  const found: number[] = [];
  for (const page of pages) {
    if (found.length < 2 && (await told((bytes) => bytes.fill(0, page * PAGE, (page + 1) * PAGE)))) found.push(page);
  }
  return found;
}

function childrenOf(page: number): readonly { readonly child: number; readonly at: number }[] {
  const start = page * PAGE;
  const count = intact.readUInt16LE(start + 20) / 2;
  return Array.from({ length: count }, (_, index) => {
    const at = start + 24 + intact.readUInt16LE(start + 24 + index * 2);
    return { child: intact.readUInt32LE(at), at };
  });
}

function withWord(bytes: Buffer, at: number, value: number): Buffer {
  bytes.writeUInt32LE(value, at);
  return bytes;
}
