import type { Clock, Random, Timer } from '../../net/clock.js';
import { issued } from '../issued.js';
import { drawHex } from './hex.js';

/**
 * How a gateway without a login answers: 401 `access denied`; a redirect to the login page; or, as recorded after a
 * logout, 200 with `no session` or with a status of nothing but false.
 */
export type Absence = 'access_denied' | 'redirect' | 'no_session';

/** The login of a person at the gateway: the outer of the two tiers, and the parent of the brokerage session. */
export interface Sso {
  /** A credential: it opens the socket. `undefined` while nobody is logged in. */
  readonly session: string | undefined;
  readonly absence: Absence;
  /** In ms since the epoch. */
  readonly authTime: number;
  /** What `ssoExpires` and `EXPIRES` say. */
  expiresMs(): number;
  /** A person logs in: a new session. */
  logIn(): void;
  end(absence: Absence): void;
}

/**
 * Measured: a token of about ten minutes, which falls by 1 ms a ms, is not reset by a tickle, and renews itself near
 * zero, from 42 s to 587 s.
 */
const TOKEN_FRESH_MS = 587_000;
const TOKEN_RENEWED_AT_MS = 42_000;
/** IBKR docs, "Session duration": at most 24 h. */
const MAX_LIFE_MS = 86_400_000;
const SESSION_DIGITS = 32;

export function createSso(clock: Clock, random: Random, ended: () => void): Sso {
  let session: string | undefined;
  let absence: Absence = 'no_session';
  let authTime = 0;
  let since = 0;
  let end: Timer | undefined;
  const sso: Sso = {
    get session() {
      return session;
    },
    get absence() {
      return absence;
    },
    get authTime() {
      return authTime;
    },
    expiresMs: () => TOKEN_FRESH_MS - Math.floor((clock.monotonic() - since) % (TOKEN_FRESH_MS - TOKEN_RENEWED_AT_MS)),
    logIn() {
      end?.cancel();
      session = issued(drawHex(random, SESSION_DIGITS));
      authTime = clock.now();
      since = clock.monotonic();
      end = clock.setTimer(() => sso.end('access_denied'), MAX_LIFE_MS);
    },
    end(how) {
      end?.cancel();
      absence = how;
      if (session === undefined) return;
      session = undefined;
      ended();
    },
  };
  return sso;
}
