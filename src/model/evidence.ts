import type { Pulse, SessionEvent } from './event.js';
import type { SessionState } from './session.js';

/** After `protection.triggered`, without a heartbeat, the venue notices a dead connection within this. */
export const PENDING_WITHOUT_HEARTBEAT_MS = 600_000;
/** With one: this many of its intervals. */
export const PENDING_INTERVALS = 2.5;

/** What a role may need confirmed beside the session's own status. */
export type Input = 'heartbeat' | 'protection' | 'venue' | 'account';

/**
 * What has been seen of one session since the last connect, beside its state. Not persisted on purpose: after a
 * restart nothing is confirmed, and only a danger is recalled ({@link recallEvidence}). Times are ms on the observer's monotonic clock.
 */
export interface Evidence {
  /** The session's own status was said since this observer began, or since the last connect that found it stale. */
  readonly session: boolean;
  readonly confirmed: readonly Input[];
  /** What the venue refuses to tell: a note, not a need. */
  readonly refused: readonly Input[];
  readonly stale: boolean;
  readonly staleSinceMs?: number;
  readonly throttledSinceMs?: number;
  readonly protectionReadMs?: number;
  readonly pendingUntilMs?: number;
  readonly heartbeatIntervalMs?: number;
  /** The end that was warned of, and from when on the warning counts. */
  readonly expiring?: { readonly expiresAt: string; readonly countsFromMs: number };
  /** Since when it is lost, for what reason; kept while it only tries to come back. */
  readonly lost?: { readonly reason: string; readonly sinceMs: number };
  /** By how much the venue's clock and the relay's differed last. */
  readonly skewMs: number;
}

export function emptyEvidence(): Evidence {
  return { session: false, confirmed: [], refused: [], skewMs: 0, stale: false };
}

/**
 * What an observer that begins anew takes from a state of before: that orders may be being cancelled still, and which
 * heartbeat the connection had that has ended since. `wallMs` is the same instant as `nowMs`, ms since the epoch.
 */
export function recallEvidence({ protection, heartbeat }: SessionState, nowMs: number, wallMs: number): Evidence {
  const interval = heartbeat?.intervalMs ?? undefined;
  const evidence = { ...emptyEvidence(), ...(interval === undefined ? {} : { heartbeatIntervalMs: interval }) };
  if (protection?.triggeredAt === undefined) return evidence;
  const leftMs = pendingMs(interval) - Math.max(0, wallMs - Date.parse(protection.triggeredAt));
  return leftMs > 0 ? { ...evidence, pendingUntilMs: nowMs + leftMs } : evidence;
}

/**
 * What is left once whoever proved a session is gone: nothing of it is confirmed, and since when it is out of sight, lost
 * or throttled goes on.
 */
export function unproved(evidence: Evidence): Evidence {
  return { ...evidence, session: false, confirmed: [] };
}

function pendingMs(intervalMs: number | undefined): number {
  return intervalMs === undefined ? PENDING_WITHOUT_HEARTBEAT_MS : PENDING_INTERVALS * intervalMs;
}

/** Which channel's refusal leaves which input untold. */
const REFUSED_INPUT: ReadonlyMap<string, Input> = new Map([
  ['platform_state', 'venue'],
  ['user.lock', 'account'],
]);

/**
 * Takes in one event of the session itself, or of its source (`-`). `nowMs`: the observer's monotonic clock. Events of
 * the source move only what they are about; those of other sessions must not be passed.
 */
