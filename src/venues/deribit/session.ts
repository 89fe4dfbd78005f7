import { type Environment, type EventData, type Role, timestampOf } from '../../model/event.js';
import type { Json } from '../../model/json.js';
import { digestOf } from './auth.js';
import type { Tell, Told } from './book.js';
import type { SessionRecord, Wishes } from './memory.js';
import { PUBLIC_TOKEN } from './options.js';

/**
 * The one session of a source, from its login to its end, as PROTOCOL.md §2 says it for Deribit:
 *
 * - a reconnect finds a **named** session again when its `sid` is the same, and says `restored` once this connection's
 *   protection was read: until then orders may be unprotected, and the session stays stale;
 * - everything else that follows a drop is a new session: `lost {link_down}`, then `opened`. It is told at the new
 *   login and not at the drop, when only the link is known to be gone and the grace of PROTOCOL.md §3 runs;
 * - on one connection a new login extends the session (`renewed`), unless the `sid` says that it is another one.
 */
export interface Session {
  /** It is being established: told where none was open before. */
  connecting(): void;
  /** The venue took the login (or, without credentials, the connection). */
  authenticated(login: Login): void;
  /** This connection's protection was read. */
  proved(): void;
  /** The venue does not tell of protection: the session cannot be called the same as before. */
  unproved(): void;
  attention(data: EventData<'session.attention'>): void;
  expiring(expiresAtMs: number, inMs: number, renewable: boolean): void;
  expired(expiresAtMs: number): void;
  /** It ends on purpose; the fact is for the batch that tells the end of the link. */
  closed(by: 'user' | 'relay'): Told;
  /** The connection has ended: what follows has to be confirmed on the next one. */
  unseen(): void;
  /** What is said of it next begins with what opens it. Nothing where `session` is not this one. */
  forget(session: string): SessionRecord | undefined;
  /** What commands have set: shown, and kept. */
  wish(wishes: Wishes): void;
  readonly record: SessionRecord;
  /** Whether it waits for `proved`. */
  readonly isPending: boolean;
}

export interface Login {
  readonly generation: number;
  readonly how: 'refresh' | 'reauthenticate';
  readonly expiresAtMs?: number;
  readonly scope?: string;
  readonly sid?: string;
  readonly environment?: Environment;
}

export function createSession(options: {
  readonly token: string;
  readonly isNamed: boolean;
  readonly role: Role;
  readonly record: SessionRecord | undefined;
  readonly wishes: Wishes;
  readonly tell: Tell;
}): Session {
  const { token, isNamed, role, tell } = options;
  let record: SessionRecord = options.record ?? { token, open: false };
  let wishes = options.wishes;
  let status: 'none' | 'connecting' | 'open' | 'attention' | 'ended' = 'none';
  /** The connection on which it was last said to be open. */
  let confirmedIn: number | undefined;
  let pending: Login | undefined;
  let lastAttention: EventData<'session.attention'> | undefined;

  const remember = (next: Omit<SessionRecord, 'token'>): { readonly session: Json } => {
    record = { token, ...next };
    return { session: { ...record } };
  };
  const opened = (login: Login): Told => ({
    type: 'session.opened',
    data: {
      kind: token === PUBLIC_TOKEN ? 'public' : 'api',
      role,
      attributes: attributesOf(wishes),
      ...(login.environment === undefined ? {} : { environment: login.environment }),
      ...(login.expiresAtMs === undefined ? {} : { expiresAt: timestampOf(login.expiresAtMs) }),
      ...(login.scope === undefined ? {} : { scope: login.scope }),
    },
  });
  const renewed = ({ how, expiresAtMs }: Login): Told => ({
    type: 'session.renewed',
    data: { how, ...(expiresAtMs === undefined ? {} : { expiresAt: timestampOf(expiresAtMs) }) },
  });
  const sidOf = ({ sid }: Login): { readonly sid?: string } =>
    isNamed && sid !== undefined ? { sid: digestOf(sid) } : {};
  const confirm = (login: Login, facts: readonly Told[]): void => {
    pending = undefined;
    status = 'open';
    confirmedIn = login.generation;
    lastAttention = undefined;
    tell(facts, remember({ open: true, ...sidOf(login) }));
  };
  /** Another session than the one before, which ended unseen. */
  const replace = (login: Login, reason: string): void =>
    confirm(login, [...(record.open ? [lost(reason)] : []), opened(login)]);
  const isSame = (login: Login): boolean => isNamed && record.sid !== undefined && sidOf(login).sid === record.sid;

  return {
    connecting() {
      if (record.open || status === 'connecting') return;
      status = 'connecting';
      tell([{ type: 'session.opening', data: {} }], remember({ open: false }));
    },
    authenticated(login) {
      if (confirmedIn !== login.generation) {
        if (record.open && isSame(login)) pending = login;
        else replace(login, 'link_down');
        return;
      }
      if (!record.open) return replace(login, 'link_down');
      if (isNamed && sidOf(login).sid !== record.sid) return replace(login, 'session_replaced');
      const facts = [renewed(login)];
      confirm(login, status === 'attention' ? [{ type: 'session.restored', data: {} }, ...facts] : facts);
    },
    proved() {
      if (pending === undefined) return;
      confirm(pending, [{ type: 'session.restored', data: {} }, renewed(pending)]);
    },
    unproved() {
      if (pending !== undefined) replace(pending, 'link_down');
    },
    attention(data) {
      // A connection's own session ended with its connection, whatever became of the next login.
      const diedUnseen = record.open && !isNamed && confirmedIn === undefined;
      status = 'attention';
      lastAttention = data;
      tell(
        [...(diedUnseen ? [lost('link_down')] : []), { type: 'session.attention', data }],
        diedUnseen ? remember({ open: false }) : undefined,
      );
    },
    expiring(expiresAtMs, inMs, renewable) {
      // A token that was renewed in time never comes here: whatever could be tried at 80 % of its life has failed.
      const data = { expiresAt: timestampOf(expiresAtMs), inMs, renewable, reason: 'renewal_failed' };
      tell([{ type: 'session.expiring', data }]);
    },
    expired(expiresAtMs) {
      const expired: Told = { type: 'session.expired', data: { expiresAt: timestampOf(expiresAtMs) } };
      // What a person has to mend is still to be mended.
      const still: readonly Told[] =
        lastAttention === undefined ? [] : [{ type: 'session.attention', data: lastAttention }];
      status = lastAttention === undefined ? 'ended' : 'attention';
      tell([expired, ...still], remember({ open: false }));
    },
    closed(by) {
      status = 'ended';
      pending = undefined;
      lastAttention = undefined;
      record = { token, open: false };
      return { type: 'session.closed', data: { by } };
    },
    unseen() {
      confirmedIn = undefined;
      pending = undefined;
    },
    forget(session) {
      if (session !== token) return undefined;
      record = { token, open: false };
      return record;
    },
    wish(next) {
      wishes = next;
      tell([{ type: 'session.updated', data: { changed: { wishes: { ...wishes } } } }], {
        wishes: { ...wishes },
      });
    },
    get record() {
      return record;
    },
    get isPending() {
      return pending !== undefined;
    },
  };
}

function lost(reason: string): Told {
  return { type: 'session.lost', data: { reason } };
}

function attributesOf(wishes: Wishes): { readonly [name: string]: Json } {
  return Object.keys(wishes).length === 0 ? {} : { wishes: { ...wishes } };
}
