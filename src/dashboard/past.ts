/** A cursor, `<epoch>-<offset>` (PROTOCOL.md §1). */
interface Cursor {
  readonly epoch: number;
  readonly offset: number;
}

function parse(text: string): Cursor | undefined {
  const match = /^(\d{1,16})-(\d{1,16})$/.exec(text);
  return match === null ? undefined : { epoch: Number(match[1]), offset: Number(match[2]) };
}

export function epochOf(cursor: string): number | undefined {
  return parse(cursor)?.epoch;
}

/**
 * Where a timeline that shows about the last `back` events begins, by the cursors of all states. In the newest epoch,
 * unless that is younger than `back` events: then in the newest epoch before it that a state still names, so that what
 * led to a restart is seen. `undefined`: nothing is known yet.
 */
export function pastCursor(cursors: Iterable<string>, back: number): string | undefined {
  const newest = new Map<number, number>();
  for (const text of cursors) {
    const cursor = parse(text);
    if (cursor !== undefined) newest.set(cursor.epoch, Math.max(newest.get(cursor.epoch) ?? 0, cursor.offset));
  }
  let wanted = back;
  let begin: Cursor | undefined;
  for (const epoch of [...newest.keys()].sort((a, b) => b - a)) {
    const last = newest.get(epoch) ?? 0;
    begin = { epoch, offset: Math.max(0, last - wanted) };
    if (last >= wanted) break;
    wanted -= last;
  }
  return begin === undefined ? undefined : `${begin.epoch}-${begin.offset}`;
}
