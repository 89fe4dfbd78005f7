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

export function createPump({ rounds, outbound, stats, fail }: PumpOptions): Pump {
  let queue: Replayer[] = [];
  const untold = new Set<Replayer>();
  let stopped = false;

  const tellLag = (): boolean => {
    const since = Object.fromEntries([...untold].map((one) => [one.channel, one.sent()]));
    if (!outbound.offer([notification('lag', { since })])) return false;
    stats.lags++;
    for (const one of untold) one.toldOfLag();
    untold.clear();
    return true;
  };
  /** `true`: there is more to do at once. */
  const part = (): boolean => {
    if (stopped || (untold.size > 0 && !tellLag())) return false;
    for (let left = queue.length; left > 0; left--) {
      const [replayer] = queue;
      const step = replayer?.step() ?? 'full';
      if (stopped || step === 'full') return false;
      queue.shift();
      if (replayer !== undefined && step !== 'done') queue.push(replayer);
      if (step !== 'waiting') return queue.length > 0;
    }
    return false;
  };
  const run = (): boolean => {
    try {
      return part();
    } catch (thrown) {
      fail(thrown);
      return false;
    }
  };

  return {
    add(replayer, lagging) {
      if (stopped) return;
      queue.push(replayer);
      if (lagging) untold.add(replayer);
      rounds.wake(run);
    },
    remove(replayer) {
      untold.delete(replayer);
      const index = queue.indexOf(replayer);
      if (index >= 0) queue.splice(index, 1);
    },
    wake() {
      if (!stopped && queue.length > 0) rounds.wake(run);
    },
    stop() {
      stopped = true;
      queue = [];
      untold.clear();
    },
  };
}
