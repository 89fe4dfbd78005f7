import type { Clock, Timer } from '../../net/clock.js';
import type { Holder, Username } from './username.js';

/** A login of the same username in another application, as a person at a trading workstation has it. */
export interface OtherLogin {
  readonly holds: boolean;
  /** Takes the brokerage session; logs out after `forMs`; when evicted, takes it back after `retakesAfterMs`. */
  take(options: { readonly forMs?: number | undefined; readonly retakesAfterMs?: number | undefined }): void;
  logOut(): void;
}

export function createOtherLogin(clock: Clock, username: Username): OtherLogin {
  let retakesAfterMs: number | undefined;
  let ending: Timer | undefined;
  let retaking: Timer | undefined;
  const holder: Holder = {
    evicted() {
      if (retakesAfterMs === undefined) return;
      retaking?.cancel();
      retaking = clock.setTimer(() => username.take(holder), retakesAfterMs);
    },
    freed: () => {},
  };
  username.join(holder);
  const other: OtherLogin = {
    get holds() {
      return username.holder === holder;
    },
    take(options) {
      retakesAfterMs = options.retakesAfterMs;
      ending?.cancel();
      retaking?.cancel();
      if (options.forMs !== undefined) ending = clock.setTimer(() => other.logOut(), options.forMs);
      username.take(holder);
    },
    logOut() {
      ending?.cancel();
      retaking?.cancel();
      username.release(holder);
    },
  };
  return other;
}
