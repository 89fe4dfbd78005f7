import type { State } from '../model/session.js';
import { ENVIRONMENTS, ROLES, SAFETY_LEVELS, SESSION_KINDS, VENUES } from '../model/vocabulary.js';
import { cursor } from './event-shape.js';
import {
  boolean,
  dictionary,
  either,
  type Guard,
  list,
  nothing,
  number,
  oneOf,
  record,
  shape,
  string,
} from './shape.js';

/** What a state must be to be used (PROTOCOL.md §3). The compiler proves that it grants no more than the types say. */
const protection = oneOf(['armed', 'disarmed', 'unknown']);
const common = { key: string, venue: oneOf(VENUES), source: string, session: string, cursor };

const isSession: Guard<Exclude<State, { readonly kind: 'source' }>> = shape(
  {
    ...common,
    kind: oneOf(SESSION_KINDS),
    role: oneOf(ROLES),
    status: oneOf(['connecting', 'active', 'contested', 'attention', 'expired', 'closed', 'lost', 'unknown']),
    stale: boolean,
    attributes: record,
    safety: shape({ level: oneOf(SAFETY_LEVELS), reasons: list(string), notes: list(string) }),
  },
  {
    environment: oneOf(ENVIRONMENTS),
    scope: string,
    parent: string,
    openedAt: string,
    expiresAt: string,
    lastSeenAt: string,
    statusSince: shape({ at: string, cursor }),
    staleSince: shape({ at: string, reason: string }),
    heartbeat: shape({ intervalMs: either(number, nothing), missed: number }, { lastAt: string, rttMs: number }),
    protection: shape({}, { connection: protection, account: protection, readAt: string, triggeredAt: string }),
  },
);

const isAttributes = shape({
  links: dictionary(oneOf(['up', 'down', 'retrying'])),
  venueLevel: oneOf(['normal', 'degraded', 'locked', 'maintenance']),
  degraded: list(string),
  accountLocked: list(string),
});
type SourceAttributes = Extract<State, { readonly kind: 'source' }>['attributes'];
const isSourceAttributes: Guard<SourceAttributes> = (value): value is SourceAttributes => isAttributes(value);

const isSource: Guard<Extract<State, { readonly kind: 'source' }>> = shape({
  ...common,
  kind: oneOf(['source']),
  attributes: isSourceAttributes,
});

export const isState: Guard<State> = either(isSession, isSource);
/** A thing of which it is known at least which session it is about. */
export const hasKey = shape({ key: string });
