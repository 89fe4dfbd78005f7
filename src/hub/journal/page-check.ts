import { readSync } from 'node:fs';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';

/**
 * Looks through an LMDB file before it is mapped: LMDB trusts what it reads, and a damaged page ends the process by a
 * signal, without a word. What is read is the snapshot that LMDB would open: every page that its trees reach must lie
 * in the file, say its own number, be no newer than the snapshot, and hold keys in order within its bounds. What the
 * values say is not looked at here.
 *
 * The layout is that of LMDB's data format 2 as the `lmdb` package builds it (`mdb.c`: `MDB_page_header`, `MDB_meta`,
 * `MDB_node`, `MDB_db`, and `mdb_pick_meta` for the choice), on a 64-bit little-endian machine.
 */
const MAGIC = 0xbeefc0de;
const FORMAT = 2;
const HEADER_BYTES = 24;
const META_BYTES = 192;
const NODE_BYTES = 8;
const DB_BYTES = 48;
const OVERFLOW_REF_BYTES = 24;
const MIN_PAGE_BYTES = 256;
const MAX_PAGE_BYTES = 65_536;
/** Deeper than any tree of a file that fits on a disk. */
const MAX_DEPTH = 32;
const P_BRANCH = 0x01;
const P_LEAF = 0x02;
const P_OVERFLOW = 0x04;
const P_META = 0x08;
const F_BIGDATA = 0x01;
const F_SUBDATA = 0x02;
const F_DUPDATA = 0x04;
/** A meta page that was written before its pages were flushed (`MDB_OVERLAPPINGSYNC`). */
const NOT_FLUSHED = 0x1000;
const NO_PAGE = 0xffff_ffff_ffff_ffffn;
/** Pages between two turns of the event loop. */
const PAGES_A_TURN = 1_000;
const WARM_BYTES = 1024 * 1024;
/** Another process may commit while this one reads; then it looks again. */
const MAX_LOOKS = 3;
const BOOT_ID = '/proc/sys/kernel/random/boot_id';

/** What is wrong with a file, and where. */
export class PageDamage extends Error {}

/**
 * Resolves where the file can be mapped and read. Reads the whole file once, from its beginning to its end, and then
 * every page that is in use.
 *
 * @throws PageDamage with what was found.
 */
export async function checkPages(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await warm(file);
    const bootId = await bootIdOfKernel();
    for (let looks = 1; ; looks++) {
      const snapshot = await pickSnapshot(file, bootId);
      try {
        await walk(file, snapshot);
        return;
      } catch (thrown) {
        const now = await pickSnapshot(file, bootId);
        if (now.txn === snapshot.txn || looks >= MAX_LOOKS) throw thrown;
      }
    }
  } finally {
    await file.close();
  }
}

/**
 * What identifies this run of the kernel, as LMDB reads it: the first group of hex digits of the boot id. After a kill
 * of the process alone LMDB goes on from the last commit, since the kernel has all of it; after a restart of the machine
 * from the last one that was flushed. `undefined` where the kernel does not tell: then LMDB takes every start for one
 * after a power cut.
 */
export async function bootIdOfKernel(): Promise<bigint | undefined> {
  try {
    const [digits] = /^[0-9a-f]+/i.exec(await readFile(BOOT_ID, 'utf8')) ?? [];
    return digits === undefined ? undefined : BigInt(`0x${digits}`);
  } catch {
    return undefined;
  }
}

/** A disk gives a file far faster in one piece than page by page; the kernel keeps it for what follows. */
async function warm(file: FileHandle): Promise<void> {
  const buffer = Buffer.allocUnsafe(WARM_BYTES);
  while ((await file.read(buffer, 0, WARM_BYTES)).bytesRead > 0);
}

interface Tree {
  readonly root: bigint;
  readonly depth: number;
}

interface Snapshot {
  readonly txn: bigint;
  readonly bootId: bigint;
  readonly flushed: boolean;
  readonly pageBytes: number;
  readonly lastPage: bigint;
  readonly free: Tree;
  readonly main: Tree;
}

