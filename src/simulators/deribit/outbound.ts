import type { Clock, Timer } from '../../net/clock.js';
import { createPump } from '../pump.js';
import { createSwitch } from '../timers.js';

/** The way out of one connection, with what faults do to it. Frames never overtake each other, whatever delays them. */
export interface Outbound {
  reply(text: string): void;
  notify(text: string): void;
  /** A frame that is neither. */
  raw(text: string): void;
  /** Runs when everything before it has left. */
  after(task: () => void): void;
  /** What is sent meanwhile is lost; `resumed` is called at the end. `forMs` absent: for good. */
  silence(forMs?: number): void;
  readonly silenced: boolean;
  /** The next reply waits for the one after it and follows that. */
  swapReplies(): void;
  /** Sends the last notification once more; where there was none, the next one twice. */
  duplicate(): void;
  /** Nothing leaves any more, and nothing runs after it. */
  stop(): void;
}

/** A reply that waits to be overtaken does so no longer than this: a client that asks one thing at a time goes on. */
const SWAP_PATIENCE_MS = 1_000;

export function createOutbound(options: {
  readonly clock: Clock;
  /** How long every frame takes now. */
  readonly delayMs: () => number;
  readonly write: (text: string) => void;
  readonly resumed: () => void;
}): Outbound {
  const { clock, delayMs, write } = options;
  const pump = createPump(clock, delayMs);
  let lastNotification: string | undefined;
  let duplicateNext = false;
  let swap: 'no' | 'next' | { readonly held: string; readonly timer: Timer } = 'no';
  const silence = createSwitch(clock, () => options.resumed());

  const send = (text: string): void => {
    if (!silence.isOn) pump.put(() => write(text));
  };
  const release = (): void => {
    if (typeof swap === 'string') return;
    const { held, timer } = swap;
    swap = 'no';
    timer.cancel();
    send(held);
  };

  return {
    reply(text) {
      if (swap === 'next') {
        swap = { held: text, timer: clock.setTimer(release, SWAP_PATIENCE_MS) };
        return;
      }
      send(text);
      release();
    },
    notify(text) {
      lastNotification = text;
      send(text);
      if (!duplicateNext) return;
      duplicateNext = false;
      send(text);
    },
    raw: send,
    after: (task) => pump.put(task),
    silence: (forMs) => silence.on(forMs),
    get silenced() {
      return silence.isOn;
    },
    swapReplies() {
      if (swap === 'no') swap = 'next';
    },
    duplicate() {
      if (lastNotification === undefined) duplicateNext = true;
      else send(lastNotification);
    },
    stop: () => pump.stop(),
  };
}
