/** What a cache holds: its size as counted, and how it is let go. */
export interface Cached {
  readonly drop: () => void;
}

/** One bound in bytes for everything that an edge keeps to send again: what was used least recently goes first. */
export interface Lru {
  /** It was used now, and is counted as so many bytes. What is over the bound is dropped, but never this one. */
  hold(entry: Cached, bytes: number): void;
  /** It was used now. */
  touch(entry: Cached): void;
  /** It is gone: counted no more, and not told so. */
  release(entry: Cached): void;
  readonly bytes: number;
}

export function createLru(maxBytes: number): Lru {
  const sizes = new Map<Cached, number>();
  let total = 0;
  const release = (entry: Cached): void => {
    total -= sizes.get(entry) ?? 0;
    sizes.delete(entry);
  };
  return {
    get bytes() {
      return total;
    },
    hold(entry, bytes) {
      release(entry);
      total += bytes;
      sizes.set(entry, bytes);
      for (const oldest of sizes.keys()) {
        if (total <= maxBytes || oldest === entry) return;
        release(oldest);
        oldest.drop();
      }
    },
    touch(entry) {
      const size = sizes.get(entry);
      if (size === undefined) return;
      sizes.delete(entry);
      sizes.set(entry, size);
    },
    release,
  };
}
