import { CARRIERS, type Carrier, type EventType, type Fact, type SessionEvent, SOURCE_TOKEN } from '../model/event.js';
import type { SessionState, SourceState } from '../model/session.js';
import type { SourceDescription } from '../venues/venue.js';

/** What happens to sessions because of something else: pure decisions, which the hub turns into events. */

/** Statuses of a session that there is still something to lose sight of. */
const LIVING: ReadonlySet<SessionState['status']> = new Set([
  'connecting',
  'active',
  'contested',
  'attention',
  'unknown',
]);
const ENDED: ReadonlySet<SessionState['status']> = new Set(['expired', 'closed', 'lost']);

export function isLiving(state: SessionState): boolean {
  return LIVING.has(state.status);
}

/** Ended by time, on purpose or by a fault: what `forgetAfter` counts from. */
export function isEnded(state: SessionState): boolean {
  return ENDED.has(state.status);
}

/** What a restart leaves to be confirmed: all but what is over for good. */
export function isUnconfirmedAfterRestart({ status, stale }: SessionState): boolean {
  return !stale && status !== 'expired' && status !== 'closed';
}

const CONCERNS_SESSIONS: ReadonlySet<EventType> = new Set([
  'link.up',
  'link.down',
  'venue.maintenance',
  'venue.locked',
  'venue.degraded',
  'venue.normal',
  'account.locked',
  'account.unlocked',
  'source.throttled',
  'source.unthrottled',
]);

/** Whether what a source says can move a session of it: its sight, or its safety. */
export function concernsSessions(event: SessionEvent): boolean {
  if (event.type === 'source.fault') return event.data.what === 'channel_refused';
  return CONCERNS_SESSIONS.has(event.type);
}

/** Which carriers of one source are up now, and which ever were. */
export interface CarrierSight {
  readonly up: ReadonlySet<Carrier>;
  readonly ever: ReadonlySet<Carrier>;
}

export const NO_CARRIERS: CarrierSight = { up: new Set(), ever: new Set() };

export function seeCarrier(sight: CarrierSight, event: SessionEvent): CarrierSight {
  if (event.type === 'link.up') {
    const { carrier } = event.data;
    return { up: new Set([...sight.up, carrier]), ever: new Set([...sight.ever, carrier]) };
  }
  if (event.type !== 'link.down') return sight;
  const { carrier } = event.data;
  return { up: new Set([...sight.up].filter((one) => one !== carrier)), ever: sight.ever };
}

/** Whether a session has gone out of sight: every carrier that proves its kind and was ever up is down. */
export function isOutOfSight(state: SessionState, sight: CarrierSight, description: SourceDescription): boolean {
  const proving = description.provedBy[state.kind] ?? ['ws', 'http', 'hook'];
  const known = proving.filter((carrier) => sight.ever.has(carrier));
  return known.length > 0 && known.every((carrier) => !sight.up.has(carrier));
}

/**
 * Whether a child may still be believed while this is its parent's state. A parent that merely cannot be seen supports
 * its children: each goes stale by the carriers that prove it, and what is derived causes nothing.
 */
export function supportsChildren(parent: SessionState): boolean {
  return parent.status === 'active';
}

export function staleFact(
  state: SessionState,
  reason: 'link_down' | 'parent' | 'relay_restarted',
): Fact<'session.stale'> {
  return { source: state.source, session: state.session, type: 'session.stale', data: { reason } };
}

/**
 * What a restart, or another venue in the place of one that ended, did to the links that there were: each is down until
 * it is brought up again. The generation is 0: generations count within one life.
 */
export function lostLinks(
  { source, attributes }: SourceState,
  reason: 'relay_restarted' | 'reloaded' = 'relay_restarted',
): readonly Fact<'link.down'>[] {
  return CARRIERS.flatMap((carrier): readonly Fact<'link.down'>[] => {
    const link = attributes.links[carrier];
    if (link === undefined || link === 'down') return [];
    const code = link === 'up' ? ABNORMAL_CLOSE : NEVER_OPENED;
    const data = { carrier, generation: 0, code, reason, clean: false, initiator: 'relay' } as const;
    return [{ source, session: SOURCE_TOKEN, type: 'link.down', data, generation: 0 }];
  });
}

/** PROTOCOL.md §2, `link.down`: without a close frame, and where it was not open. */
const ABNORMAL_CLOSE = 1006;
const NEVER_OPENED = 0;

/** How the throttling ends that a source was under when the relay ended: by time alone, and so inferred. */
export function endOfThrottle(
  { source, attributes }: SourceState,
  nowMs: number,
): { readonly fact: Fact<'source.unthrottled'>; readonly inMs: number } | undefined {
  const { throttledUntilAt } = attributes;
  if (typeof throttledUntilAt !== 'string') return undefined;
  return {
    fact: { source, session: SOURCE_TOKEN, type: 'source.unthrottled', data: { certain: false } },
    inMs: Math.max(0, Date.parse(throttledUntilAt) - nowMs),
  };
}
