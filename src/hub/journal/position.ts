import { type Cursor, compareCursors, parseCursor } from '../../model/cursor.js';

/** The cursor before everything that was ever journaled: held as long as nothing was dropped. */
export const BEGINNING = '0-0';

/** Where a journal stands: what it says of a cursor follows from this alone, for every engine. */
export interface Position {
  readonly epoch: number;
  /** The last event of the epoch; 0 before its first. */
  readonly offset: number;
  /** The cursor before the oldest event that is held. */
  readonly floor: string;
  /** Whether retention ever dropped an event. */
  readonly dropped: boolean;
  /** The last offset of each epoch before this one. */
  readonly epochs: ReadonlyMap<number, number>;
}

/** Whether everything after `cursor` can be served: its epoch is known and its offset lies within what is held. */
export function holdsCursor({ epoch, offset, floor, dropped, epochs }: Position, cursor: string): boolean {
  if (cursor === BEGINNING) return !dropped;
  const wanted = parseCursor(cursor);
  if (wanted === undefined) return false;
  const last = wanted.epoch === epoch ? offset : epochs.get(wanted.epoch);
  return last !== undefined && wanted.offset <= last && compareCursors(cursor, floor) >= 0;
}

/** The event that follows a cursor, held or not; `undefined` after the last one. */
export function nextAfter({ epoch, offset, epochs }: Position, after: Cursor): Cursor | undefined {
  const last = after.epoch === epoch ? offset : epochs.get(after.epoch);
  if (last !== undefined && after.offset < last) return { epoch: after.epoch, offset: after.offset + 1 };
  const later = [...epochs].filter(([one, events]) => one > after.epoch && events > 0).map(([one]) => one);
  if (later.length > 0) return { epoch: Math.min(...later), offset: 1 };
  return after.epoch < epoch && offset > 0 ? { epoch, offset: 1 } : undefined;
}

/** Epochs of which nothing is held, and that lie before what is: they are served no more. */
export function epochsBefore(floor: string, epochs: Iterable<number>): readonly number[] {
  const { epoch: oldest } = cursorOf(floor);
  return [...epochs].filter((epoch) => epoch < oldest);
}

/** A cursor of our own making. */
export function cursorOf(text: string): Cursor {
  return parseCursor(text) ?? { epoch: 0, offset: 0 };
}
