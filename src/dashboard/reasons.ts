import type { ClientReason, Safety, SafetyLevel } from '../client/index.js';

/**
 * Every reason of a verdict in words (PROTOCOL.md §3): what is the matter, and what it means for whoever trades. A code
 * that this version does not know is shown as itself: {@link reasonWords}.
 */
const RELAY_REASONS = {
  unconfirmed: 'not confirmed since the last connect: nobody has said yet that it is well',
  link_down: 'the connection to the venue is down',
  stale: 'the relay cannot see it at the moment: what was said last stands, unconfirmed',
  throttled: 'the venue has throttled the source: nothing is sent until the penalty ends',
  heartbeat_missed: 'heartbeats are missing: the connection may be dead',
  heartbeat_off: 'the heartbeat is off: a dead connection is noticed only after minutes',
  protection_off: 'cancel-on-disconnect is off: orders stay in the book when the connection dies',
  protection_unknown: 'whether cancel-on-disconnect is armed is not known',
  protection_pending: 'a protected connection ended: the venue cancels its orders, or soon will',
  expiring: 'it is about to expire, and nothing has renewed it',
  lost: 'lost by a fault: it does not exist any more',
  expired: 'expired: it ended by time',
  contested: 'contested: another login holds it, or takes it',
  attention: 'only a person can mend it',
  closed: 'closed on purpose, or gone from the list of the venue',
  venue_locked: 'the venue is locked: no trading',
  account_locked: 'the account is locked, or a part of it',
  venue_maintenance: 'the venue is in maintenance, or has announced it',
  venue_degraded: 'the venue is degraded, or a part of it',
  clock_skew: 'the clocks of venue and relay differ by more than 5 s',
} as const;

const CLIENT_REASONS: { readonly [R in ClientReason]: string } = {
  relay_unreachable: 'the relay cannot be heard',
  relay_blind: 'the relay itself cannot see this source at the moment',
  replaying: 'the page is catching up with the relay',
  not_found: 'the relay has no such session',
  not_granted: 'the token does not show it',
  refused: 'the relay does not serve it',
  unreadable: 'something came about it that could not be read',
};

/** The page's own: a source of which no session is known. */
export const NO_SESSION = 'no_session';

const WORDS: ReadonlyMap<string, string> = new Map([
  ...Object.entries(RELAY_REASONS),
  ...Object.entries(CLIENT_REASONS),
  [NO_SESSION, 'the source has no session'],
]);

/** Whether what is shown of a session is what was true last, and nobody can say that it is now. */
export function isDoubtful({ level, reasons }: Safety): boolean {
  return level === 'unknown' && reasons.some((code) => Object.hasOwn(CLIENT_REASONS, code));
}

/** Whether this version has words for a code. */
export function isKnownReason(code: string): boolean {
  return WORDS.has(code);
}

/** A reason in words; a code that is not known as itself. */
export function reasonWords(code: string): string {
  return WORDS.get(code) ?? code;
}

export const LEVEL_WORDS: { readonly [L in SafetyLevel]: string } = {
  unsafe: 'Unsafe',
  unknown: 'Unknown',
  at_risk: 'At risk',
  safe: 'Safe',
};

/** PROTOCOL.md §3: the level is the worst of these, in this order. */
export const LEVELS_WORST_FIRST: readonly SafetyLevel[] = ['unsafe', 'unknown', 'at_risk', 'safe'];
