import type { Clock, Timer } from '../net/clock.js';

/** A clock that knows the timers that were set on it, so that whoever ends leaves none behind. */
export interface OwnClock extends Clock {
  /** Cancels what is set; what is set afterwards never fires. */
  stop(): void;
}

export function ownClock(clock: Clock): OwnClock {
  const set = new Set<Timer>();
  let stopped = false;
  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    setTimer(task, delayMs) {
      if (stopped) return { cancel: () => {} };
      const timer = clock.setTimer(() => {
        set.delete(own);
        task();
      }, delayMs);
      const own: Timer = {
        cancel() {
          set.delete(own);
          timer.cancel();
        },
      };
      set.add(own);
      return own;
    },
    stop() {
      stopped = true;
      for (const timer of [...set]) timer.cancel();
    },
  };
}

/** A condition that a fault turns on, for a while or until it is turned off. */
export interface Switch {
  readonly isOn: boolean;
  /** `forMs` 0 turns it off; absent: until then. Turning it on again replaces how long it lasts. */
  on(forMs?: number): void;
}

export function createSwitch(clock: Clock, ended: () => void = () => {}): Switch {
  let isOn = false;
  let timer: Timer | undefined;
  const off = (): void => {
    timer?.cancel();
    if (!isOn) return;
    isOn = false;
    ended();
  };
  return {
    get isOn() {
      return isOn;
    },
    on(forMs) {
      if (forMs === 0) return off();
      timer?.cancel();
      isOn = true;
      if (forMs !== undefined) timer = clock.setTimer(off, forMs);
    },
  };
}