export function observe(evidence: Evidence, event: SessionEvent | Pulse, nowMs: number): Evidence {
  switch (event.type) {
    case 'link.up': {
      const seen = { ...evidence, session: stillSeen(evidence) };
      // A new socket has a heartbeat and a protection of its own. A refusal stands until the venue tells after all:
      // it is a matter of the credentials, and the fault that says so is not repeated.
      return event.data.carrier === 'ws' ? without({ ...seen, confirmed: [] }, 'heartbeatIntervalMs') : seen;
    }
    case 'venue.maintenance':
    case 'venue.locked':
    case 'venue.degraded':
    case 'venue.normal':
      return confirm(evidence, 'venue');
    case 'account.locked':
    case 'account.unlocked':
      return confirm(evidence, 'account');
    case 'source.throttled':
      return { ...evidence, throttledSinceMs: evidence.throttledSinceMs ?? nowMs };
    case 'source.unthrottled':
      return without(evidence, 'throttledSinceMs');
    case 'source.fault': {
      const input = event.data.what === 'channel_refused' ? REFUSED_INPUT.get(event.data.sample ?? '') : undefined;
      if (input === undefined || evidence.refused.includes(input)) return evidence;
      return { ...evidence, refused: [...evidence.refused, input] };
    }
    case 'heartbeat.armed':
      return confirm({ ...evidence, heartbeatIntervalMs: event.data.intervalMs }, 'heartbeat');
    case 'heartbeat.disarmed':
      return confirm(without(evidence, 'heartbeatIntervalMs'), 'heartbeat');
    case 'heartbeat.pulse':
      return skewed(evidence, event);
    case 'protection.armed':
    case 'protection.disarmed':
    case 'protection.unknown': {
      if (event.data.scope !== 'connection') return skewed(evidence, event);
      const read = event.type === 'protection.unknown' ? evidence : { ...evidence, protectionReadMs: nowMs };
      return skewed(confirm(read, 'protection'), event);
    }
    case 'protection.triggered': {
      const pending = pendingMs(evidence.heartbeatIntervalMs);
      return { ...evidence, pendingUntilMs: Math.max(evidence.pendingUntilMs ?? 0, nowMs + pending) };
    }
    case 'session.stale':
      return { ...evidence, stale: true, staleSinceMs: evidence.staleSinceMs ?? nowMs };
    case 'session.expiring':
      // Told by the relay's own clock: it ends staleness, as every status does, and confirms nothing.
      return { ...warned(evidence, event.data, nowMs), session: stillSeen(evidence), stale: false };
    case 'session.renewed':
      return extended(told(evidence), event.data.expiresAt);
    case 'session.opened':
      return without(without(told(evidence), 'lost'), 'expiring');
    case 'session.restored':
      return without(told(evidence), 'lost');
    case 'session.lost': {
      const { reason } = event.data;
      const lost = evidence.lost?.reason === reason ? evidence.lost : { reason, sinceMs: nowMs };
      return { ...without(told(evidence), 'expiring'), lost };
    }
    case 'session.expired':
    case 'session.closed':
      return without(without(told(evidence), 'lost'), 'expiring');
    case 'session.contested':
    case 'session.attention':
      return without(told(evidence), 'lost');
    case 'session.opening':
    case 'session.updated':
      return told(evidence);
    default:
      return evidence;
  }
}

function stillSeen({ session, stale }: Evidence): boolean {
  return session && !stale;
}

/** The session itself was spoken of. */
function told(evidence: Evidence): Evidence {
  return { ...without(evidence, 'staleSinceMs'), session: true, stale: false };
}

/**
 * An end counts at once where only a person can move it, or where a renewal has failed (`reason`). One that the relay
 * moves itself counts when half of the time is gone and it is still not moved: whatever renews it has then failed.
 */
function warned(
  evidence: Evidence,
  end: {
    readonly expiresAt: string;
    readonly inMs: number;
    readonly renewable: boolean;
    readonly reason?: string | undefined;
  },
  nowMs: number,
): Evidence {
  const { expiresAt, inMs, renewable, reason } = end;
  const from = renewable && reason === undefined ? nowMs + Math.max(0, inMs) / 2 : nowMs;
  const before = evidence.expiring?.expiresAt === expiresAt ? evidence.expiring.countsFromMs : from;
  return { ...without(evidence, 'staleSinceMs'), expiring: { expiresAt, countsFromMs: Math.min(before, from) } };
}

/** A later end takes a warning back; an earlier one does not. */
function extended(evidence: Evidence, expiresAt: string | undefined): Evidence {
  const { expiring } = evidence;
  if (expiring === undefined) return evidence;
  const isEarlier = expiresAt !== undefined && Date.parse(expiresAt) <= Date.parse(expiring.expiresAt);
  return isEarlier ? { ...evidence, expiring: { ...expiring, expiresAt } } : without(evidence, 'expiring');
}

function confirm(evidence: Evidence, input: Input): Evidence {
  const { confirmed, refused } = evidence;
  if (confirmed.includes(input) && !refused.includes(input)) return evidence;
  return {
    ...evidence,
    confirmed: confirmed.includes(input) ? confirmed : [...confirmed, input],
    refused: refused.filter((one) => one !== input),
  };
}

type Fleeting = 'staleSinceMs' | 'throttledSinceMs' | 'heartbeatIntervalMs' | 'expiring' | 'lost';

function without(evidence: Evidence, key: Fleeting): Evidence {
  const { [key]: _, ...rest } = evidence;
  return rest;
}

/** Only what a venue says of its own present moment is compared with ours: pulses and protection reads. */
function skewed(evidence: Evidence, event: SessionEvent | Pulse): Evidence {
  const { venueTime } = event.data;
  const skewMs = venueTime === undefined ? Number.NaN : Math.abs(Date.parse(venueTime) - Date.parse(event.time));
  return Number.isNaN(skewMs) ? evidence : { ...evidence, skewMs };
}