async function pickSnapshot(file: FileHandle, bootId: bigint | undefined): Promise<Snapshot> {
  const first = await readMeta(file, 0);
  const { pageBytes } = first;
  const last = await readMeta(file, pageBytes);
  // The copy in the second half of page 0 is written after each flush; zero in a file that never had one.
  const flushed = await readMeta(file, pageBytes / 2, false);
  const pick = (a: Snapshot, b: Snapshot | undefined): Snapshot => {
    if (b === undefined || b.txn === 0n) return a;
    const [older, latest] = a.txn >= b.txn ? [b, a] : [a, b];
    // Where the kernel does not tell its boot id elsewhere than under /proc, LMDB does know it: the latest is its choice.
    const sameBoot = process.platform === 'linux' ? latest.bootId !== 0n && latest.bootId === bootId : true;
    return sameBoot || latest.flushed ? latest : older;
  };
  return pick(pick(first, last), flushed);
}

async function readMeta(file: FileHandle, at: number): Promise<Snapshot>;
async function readMeta(file: FileHandle, at: number, required: boolean): Promise<Snapshot | undefined>;
async function readMeta(file: FileHandle, at: number, required = true): Promise<Snapshot | undefined> {
  const page = Buffer.alloc(META_BYTES);
  const { bytesRead } = await file.read(page, 0, META_BYTES, at);
  if (bytesRead < META_BYTES) throw new PageDamage(`it ends within its header, at byte ${at + bytesRead}`);
  const meta = page.subarray(HEADER_BYTES);
  const db = (offset: number): Tree => ({
    depth: meta.readUInt16LE(offset + 6),
    root: meta.readBigUInt64LE(offset + 40),
  });
  const snapshot: Snapshot = {
    pageBytes: meta.readUInt32LE(24),
    flushed: (meta.readUInt16LE(28) & NOT_FLUSHED) === 0,
    free: db(24),
    main: db(72),
    lastPage: meta.readBigUInt64LE(120),
    txn: meta.readBigUInt64LE(128),
    bootId: meta.readBigUInt64LE(136),
  };
  // Only the two meta pages have a header and a magic; the flushed copy begins at its `mapsize`.
  if (!required) return snapshot;
  if ((page.readUInt16LE(18) & P_META) === 0 || meta.readUInt32LE(0) !== MAGIC)
    throw new PageDamage(`it is no LMDB file: byte ${at} begins no meta page`);
  const format = meta.readUInt32LE(4) & 0xffff;
  if (format !== FORMAT) throw new PageDamage(`it is of LMDB's data format ${format}; this version reads ${FORMAT}`);
  const { pageBytes } = snapshot;
  const isPageSize = pageBytes >= MIN_PAGE_BYTES && pageBytes <= MAX_PAGE_BYTES && (pageBytes & (pageBytes - 1)) === 0;
  if (!isPageSize) throw new PageDamage(`its header at byte ${at} states pages of ${pageBytes} bytes`);
  return snapshot;
}

