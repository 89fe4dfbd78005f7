/**
 * How far this machine's clock is ahead of the relay's. What the relay says live is a little old when it arrives, never
 * young: the smallest difference that was seen is the one with the least delay.
 */
export interface Skew {
  /** Something that the relay dated `atMs`, and that came live, arrived when this machine said `arrivedMs`. */
  saw(atMs: number, arrivedMs: number): void;
  /** ms that this machine is ahead; negative: behind. 0 until anything was seen. */
  readonly ms: number;
}

/** Samples that count: a clock that is set anew is believed after so many. */
const SAMPLES = 32;

export function createSkew(): Skew {
  let seen: number[] = [];
  return {
    saw(atMs, arrivedMs) {
      const difference = arrivedMs - atMs;
      if (Number.isFinite(difference)) seen = [...seen, difference].slice(-SAMPLES);
    },
    get ms() {
      return seen.length === 0 ? 0 : Math.min(...seen);
    },
  };
}

/** Differences below are what networks and rounding make; they are neither told nor corrected. */
export const SKEW_TOLD_MS = 2_000;

/** The relay's time, as far as this machine can know it. */
export function relayTime(nowMs: number, skewMs: number): number {
  return Math.abs(skewMs) < SKEW_TOLD_MS ? nowMs : nowMs - skewMs;
}
