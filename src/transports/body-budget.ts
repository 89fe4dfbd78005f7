/** Bytes of request bodies that are held at once, of all requests together: whoever sends them need not have a token. */
export const MAX_BODIES_BYTES = 32 * 1024 * 1024;

/** What the bodies that are being read, or answered, may hold together. */
export interface BodyBudget {
  /** One request's part of it. */
  open(): BodyShare;
}

export interface BodyShare {
  /** Takes so many bytes more; `false` where there is no room, and then it has taken nothing. */
  take(bytes: number): boolean;
  /** Gives back what was taken. Idempotent. */
  close(): void;
}

export function createBodyBudget(most = MAX_BODIES_BYTES): BodyBudget {
  let held = 0;
  return {
    open() {
      let mine = 0;
      let isClosed = false;
      return {
        take(bytes) {
          if (isClosed || held + bytes > most) return false;
          held += bytes;
          mine += bytes;
          return true;
        },
        close() {
          if (isClosed) return;
          isClosed = true;
          held -= mine;
        },
      };
    },
  };
}
