import type { SafetyLevel, VenueName } from './event.js';
import type { Evidence, Input } from './evidence.js';
import type { Safety, SessionState, SourceState } from './session.js';
import { isWorse } from './settle.js';

export {
  type Evidence,
  emptyEvidence,
  observe,
  PENDING_INTERVALS,
  PENDING_WITHOUT_HEARTBEAT_MS,
  recallEvidence,
  unproved,
} from './evidence.js';
export { isWorse, QUIET_MS, type Settled, type Settlement, settleSafety } from './settle.js';

/** What a source's configuration says of safety (PROTOCOL.md §3, "Policy of a source"). */
export interface SafetyPolicy {
  readonly protection: 'required' | 'preferred' | 'ignored';
  /** How long a dead link, staleness or throttling stays `at_risk` before it is `unsafe`. */
  readonly graceMs: number;
  /** Venue parts (currencies, indices, brokers) whose trouble counts; the others' are notes. Compared without case. */
  readonly only: readonly string[];
  /** Daily windows in UTC in which a lost bridge is expected, `HH:MM-HH:MM`; one may pass midnight. */
  readonly quiet: readonly string[];
}

const GRACE_MS: Readonly<Record<VenueName, number>> = {
  deribit: 30_000,
  tradernet: 150_000,
  ibkr: 180_000,
  snaptrade: 900_000,
};

/** A protection that was read longer ago than this counts as unknown. */
export const PROTECTION_READ_MS = 120_000;
/** A lost bridge (IBKR) mends itself within this, or does not. */
export const NO_BRIDGE_MS = 120_000;
/** Clocks that differ by more are told. */
export const CLOCK_SKEW_MS = 5_000;

export function defaultSafetyPolicy(venue: VenueName): SafetyPolicy {
  return { protection: 'preferred', graceMs: GRACE_MS[venue], only: [], quiet: [] };
}

export interface Verdict extends Safety {
  /** Time alone may change the verdict after this long. */
  readonly recheckInMs?: number;
}

/** All of a session's state that a verdict is made of, so that whoever keeps one knows when it still holds. */
const ASSESSED = ['venue', 'kind', 'role', 'status', 'stale', 'staleSince', 'heartbeat', 'protection'] as const;
type Assessed = Pick<SessionState, (typeof ASSESSED)[number]>;

/** Whether a verdict on the one is a verdict on the other, where all else is the same. */
export function isAssessedAlike(one: Assessed, other: Assessed): boolean {
  return ASSESSED.every((name) => one[name] === other[name]);
}

export interface AssessInput {
  readonly state: Assessed;
  readonly source: Pick<SourceState, 'attributes'> | undefined;
  readonly evidence: Evidence;
  readonly policy: SafetyPolicy;
  /** The observer's monotonic clock, as in `observe`. */
  readonly nowMs: number;
  /** Wall-clock ms since the epoch, for the daily quiet windows alone. */
  readonly wallMs: number;
}

/** What one row of the table finds: a reason that lowers the level to `level`, or, without one, a note. */
interface Finding {
  /** Absent where the row only says when to look again. */
  readonly reason?: string;
  readonly level?: SafetyLevel | undefined;
  /** When, on the monotonic clock, time alone changes it. */
  readonly untilMs?: number;
}

/** The verdict on one session: the whole table of PROTOCOL.md §3. `safe` needs every input of the role confirmed. */
export function assess(input: AssessInput): Verdict {
  const found = [
    ...ofStatus(input),
    ...ofExpiry(input),
    ...ofSight(input),
    ...ofHeartbeat(input),
    ...ofProtection(input),
    ...ofVenue(input),
    ...ofInputs(input),
  ];
  const lowering: { readonly reason: string; readonly level: SafetyLevel }[] = [];
  const notes = new Set<string>();
  for (const { reason, level } of found) {
    if (reason === undefined) continue;
    if (level === undefined) notes.add(reason);
    else lowering.push({ reason, level });
  }
  lowering.sort((a, b) => (a.level === b.level ? 0 : isWorse(a.level, b.level) ? -1 : 1));
  const reasons = new Set(lowering.map(({ reason }) => reason));
  const rechecks = found.flatMap(({ untilMs }) => (untilMs === undefined ? [] : [untilMs - input.nowMs]));
  return {
    level: lowering[0]?.level ?? 'safe',
    reasons: [...reasons],
    notes: [...notes].filter((note) => !reasons.has(note)),
    ...(rechecks.length === 0 ? {} : { recheckInMs: Math.max(0, Math.min(...rechecks)) }),
  };
}

