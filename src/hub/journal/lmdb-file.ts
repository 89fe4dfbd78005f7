import { chmod, mkdir, open as openFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Database, RootDatabase } from 'lmdb';
import { messageOf, SessionRelayError } from '../../errors.js';
import type { Log } from '../../net/log.js';
import { type FileRoom, openFileRoom } from './file-room.js';
import { lockFolder } from './folder-lock.js';
import { checkPages, PageDamage } from './page-check.js';
import { damaged, parseStamp, SCHEMA, STAMP } from './records.js';

const FILE = 'journal.mdb';
/** A journal is made under this name and gets its own once it is whole: one without contents is a damaged one. */
const NEW_FILE = 'new.mdb';
const LOCK_SUFFIX = '-lock';
/** What an empty journal takes, and more. */
const FIRST_BYTES = 512 * 1024;
/** What lmdb's lock file takes for its readers, and some more. */
const LOCK_BYTES = 12_288;
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;
const WRITABLE_BY_OTHERS = 0o022;
const MAX_DATABASES = 8;
/**
 * Addresses are cheap. Grown on demand, as lmdb does it, the map would be changed by two threads at once. On Windows it
 * is left to lmdb, which reserves there what it maps.
 */
const MAP_BYTES = 16 * 1024 ** 3;
export const HEAD = 'head';
const STAMP_KEY = 'journal';
/** lmdb waits for a flush that will never come after some failures; a close is given so long. */
const CLOSE_MS = 1_000;

/** The databases of one journal, open. Keys are bytes, values JSON text; `keys` hold an event's key. */
export interface LmdbFile {
  readonly root: RootDatabase<string, string>;
  readonly events: Database<string, Uint8Array>;
  readonly keys: Database<Uint8Array, Uint8Array>;
  readonly states: Database<string, Uint8Array>;
  readonly memory: Database<string, Uint8Array>;
  readonly epochs: Database<string, Uint8Array>;
  /** {@link HEAD}, whose version counts the commits, whoever makes them: what fences. */
  readonly meta: Database<string, string>;
  readonly room: FileRoom;
  /** Closes it and lets the folder go. Never rejects. */
  close(): Promise<void>;
}

/**
 * Opens the journal of a folder, or makes one: takes the folder, looks through the file, maps it.
 *
 * @throws SessionRelayError `journal_failed`: the folder is held, cannot be used, or its journal is damaged, newer, or
 * something else; `not_available` where `lmdb` has no binary for this machine.
 */
export async function openLmdbFile(path: string, log: Log): Promise<LmdbFile> {
  const lmdb = await loadLmdb();
  await prepareFolder(path, log);
  const lock = await lockFolder(path);
  try {
    const file = join(path, FILE);
    if (!(await exists(file))) await create(lmdb, path);
    await makeLockFile(file);
    await tighten(file);
    await look(file, path);
    const root = openRoot(lmdb, file);
    try {
      const databases = openDatabases(root, path);
      const room = await openFileRoom(file, () => root.getStats());
      return {
        ...databases,
        room,
        async close() {
          await room.close().catch(() => undefined);
          await closeRoot(root);
          await lock.release();
        },
      };
    } catch (thrown) {
      await closeRoot(root);
      throw thrown;
    }
  } catch (thrown) {
    await lock.release();
    throw thrown;
  }
}

type Lmdb = typeof import('lmdb');

/** Only where a durable journal is used: bots and their bundles go without. */
async function loadLmdb(): Promise<Lmdb> {
  try {
    return await import('lmdb');
  } catch (cause) {
    throw new SessionRelayError(
      'not_available',
      `the durable journal needs the package lmdb, which does not load here (${messageOf(cause)}): install it for this machine, or configure journal.engine: memory`,
      { cause },
    );
  }
}

/** An existing folder keeps its rights, which may be a volume's; what is in it is for this user alone in any case. */
async function prepareFolder(path: string, log: Log): Promise<void> {
  await mkdir(path, { recursive: true, mode: FOLDER_MODE });
  const { mode } = await stat(path);
  if ((mode & WRITABLE_BY_OTHERS) !== 0 && process.platform !== 'win32')
    log.warn('others may write in the folder of the journal, and so replace its files: chmod 700 it', { path });
}

