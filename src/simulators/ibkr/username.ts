/** Whoever can hold the brokerage session of a username: a gateway, or a login in another application. */
export interface Holder {
  /** Another took it from this one. */
  evicted(): void;
  /** The one that had it gave it up, and nobody has it now. */
  freed(): void;
}

/**
 * One username at the broker. It has one brokerage session across all applications (IBKR docs, "Brokerage session"), so
 * that gateways started with the same username take it from each other.
 */
export interface Username {
  readonly holder: Holder | undefined;
  join(holder: Holder): void;
  leave(holder: Holder): void;
  /** Whoever had it is evicted. */
  take(holder: Holder): void;
  /** Nothing, where another has it. */
  release(holder: Holder): void;
}

export function createUsername(): Username {
  const members = new Set<Holder>();
  let current: Holder | undefined;
  const username: Username = {
    get holder() {
      return current;
    },
    join: (holder) => void members.add(holder),
    leave(holder) {
      members.delete(holder);
      username.release(holder);
    },
    take(holder) {
      if (current === holder) return;
      const before = current;
      current = holder;
      before?.evicted();
    },
    release(holder) {
      if (current !== holder) return;
      current = undefined;
      for (const member of [...members]) if (member !== holder) member.freed();
    },
  };
  return username;
}
