import { SessionRelayError, VenueError, VenueTimeoutError } from '../../errors.js';
import type { ProtectionScope, Role } from '../../model/event.js';
import type { Json } from '../../model/json.js';
import type { FactBatch, StopOptions, VenueMemory, VenuePorts } from '../venue.js';
import type { Connection } from './connection.js';
import { failureOf } from './failures.js';
import type { Wishes } from './memory.js';
import { METHOD, PRIVATE_CHANNELS, PUBLIC_CHANNELS } from './messages.js';
import type { DeribitConfig } from './options.js';
import type { Reading } from './protection.js';
import { createSource, type Source } from './source.js';

/** One Deribit source, live: what may be asked of it. Everything rejects as `errors.ts` says. */
export interface Feed {
  start(memory?: VenueMemory): void;
  /** `leave` logs out first, so that protected orders stay; `cancel` closes the socket. Idempotent. */
  stop(options: StopOptions): Promise<void>;
  /** The relay keeps its session no more: whatever is said of it next begins with what opens it. What to remember. */
  forget(session: string): FactBatch['memory'];
  /** Any method over the source's own connection. */
  call(method: string, params: Json): Promise<Json>;
  /** Sets the venue's heartbeat, in seconds; 0: off. It stays a wish for every later connection. */
  setHeartbeat(seconds: number): Promise<void>;
  /** Sets cancel-on-disconnect of one scope, keeps it as a wish, and reads both back. */
  setProtection(scope: ProtectionScope, enabled: boolean): Promise<Reading>;
  readProtection(): Promise<Reading>;
  /** Logs in anew in full, on the present connection where there is one. */
  reauthenticate(): Promise<{ readonly expiresAt: string; readonly scope: string }>;
  /** Ends the connection and opens another. A protected one asks what becomes of its orders. */
  reconnect(orders?: StopOptions['orders']): Promise<{ readonly generation: number }>;
  /** Logs out; nothing logs in again until it is asked for. */
  logout(options: { readonly invalidateToken: boolean }): Promise<void>;
}

/** DESIGN.md: the process that is being stopped does not wait longer for Deribit. */
const STOP_LOGOUT_MS = 1_000;
/** Whoever asked for a logout by a command waits longer before its outcome is unknown. */
const LOGOUT_MS = 10_000;
/** These would end the feed's own subscriptions, or its session, behind its back. */
const OWN_METHODS: Readonly<Record<string, string>> = {
  'public/auth': 'use the command reauthenticate',
  'public/unsubscribe_all': 'name the channels',
  'private/unsubscribe_all': 'name the channels',
};
/** How a logout ended: with the connection, not in time, or refused. */
type Outcome = 'ended' | 'late' | VenueError;

const OWN_CHANNELS: ReadonlySet<string> = new Set([...PUBLIC_CHANNELS, ...PRIVATE_CHANNELS]);

