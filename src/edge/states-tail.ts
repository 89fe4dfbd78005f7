import { compareCursors, cursorBefore } from '../model/cursor.js';
import { STATES_TAIL } from './limits.js';

/** A session that changed: `first` is the first event that it stands for. */
export interface Change {
  readonly key: string;
  readonly first: string;
  /** Whether `session.removed` is among what happened: where there is no state, the session is gone. */
  readonly removed: boolean;
}

/**
 * What changed on one channel, for subscribers that want no events but the newest states: one entry for each session
 * and each stretch between two flushes, ordered by `first`. What lies behind every subscriber is forgotten, so that
 * it is empty while nobody skips.
 */
export interface StatesTail {
  /** Where the last stretch ended: the last event that a flush has taken, or where the tail began. */
  last(): string;
  /** An event of the stretch that is open; in journal order. One that `last` covers is passed over. */
  note(key: string, id: string, removed: boolean): void;
  hasOpen(): boolean;
  /** Ends the open stretch. */
  close(): void;
  /**
   * What changed after a cursor up to `last`, each session once, with its first event. `undefined` where it is not
   * remembered so far back.
   */
  after(cursor: string): readonly Change[] | undefined;
  /** The position up to which nothing changed after `cursor`; `undefined` where nothing changed at all. */
  quietUpTo(cursor: string): string | undefined;
  /** Forgets what lies up to `cursor`, and the oldest of what is more than {@link STATES_TAIL}. */
  trim(cursor: string): void;
  readonly size: number;
}

export function createStatesTail(start: string): StatesTail {
  let closed: Change[] = [];
  let open = new Map<string, Change>();
  let last = start;
  let newest = start;
  /** It reaches back to here. */
  let floor = start;

  /** The index of the first entry after a cursor. */
  const indexAfter = (cursor: string): number => {
    let low = 0;
    let high = closed.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareCursors(closed[middle]?.first ?? '', cursor) > 0) high = middle;
      else low = middle + 1;
    }
    return low;
  };
  const reaches = (cursor: string): boolean => compareCursors(cursor, floor) >= 0;

  return {
    last: () => last,
    note(key, id, removed) {
      if (compareCursors(id, last) <= 0) return;
      if (compareCursors(id, newest) > 0) newest = id;
      const known = open.get(key);
      if (known === undefined) open.set(key, { key, first: id, removed });
      else if (removed && !known.removed) open.set(key, { ...known, removed });
    },
    hasOpen: () => open.size > 0,
    close() {
      for (const change of open.values()) closed.push(change);
      open = new Map();
      last = newest;
    },
    after(cursor) {
      if (!reaches(cursor)) return undefined;
      const merged = new Map<string, Change>();
      for (let index = indexAfter(cursor); index < closed.length; index++) {
        const change = closed[index];
        if (change === undefined) break;
        const known = merged.get(change.key);
        if (known === undefined) merged.set(change.key, change);
        else if (change.removed && !known.removed) merged.set(change.key, { ...known, removed: true });
      }
      return [...merged.values()];
    },
    quietUpTo(cursor) {
      if (!reaches(cursor)) return cursor;
      const [firstOpen] = open.values();
      const next = closed[indexAfter(cursor)] ?? firstOpen;
      return next === undefined ? undefined : cursorBefore(next.first);
    },
    trim(cursor) {
      const behind = Math.max(indexAfter(cursor), closed.length - STATES_TAIL);
      if (behind === closed.length) floor = last;
      else if (behind > 0) floor = closed[behind - 1]?.first ?? floor;
      closed = closed.slice(behind);
    },
    get size() {
      return closed.length + open.size;
    },
  };
}