function isTrading({ state }: AssessInput): boolean {
  return state.role === 'trading';
}

/** `lost`, `expired`, `contested`, `attention`, `closed`, and a status that nobody has confirmed. */
function ofStatus(input: AssessInput): readonly Finding[] {
  const { status } = input.state;
  switch (status) {
    case 'lost':
      return [ofLoss(input)];
    case 'expired':
    case 'contested':
    case 'attention':
      return [{ reason: status, level: 'unsafe' }];
    case 'closed':
      return [{ reason: 'closed', level: isTrading(input) ? 'at_risk' : 'unknown' }];
    case 'unknown':
    case 'connecting':
      return [{ reason: 'unconfirmed', level: 'unknown' }];
    case 'active':
      return input.evidence.session ? [] : [{ reason: 'unconfirmed', level: 'unknown' }];
  }
}

/** A lost bridge (IBKR's nightly reset among others) is given time to come back; anything else that is lost is lost. */
function ofLoss({ evidence, policy, nowMs, wallMs }: AssessInput): Finding {
  const { lost } = evidence;
  if (lost?.reason !== 'no_bridge') return { reason: 'lost', level: 'unsafe' };
  const untilMs = lost.sinceMs + NO_BRIDGE_MS;
  if (nowMs < untilMs) return { reason: 'lost', level: 'at_risk', untilMs };
  const { leftMs, nextMs } = quietAt(policy.quiet, wallMs);
  if (leftMs > 0) return { reason: 'lost', level: 'at_risk', untilMs: nowMs + leftMs };
  return { reason: 'lost', level: 'unsafe', ...(nextMs === undefined ? {} : { untilMs: nowMs + nextMs }) };
}

/** How long the daily windows that are open now stay open (0: none is), and when the next one opens. */
function quietAt(windows: readonly string[], wallMs: number): { readonly leftMs: number; readonly nextMs?: number } {
  const sinceMidnight = ((wallMs % DAY_MS) + DAY_MS) % DAY_MS;
  let leftMs = 0;
  let nextMs: number | undefined;
  for (const window of windows) {
    const [, fromHour, fromMinute, toHour, toMinute] = /^(\d{2}):(\d{2})-(\d{2}):(\d{2})$/.exec(window) ?? [];
    if (toMinute === undefined) continue;
    const from = (Number(fromHour) * 60 + Number(fromMinute)) * MINUTE_MS;
    const to = (Number(toHour) * 60 + Number(toMinute)) * MINUTE_MS;
    const lengthMs = (to - from + DAY_MS) % DAY_MS;
    const intoMs = (sinceMidnight - from + DAY_MS) % DAY_MS;
    if (intoMs < lengthMs) leftMs = Math.max(leftMs, lengthMs - intoMs);
    else if (lengthMs > 0) nextMs = Math.min(nextMs ?? DAY_MS, DAY_MS - intoMs);
  }
  return nextMs === undefined ? { leftMs } : { leftMs, nextMs };
}

const MINUTE_MS = 60_000;
const DAY_MS = 1_440 * MINUTE_MS;

/** `expiring`: a note while whatever renews it has time; it counts once that failed, or where only a person can. */
function ofExpiry({ evidence, nowMs }: AssessInput): readonly Finding[] {
  const { expiring } = evidence;
  if (expiring === undefined) return [];
  const { countsFromMs } = expiring;
  return nowMs >= countsFromMs
    ? [{ reason: 'expiring', level: 'at_risk' }]
    : [{ reason: 'expiring', untilMs: countsFromMs }];
}

/** `link_down`, `stale`, `throttled`: within the grace, and beyond it. What began unseen is beyond. */
function ofSight(input: AssessInput): readonly Finding[] {
  const { state, source, evidence, policy, nowMs } = input;
  const trading = isTrading(input);
  const aged = (reason: string, sinceMs: number | undefined): Finding => {
    const untilMs = (sinceMs ?? Number.NEGATIVE_INFINITY) + policy.graceMs;
    if (nowMs >= untilMs) return { reason, level: trading ? 'unsafe' : 'unknown' };
    return { reason, level: trading ? 'at_risk' : undefined, untilMs };
  };
  const found: Finding[] = [];
  const why = state.staleSince?.reason;
  if (state.stale) found.push(aged(why === 'link_down' || why === 'throttled' ? why : 'stale', evidence.staleSinceMs));
  if (source?.attributes.throttledUntilAt !== undefined) found.push(aged('throttled', evidence.throttledSinceMs));
  return found;
}

