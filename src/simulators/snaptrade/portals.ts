import type { Json, JsonObject } from '../../model/json.js';
import type { Clock, Random } from '../../net/clock.js';
import { shuffled } from '../draw.js';
import type { Connection } from './connections.js';
import { isoDate } from './dates.js';
import { drawUuid } from './ids.js';
import type { User } from './partner.js';

/** What a person does in the connection portal (vendor's spec before 2026-08-10; the last is of older SDKs alone). */
export const SESSION_EVENT_TYPES = [
  'SESSION_STARTED',
  'DISCLAIMER_ACCEPTED',
  'BROKERAGE_CONNECTION_INITIATED',
  'BROKERAGE_RECONNECT_INITIATED',
  'BROKERAGE_AUTHENTICATION',
  'OAUTH_REDIRECT',
  'OAUTH_BROKERAGE_AUTHENTICATION',
  'MFA_REQUESTED',
  'MFA_SUBMITTED',
  'MFA_CHOICE_REQUESTED',
  'MFA_CHOICE_SUBMITTED',
  'CONNECTION_SUCCESSFUL',
  'CONNECTION_FAILED',
  'CONNECTION_ABORTED',
  'PARTNER_REDIRECT',
  'MFA_AUTHORIZATION',
] as const;

export interface Portals {
  readonly events: number;
  readonly sessions: number;
  /** The first step of a portal starts one; any other goes on in the user's last one, and starts one where there is none. */
  step(options: {
    readonly type: string;
    readonly user: User;
    readonly connection?: Connection | undefined;
    readonly statusCode?: number | undefined;
  }): { readonly sessionId: string };
  /** The rows of these users and sessions, of all where undefined; in no order that anybody promised. */
  rows(filter: {
    readonly users: ReadonlySet<string> | undefined;
    readonly sessions: ReadonlySet<string> | undefined;
  }): Json;
}

/** How long the vendor keeps them is unknown; here the oldest are forgotten. */
const MAX_EVENTS = 1_000;

export function createPortals(clock: Clock, random: Random): Portals {
  const events: { readonly user: User; readonly sessionId: string; readonly row: JsonObject }[] = [];
  const lastOf = new Map<User, string>();
  let sessions = 0;
  return {
    get events() {
      return events.length;
    },
    get sessions() {
      return sessions;
    },
    step({ type, user, connection, statusCode }) {
      let sessionId = type === 'SESSION_STARTED' ? undefined : lastOf.get(user);
      if (sessionId === undefined) {
        sessionId = drawUuid(random);
        sessions += 1;
        lastOf.set(user, sessionId);
      }
      const row = {
        id: drawUuid(random),
        session_event_type: type,
        session_id: sessionId,
        user_id: user.userId,
        created_date: isoDate(clock.now()),
        brokerage_status_code: statusCode ?? null,
        brokerage_authorization_id: connection?.id ?? null,
      };
      events.push({ user, sessionId, row });
      if (events.length > MAX_EVENTS) events.shift();
      return { sessionId };
    },
    rows({ users, sessions: ids }) {
      const asked = events.filter(
        ({ user, sessionId }) => (users?.has(user.userId) ?? true) && (ids?.has(sessionId) ?? true),
      );
      return shuffled(
        random,
        asked.map(({ row }) => row),
      );
    },
  };
}
