import { setImmediate as nextTurn } from 'node:timers/promises';
import { messageOf, SessionRelayError } from '../../errors.js';
import { type Cursor, compareCursors, formatCursor } from '../../model/cursor.js';
import type { SessionEvent } from '../../model/event.js';
import { type Log, silentLog } from '../../net/log.js';
import { type Committer, createCommitter } from './committer.js';
import type { Journal, JournalBatch, JournalContents, JournalPage, Retention } from './journal.js';
import { type LmdbFile, openLmdbFile } from './lmdb-file.js';
import { headText, rowsOf } from './lmdb-rows.js';
import { beginEpoch, readContents } from './lmdb-start.js';
import { bootIdOfKernel } from './page-check.js';
import { cursorOf, holdsCursor, nextAfter, type Position } from './position.js';
import { cursorOfKey, damaged, eventKey, nameKey, parseEvent, weightOf } from './records.js';
import { unflushedAtOnce } from './unflushed.js';

const DEFAULT_RETENTION: Retention = { maxAgeMs: 7 * 86_400_000, maxBytes: 256 * 1024 * 1024 };
/** Events of one transaction of retention: an append waits for one at most. */
const DROPPED_AT_ONCE = 500;
/** Their pages are changed once more: about what an event has. */
const DROPPED_BYTES = 500;
/** What a new epoch puts and removes, beside epochs that are forgotten. */
const FIRST_ROWS = 16;
/** Events read between two turns of the event loop. */
const READ_AT_ONCE = 500;

export interface LmdbJournalOptions {
  /** The folder that holds it. Made with rights for this user alone where it is missing; one relay at a time. */
  readonly path: string;
  /**
   * `interval` (default): an append resolves once it survives the end of the process, and is flushed in the background
   * at once; a power cut takes back what was not flushed yet. `always`: it resolves once it is flushed. Where the kernel
   * does not tell its boot id, `always` is used whatever is asked for: LMDB could not tell a kill from a power cut.
   */
  readonly sync?: 'interval' | 'always';
  /** Default 7 days and 256 MiB of events. */
  readonly retention?: Retention;
  readonly log?: Log;
}

/**
 * A journal on disk, in LMDB: survives `kill -9` at any moment. The file does not shrink: what retention drops is room
 * for what comes. Everything rejects with `journal_failed`, with the folder and what to do; `open` also with
 * `not_available`.
 */
