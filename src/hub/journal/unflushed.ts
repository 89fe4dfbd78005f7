import { readFile } from 'node:fs/promises';

/** What the process was started with. Linux alone tells it. */
const ENVIRONMENT = '/proc/self/environ';
/** libuv's threads where nothing is asked for. */
const DEFAULT_THREADS = 4;
/** Behind about so many commits that are not flushed LMDB waits by itself (`mdb_txn_commit`: 500 pages). */
const MOST = 16;

/**
 * How many commits may wait for the disk at once. Each holds one of libuv's threads until a flush covers it, and one
 * flush covers all that were made before it began: the more there may be, the seldomer a commit waits for the flush of
 * others, and there are no more flushes. One thread stays free: a disk that hangs holds up no other file and no name.
 */
export async function unflushedAtOnce(): Promise<number> {
  const environment = await readFile(ENVIRONMENT, 'latin1').catch(() => '');
  return unflushedFor(threadsAskedFor(environment));
}

/**
 * libuv's threads by `UV_THREADPOOL_SIZE` of an environment (`NAME=value`, each ended by a NUL); what is no number is 1
 * to libuv. Not by `process.env`: the threads run before a program's first line does, so what it sets there comes too
 * late, and is shown all the same.
 */
export function threadsAskedFor(environment: string): number {
  const asked = /(?:^|\0)UV_THREADPOOL_SIZE=([^\0]*)/.exec(environment)?.[1];
  if (asked === undefined) return DEFAULT_THREADS;
  const threads = Number.parseInt(asked, 10);
  return threads > 0 ? threads : 1;
}

export function unflushedFor(threads: number): number {
  return Math.min(MOST, Math.max(1, threads - 1));
}
