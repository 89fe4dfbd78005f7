import type { Clock, Timer } from '../net/clock.js';

/** The way out of one connection: what is put in leaves in order, each as late as the line makes it. */
export interface Pump {
  /** Runs when everything before it has left, and the line's delay has passed; at once where nothing delays it. */
  put(task: () => void): void;
  /** Nothing leaves any more. */
  stop(): void;
}

/** What is put in later waits behind what was put in before, also where it would be due sooner. */
export function createPump(clock: Clock, delayMs: () => number): Pump {
  const queue: { readonly due: number; readonly task: () => void }[] = [];
  let timer: Timer | undefined;
  let stopped = false;
  const drain = (): void => {
    timer?.cancel();
    timer = undefined;
    for (let [head] = queue; head !== undefined && !stopped; [head] = queue) {
      const left = head.due - clock.monotonic();
      if (left > 0) {
        timer = clock.setTimer(drain, left);
        return;
      }
      queue.shift();
      head.task();
    }
  };
  return {
    put(task) {
      if (stopped) return;
      const due = clock.monotonic() + delayMs();
      if (queue.length === 0 && due <= clock.monotonic()) {
        task();
        return;
      }
      queue.push({ due, task });
      if (timer === undefined) drain();
    },
    stop() {
      stopped = true;
      timer?.cancel();
      queue.length = 0;
    },
  };
}
