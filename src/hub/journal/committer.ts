import { setTimeout as pause } from 'node:timers/promises';
import { getSystemErrorMap } from 'node:util';
import { messageOf, SessionRelayError } from '../../errors.js';
import type { Log } from '../../net/log.js';
import { HEAD, type LmdbFile } from './lmdb-file.js';

/** lmdb shows when a commit may be seen; should it not, it is looked for at this pace. */
const LOOK_MS = 2;
/** lmdb tells why a commit failed a moment after it told that it did, and for some reasons never. */
const REASON_MS = 500;
/** A disk that does not answer is waited for so long at the end. */
const SETTLE_MS = 5_000;
/** No version is less than 1. */
const NEVER = -1;
/** What lmdb's writer reports beyond it is an error. */
const LAST_PROGRESS = 2;

/**
 * Commits batches to an LMDB file, one at a time, each only where the file is as this process left it: every commit,
 * another process's too, raises the version of {@link HEAD}, and a batch that expects another version does nothing. So
 * no two processes continue the same journal, even where no lock keeps them apart.
 */
export interface Committer {
  /**
   * Commits what `prepare` says, whole or not at all; it is asked when nothing stands in the way any more, and what it
   * throws is thrown. Under `interval` it resolves once the commit can be seen, and so survives the end of the process;
   * under `always` once it is flushed, and so survives the end of the machine. Not to be called before the last one has
   * settled.
   *
   * @throws SessionRelayError `journal_failed`. What a full disk did not take may be tried again. After a failed flush,
   * or once another process has opened the journal, every further commit is refused.
   */
  commit(prepare: () => Prepared): Promise<void>;
  /** Resolves when nothing waits for the disk, or does in vain. Never rejects. */
  settled(): Promise<void>;
}

export interface Prepared {
  /** The value of {@link HEAD}. */
  readonly head: string;
  /** Puts everything else. Must not throw. */
  readonly write: () => void;
  /** Rows that it puts or removes, and what their values have: see `FileRoom.reserve`. */
  readonly rows: number;
  readonly valueBytes: number;
}

interface Commit {
  /** The version that {@link HEAD} gets. */
  readonly wanted: number;
  readonly head: string;
  /** It was told as committed, though not as flushed. */
  seen: boolean;
}

export interface CommitterOptions {
  readonly file: LmdbFile;
  readonly path: string;
  readonly sync: 'interval' | 'always';
  /** Commits that may wait for the disk at once under `interval`: see `unflushed.ts`. */
  readonly maxUnflushed: number;
  readonly log: Log;
}

export function createCommitter({ file, path, sync, maxUnflushed, log }: CommitterOptions): Committer {
  const { root, meta } = file;
  let version = meta.getEntry(HEAD)?.version ?? 0;
  /** Why the last commit failed: lmdb must be looked at before it is used again. */
  let suspect: { readonly cause: unknown } | undefined;
  let broken: SessionRelayError | undefined;
  const unflushed = new Set<Promise<void>>();
  /** Looks whether the commit that is under way can be seen. */
  let look: (() => void) | undefined;
  /** What lmdb's writer failed with last. */
  let status: number | undefined;
  listenIn(root, (said) => {
    if (said < 0 || said > LAST_PROGRESS) status = said;
    look?.();
  });
  /** One for all commits, wound up again by each: a timer of its own would cost each more than the look does. */
  const timer = setTimeout(() => {
    if (look === undefined) return;
    look();
    timer.refresh();
  }, LOOK_MS).unref();

  /** Whether this very commit is the last one: another process's may have the same version. */
  const isLast = ({ wanted, head }: Commit): boolean => {
    try {
      root.resetReadTxn();
      const entry = meta.getEntry(HEAD);
      return entry?.version === wanted && entry.value === head;
    } catch {
      // After some failures lmdb reads no more; what became of the commit is told by its end.
      return false;
    }
  };

  const breakWith = (error: SessionRelayError): SessionRelayError => {
    if (broken === undefined) log.error(error.message);
    broken ??= error;
    return broken;
  };

  /** What became of a commit, once it has been flushed. Never rejects. */
  const follow = async (commit: Commit, done: Promise<boolean>): Promise<SessionRelayError | undefined> => {
    try {
      if (!(await done)) return breakWith(fenced(path));
      if (sync === 'always') await root.flushed;
      return undefined;
    } catch (thrown) {
      const cause = await reasonOf(thrown, status);
      if (commit.seen || isLast(commit)) return breakWith(notFlushed(path, cause));
      suspect = { cause };
      return notWritten(path, cause);
    }
  };

  /** Resolves when the commit can be seen, or has ended: whichever comes first. */
  const seen = (commit: Commit, ended: Promise<void>): Promise<void> =>
    new Promise((resolve) => {
      const stop = (): void => {
        if (look === own) look = undefined;
        resolve();
      };
      const own = (): void => {
        if (!isLast(commit)) return;
        commit.seen = true;
        stop();
      };
      look = own;
      timer.refresh();
      void ended.then(stop);
    });

  /** After a failure: a transaction that writes nothing shows whether lmdb can go on, and ends what waits within it. */
  const recover = async (cause: unknown): Promise<void> => {
    try {
      root.transactionSync(() => undefined);
    } catch {
      throw breakWith(notFlushed(path, cause));
    }
    await meta.ifVersion(HEAD, NEVER, () => undefined);
    suspect = undefined;
  };

  return {
    async commit(prepare) {
      if (suspect !== undefined && broken === undefined) await recover(suspect.cause);
      while (unflushed.size >= maxUnflushed) await Promise.race(unflushed);
      if (broken !== undefined) throw broken;
      const { head, write, rows, valueBytes } = prepare();
      try {
        await file.room.reserve(rows, valueBytes);
      } catch (thrown) {
        throw notWritten(path, thrown);
      }
      status = undefined;
      const commit: Commit = { wanted: version + 1, head, seen: false };
      const done = meta.ifVersion(HEAD, version, () => {
        write();
        void meta.put(HEAD, head, commit.wanted);
      });
      let failure: SessionRelayError | undefined;
      const ended: Promise<void> = follow(commit, done).then((error) => {
        failure = error;
        unflushed.delete(ended);
      });
      unflushed.add(ended);
      await (sync === 'always' ? ended : seen(commit, ended));
      if (failure !== undefined) throw failure;
      version = commit.wanted;
    },
    async settled() {
      const over = new AbortController();
      const late = pause(SETTLE_MS, undefined, { signal: over.signal }).catch(() => undefined);
      await Promise.race([Promise.all(unflushed), late]);
      over.abort();
      // Otherwise lmdb's own close waits for a flush that will never come.
      if (suspect !== undefined && broken === undefined) await recover(suspect.cause).catch(() => undefined);
    },
  };
}

