import { createHistogram, type Histogram } from '../histogram.js';

/** What all connections of one load generator count together. */
export interface Tally {
  /** Frames with an event, since the start. */
  deliveries: number;
  /** Frames that broke a chain, came twice, or could not be read: a run with one is void. */
  faults: number;
  /** What was wrong first. */
  firstFault: string | undefined;
  /** Connections that ended by themselves. */
  ended: number;
  /** Told once, when `deliveries` has come so far. */
  target: number;
  reached: () => void;
  /** When each event since `from` was sent, where latencies are taken. */
  sampling: Sampling | undefined;
}

export interface Sampling {
  /** Events of one connection's channel before the first that is sampled. */
  readonly from: number;
  readonly sentAt: number[];
  readonly latencies: Histogram;
  /** Taken once for each chunk that was read. */
  now: number;
  /** Connections from this index on are not sampled. */
  readonly below: number;
}

export function createTally(): Tally {
  return {
    deliveries: 0,
    faults: 0,
    firstFault: undefined,
    ended: 0,
    target: Number.POSITIVE_INFINITY,
    reached: () => {},
    sampling: undefined,
  };
}

export function createSampling(from: number, below: number): Sampling {
  return { from, sentAt: [], latencies: createHistogram(), now: 0, below };
}
