import { open } from 'node:fs/promises';
import { z } from 'zod';

/** A file grows by so much at least, and by a sixteenth of itself: seldom, and in one piece. */
const STEP_BYTES = 1024 * 1024;
const STEP_SHARE = 1 / 16;
/**
 * Written in small pieces: Linux caches what one write brings in pieces as large (ext4 since 6.16: folios of up to 2 MiB),
 * and each page that LMDB then writes within one, and each flush, goes through all of it: a quarter of a commit's system time.
 */
const ZEROS = Buffer.alloc(32_768);
/** What a transaction may write beside its rows: the pages above them, the list of free pages. */
const COMMON_PAGES = 64;
/** What one row may touch where it lies by itself: its page, and one above. */
const PAGES_A_ROW = 2;
/** Values lie in pages that may be half empty. */
const PAGES_OF_VALUES = 2;
/** The smallest page: where pages are larger, fewer are needed. */
const PAGE_BYTES = 4_096;

/** What lmdb's `getStats` says of the file. */
const stats = z.object({ lastPageNumber: z.number(), root: z.object({ pageSize: z.number() }) });

/**
 * Room on the disk for what LMDB is about to write. It is taken beforehand, with zeros behind the last page in use,
 * where no room is an error like any other. LMDB itself, where a page does not fit on the disk any more, prints the
 * place into a buffer that is too short for it (lmdb 3.5.6: `mdb.c`, `mdb_page_flush`), which can end the process.
 */
export interface FileRoom {
  /**
   * Resolves once so much can be written, and more than it takes: rows that are put or removed, each somewhere else, and
   * what their values have together. Rows whose order is that of writing, as events have it, count by their values
   * alone. Rejects with the system's error where the disk has no room.
   */
  reserve(rows: number, valueBytes: number): Promise<void>;
  close(): Promise<void>;
}

export async function openFileRoom(path: string, getStats: () => unknown): Promise<FileRoom> {
  // Only ever added to its end, wherever that is by then: what another process writes is never written over.
  const file = await open(path, 'a');
  let { size } = await file.stat();
  let pageBytes = PAGE_BYTES;
  /** Pages that there are, more or less. */
  let used = 0;
  /** Pages behind the last one in use, less those that may have been used since that was looked at. */
  let spare = 0;

  const look = (): void => {
    const { lastPageNumber, root } = stats.parse(getStats());
    pageBytes = root.pageSize;
    used = lastPageNumber + 1;
    spare = Math.max(0, Math.floor(size / pageBytes) - used);
  };
  /** What was added counts also where the rest did not fit. */
  const extend = async (bytes: number): Promise<void> => {
    try {
      for (let left = bytes; left > 0; ) {
        const { bytesWritten } = await file.write(ZEROS, 0, Math.min(ZEROS.length, left));
        left -= bytesWritten;
      }
    } finally {
      ({ size } = await file.stat());
      look();
    }
  };

  return {
    async reserve(rows, valueBytes) {
      const fresh = COMMON_PAGES + PAGES_OF_VALUES * Math.ceil(valueBytes / PAGE_BYTES);
      const needed = (): number => fresh + Math.min(PAGES_A_ROW * rows, used);
      const missing = (): number => (needed() - spare) * pageBytes;
      if (missing() > 0) look();
      // Where there is not room for a large step there may be enough.
      if (missing() > 0)
        await extend(Math.max(missing(), STEP_BYTES, Math.ceil(size * STEP_SHARE))).catch(() => undefined);
      // A file that is shorter than what LMDB has given out grows by that too.
      for (let tries = 0; missing() > 0 && tries < 2; tries++) await extend(missing());
      spare -= needed();
      used += fresh;
    },
    close: () => file.close(),
  };
}
