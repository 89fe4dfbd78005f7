import type { Environment, Role, SafetyLevel, SessionKind, VenueName } from './event.js';
import type { Json } from './json.js';

export type SessionStatus =
  | 'connecting'
  | 'active'
  | 'contested'
  | 'attention'
  | 'expired'
  | 'closed'
  | 'lost'
  | 'unknown';

/** What the venue's liveness check is known to be. */
export interface HeartbeatState {
  /** `null`: read or set to off; the whole `heartbeat` is absent where it was never known. */
  readonly intervalMs: number | null;
  readonly missed: number;
  readonly lastAt?: string;
  readonly rttMs?: number;
}

export type ProtectionStatus = 'armed' | 'disarmed' | 'unknown';

/** Cancel-on-disconnect as last read back from the venue. A scope that was never read is absent. */
export interface ProtectionState {
  readonly connection?: ProtectionStatus;
  readonly account?: ProtectionStatus;
  readonly readAt?: string;
  /** When a protected connection ended last without a logout. */
  readonly triggeredAt?: string;
}

export interface Safety {
  readonly level: SafetyLevel;
  /** Why the level is what it is: the reasons of PROTOCOL.md §3, worst first. */
  readonly reasons: readonly string[];
  /** Reasons that did not lower the level. */
  readonly notes: readonly string[];
}

interface StateBase {
  readonly key: string;
  readonly venue: VenueName;
  readonly source: string;
  readonly session: string;
  readonly attributes: { readonly [name: string]: Json };
  /** The cursor of the last event that this state has taken in. */
  readonly cursor: string;
}

/** What is true of one session now: the fold of its events (PROTOCOL.md §3). */
export interface SessionState extends StateBase {
  readonly kind: SessionKind;
  readonly role: Role;
  readonly environment?: Environment;
  readonly status: SessionStatus;
  readonly stale: boolean;
  readonly scope?: string;
  readonly parent?: string;
  readonly openedAt?: string;
  readonly expiresAt?: string;
  readonly lastSeenAt?: string;
  /** When the present status was entered, and by which event: what names a transition. */
  readonly statusSince?: { readonly at: string; readonly cursor: string };
  /** Since when, and why, the relay cannot see it; only while `stale`. */
  readonly staleSince?: { readonly at: string; readonly reason: string };
  readonly heartbeat?: HeartbeatState;
  readonly protection?: ProtectionState;
  readonly safety: Safety;
}

/** The state of a source as a whole, under the token `-`. */
export interface SourceState extends StateBase {
  readonly kind: 'source';
  readonly attributes: {
    readonly [name: string]: Json;
    readonly links: { readonly [carrier: string]: 'up' | 'down' | 'retrying' };
    readonly venueLevel: 'normal' | 'degraded' | 'locked' | 'maintenance';
    readonly degraded: readonly string[];
    readonly accountLocked: readonly string[];
  };
}

export type State = SessionState | SourceState;

export const UNKNOWN_SAFETY: Safety = { level: 'unknown', reasons: ['unconfirmed'], notes: [] };
