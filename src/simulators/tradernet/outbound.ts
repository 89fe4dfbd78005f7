import type { Clock } from '../../net/clock.js';
import { createPump } from '../pump.js';
import { createSwitch } from '../timers.js';

/** The way out of one connection, with what faults do to it. Messages never overtake each other, whatever delays them. */
export interface Outbound<M> {
  send(message: M): void;
  /** Runs when everything before it has left. */
  after(task: () => void): void;
  /** What is sent meanwhile is lost. `forMs` absent: for good. */
  silence(forMs?: number): void;
  readonly silenced: boolean;
  /** Sends the last message once more; where there was none, the next one twice. */
  duplicate(): void;
  /** Nothing leaves any more, and nothing runs after it. */
  stop(): void;
}

export function createOutbound<M>(options: {
  readonly clock: Clock;
  /** How long every message takes now. */
  readonly delayMs: () => number;
  readonly write: (message: M) => void;
}): Outbound<M> {
  const { clock, delayMs, write } = options;
  const pump = createPump(clock, delayMs);
  const silence = createSwitch(clock);
  let last: M | undefined;
  let twice = false;

  const put = (message: M): void => {
    if (!silence.isOn) pump.put(() => write(message));
  };

  return {
    send(message) {
      last = message;
      put(message);
      if (!twice) return;
      twice = false;
      put(message);
    },
    after: (task) => pump.put(task),
    silence: (forMs) => silence.on(forMs),
    get silenced() {
      return silence.isOn;
    },
    duplicate() {
      if (last === undefined) twice = true;
      else put(last);
    },
    stop() {
      pump.stop();
      silence.on(0);
    },
  };
}