export function createLmdbJournal(options: LmdbJournalOptions): Journal {
  const { path, retention = DEFAULT_RETENTION, log = silentLog } = options;
  let opened: Opened | undefined;
  let tail: Promise<unknown> = Promise.resolve();
  let truncating: Promise<string> | undefined;

  /** One after another, in the order of the calls. */
  const inTurn = <T>(task: () => Promise<T>): Promise<T> => {
    const run = tail.then(task);
    tail = run.catch(() => undefined);
    return run;
  };

  const mustBeOpen = (): Opened => {
    if (opened === undefined) throw notOpen();
    return opened;
  };

  const guarded = async <T>(what: string, task: () => Promise<T>): Promise<T> => {
    try {
      return await task();
    } catch (thrown) {
      throw asJournalFailed(path, what, thrown);
    }
  };

  const open = async (nowMs: number): Promise<JournalContents> => {
    if (opened !== undefined) throw new SessionRelayError('journal_failed', `the journal in ${path} is open already`);
    const sync = await syncFor(options.sync ?? 'interval', log);
    const file = await openLmdbFile(path, log);
    try {
      await file.room.reserve(FIRST_ROWS, 0);
      const { position, bytes } = beginEpoch(file, path, nowMs);
      const contents = readContents(file, path);
      const committer = createCommitter({ file, path, sync, maxUnflushed: await unflushedAtOnce(), log });
      opened = { file, committer, position, bytes };
      return { epoch: position.epoch, ...contents };
    } catch (thrown) {
      await file.close();
      throw thrown;
    }
  };

  const append = async (batch: JournalBatch): Promise<void> => {
    const journal = mustBeOpen();
    const { file, position } = journal;
    const next = { ...position, offset: position.offset + batch.events.length };
    let { bytes } = journal;
    await journal.committer.commit(() => {
      mustFollow(batch.events, position);
      const rows = rowsOf(batch, file, position);
      const known = rows.firstHeld();
      if (known !== undefined) throw held(known);
      bytes += rows.bytes;
      return { head: headText(next, bytes), write: rows.write, rows: rows.rows, valueBytes: rows.valueBytes };
    });
    journal.position = next;
    journal.bytes = bytes;
  };

  /** Drops a portion of what is not kept; whether there may be more. */
  const dropSome = async (journal: Opened, nowMs: number): Promise<boolean> => {
    const { file, position } = journal;
    const { events, floor, bytes } = droppable(journal, path, nowMs, retention);
    if (events.length === 0) return false;
    // It is not said to be held from here on: while it goes, and until it is known to be still there.
    const next = { ...position, floor, dropped: true };
    journal.position = next;
    try {
      await journal.committer.commit(() => ({
        head: headText(next, bytes),
        rows: events.length,
        valueBytes: events.length * DROPPED_BYTES,
        write() {
          for (const { at, key } of events) {
            void file.events.remove(at);
            void file.keys.remove(key);
          }
        },
      }));
      journal.bytes = bytes;
    } catch (thrown) {
      journal.position = position;
      throw thrown;
    }
    return events.length === DROPPED_AT_ONCE;
  };

  const truncate = async (nowMs: number): Promise<string> => {
    const journal = mustBeOpen();
    // Closed meanwhile: what is left to drop is there for the next life.
    while (await inTurn(async () => opened === journal && (await dropSome(journal, nowMs))));
    return journal.position.floor;
  };

  const read = async (after: string, limit: number): Promise<JournalPage> => {
    const journal = mustBeOpen();
    const complete = holdsCursor(journal.position, after);
    const events: SessionEvent[] = [];
    let at = compareCursors(after, journal.position.floor) > 0 ? after : journal.position.floor;
    for (;;) {
      const wanted = Math.min(READ_AT_ONCE, limit - events.length);
      const end = events.length + wanted;
      let more = false;
      for (const { cursor, text } of scan(journal, path, at, wanted + 1)) {
        more = events.length === end;
        if (more) break;
        events.push(eventOf(path, cursor, text));
        at = cursor;
      }
      const page = { events, cursor: events.at(-1)?.id ?? after, more, complete };
      if (!more || events.length >= limit) return page;
      await nextTurn();
      if (opened !== journal) throw notOpen();
      // Retention has overtaken it: that something is missing is for the next page to say.
      if (compareCursors(at, journal.position.floor) < 0) return page;
    }
  };

  return {
    open: (nowMs) => inTurn(() => guarded('opened', () => open(nowMs))),
    append: (batch) => inTurn(() => guarded('written', () => append(batch))),
    read: (after, limit) => guarded('read', () => read(after, limit)),
    head() {
      const { epoch, offset } = mustBeOpen().position;
      return formatCursor(epoch, offset);
    },
    oldest: () => mustBeOpen().position.floor,
    holds: (cursor) => opened !== undefined && holdsCursor(opened.position, cursor),
    bytes: () => opened?.bytes ?? 0,
    hasKey(key) {
      try {
        return mustBeOpen().file.keys.doesExist(nameKey(key));
      } catch (thrown) {
        throw asJournalFailed(path, 'read', thrown);
      }
    },
    truncate(nowMs) {
      truncating ??= guarded('truncated', () => truncate(nowMs)).finally(() => {
        truncating = undefined;
      });
      return truncating;
    },
    close: () =>
      inTurn(async () => {
        const closing = opened;
        opened = undefined;
        await closing?.committer.settled();
        await closing?.file.close();
      }),
  };
}

/** One life of a journal. */
interface Opened {
  readonly file: LmdbFile;
  readonly committer: Committer;
  /** What is committed, and said to be: reads never go beyond it, whatever the file holds already. */
  position: Position;
  /** What the events that are held weigh. */
  bytes: number;
}

