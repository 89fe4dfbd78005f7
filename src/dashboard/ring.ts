/** The newest of a stream, in bounded memory. */
export interface Ring<T> {
  push(value: T): void;
  /** 0 is the newest. */
  at(index: number): T | undefined;
  readonly size: number;
  /** All that were ever pushed. */
  readonly pushed: number;
  /** Those that fit, newest first. */
  select(fits: (value: T) => boolean): T[];
  clear(): void;
}

export function createRing<T>(capacity: number): Ring<T> {
  let slots: T[] = [];
  let pushed = 0;
  const size = (): number => Math.min(pushed, capacity);
  const at = (index: number): T | undefined =>
    index < 0 || index >= size() ? undefined : slots[(pushed - 1 - index) % capacity];
  return {
    push(value) {
      slots[pushed % capacity] = value;
      pushed++;
    },
    at,
    get size() {
      return size();
    },
    get pushed() {
      return pushed;
    },
    select(fits) {
      const found: T[] = [];
      for (let index = 0; index < size(); index++) {
        const value = at(index);
        if (value !== undefined && fits(value)) found.push(value);
      }
      return found;
    },
    clear() {
      slots = [];
      pushed = 0;
    },
  };
}
