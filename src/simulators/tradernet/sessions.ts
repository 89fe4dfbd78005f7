import { SessionRelayError } from '../../errors.js';
import type { JsonObject } from '../../model/json.js';
import type { Clock, Random } from '../../net/clock.js';
import { drawBetween, drawText } from '../draw.js';
import { ACCOUNT } from './account.js';
import type { Conditions } from './conditions.js';

/** One security session: what lets an order be signed. */
export interface SecuritySession {
  readonly id: number;
  readonly safetyTypeId: number;
  /** `key_current`: documented as a key, shown as a label; here it is either. */
  readonly key: string;
  /** In ms of the venue's wall clock. */
  readonly startedAt: number;
  expiresAt: number;
  /** Absent in some rows, as in the oldest recorded ones. */
  readonly ip: string | undefined;
  readonly ipClient: string | undefined;
}

export interface SecuritySessions {
  /** Those that live, oldest first. One that runs out is gone: nothing says so, it is missing from the next list. */
  readonly all: readonly SecuritySession[];
  /** The list as the venue shows it: without rows that are withheld, and with extra fields where a fault asks for them. */
  rows(extra?: JsonObject): readonly JsonObject[];
  row(session: SecuritySession): JsonObject;
  open(options: { readonly safetyTypeId: number; readonly lifeMs: number; readonly address?: string }): SecuritySession;
  /** The one with the id, else the youngest. Throws `invalid_params` where there is none. */
  find(id: number | undefined): SecuritySession;
  prolong(session: SecuritySession, byMs: number): void;
  close(session: SecuritySession): void;
  /** Leaves it out of every list from now on, or no longer, although it lives. */
  withhold(session: SecuritySession, withheld: boolean): void;
  isWithheld(session: SecuritySession): boolean;
}

export const LOGIN_TYPE = 4;
export const SMS_TYPE = 3;
export const API_KEY_TYPE = 14;
/** The examples on the vendor's page: 24 h between `start_datetime` and `expire_datetime`. */
export const SESSION_LIFE_MS = 86_400_000;
/** Sessions that live at once. */
const MAX_SESSIONS = 1_000;
/** The first id; the order of magnitude is the page's. */
const FIRST_ID = 7_165_011;
const MAX_ID_STEP = 40;
/** How many rows say whence they were opened. */
const SHARE_WITH_IP = 0.75;
const IP_HASH_LENGTH = 31;
const DEFAULT_ADDRESS = '192.0.2.10';
const KEYS: { readonly [type: number]: string } = { 3: 'SMS', 4: 'Login, password', 17: 'QR' };

export function createSecuritySessions(options: {
  readonly clock: Pick<Clock, 'now'>;
  readonly random: Random;
  readonly conditions: () => Pick<Conditions, 'expireAs'>;
  /** What a list says has changed, and the venue says so. */
  readonly changed: () => void;
}): SecuritySessions {
  const { clock, random, changed } = options;
  const sessions = new Map<number, SecuritySession>();
  const withheld = new Set<SecuritySession>();
  let lastId = FIRST_ID;

  const purge = (): void => {
    for (const [id, session] of sessions) if (session.expiresAt <= clock.now()) remove(id);
  };
  const remove = (id: number): void => {
    const session = sessions.get(id);
    if (session !== undefined) withheld.delete(session);
    sessions.delete(id);
  };
  const live = (): SecuritySession[] => {
    purge();
    return [...sessions.values()];
  };
  const make = (safetyTypeId: number, startedAt: number, lifeMs: number, address: string): SecuritySession => {
    const session: SecuritySession = {
      id: lastId,
      safetyTypeId,
      key: KEYS[safetyTypeId] ?? drawText(random, 14),
      startedAt,
      expiresAt: startedAt + lifeMs,
      ...(random() < SHARE_WITH_IP
        ? { ip: drawText(random, IP_HASH_LENGTH).toLowerCase(), ipClient: address }
        : { ip: undefined, ipClient: undefined }),
    };
    lastId += 1 + Math.floor(random() * MAX_ID_STEP);
    sessions.set(session.id, session);
    return session;
  };
  const row = (session: SecuritySession): JsonObject => {
    const { id, safetyTypeId, key, startedAt, expiresAt, ip, ipClient } = session;
    return {
      id,
      owner_login: ACCOUNT.login,
      user_login: ACCOUNT.login,
      safety_type_id: safetyTypeId,
      key_current: key,
      start_datetime: datetime(startedAt),
      expire_datetime: datetime(expiresAt),
      expire: expireOf(expiresAt - clock.now(), options.conditions().expireAs),
      ...(ip === undefined ? {} : { ip }),
      ...(ipClient === undefined ? {} : { ip_client: ipClient }),
    };
  };

  // The customer has logged in and typed in a code earlier that day.
  const earlier = drawBetween(random, 2 * 3_600_000, 4 * 3_600_000);
  make(LOGIN_TYPE, Math.floor(clock.now() - earlier), SESSION_LIFE_MS, DEFAULT_ADDRESS);
  make(SMS_TYPE, Math.floor(clock.now() - earlier / 2), SESSION_LIFE_MS, DEFAULT_ADDRESS);

  return {
    get all() {
      return live();
    },
    rows: (extra = {}) =>
      live()
        .filter((session) => !withheld.has(session))
        .map((session) => ({ ...row(session), ...extra })),
    row,
    open({ safetyTypeId, lifeMs, address = DEFAULT_ADDRESS }) {
      if (live().length >= MAX_SESSIONS) {
        throw new SessionRelayError('invalid_params', `${MAX_SESSIONS} sessions are open: close one`);
      }
      const session = make(safetyTypeId, clock.now(), lifeMs, address);
      changed();
      return session;
    },
    find(id) {
      const found = id === undefined ? live().at(-1) : live().find((session) => session.id === id);
      if (found === undefined) {
        throw new SessionRelayError('invalid_params', `there is no session ${id ?? ''}: see state.sessions`);
      }
      return found;
    },
    prolong(session, byMs) {
      session.expiresAt += byMs;
      changed();
    },
    close(session) {
      remove(session.id);
      changed();
    },
    withhold(session, isWithheld) {
      if (isWithheld === withheld.has(session) || !sessions.has(session.id)) return;
      if (isWithheld) withheld.add(session);
      else withheld.delete(session);
      changed();
    },
    isWithheld: (session) => withheld.has(session),
  };
}

/** UTC with ms and without a zone, as on the page. */
function datetime(ms: number): string {
  return new Date(ms).toISOString().slice(0, -1);
}

/** Seconds that are left: the page says milliseconds, and no value on it can be any (85299 on a session of 24 h). */
function expireOf(leftMs: number, as: Conditions['expireAs']): number {
  switch (as) {
    case 'seconds':
      return Math.floor(leftMs / 1_000);
    case 'milliseconds':
      return leftMs;
    case 'zero':
      return 0;
    case 'negative':
      return -Math.floor(leftMs / 1_000);
  }
}
