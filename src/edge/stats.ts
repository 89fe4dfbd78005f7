/** What an edge counts of itself, for `/metrics`. Plain numbers that only grow: counting costs an addition. */
export interface EdgeStats {
  /** Frames that were handed to sockets, events and states alike; replies and heartbeats are not counted. */
  deliveries: number;
  deliveredBytes: number;
  /** How often a subscriber fell behind what its socket takes. */
  lags: number;
  /** Replays that came to their end, of a resume or after a lag. */
  replays: number;
  /** Subscriptions with `since`, by what became of them. */
  resumed: number;
  unrecovered: number;
  /** Losses that were announced by `gap`. */
  gaps: number;
  /** Upgrades that were refused, by HTTP status. */
  readonly refusals: Map<number, number>;
  /** Sockets that ended, by close code. */
  readonly closes: Map<number, number>;
}

export function createEdgeStats(): EdgeStats {
  return {
    deliveries: 0,
    deliveredBytes: 0,
    lags: 0,
    replays: 0,
    resumed: 0,
    unrecovered: 0,
    gaps: 0,
    refusals: new Map(),
    closes: new Map(),
  };
}

/** The close codes of PROTOCOL.md §4, and those that peers and networks end with. */
export const CLOSE_CODES: ReadonlySet<number> = new Set([
  1000, 1001, 1003, 1005, 1006, 1007, 1009, 1011, 1012, 4400, 4401, 4403, 4408, 4429, 4500,
]);
/** What an upgrade is refused with. */
export const REFUSAL_STATUSES: ReadonlySet<number> = new Set([401, 403, 429, 503]);

export function countDelivery(stats: Pick<EdgeStats, 'deliveries' | 'deliveredBytes'>, bytes: number): void {
  stats.deliveries++;
  stats.deliveredBytes += bytes;
}

/** Counts one more of `code`; codes that a peer makes up (RFC 6455 allows 3000 to 4999) become one. */
export function countCode(counts: Map<number, number>, code: number, known: ReadonlySet<number>): void {
  const name = known.has(code) ? code : 0;
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

/** What several edges have counted together. */
export function sumStats(all: Iterable<EdgeStats>): EdgeStats {
  const sum = createEdgeStats();
  for (const one of all) {
    for (const name of COUNTED) sum[name] += one[name];
    for (const kind of ['refusals', 'closes'] as const)
      for (const [code, count] of one[kind]) sum[kind].set(code, (sum[kind].get(code) ?? 0) + count);
  }
  return sum;
}

const COUNTED = ['deliveries', 'deliveredBytes', 'lags', 'replays', 'resumed', 'unrecovered', 'gaps'] as const;