async function syncFor(asked: 'interval' | 'always', log: Log): Promise<'interval' | 'always'> {
  if (asked === 'always' || process.platform !== 'linux' || (await bootIdOfKernel()) !== undefined) return asked;
  log.warn('the kernel does not tell its boot id: the journal flushes every commit, as with journal.sync: always');
  return 'always';
}

/** The events after a cursor, which is not before `floor`; so many at most. That one is missing never goes unnoticed. */
function* scan(
  { file, position }: Opened,
  path: string,
  after: string,
  limit: number,
): Generator<{ readonly cursor: string; readonly text: string }> {
  let { epoch, offset } = cursorOf(after);
  const range = file.events.getRange({
    start: eventKey(epoch, offset),
    exclusiveStart: true,
    end: eventKey(position.epoch, position.offset),
    inclusiveEnd: true,
    limit,
  });
  let count = 0;
  for (const { key, value } of range) {
    const next = nextAfter(position, { epoch, offset });
    const cursor = cursorOfKey(key);
    if (next === undefined || formatCursor(next.epoch, next.offset) !== cursor) throw missing(path, next, cursor);
    ({ epoch, offset } = next);
    count++;
    yield { cursor, text: value };
  }
  const next = nextAfter(position, { epoch, offset });
  if (count < limit && next !== undefined) throw missing(path, next, 'no other');
}

function missing(path: string, next: Cursor | undefined, found: string | undefined): SessionRelayError {
  const expected = next === undefined ? 'no event' : `the event ${formatCursor(next.epoch, next.offset)}`;
  return damaged(path, `where ${expected} should be there is ${found ?? 'something else'}`);
}

/** The oldest events that retention does not keep, so many at most; and what is left without them. */
function droppable(
  journal: Opened,
  path: string,
  nowMs: number,
  { maxAgeMs, maxBytes }: Retention,
): {
  readonly events: readonly { readonly at: Buffer; readonly key: Buffer }[];
  readonly floor: string;
  readonly bytes: number;
} {
  const events: { readonly at: Buffer; readonly key: Buffer }[] = [];
  let { bytes } = journal;
  let { floor } = journal.position;
  for (const { cursor, text } of scan(journal, path, floor, DROPPED_AT_ONCE)) {
    const { key, time } = eventOf(path, cursor, text);
    if (Date.parse(time) >= nowMs - maxAgeMs && bytes <= maxBytes) break;
    const { epoch, offset } = cursorOf(cursor);
    events.push({ at: eventKey(epoch, offset), key: nameKey(key) });
    bytes -= weightOf(text, key);
    floor = cursor;
  }
  return { events, floor, bytes };
}

function eventOf(path: string, cursor: string, text: string): SessionEvent {
  const event = parseEvent(text, cursor);
  if (event === undefined) throw damaged(path, `the event ${cursor} cannot be read`);
  return event;
}

/** A batch that does not continue the epoch, or has a key twice, would be told twice or out of order. */
function mustFollow(events: readonly SessionEvent[], { epoch, offset }: Position): void {
  const fresh = new Set<string>();
  for (const [index, { id, key }] of events.entries()) {
    if (id !== formatCursor(epoch, offset + 1 + index))
      throw new SessionRelayError('journal_failed', `the journal stands at ${epoch}-${offset}: ${id} does not follow`);
    if (fresh.has(key)) throw held(id);
    fresh.add(key);
  }
}

function held(id: string): SessionRelayError {
  return new SessionRelayError('journal_failed', `the journal holds the key of ${id} already`);
}

function notOpen(): SessionRelayError {
  return new SessionRelayError('journal_failed', 'the journal is not open');
}

function asJournalFailed(path: string, what: string, thrown: unknown): SessionRelayError {
  if (thrown instanceof SessionRelayError) return thrown;
  const message = `the journal in ${path} cannot be ${what}: ${messageOf(thrown)}`;
  return new SessionRelayError('journal_failed', message, { cause: thrown });
}
