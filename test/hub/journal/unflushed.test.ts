import { expect, test } from 'vitest';
import { type Committer, createCommitter } from '../../../src/hub/journal/committer.js';
import type { LmdbFile } from '../../../src/hub/journal/lmdb-file.js';
import { threadsAskedFor, unflushedFor } from '../../../src/hub/journal/unflushed.js';
import { silentLog } from '../../../src/net/log.js';

test.each([
  ['', 4],
  ['HOME=/root\0PATH=/bin\0', 4],
  ['UV_THREADPOOL_SIZE=12\0HOME=/root\0', 12],
  ['HOME=/root\0UV_THREADPOOL_SIZE=2\0', 2],
  ['NOT_UV_THREADPOOL_SIZE=9\0', 4],
  ['UV_THREADPOOL_SIZE=\0', 1],
  ['UV_THREADPOOL_SIZE=0\0', 1],
  ['UV_THREADPOOL_SIZE=many\0', 1],
])('libuv’s threads by what the process was started with: %j has %i', (environment, threads) => {
  expect(threadsAskedFor(environment)).toBe(threads);
});

test('commits that wait for the disk leave one of the threads to others, and are never more than LMDB lets wait', () => {
  expect([1, 2, 3, 4, 12, 17, 1_024].map(unflushedFor)).toEqual([1, 1, 2, 3, 11, 16, 16]);
});

/** Three commits may wait for it. */
function committerOn({ file }: ReturnType<typeof hangingDisk>) {
  return createCommitter({ file, path: '/journal', sync: 'interval', maxUnflushed: 3, log: silentLog });
}

test('a disk that does not answer holds up no commit before the last thread that may wait for it', async () => {
  const disk = hangingDisk();
  const committer = committerOn(disk);
  for (const head of ['1', '2', '3']) await commit(committer, head);
  expect(disk.head()).toBe('3');

  let fourth = false;
  const last = commit(committer, '4').then(() => {
    fourth = true;
  });
  for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
  expect([fourth, disk.head()]).toEqual([false, '3']);

  disk.flush();
  await last;
  expect(disk.head()).toBe('4');
  while (disk.flush());
  await committer.settled();
});

test('a commit that failed is not waited for, and the next one is found as before', async () => {
  const disk = hangingDisk();
  const committer = committerOn(disk);
  await commit(committer, '1');
  disk.refuse();
  await expect(commit(committer, '2')).rejects.toMatchObject({ code: 'journal_failed' });
  await commit(committer, '3');
  expect(disk.head()).toBe('3');
  while (disk.flush());
  await committer.settled();
});

function commit(committer: Committer, head: string): Promise<void> {
  return committer.commit(() => ({ head, write: () => undefined, rows: 0, valueBytes: 0 }));
}

interface HangingDisk {
  /** As much of it as a committer uses. lmdb's own nudge is missing: a commit is found by looking alone. */
  readonly file: LmdbFile;
  head(): string | undefined;
  /** Ends the oldest flush; `false` where none is under way. */
  flush(): boolean;
  /** The next commit fails, and is not seen. */
  refuse(): void;
}

/** Commits can be seen at once, and are flushed when the test says so. */
function hangingDisk(): HangingDisk {
  let entry: { readonly value: string; readonly version: number } | undefined;
  let refused = false;
  const flushes: (() => void)[] = [];
  const meta = {
    getEntry: () => entry,
    put(_key: string, value: string, version: number) {
      if (!refused) entry = { value, version };
    },
    ifVersion(_key: string, version: number, write: () => void): Promise<boolean> {
      if (version < 0) return Promise.resolve(false);
      write();
      if (refused) {
        refused = false;
        return Promise.reject(new Error('no room'));
      }
      return new Promise((resolve) => flushes.push(() => resolve(true)));
    },
  };
  const root = { resetReadTxn: () => undefined, transactionSync: () => undefined };
  const room = { reserve: () => Promise.resolve(), close: () => Promise.resolve() };
  return {
    file: { root, meta, room } as unknown as LmdbFile,
    head: () => entry?.value,
    flush() {
      const oldest = flushes.shift();
      oldest?.();
      return oldest !== undefined;
    },
    refuse() {
      refused = true;
    },
  };
}
