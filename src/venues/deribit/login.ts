import { SessionRelayError, VenueError } from '../../errors.js';
import type { EventData } from '../../model/event.js';
import type { Clock, Random } from '../../net/clock.js';
import { createRetry } from '../../net/retry.js';
import { authParams, digestOf, refreshParams } from './auth.js';
import type { Connection } from './connection.js';
import { loginFailureOf } from './failures.js';
import type { LoginRecord } from './memory.js';
import { METHOD, parseToken, type Token } from './messages.js';
import type { Credentials, DeribitConfig } from './options.js';

/**
 * Authentication over public/auth, one request at a time: in full after a connect and whenever a renewal failed, by
 * refresh token otherwise. What is tried again, and when, is decided here alone.
 */
export interface Login {
  /** Logs in on a connection, however often it takes. `false`: the connection is gone, or a person has to act. */
  run(connection: Connection): Promise<boolean>;
  /** Extends the token; where that fails, logs in anew. A refresh token is tried once. */
  renew(connection: Connection): Promise<boolean>;
  /** Tries now, whatever is being waited for; rejects as the venue answered that try. What has to follow follows. */
  now(connection: Connection): Promise<Token>;
  /** A token is held on this connection. */
  isIn(connection: Connection | undefined): boolean;
  /** The connection has ended. */
  left(): void;
  /** A person has asked for it: what was given up is tried again. */
  reset(): void;
  /** Why nothing is tried any more. */
  readonly held: boolean;
  /** Since the last full login on this connection; infinite without one. */
  readonly ageMs: number;
}

export interface LoginOptions {
  readonly config: DeribitConfig;
  readonly credentials: Credentials;
  readonly clock: Clock;
  readonly random: Random;
  readonly record: LoginRecord;
  /** The venue took it. */
  readonly accepted: (connection: Connection, token: Token, how: 'refresh' | 'reauthenticate') => void;
  /** A person has to act; `thrown` is the venue's refusal. */
  readonly attention: (data: EventData<'session.attention'>, thrown: unknown) => void;
  /** The next try is far off. */
  readonly postponed: (connection: Connection) => void;
  /** Nothing will be tried again on its own. */
  readonly gaveUp: (connection: Connection) => void;
  /** The venue's clock less ours, ms, as last seen. */
  readonly skewMs: () => number;
  /** The digest of the client id that works. */
  readonly remember: (worked: string) => void;
}

/** Credentials that have worked before: 13004 is also a temporary ban, or a clock that is off (see PROTOCOL.md §3). */
const SECOND_CHANCES_MS: readonly number[] = [5 * 60_000, 15 * 60_000, 30 * 60_000];
/** Back-off of what may pass: many errors in a row are punished. */
const RETRY_BASE_MS = 2_000;
const RETRY_CAP_MS = 120_000;
/** Whoever waits longer than this for a login does first what needs none. */
const POSTPONED_MS = 10_000;
/** A signature is refused where the clocks differ by more than a minute (Deribit docs, "Authentication"). */
const CLOCK_LIMIT_MS = 50_000;

interface Waiter {
  readonly resolve: (token: Token) => void;
  readonly reject: (thrown: unknown) => void;
}

