import type { Clock, Timer } from '../../net/clock.js';
import { createPump } from '../pump.js';
import { createSwitch } from '../timers.js';

/** The way out of one socket, with what faults do to it. Frames never overtake each other, whatever delays them. */
export interface Outbound {
  send(text: string): void;
  /** Runs when everything before it has left. */
  after(task: () => void): void;
  /** What is sent meanwhile is lost. `forMs` absent: for good. */
  silence(forMs?: number): void;
  readonly silenced: boolean;
  /** Sends the last frame once more; where there was none, the next one twice. */
  duplicate(): void;
  /** The next frame waits for the one after it and follows that. */
  swap(): void;
  /** Nothing leaves any more, and nothing runs after it. */
  stop(): void;
}

/** A frame that waits to be overtaken: the next heartbeat does it, and it waits no longer. */
const SWAP_PATIENCE_MS = 11_000;

export function createOutbound(options: {
  readonly clock: Clock;
  /** How long every frame takes now. */
  readonly delayMs: () => number;
  readonly write: (text: string) => void;
}): Outbound {
  const { clock, delayMs, write } = options;
  const pump = createPump(clock, delayMs);
  const silence = createSwitch(clock);
  let last: string | undefined;
  let twice = false;
  let swapNext = false;
  let held: { readonly text: string; readonly timer: Timer } | undefined;

  const put = (text: string): void => {
    if (!silence.isOn) pump.put(() => write(text));
  };
  const release = (): void => {
    if (held === undefined) return;
    const { text, timer } = held;
    held = undefined;
    timer.cancel();
    put(text);
  };

  return {
    send(text) {
      last = text;
      if (swapNext) {
        swapNext = false;
        held = { text, timer: clock.setTimer(release, SWAP_PATIENCE_MS) };
        return;
      }
      put(text);
      if (twice) put(text);
      twice = false;
      release();
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
    swap() {
      if (held === undefined) swapNext = true;
    },
    stop() {
      pump.stop();
      silence.on(0);
      held?.timer.cancel();
    },
  };
}
