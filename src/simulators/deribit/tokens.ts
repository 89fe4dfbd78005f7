import type { Random } from '../../net/clock.js';
import { drawText, shuffled } from '../draw.js';
import { issued } from '../issued.js';
import type { Account } from './accounts.js';
import { allowsAddress, type Granted, grantScopes } from './scopes.js';
import { Refusal } from './wire.js';

/** A named session: tokens made under its name are good on every connection until it ends. */
export interface VenueSession {
  readonly name: string;
  /** The same for as long as the session lives; another for the next one of that name. */
  readonly sid: string;
  readonly account: Account;
  /** When a token of it was last made, in the venue's ms. */
  usedAt: number;
  /** When the last of its tokens runs out, in the venue's ms. */
  expiresAt: number;
  alive: boolean;
}

/** One pair of tokens. */
export interface Grant {
  readonly account: Account;
  readonly scopes: ReadonlySet<string>;
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly expiresIn: number;
  /** In the venue's ms. */
  expiresAt: number;
  /** Dead tokens were replaced, logged out, or lost their connection or session. */
  alive: boolean;
  readonly session: VenueSession | undefined;
  /** Connection scope: the only connection that may use it. Without a session and a connection: made over HTTP. */
  readonly connection: number | undefined;
}

/** Who asks: a connection's number, or none over HTTP, and the address. */
export interface Asker {
  readonly connection: number | undefined;
  readonly address: string;
}

export interface Tokens {
  /** New tokens for an account; into the session that `scope` names, or bound to the connection. */
  issue(account: Account, scope: string | undefined, asker: Asker): Grant;
  /** The refresh grant: a new pair. The old refresh token is spent; in connection scope the old access token dies too. */
  refresh(refreshToken: string, asker: Asker): Grant;
  /** The same rights for a subaccount; without a session scope the old pair dies (Deribit docs, public/exchange_token). */
  exchange(refreshToken: string, account: Account, scope: string | undefined, asker: Asker): Grant;
  /** A new named session beside the one that the token belongs to, which must be one (Deribit docs, public/fork_token). */
  fork(refreshToken: string, name: string, asker: Asker): Grant;
  /** The grant of an access token. Throws 13009. */
  find(accessToken: string, asker: Asker): Grant;
  /** Throws 13009 where it has died or run out since. */
  check(grant: Grant, asker: Asker): void;
  /** Every token of its session, or of its connection, dies. */
  revoke(grant: Grant): void;
  /** What is bound to a connection dies with it. */
  connectionEnded(connection: number): void;
  /** Tokens run out now; their sessions stay. Refresh tokens die only where that is asked for. */
  expire(refreshTokensToo: boolean): void;
  evict(session: VenueSession): void;
  readonly sessions: readonly VenueSession[];
}

/** Deribit docs, "Connection management": sessions per API key. */
export const MAX_SESSIONS = 16;
/** Tokens of this many grants are remembered; of older ones nobody knows that they ever were. */
const MAX_GRANTS = 10_000;