async function create(lmdb: Lmdb, path: string): Promise<void> {
  const file = join(path, NEW_FILE);
  await remove(file);
  // What LMDB writes at first must fit: see `FileRoom`.
  await writeFile(file, Buffer.alloc(FIRST_BYTES), { mode: FILE_MODE });
  await remove(file);
  await makeLockFile(file);
  const root = openRoot(lmdb, file);
  try {
    const meta = openMeta(root, true);
    root.transactionSync(() => {
      // Returned, its promise would keep the transaction open.
      void meta?.put(STAMP_KEY, STAMP, 1);
    });
  } finally {
    await closeRoot(root);
  }
  await rename(file, join(path, FILE));
  await remove(file);
  await flushFolder(path);
}

/** A rename is safe from a power cut once its folder is flushed. Windows cannot flush a folder, and need not. */
async function flushFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const folder = await openFile(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function remove(file: string): Promise<void> {
  await rm(file, { force: true });
  await rm(file + LOCK_SUFFIX, { force: true });
}

/**
 * LMDB makes its lock file without contents and maps it, and a page that the disk then has no room for ends the process
 * by a signal. Written beforehand it has its room, or the error is one that can be told.
 */
async function makeLockFile(file: string): Promise<void> {
  const lock = await openFile(file + LOCK_SUFFIX, 'a', FILE_MODE);
  try {
    if ((await lock.stat()).size >= LOCK_BYTES) return;
    await lock.truncate();
    await lock.writeFile(Buffer.alloc(LOCK_BYTES));
  } finally {
    await lock.close();
  }
}

async function tighten(file: string): Promise<void> {
  await chmod(file, FILE_MODE);
  await chmod(file + LOCK_SUFFIX, FILE_MODE);
}

async function look(file: string, path: string): Promise<void> {
  try {
    await checkPages(file);
  } catch (thrown) {
    if (thrown instanceof PageDamage) throw damaged(path, `${FILE}: ${thrown.message}`);
    throw thrown;
  }
}

function openRoot(lmdb: Lmdb, file: string): RootDatabase<string, string> {
  const options = {
    path: file,
    encoding: 'string',
    maxDbs: MAX_DATABASES,
    ...(process.platform === 'win32' ? {} : { mapSize: MAP_BYTES }),
    // Each commit is a batch of its own here; and lmdb makes a promise of its own a turn, which nobody handles.
    eventTurnBatching: false,
    // Not among lmdb's types: the mode of the files that it makes (`env.cpp`).
    permissionsMode: FILE_MODE,
  } as const;
  return lmdb.open<string, string>(options);
}

function openMeta(root: RootDatabase<string, string>, create: boolean): Database<string, string> | undefined {
  // `create` is not among lmdb's types either (`open.js`); without it a database that is missing is `undefined`.
  const options = { name: 'meta', encoding: 'string', useVersions: true, create } as const;
  return root.openDB<string, string>(options);
}

/** Whose file it is comes first: nothing is made in another's. */
function openDatabases(root: RootDatabase<string, string>, path: string): Omit<LmdbFile, 'close' | 'room'> {
  const meta = openMeta(root, false);
  const text = meta?.get(STAMP_KEY);
  if (meta === undefined || text === undefined)
    throw new SessionRelayError(
      'journal_failed',
      `${join(path, FILE)} is an LMDB file, but no journal of session-relay`,
    );
  const stamp = parseStamp(text);
  if (stamp === undefined) throw damaged(path, `its record ${STAMP_KEY} cannot be read`);
  if (stamp.schema > SCHEMA)
    throw new SessionRelayError(
      'journal_failed',
      `the journal in ${path} was written by a newer version of session-relay (layout ${stamp.schema}; this one knows ${SCHEMA}): run that version, or choose another folder`,
    );
  const texts = (name: string) => root.openDB<string, Uint8Array>({ name, encoding: 'string', keyEncoding: 'binary' });
  return {
    root,
    events: texts('events'),
    keys: root.openDB<Uint8Array, Uint8Array>({ name: 'keys', encoding: 'binary', keyEncoding: 'binary' }),
    states: texts('states'),
    memory: texts('memory'),
    epochs: texts('epochs'),
    meta,
  };
}

/** Never rejects, and never hangs. */
async function closeRoot(root: RootDatabase<string, string>): Promise<void> {
  const closed = new AbortController();
  const late = setTimeout(CLOSE_MS, undefined, { signal: closed.signal }).catch(() => undefined);
  await Promise.race([root.close().catch(() => undefined), late]);
  closed.abort();
}

async function exists(file: string): Promise<boolean> {
  try {
    await stat(file);
    return true;
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return false;
    throw thrown;
  }
}