/** Every page of every tree, once. */
async function walk(file: FileHandle, snapshot: Snapshot): Promise<void> {
  const { pageBytes, lastPage, txn } = snapshot;
  const { size } = await file.stat();
  const pages = Math.floor(size / pageBytes);
  if (lastPage > 0xffff_ffffn) throw new PageDamage(`its header states ${lastPage} pages`);
  const seen = new Uint8Array(Math.min(pages, Number(lastPage) + 1));
  let count = 0;

  const claim = (number: bigint, run: number, from: string): number => {
    const first = Number(number);
    if (number < 2n || number + BigInt(run) - 1n > lastPage)
      throw new PageDamage(`${from} refers to page ${number}, of ${lastPage + 1n}`);
    if (first + run > pages)
      throw new PageDamage(`it was cut short: ${from} refers to page ${number}, and ${pages} are there`);
    for (let page = first; page < first + run; page++) {
      if (seen[page] !== 0) throw new PageDamage(`${from} refers to page ${page}, which is in use elsewhere`);
      seen[page] = 1;
    }
    return first;
  };

  const readPage = (number: number, flags: number): Buffer => {
    const page = Buffer.allocUnsafeSlow(pageBytes);
    if (readSync(file.fd, page, 0, pageBytes, number * pageBytes) < pageBytes)
      throw new PageDamage(`it was cut short within page ${number}`);
    if (
      page.readBigUInt64LE(0) !== BigInt(number) ||
      (page.readUInt16LE(18) & (P_BRANCH | P_LEAF | P_OVERFLOW)) !== flags
    )
      throw new PageDamage(`page ${number} holds something else than it should`);
    if (page.readBigUInt64LE(8) > txn) throw new PageDamage(`page ${number} is newer than what refers to it`);
    return page;
  };

  /** The value of a leaf's node that is kept apart: its pages must be there. */
  const checkOverflow = (node: Buffer, dataAt: number, valueBytes: number, from: string): void => {
    const number = node.readBigUInt64LE(dataAt);
    const run = Math.floor((HEADER_BYTES - 1 + valueBytes) / pageBytes) + 1;
    const first = claim(number, run, from);
    const page = readPage(first, P_OVERFLOW);
    if (page.readUInt32LE(20) !== run) throw new PageDamage(`page ${first} begins another value than it should`);
  };

  const checkTree = async ({ root, depth }: Tree, name: string, isMain: boolean): Promise<void> => {
    if (root === NO_PAGE) return;
    if (depth < 1 || depth > MAX_DEPTH) throw new PageDamage(`the tree ${name} states a depth of ${depth}`);
    await checkNode(root, depth, `the tree ${name}`, isMain, name === 'free');
  };

  const checkNode = async (
    number: bigint,
    level: number,
    from: string,
    isMain: boolean,
    isFree: boolean,
  ): Promise<void> => {
    const own = claim(number, 1, from);
    if (++count % PAGES_A_TURN === 0) await nextTurn();
    const isLeaf = level === 1;
    const page = readPage(own, isLeaf ? P_LEAF : P_BRANCH);
    const here = `page ${own}`;
    const lower = page.readUInt16LE(20);
    const upper = page.readUInt16LE(22);
    const nodes = lower >> 1;
    const room = pageBytes - HEADER_BYTES;
    if (lower % 2 !== 0 || lower > upper || upper > room || nodes < 1)
      throw new PageDamage(`${here} states bounds that it cannot have`);
    let before: Buffer | undefined;
    for (let index = 0; index < nodes; index++) {
      const at = HEADER_BYTES + page.readUInt16LE(HEADER_BYTES + index * 2);
      if (at < HEADER_BYTES + upper || at + NODE_BYTES > pageBytes)
        throw new PageDamage(`${here} refers to a record outside itself`);
      const keyBytes = page.readUInt16LE(at + 6);
      const keyAt = at + NODE_BYTES;
      const dataAt = keyAt + keyBytes;
      if (dataAt > pageBytes) throw new PageDamage(`${here} holds a key that does not fit`);
      const key = page.subarray(keyAt, dataAt);
      // The first key of a branch page is not looked at by LMDB, and may be anything.
      if (isLeaf || index > 0) {
        if (before !== undefined && compareKeys(before, key, isFree) >= 0)
          throw new PageDamage(`${here} holds keys out of order`);
        before = key;
      }
      if (!isLeaf) {
        const child = BigInt(page.readUInt32LE(at)) | (BigInt(page.readUInt16LE(at + 4)) << 32n);
        await checkNode(child, level - 1, here, isMain, isFree);
        continue;
      }
      const flags = page.readUInt16LE(at + 4);
      const valueBytes = page.readUInt32LE(at);
      if ((flags & F_DUPDATA) !== 0 || (flags & ~(F_BIGDATA | F_SUBDATA)) !== 0)
        throw new PageDamage(`${here} holds a record of an unknown kind`);
      const inPage = (flags & F_BIGDATA) === 0 ? valueBytes : OVERFLOW_REF_BYTES;
      if (dataAt + inPage > pageBytes) throw new PageDamage(`${here} holds a value that does not fit`);
      if ((flags & F_BIGDATA) !== 0) checkOverflow(page, dataAt, valueBytes, here);
      if ((flags & F_SUBDATA) === 0) continue;
      if (!isMain || valueBytes !== DB_BYTES) throw new PageDamage(`${here} holds a tree that it cannot have`);
      const tree = { depth: page.readUInt16LE(dataAt + 6), root: page.readBigUInt64LE(dataAt + 40) };
      await checkTree(tree, key.toString('latin1'), false);
    }
  };

  await checkTree(snapshot.free, 'free', false);
  await checkTree(snapshot.main, 'main', true);
}

/** Bytes in order; the free list's keys are 64-bit numbers. */
function compareKeys(a: Buffer, b: Buffer, isFree: boolean): number {
  if (!isFree || a.length !== 8 || b.length !== 8) return Buffer.compare(a, b);
  const [left, right] = [a.readBigUInt64LE(), b.readBigUInt64LE()];
  return left < right ? -1 : left > right ? 1 : 0;
}