export function createLogin(options: LoginOptions): Login {
  const { config, credentials, clock, random } = options;
  const identity = digestOf(credentials.clientId);
  let record = options.record;
  let holder: { readonly connection: Connection; readonly token: Token; readonly loggedInAt: number } | undefined;
  /** The token whose refresh token was used: once, whatever came of it. */
  let spent: Token | undefined;
  let renewing = false;
  let running: { readonly connection: Connection; readonly done: Promise<boolean> } | undefined;
  /** Logins one after the other: the token of the last one is the one that counts. */
  let turn: Promise<unknown> = Promise.resolve();
  const waiters = new Set<Waiter>();
  /** Refusals in a row of credentials that have worked. */
  let refusals = 0;
  let notBeforeMs = Number.NEGATIVE_INFINITY;
  let held = false;
  let wake: (() => void) | undefined;

  const worked = (): boolean => record.worked === identity;
  const isIn = (connection: Connection | undefined): boolean =>
    holder !== undefined && holder.connection === connection && holder.connection.isLive;

  const settle = (how: (waiter: Waiter) => void): void => {
    const settled = [...waiters];
    waiters.clear();
    for (const waiter of settled) how(waiter);
  };
  const take = (connection: Connection, token: Token, how: 'refresh' | 'reauthenticate'): void => {
    const loggedInAt = how === 'refresh' && holder !== undefined ? holder.loggedInAt : clock.monotonic();
    holder = { connection, token, loggedInAt };
    refusals = 0;
    notBeforeMs = Number.NEGATIVE_INFINITY;
    held = false;
    if (!worked()) {
      record = { ...record, worked: identity };
      options.remember(identity);
    }
    options.accepted(connection, token, how);
  };

  const ask = (connection: Connection, how: 'refresh' | 'reauthenticate'): Promise<Token> => {
    const done = turn.then(async () => {
      const old = how === 'refresh' ? holder?.token : undefined;
      const params = old === undefined ? authParams(credentials, config.scope, { clock, random }) : refreshParams(old);
      const token = parseToken(await connection.ask(METHOD.auth, params));
      if (!connection.isLive) throw new SessionRelayError('source_unavailable', 'the connection ended');
      if (token === undefined) throw new VenueError('shape', 'the answer to public/auth has not the fields of one');
      take(connection, token, how);
      return token;
    });
    turn = done.catch(() => undefined);
    return done;
  };

  /** What a refusal means for the next attempt: how long to wait, or `undefined` to give up. */
  const refused = (thrown: unknown, backoffMs: () => number): number | undefined => {
    const failure = loginFailureOf(thrown);
    switch (failure) {
      case 'credentials':
      case 'two_factor': {
        options.attention(instructionsOf(failure, config, options.skewMs()), thrown);
        const chance = worked() ? SECOND_CHANCES_MS[refusals] : undefined;
        refusals++;
        return chance;
      }
      default:
        return backoffMs();
    }
  };

  const loop = async (connection: Connection): Promise<boolean> => {
    const retry = createRetry({ clock, random, baseMs: RETRY_BASE_MS, capMs: RETRY_CAP_MS });
    let isPostponed = false;
    while (connection.isLive && !held) {
      const waitMs = notBeforeMs - clock.monotonic();
      if (waitMs > 0) {
        if (waitMs > POSTPONED_MS && !isPostponed) options.postponed(connection);
        isPostponed ||= waitMs > POSTPONED_MS;
        const woken = new Promise<void>((resolve) => {
          wake = resolve;
        });
        await Promise.race([connection.pause(waitMs), woken]);
        wake = undefined;
        continue;
      }
      try {
        const token = await ask(connection, 'reauthenticate');
        settle(({ resolve }) => resolve(token));
        return true;
      } catch (thrown) {
        settle(({ reject }) => reject(thrown));
        if (!connection.isLive) return false;
        const again = refused(thrown, () => retry.next().delayMs);
        if (again === undefined) {
          held = true;
          options.gaveUp(connection);
          return false;
        }
        notBeforeMs = clock.monotonic() + again;
      }
    }
    return false;
  };
  const run = (connection: Connection): Promise<boolean> => {
    if (running?.connection === connection) return running.done;
    const done = loop(connection).finally(() => {
      if (running?.connection === connection) running = undefined;
    });
    running = { connection, done };
    return done;
  };
  const reset = (): void => {
    held = false;
    refusals = 0;
    notBeforeMs = Number.NEGATIVE_INFINITY;
  };

  return {
    run,
    async renew(connection) {
      if (!isIn(connection) || renewing || running?.connection === connection) return false;
      if (holder === undefined || holder.token === spent) return run(connection);
      spent = holder.token;
      renewing = true;
      try {
        await ask(connection, 'refresh');
        return true;
      } catch {
        return connection.isLive ? run(connection) : false;
      } finally {
        renewing = false;
      }
    },
    now(connection) {
      reset();
      const outcome = new Promise<Token>((resolve, reject) => void waiters.add({ resolve, reject }));
      wake?.();
      void run(connection);
      return outcome;
    },
    isIn,
    left() {
      holder = undefined;
      settle(({ reject }) => reject(new SessionRelayError('source_unavailable', 'the connection ended')));
    },
    reset,
    get held() {
      return held;
    },
    get ageMs() {
      return holder === undefined ? Number.POSITIVE_INFINITY : clock.monotonic() - holder.loggedInAt;
    },
  };
}

function instructionsOf(
  failure: 'credentials' | 'two_factor',
  { id, credentials }: DeribitConfig,
  skewMs: number,
): EventData<'session.attention'> {
  const source = `deribit.${id}`;
  if (failure === 'two_factor') {
    return {
      action: 'two_factor',
      instructions: `Deribit asks for a second factor for the API key of ${source}: log in on its site and confirm the key, then reconnect.`,
    };
  }
  if (credentials?.grant === 'client_signature' && Math.abs(skewMs) > CLOCK_LIMIT_MS) {
    return {
      action: 'check_clock',
      instructions: `Set this machine's clock: it is ${Math.round(Math.abs(skewMs) / 1_000)} s off Deribit's, and the login of ${source} is signed with it.`,
    };
  }
  return {
    action: 'check_credentials',
    instructions: `Deribit refuses the API key of ${source}: check clientId, clientSecret, the key's scopes and whether the url is of its environment, then reconnect.`,
  };
}
