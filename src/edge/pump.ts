import { notification } from './frames.js';
import type { Outbound } from './outbound.js';
import type { Rounds } from './rounds.js';
import type { EdgeStats } from './stats.js';

/**
 * What one part of a replay came to. `again`: something was done, and there may be more. `full`: the socket has no room
 * now. `waiting`: for the journal or the states; whoever waits wakes the pump. `done`: it is over, and the channel live.
 */
export type Step = 'again' | 'full' | 'waiting' | 'done';

/** A channel of this connection that is not live. */
export interface Replayer {
  readonly channel: string;
  /** The last event that was sent on it. */
  sent(): string;
  /** Does one part. */
  step(): Step;
  /** `lag` was said of it. */
  toldOfLag(): void;
}

/**
 * Everything that one connection is sent at its own pace: one loop for all its channels, each one part in turn, as the
 * socket drains. While the socket has no room it holds nothing but where each channel stands.
 */
export interface Pump {
  /** From the next round on; `lagging`: `lag` is said of it first, once for all that fell behind together. */
  add(replayer: Replayer, lagging: boolean): void;
  /** Nothing more is sent of it. */
  remove(replayer: Replayer): void;
  /** There may be room, or something to send, again. */
  wake(): void;
  stop(): void;
}

export interface PumpOptions {
  readonly rounds: Rounds;
  readonly outbound: Pick<Outbound, 'offer'>;
  readonly stats: Pick<EdgeStats, 'lags'>;
  /** A part failed: the connection must end. */
  readonly fail: (thrown: unknown) => void;
}

export function createPump(options: PumpOptions): Pump {
  return new ConnectionPump(options);
}

class ConnectionPump implements Pump {
  private readonly rounds: Rounds;
  private readonly outbound: PumpOptions['outbound'];
  private readonly stats: PumpOptions['stats'];
  private readonly fail: PumpOptions['fail'];
  private queue: Replayer[] = [];
  /** Those of whom `lag` is still to be said. */
  private untold: Replayer[] = [];
  private stopped = false;

  constructor({ rounds, outbound, stats, fail }: PumpOptions) {
    this.rounds = rounds;
    this.outbound = outbound;
    this.stats = stats;
    this.fail = fail;
  }

  add(replayer: Replayer, lagging: boolean): void {
    if (this.stopped) return;
    this.queue.push(replayer);
    if (lagging) this.untold.push(replayer);
    this.rounds.wake(this.run);
  }

  remove(replayer: Replayer): void {
    this.untold = this.untold.filter((one) => one !== replayer);
    this.queue = this.queue.filter((one) => one !== replayer);
  }

  wake(): void {
    if (!this.stopped && this.queue.length > 0) this.rounds.wake(this.run);
  }

  stop(): void {
    this.stopped = true;
    this.queue = [];
    this.untold = [];
  }

  // One function for as long as it lives: the rounds know it by that.
  private readonly run = (): boolean => {
    try {
      return this.part();
    } catch (thrown) {
      this.fail(thrown);
      return false;
    }
  };

  /** `true`: there is more to do at once. */
  private part(): boolean {
    if (this.stopped || (this.untold.length > 0 && !this.tellLag())) return false;
    for (let left = this.queue.length; left > 0; left--) {
      const [replayer] = this.queue;
      const step = replayer?.step() ?? 'full';
      if (this.stopped || step === 'full') return false;
      this.queue.shift();
      if (replayer !== undefined && step !== 'done') this.queue.push(replayer);
      // An array that was emptied keeps the room that it once took.
      else if (this.queue.length === 0) this.queue = [];
      if (step !== 'waiting') return this.queue.length > 0;
    }
    return false;
  }

  private tellLag(): boolean {
    const since = Object.fromEntries(this.untold.map((one) => [one.channel, one.sent()]));
    if (!this.outbound.offer([notification('lag', { since })])) return false;
    this.stats.lags++;
    for (const one of this.untold) one.toldOfLag();
    this.untold = [];
    return true;
  }
}