export function createTokens(options: {
  readonly now: () => number;
  readonly random: Random;
  /** A session ended that was not logged out: its connections are the owner's business. */
  readonly evicted: (session: VenueSession) => void;
}): Tokens {
  const { now, random, evicted } = options;
  const byAccess = new Map<string, Grant>();
  const byRefresh = new Map<string, Grant>();
  const sessions = new Map<string, VenueSession>();

  const forget = (grant: Grant): void => {
    grant.alive = false;
    byAccess.delete(grant.accessToken);
    byRefresh.delete(grant.refreshToken);
  };
  const end = (session: VenueSession): void => {
    session.alive = false;
    if (sessions.get(session.name) === session) sessions.delete(session.name);
    for (const grant of [...byAccess.values()]) if (grant.session === session) forget(grant);
  };
  const evict = (session: VenueSession): void => {
    end(session);
    evicted(session);
  };
  /**
   * Room for one more. Sessions that ran out go first, then the one that was not refreshed for the longest time (the
   * venue's current page says "the oldest active"; where nobody refreshes it is the same one).
   */
  const makeRoom = (): void => {
    if (sessions.size < MAX_SESSIONS) return;
    for (const session of [...sessions.values()]) if (session.expiresAt <= now()) end(session);
    while (sessions.size >= MAX_SESSIONS) {
      const [oldest] = [...sessions.values()].sort((one, other) => one.usedAt - other.usedAt);
      if (oldest === undefined) return;
      evict(oldest);
    }
  };
  const sessionNamed = (name: string, account: Account): VenueSession => {
    const known = sessions.get(name);
    if (known?.account === account) return known;
    if (known !== undefined) end(known);
    makeRoom();
    const session = { name, sid: issued(drawText(random, 24)), account, usedAt: now(), expiresAt: now(), alive: true };
    sessions.set(name, session);
    return session;
  };
  const make = (account: Account, granted: Granted, asker: Asker): Grant => {
    const session = granted.session === undefined ? undefined : sessionNamed(granted.session, account);
    const expiresAt = now() + granted.expiresIn * 1_000;
    if (session !== undefined) {
      session.usedAt = now();
      session.expiresAt = Math.max(session.expiresAt, expiresAt);
    }
    const token = (): string => issued(`${expiresAt}.${drawText(random, 8)}.${drawText(random, 64)}`);
    const grant: Grant = {
      account,
      scopes: new Set(shuffled(random, granted.scopes)),
      accessToken: token(),
      refreshToken: token(),
      expiresIn: granted.expiresIn,
      expiresAt,
      alive: true,
      session,
      connection: session === undefined ? asker.connection : undefined,
    };
    byAccess.set(grant.accessToken, grant);
    byRefresh.set(grant.refreshToken, grant);
    if (byAccess.size > MAX_GRANTS) {
      const [first] = byAccess.values();
      if (first !== undefined) forget(first);
    }
    return grant;
  };
  const mayUse = (grant: Grant, asker: Asker): boolean =>
    grant.alive &&
    (grant.session !== undefined || grant.connection === asker.connection) &&
    allowsAddress(grant.scopes, asker.address);
  const holderOf = (refreshToken: string, asker: Asker): Grant => {
    const grant = byRefresh.get(refreshToken);
    if (grant === undefined || !mayUse(grant, asker)) throw unauthorized('invalid_token', 'refresh_token');
    return grant;
  };
  /** What a grant has, for another one. */
  const sameAs = (grant: Grant): Granted => ({
    scopes: grant.scopes,
    session: grant.session?.name,
    expiresIn: grant.expiresIn,
  });

  return {
    issue: (account, scope, asker) => make(account, grantScopes(scope, account.isMain), asker),
    refresh(refreshToken, asker) {
      const old = holderOf(refreshToken, asker);
      if (old.session === undefined) forget(old);
      else byRefresh.delete(refreshToken);
      return make(old.account, sameAs(old), asker);
    },
    exchange(refreshToken, account, scope, asker) {
      const old = holderOf(refreshToken, asker);
      const granted = scope === undefined ? sameAs(old) : grantScopes(scope, false);
      if (scope === undefined || granted.session === undefined) forget(old);
      // A session belongs to one account: under its own name the exchanged tokens take it over.
      return make(account, granted, asker);
    },
    fork(refreshToken, name, asker) {
      const old = holderOf(refreshToken, asker);
      if (old.session === undefined) throw new Refusal('scope_exceeded', { reason: 'session scope is required' });
      const others = [...old.scopes].filter((scope) => !scope.startsWith('session:'));
      const scopes = new Set([...others, `session:${name}`]);
      return make(old.account, { ...sameAs(old), scopes, session: name }, asker);
    },
    find(accessToken, asker) {
      const grant = byAccess.get(accessToken);
      if (grant === undefined || !mayUse(grant, asker)) throw unauthorized('invalid_token', 'access_token');
      if (grant.expiresAt <= now()) throw unauthorized('token has expired', 'access_token');
      return grant;
    },
    check(grant, asker) {
      if (!mayUse(grant, asker)) throw unauthorized('invalid_token', 'access_token');
      if (grant.expiresAt <= now()) throw unauthorized('token has expired', 'access_token');
    },
    revoke(grant) {
      if (grant.session !== undefined) end(grant.session);
      else forget(grant);
    },
    connectionEnded(connection) {
      for (const grant of [...byAccess.values()]) if (grant.connection === connection) forget(grant);
    },
    expire(refreshTokensToo) {
      for (const grant of byAccess.values()) {
        grant.expiresAt = Math.min(grant.expiresAt, now());
        if (refreshTokensToo) byRefresh.delete(grant.refreshToken);
      }
    },
    evict,
    get sessions() {
      return [...sessions.values()];
    },
  };
}

/** 13009 with its reason (recorded frame: `invalid_token`; Deribit docs, "Errors": `token has expired`). */
export function unauthorized(reason: string, param: string): Refusal {
  return new Refusal('unauthorized', { reason, param });
}