/** The writer of lmdb's native environment (`write.js`): it reports its progress to a callback. */
interface Writer {
  readonly startWriting: (address: unknown, progress: (status: number) => unknown) => unknown;
}

/**
 * Calls `hear` with what lmdb's writer reports: that it has flushed, that a commit may be seen, that it wants something
 * done (0 to 2), else the error that it ended with. lmdb's promise resolves only after the flush, it has no event for
 * what comes before, and it loses the error of a commit that fails while another is flushed. This is no documented part
 * of lmdb, and only a nudge and a better message: what is decided on is read from the file, and a timer looks too.
 */
function listenIn(root: object, hear: (status: number) => void): void {
  const env: unknown = 'env' in root ? root.env : undefined;
  if (!isWriter(env)) return;
  const startWriting = env.startWriting.bind(env);
  const value: Writer['startWriting'] = (address, progress) =>
    startWriting(address, (status) => {
      const answer = progress(status);
      hear(status);
      return answer;
    });
  Object.defineProperty(env, 'startWriting', { value });
}

function isWriter(value: unknown): value is Writer {
  return (
    typeof value === 'object' && value !== null && 'startWriting' in value && typeof value.startWriting === 'function'
  );
}

/** Why lmdb's writer failed; its first error says only that it did, and carries a promise of the reason. */
async function reasonOf(thrown: unknown, status: number | undefined): Promise<unknown> {
  if (!(thrown instanceof Error && 'commitError' in thrown && thrown.commitError instanceof Promise)) return thrown;
  const reason = thrown.commitError.catch((why: unknown) => why);
  const [name, text] = getSystemErrorMap().get(status === undefined ? 0 : -status) ?? [];
  if (name !== undefined) return `${name}: ${text}`;
  return Promise.race([reason, pause(REASON_MS, 'lmdb does not say why')]);
}

function fenced(path: string): SessionRelayError {
  return new SessionRelayError(
    'journal_failed',
    `another relay has opened the journal in ${path} since: this one writes no more in it. End one of the two`,
  );
}

function notWritten(path: string, cause: unknown): SessionRelayError {
  return new SessionRelayError(
    'journal_failed',
    `the journal in ${path} cannot be written: ${messageOf(cause)}. Where the disk is full, make room: what waits is written then`,
    { cause },
  );
}

function notFlushed(path: string, cause: unknown): SessionRelayError {
  return new SessionRelayError(
    'journal_failed',
    `the journal in ${path} could not be flushed to its disk, so that nothing more is certain of it: ${messageOf(cause)}. Check the disk, then start the relay again`,
    { cause },
  );
}
