/** What a source's configuration says of safety (PROTOCOL.md §3, "Policy of a source"). */
export interface SafetyPolicy {
  readonly protection: 'required' | 'preferred' | 'ignored';
  /** How long a dead link, staleness or throttling stays `at_risk` before it is `unsafe`. */
  readonly graceMs: number;
  /** Venue parts (currencies, indices, brokers) whose trouble counts for a `trading` session; others are notes. */
  readonly only: readonly string[];
  /** Daily windows in UTC in which a lost bridge is expected, `HH:MM-HH:MM`. */
  readonly quiet: readonly string[];
}
