import { formatCursor, parseCursor } from '../../src/model/cursor.js';

const FIRST_CAPACITY = 32;
/** An epoch and an offset. */
const WIDTH = 2;

/**
 * Cursors in order, two numbers each: 5,000 subscribers hold some hundred thousand of them, and every one is compared
 * with the journal's in the end.
 */
export class CursorList {
  #values = new Float64Array(FIRST_CAPACITY * WIDTH);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  add(cursor: string): void {
    const parsed = parseCursor(cursor);
    if (parsed === undefined) throw new Error(`no cursor: ${cursor}`);
    const place = this.#length * WIDTH;
    if (place === this.#values.length) {
      const larger = new Float64Array(this.#values.length * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[place] = parsed.epoch;
    this.#values[place + 1] = parsed.offset;
    this.#length++;
  }

  at(index: number): string | undefined {
    if (index < 0 || index >= this.#length) return undefined;
    return formatCursor(this.epoch(index), this.offset(index));
  }

  /** Negative, zero or positive: this list's cursor is before, at or after the other list's. */
  compare(index: number, other: CursorList, otherIndex: number): number {
    return this.epoch(index) - other.epoch(otherIndex) || this.offset(index) - other.offset(otherIndex);
  }

  /** How many of these are not after `cursor`; the list must ascend. */
  countUpTo(cursor: string): number {
    const limit = parseCursor(cursor);
    if (limit === undefined) throw new Error(`no cursor: ${cursor}`);
    let [low, high] = [0, this.#length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const order = this.epoch(middle) - limit.epoch || this.offset(middle) - limit.offset;
      if (order <= 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private epoch(index: number): number {
    return this.#values[index * WIDTH] ?? 0;
  }

  private offset(index: number): number {
    return this.#values[index * WIDTH + 1] ?? 0;
  }
}
