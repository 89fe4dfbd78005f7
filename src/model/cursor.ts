/** A position in the journal: the hub's life (`epoch`) and the event within it (`offset`, from 1). */
export interface Cursor {
  readonly epoch: number;
  readonly offset: number;
}

/** Longest cursor that is read: two 16-digit numbers. */
const SHAPE = /^(0|[1-9]\d{0,15})-(0|[1-9]\d{0,15})$/;

/** `<epoch>-<offset>`, both decimal without leading zeros; anything else is `undefined`, never a guess. */
export function parseCursor(text: string): Cursor | undefined {
  const [, epoch, offset] = SHAPE.exec(text) ?? [];
  if (epoch === undefined || offset === undefined) return undefined;
  const cursor = { epoch: Number(epoch), offset: Number(offset) };
  return Number.isSafeInteger(cursor.epoch) && Number.isSafeInteger(cursor.offset) ? cursor : undefined;
}

export function formatCursor(epoch: number, offset: number): string {
  return `${epoch}-${offset}`;
}

/** Negative, zero or positive, by (epoch, offset). Both must be cursors: anything else counts as before all. */
export function compareCursors(a: string, b: string): number {
  if (a === b) return 0;
  const left = parseCursor(a);
  const right = parseCursor(b);
  if (left === undefined || right === undefined) return (left === undefined ? 0 : 1) - (right === undefined ? 0 : 1);
  return orderOf(left, right);
}

/** Negative, zero or positive, by (epoch, offset), of cursors that are read already. */
export function orderOf(a: Cursor, b: Cursor): number {
  return a.epoch - b.epoch || a.offset - b.offset;
}

/** The position just before an event: everything but the event and what follows it lies up to there. */
export function cursorBefore(id: string): string {
  const cursor = parseCursor(id);
  return cursor === undefined ? id : formatCursor(cursor.epoch, Math.max(0, cursor.offset - 1));
}