export function createFeed(options: {
  readonly config: DeribitConfig;
  readonly role: Role;
  readonly ports: VenuePorts;
  readonly out: (batch: FactBatch) => void;
}): Feed {
  const name = `deribit.${options.config.id}`;
  let source: Source | undefined;
  let stopping: Promise<void> | undefined;

  const unavailable = (why: string): SessionRelayError =>
    new SessionRelayError('source_unavailable', `${name}: ${why}`);
  const conflict = (why: string, message: string): SessionRelayError =>
    new SessionRelayError('conflict', `${name}: ${message}`, { data: { why } });
  const running = (): Source => {
    if (stopping !== undefined) throw new SessionRelayError('closed', `${name} is stopped`);
    if (source === undefined) throw unavailable('it has not been started');
    return source;
  };
  const connected = (): readonly [Source, Connection] => {
    const one = running();
    const { connection } = one;
    if (connection === undefined || one.line.phase !== 'open') throw unavailable('it is not connected');
    return [one, connection];
  };
  const loggedIn = (): readonly [Source, Connection] => {
    const [one, connection] = connected();
    if (one.login === undefined) throw conflict('no_credentials', 'it has no credentials');
    if (!one.login.isIn(connection)) throw unavailable('it is not logged in');
    return [one, connection];
  };
  /** A person has asked: what was given up, or logged out, is tried again. */
  const release = (one: Source): void => {
    if (one.hold === 'logged_out') one.rememberLogout(false);
    one.hold = undefined;
    one.login?.reset();
  };
  const wish = (one: Source, next: Wishes): void => {
    one.wishes = next;
    one.session.wish(next);
  };

  /**
   * Asks the venue to end the connection. There is no reply: it closes the socket, and cancels nothing (Deribit docs,
   * private/logout). `true`: it ended; `false`: not within the time, and what the venue did is unknown.
   */
  const logOut = async (
    one: Source,
    connection: Connection,
    how: {
      readonly invalidate: boolean;
      readonly withinMs: number;
      readonly next: 'now' | 'stay';
      readonly reason: string;
      readonly closedBy?: 'user' | 'relay';
    },
  ): Promise<boolean> => {
    const { invalidate, withinMs, next, reason, closedBy } = how;
    const outOfTime: Promise<Outcome> = connection.pause(withinMs).then((isLive) => (isLive ? 'late' : 'ended'));
    const refusal = (thrown: unknown): Outcome | Promise<Outcome> =>
      thrown instanceof VenueError ? thrown : outOfTime;
    const ask = async (): Promise<Outcome> => {
      one.intent = { loggedOut: true, ...(closedBy === undefined ? {} : { closedBy }) };
      one.line.expectEnd(reason, next);
      const asked = connection.say(METHOD.logout, { invalidate_token: invalidate }).then(() => outOfTime, refusal);
      const outcome = await Promise.race([asked, outOfTime]);
      if (outcome !== 'ended') {
        one.intent = undefined;
        one.line.expectNoEnd();
      }
      return outcome;
    };
    let outcome = await ask();
    if (outcome instanceof VenueError && failureOf(outcome) === 'unauthorized' && one.login !== undefined) {
      // A token that has run out cannot log out: a new one can.
      const mended = await Promise.race([one.login.now(connection).then(() => undefined, refusal), outOfTime]);
      outcome = mended ?? (await ask());
    }
    if (outcome instanceof VenueError) throw outcome;
    return outcome === 'ended';
  };

  const connectNow = (one: Source): Promise<{ readonly generation: number }> => {
    const retryAfterMs = one.outbound.penaltyLeftMs;
    if (retryAfterMs > 0) {
      throw new SessionRelayError('rate_limited', `${name}: the venue takes nothing for ${retryAfterMs} ms`, {
        data: { retryAfterMs },
      });
    }
    release(one);
    const { line } = one;
    const after = line.phase === 'connecting' || line.phase === 'open' ? line.generation - 1 : line.generation;
    const ready = one.ready.next(after);
    one.session.connecting();
    line.connect();
    return ready;
  };

  const stop = async ({ orders }: StopOptions): Promise<void> => {
    const one = source;
    if (one === undefined) return;
    const { line, login, isNamed, connection } = one;
    one.hold = 'stopped';
    const closedBy = !isNamed && one.session.record.open ? ({ closedBy: 'relay' } as const) : {};
    if (connection !== undefined && orders === 'leave' && login?.isIn(connection)) {
      const how = { invalidate: !isNamed, withinMs: STOP_LOGOUT_MS, next: 'stay', reason: 'stopped' } as const;
      const loggedOut = await logOut(one, connection, { ...how, ...closedBy }).catch(() => false);
      // Not confirmed: what the venue makes of the end is told as what it is, unknown.
      if (!loggedOut) {
        one.intent = { loggedOut: false, ...closedBy };
        line.end('stopped', 'terminate', 'stay');
      }
    } else {
      if (connection !== undefined) one.intent ??= { loggedOut: false, ...closedBy };
      line.end('stopped', connection === undefined ? 'terminate' : 'close', 'stay');
    }
    await one.gone();
    one.outbound.stop();
  };

  return {
    start(memory) {
      if (source !== undefined || stopping !== undefined) return;
      source = createSource({ ...options, memory });
      source.begin();
    },
    stop(how) {
      stopping ??= stop(how);
      return stopping;
    },

    forget(session) {
      const record = source?.session.forget(session);
      return record === undefined ? undefined : { session: { ...record } };
    },

    async call(method, params) {
      const own = OWN_METHODS[method];
      if (own !== undefined) throw conflict('own_method', `${method} is the feed's own: ${own}`);
      const isPrivate = method.startsWith('private/');
      const [one, connection] = isPrivate ? loggedIn() : connected();
      const channels = channelsOf(params).filter((channel) => OWN_CHANNELS.has(channel));
      if (/\/unsubscribe$/.test(method) && channels.length > 0) {
        throw conflict('own_channel', `${channels.join(', ')}: the feed needs what it is subscribed to`);
      }
      if (/\/subscribe$/.test(method)) {
        for (const channel of channelsOf(params)) if (!OWN_CHANNELS.has(channel)) one.foreign.add(channel);
      }
      try {
        return await connection.request(method, params);
      } catch (thrown) {
        // Refused is not carried out: after a new login it may be asked again.
        const isDead = isPrivate && failureOf(thrown) === 'unauthorized' && !hasToken(params);
        if (!isDead || !one.relogin(connection) || !(await one.login?.run(connection))) throw thrown;
        return connection.request(method, params);
      }
    },

    async setHeartbeat(seconds) {
      const [one, connection] = connected();
      await one.heartbeat.set(connection, seconds);
      wish(one, { ...one.wishes, heartbeatSeconds: seconds });
    },

    async setProtection(scope, enabled) {
      const [one, connection] = loggedIn();
      try {
        await one.protection.set(connection, scope, enabled);
      } catch (thrown) {
        // Refused, or not answered: what came of it is read back all the same.
        if (connection.isLive) void one.confirmation.readProtection(connection);
        throw thrown;
      }
      one.protection.wishes = { ...one.protection.wishes, [scope]: enabled };
      wish(one, { ...one.wishes, protection: { ...one.wishes.protection, [scope]: enabled } });
      return readBack(one, connection);
    },

    async readProtection() {
      return readBack(...loggedIn());
    },

    async reauthenticate() {
      const one = running();
      const { login, connection } = one;
      if (login === undefined) throw conflict('no_credentials', 'it has no credentials to log in with');
      if (connection !== undefined && one.line.phase === 'open' && one.isGreeted) {
        release(one);
        await login.now(connection);
      } else await connectNow(one);
      if (one.granted === undefined) throw unavailable('it is not logged in');
      return one.granted;
    },

    async reconnect(orders) {
      const one = running();
      const { line, connection } = one;
      if (connection === undefined || line.phase !== 'open') return connectNow(one);
      const isIn = one.login?.isIn(connection) === true;
      if (isIn && orders === undefined && one.protection.mayCancel()) {
        throw conflict('protected', 'cancel-on-disconnect is armed: say orders: cancel, or leave (logs out first)');
      }
      release(one);
      const ready = one.ready.next(line.generation);
      ready.catch(() => undefined);
      const reason = 'a new connection was asked for';
      if (isIn && orders === 'leave') {
        const how = { invalidate: false, withinMs: LOGOUT_MS, next: 'now', reason } as const;
        if (!(await logOut(one, connection, how))) throw stillOpen();
      } else line.end(reason, 'close', 'now');
      return ready;
    },

    async logout({ invalidateToken }) {
      const one = running();
      if (one.login === undefined) throw conflict('no_credentials', 'it was never logged in');
      const { connection } = one;
      if (connection !== undefined && one.line.phase === 'open' && one.login.isIn(connection)) {
        const how = { invalidate: invalidateToken, withinMs: LOGOUT_MS, next: 'stay', reason: 'logged out' } as const;
        if (!(await logOut(one, connection, { ...how, closedBy: 'user' }))) throw stillOpen();
        return;
      }
      one.hold = 'logged_out';
      one.rememberLogout(true);
      one.book.tell([one.session.closed('user')], { session: { ...one.session.record } });
      one.line.end('logged out', 'close', 'stay');
    },
  };

  function stillOpen(): VenueTimeoutError {
    return new VenueTimeoutError(
      `${name}: the venue did not end the connection within ${LOGOUT_MS / 1_000} s of the logout; it was left as it is, and whether the venue acted is unknown`,
    );
  }

  async function readBack(one: Source, connection: Connection): Promise<Reading> {
    const read = await one.confirmation.readProtection(connection);
    if (read !== undefined) return read;
    // The token was refused: once a new login is taken, it is read again.
    if (connection.isLive && (await one.login?.run(connection))) {
      const again = await one.confirmation.readProtection(connection);
      if (again !== undefined) return again;
    }
    throw new VenueTimeoutError(`${name}: cancel-on-disconnect could not be read back`);
  }
}

function channelsOf(params: Json): readonly string[] {
  if (typeof params !== 'object' || params === null || !('channels' in params)) return [];
  const { channels } = params;
  return Array.isArray(channels) ? channels.filter((channel): channel is string => typeof channel === 'string') : [];
}

function hasToken(params: Json): boolean {
  return typeof params === 'object' && params !== null && 'access_token' in params;
}
