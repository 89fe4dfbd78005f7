import { SessionRelayError } from '../../errors.js';
import { formatCursor, parseCursor } from '../../model/cursor.js';
import type { SessionEvent } from '../../model/event.js';
import type { Json } from '../../model/json.js';
import type { State } from '../../model/session.js';
import type { Journal, JournalBatch, JournalPage, Retention } from './journal.js';
import { epochsBefore, holdsCursor } from './position.js';

const DEFAULT_RETENTION: Retention = { maxAgeMs: 7 * 86_400_000, maxBytes: 256 * 1024 * 1024 };
/** What an event costs beside its JSON: object headers, the key's entry. An estimate. */
const EVENT_OVERHEAD_BYTES = 400;
/** Dropped events leave a hole at the front of the list; it is closed when it is this long. */
const COMPACT_AFTER = 4_096;

/**
 * A journal in memory: the whole contract but survival. One instance may be opened again after `close`, and then knows
 * what it held, so that a hub's restart can be tested without a disk.
 */
export function createMemoryJournal(options: { readonly retention?: Retention } = {}): Journal {
  const retention = options.retention ?? DEFAULT_RETENTION;
  let events: SessionEvent[] = [];
  let sizes: number[] = [];
  /** Events before this index are dropped. */
  let first = 0;
  let bytes = 0;
  let epoch = 0;
  let offset = 0;
  /** The cursor before the oldest event that is held. */
  let floor = formatCursor(0, 0);
  /** The last offset of each epoch that was ever opened. */
  const epochs = new Map<number, number>();
  let dropped = false;
  const keys = new Set<string>();
  const states = new Map<string, State>();
  const memory = new Map<string, Map<string, Json>>();
  let isOpen = false;

  const mustBeOpen = (): void => {
    if (!isOpen) throw new SessionRelayError('journal_failed', 'the journal is not open');
  };

  /** A batch that does not continue the epoch, or holds a key that is held, would be told twice or out of order. */
  const mustFollow = (added: readonly SessionEvent[]): void => {
    const fresh = new Set<string>();
    for (const [index, { id, key }] of added.entries()) {
      if (id !== formatCursor(epoch, offset + 1 + index))
        throw new SessionRelayError(
          'journal_failed',
          `the journal stands at ${epoch}-${offset}: ${id} does not follow`,
        );
      if (keys.has(key) || fresh.has(key))
        throw new SessionRelayError('journal_failed', `the journal holds the key of ${id} already`);
      fresh.add(key);
    }
  };

  /** The index of the first event after a cursor. */
  const indexAfter = (after: string): number => {
    const wanted = parseCursor(after);
    if (wanted === undefined) return first;
    let low = first;
    let high = events.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const at = parseCursor(events[middle]?.id ?? '');
      const isAfter = at !== undefined && (at.epoch - wanted.epoch || at.offset - wanted.offset) > 0;
      if (isAfter) high = middle;
      else low = middle + 1;
    }
    return low;
  };

  const drop = (count: number): void => {
    dropped = true;
    for (let index = first; index < first + count; index++) {
      const event = events[index];
      if (event === undefined) break;
      keys.delete(event.key);
      bytes -= sizes[index] ?? 0;
      floor = event.id;
    }
    first += count;
    if (first < COMPACT_AFTER) return;
    events = events.slice(first);
    sizes = sizes.slice(first);
    first = 0;
  };

  const holds = (cursor: string): boolean => holdsCursor({ epoch, offset, floor, dropped, epochs }, cursor);

  return {
    open(nowMs) {
      if (isOpen) return Promise.reject(new SessionRelayError('journal_failed', 'the journal is open already'));
      isOpen = true;
      if (epoch > 0) epochs.set(epoch, offset);
      for (const forgotten of epochsBefore(floor, epochs.keys())) epochs.delete(forgotten);
      const isNew = epoch === 0;
      epoch = Math.max(epoch + 1, Math.floor(nowMs));
      offset = 0;
      if (isNew) floor = formatCursor(epoch, 0);
      const found = new Map([...memory].map(([space, entries]) => [space, new Map(entries)]));
      return Promise.resolve({ epoch, states: [...states.values()], memory: found });
    },
    append({ events: added, texts, states: changed, memory: remembered }: JournalBatch) {
      let weighed: readonly number[];
      try {
        mustBeOpen();
        mustFollow(added);
        // Whatever may fail comes before the first change: a batch is taken whole or not at all.
        weighed = added.map((event, index) => {
          const text = texts?.[index] ?? JSON.stringify(event);
          return text.length * 2 + EVENT_OVERHEAD_BYTES;
        });
      } catch (thrown) {
        return Promise.reject(thrown);
      }
      for (const [index, event] of added.entries()) {
        const size = weighed[index] ?? 0;
        events.push(event);
        sizes.push(size);
        bytes += size;
        keys.add(event.key);
      }
      offset += added.length;
      for (const [key, state] of changed) {
        if (state === null) states.delete(key);
        else states.set(key, state);
      }
      for (const [space, entries] of remembered ?? []) {
        const kept = memory.get(space) ?? new Map<string, Json>();
        memory.set(space, kept);
        for (const [key, value] of Object.entries(entries)) {
          if (value === null) kept.delete(key);
          else kept.set(key, value);
        }
      }
      return Promise.resolve();
    },
    read(after, limit): Promise<JournalPage> {
      const start = indexAfter(after);
      const page = events.slice(start, start + limit);
      return Promise.resolve({
        events: page,
        cursor: page.at(-1)?.id ?? after,
        more: start + page.length < events.length,
        complete: holds(after),
      });
    },
    head: () => formatCursor(epoch, offset),
    oldest: () => floor,
    holds,
    bytes: () => bytes,
    hasKey: (key) => keys.has(key),
    truncate(nowMs) {
      let count = 0;
      let left = bytes;
      for (let index = first; index < events.length; index++) {
        const event = events[index];
        if (event === undefined) break;
        const tooOld = Date.parse(event.time) < nowMs - retention.maxAgeMs;
        if (!tooOld && left <= retention.maxBytes) break;
        left -= sizes[index] ?? 0;
        count++;
      }
      if (count > 0) drop(count);
      return Promise.resolve(floor);
    },
    close() {
      isOpen = false;
      return Promise.resolve();
    },
  };
}