function ofHeartbeat(input: AssessInput): readonly Finding[] {
  const { heartbeat, venue } = input.state;
  if (heartbeat === undefined) return [];
  const level = isTrading(input) ? 'at_risk' : undefined;
  const found: Finding[] = [];
  if (heartbeat.missed > 0) found.push({ reason: 'heartbeat_missed', level });
  if (venue === 'deribit' && heartbeat.intervalMs === null) {
    found.push({ reason: 'heartbeat_off', level: input.policy.protection === 'ignored' ? undefined : level });
  }
  return found;
}

/** Only the connection's own scope protects the orders of this session; what the account's says is a note. */
function ofProtection(input: AssessInput): readonly Finding[] {
  const { state, evidence, policy, nowMs } = input;
  if (state.venue !== 'deribit' || state.kind === 'public') return [];
  const trading = isTrading(input);
  const missing =
    policy.protection === 'required' ? 'unsafe' : policy.protection === 'preferred' ? 'at_risk' : undefined;
  const level = trading ? missing : undefined;
  const found: Finding[] = [];
  const { pendingUntilMs, protectionReadMs } = evidence;
  if (pendingUntilMs !== undefined && nowMs < pendingUntilMs) {
    found.push({ reason: 'protection_pending', level: trading ? 'at_risk' : undefined, untilMs: pendingUntilMs });
  }
  const { connection, account } = state.protection ?? {};
  if (connection === 'disarmed') found.push({ reason: 'protection_off', level });
  if (connection === 'unknown') found.push({ reason: 'protection_unknown', level });
  else if (connection !== undefined) {
    const untilMs = (protectionReadMs ?? Number.NEGATIVE_INFINITY) + PROTECTION_READ_MS;
    found.push(nowMs < untilMs ? { untilMs } : { reason: 'protection_unknown', level });
  }
  if (account === 'unknown') found.push({ reason: 'protection_unknown' });
  return found;
}

/** The venue's platform, the account, and the clocks. A whole venue that is degraded puts either role at risk. */
function ofVenue(input: AssessInput): readonly Finding[] {
  const { source, policy, evidence } = input;
  const trading = isTrading(input);
  const found: Finding[] = [];
  if (evidence.skewMs > CLOCK_SKEW_MS) found.push({ reason: 'clock_skew', level: trading ? 'at_risk' : undefined });
  if (source === undefined) return found;
  const { venueLevel, degraded, accountLocked, maintenanceAnnounced, degradedWhole } = source.attributes;
  if (venueLevel === 'locked') found.push({ reason: 'venue_locked', level: 'unsafe' });
  if (venueLevel === 'maintenance' || maintenanceAnnounced !== undefined) {
    const begun = maintenanceAnnounced !== true;
    found.push({ reason: 'venue_maintenance', level: begun && trading ? 'unsafe' : 'at_risk' });
  }
  const counts = (part: string): boolean => policy.only.some((one) => sameName(one, part));
  const whole = degradedWhole === true || (venueLevel === 'degraded' && degraded.length === 0);
  if (whole || degraded.length > 0) {
    found.push({ reason: 'venue_degraded', level: whole || degraded.some(counts) ? 'at_risk' : undefined });
  }
  if (accountLocked.some((part) => sameName(part, 'all'))) found.push({ reason: 'account_locked', level: 'unsafe' });
  else if (accountLocked.length > 0) {
    found.push({ reason: 'account_locked', level: accountLocked.some(counts) ? 'at_risk' : undefined });
  }
  return found;
}

function sameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

/** What the role needs confirmed since the last connect, beside the session's own status: only Deribit tells it. */
function needsOf(input: AssessInput): readonly Input[] {
  const { state, policy } = input;
  if (state.venue !== 'deribit') return [];
  if (state.kind === 'public') return ['venue'];
  if (!isTrading(input)) return ['venue', 'account'];
  return policy.protection === 'ignored'
    ? ['heartbeat', 'venue', 'account']
    : ['heartbeat', 'protection', 'venue', 'account'];
}

function ofInputs(input: AssessInput): readonly Finding[] {
  const { confirmed, refused } = input.evidence;
  return needsOf(input)
    .filter((need) => !confirmed.includes(need))
    .map((need) =>
      refused.includes(need) ? { reason: 'unconfirmed' } : { reason: 'unconfirmed', level: 'unknown' as const },
    );
}
