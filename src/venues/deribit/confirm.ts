import type { Json } from '../../model/json.js';
import type { Clock, Random } from '../../net/clock.js';
import { createPoll } from '../../net/poll.js';
import { createRetry } from '../../net/retry.js';
import type { Book } from './book.js';
import type { Connection } from './connection.js';
import { failureOf } from './failures.js';
import { CHANNEL, METHOD, PRIVATE_CHANNELS, PUBLIC_CHANNELS, parseConfirmed } from './messages.js';
import type { Protection, Reading } from './protection.js';
import type { Session } from './session.js';

/**
 * What follows a login, in this order: subscribe → compare with what the venue confirmed → read how the venue, the
 * account and the protection stand → call the session the same as before, or not. And what is read again later.
 */
export interface Confirmation {
  /** Runs, or runs again once the present run is done. The private part needs a login. */
  run(connection: Connection): void;
  /** Reads both scopes of protection and tells them; `undefined`: nothing could be read, and why is told elsewhere. */
  readProtection(connection: Connection): Promise<Reading | undefined>;
  /** How the venue stands may have changed in a way that frames do not tell: asks, in a moment. */
  look(): void;
  ended(): void;
}

export interface ConfirmationOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly book: Book;
  readonly session: Session;
  readonly protection: Protection;
  readonly isIn: (connection: Connection) => boolean;
  /** The token was refused: logs in anew, unless that has just been done. Answers whether it does. */
  readonly relogin: (connection: Connection) => boolean;
  /** All has been read that the venue tells. */
  readonly done: (connection: Connection) => void;
}

/** PROTOCOL.md §2: protection is read back this often; a reading that is older than 120 s counts as none. */
const READ_EVERY_MS = 60_000;
/** A reading that failed after a connect is tried again this soon, and so often until the session counts as a new one. */
const READ_AGAIN_MS = 10_000;
const READ_TRIES = 3;
/** Frames come in bursts: one look is enough for all of them. */
const LOOK_AFTER_MS = 1_000;
const STEP_RETRY_BASE_MS = 2_000;
const STEP_RETRY_CAP_MS = 60_000;

/** The venue does not answer this one. */
const REFUSED = Symbol('refused');
/** Not now: the connection has ended, or a login comes first, after which everything is asked again. */
const LATER = Symbol('later');

export function createConfirmation(options: ConfirmationOptions): Confirmation {
  const { clock, random, book, session, protection } = options;
  let current: Connection | undefined;
  let running = false;
  let again = false;
  let looking = false;
  /** The present run waits for a login: another run follows it. */
  let abandoned = false;
  /** What this connection has been asked for already. */
  let done = { isSubscribed: false, status: false, locks: false };

  /** Asks until the venue has answered for good. */
  const step = async (
    connection: Connection,
    method: string,
    params: Json,
  ): Promise<Json | typeof REFUSED | typeof LATER> => {
    const retry = createRetry({ clock, random, baseMs: STEP_RETRY_BASE_MS, capMs: STEP_RETRY_CAP_MS });
    while (connection.isLive) {
      try {
        const result = await connection.ask(method, params);
        return connection.isLive ? result : LATER;
      } catch (thrown) {
        const failure = failureOf(thrown);
        if (!connection.isLive || failure === 'gone') return LATER;
        if (failure === 'refused') return REFUSED;
        if (failure === 'unauthorized') {
          abandoned = options.relogin(connection);
          return abandoned ? LATER : REFUSED;
        }
        await connection.pause(retry.next().delayMs);
      }
    }
    return LATER;
  };
  const refuse = (channel: string): void => book.map({ kind: 'refused', channel });

  /** Rejected channels are left out of the reply without an error (recorded frame): only the list tells. */
  const subscribe = async (connection: Connection, method: string, channels: readonly string[]): Promise<void> => {
    const result = await step(connection, method, { channels });
    if (result === LATER) return;
    const confirmed = result === REFUSED ? [] : parseConfirmed(result);
    for (const channel of channels) if (!confirmed.includes(channel)) refuse(channel);
  };
  const readStatus = async (connection: Connection): Promise<void> => {
    const result = await step(connection, METHOD.status, {});
    if (result === LATER) return;
    if (result === REFUSED) return refuse(CHANNEL.platformState);
    const confirms = !done.status;
    done.status = true;
    book.map({ kind: 'status', result, confirms });
  };
  const readLocks = async (connection: Connection): Promise<void> => {
    const result = await step(connection, METHOD.userLocks, {});
    if (result === LATER) return;
    if (result === REFUSED) return refuse(CHANNEL.userLock);
    const confirms = !done.locks;
    done.locks = true;
    book.map({ kind: 'user_locks', result, confirms });
  };

  const readProtection = async (connection: Connection): Promise<Reading | undefined> => {
    const read = await protection.read(connection);
    if (read === 'gone') return undefined;
    if (read !== 'unauthorized') return read;
    if (options.relogin(connection)) {
      abandoned = true;
      return undefined;
    }
    // Refused although a login has just been taken: it is not the token, the key may not read it.
    protection.unknown();
    session.unproved();
    return undefined;
  };
  const confirmProtection = async (connection: Connection): Promise<void> => {
    let isApplied = false;
    for (let tries = 1; connection.isLive; tries++) {
      if (!isApplied) isApplied = await protection.apply(connection);
      const read = await readProtection(connection);
      if (read === undefined || !connection.isLive) return;
      const isLast = tries === READ_TRIES;
      if (read.connection !== 'unknown') session.proved();
      else if (read.failure === 'refused' || isLast) session.unproved();
      if (isLast || read.failure === 'refused' || (isApplied && read.failure === undefined)) return checkWishes(read);
      await connection.pause(READ_AGAIN_MS);
    }
  };
  /** What a wish asked for and the venue did not do is no secret: the reading stands, and the difference is told. */
  const checkWishes = (read: Reading): void => {
    for (const scope of ['connection', 'account'] as const) {
      const wish = protection.wishes[scope];
      if (wish === undefined || read[scope] === 'unknown' || (read[scope] === 'armed') === wish) continue;
      const what = `cancel_on_disconnect of ${scope} was ${wish ? 'enabled' : 'disabled'}, and is read as ${read[scope]}`;
      book.map({ kind: 'inconsistent', what });
    }
  };

  const confirm = async (connection: Connection): Promise<void> => {
    if (!done.isSubscribed) {
      done.isSubscribed = true;
      await subscribe(connection, METHOD.subscribePublic, PUBLIC_CHANNELS);
    }
    const isIn = options.isIn(connection);
    if (isIn) await subscribe(connection, METHOD.subscribePrivate, PRIVATE_CHANNELS);
    if (!connection.isLive || abandoned) return;
    const reads = [...(done.status ? [] : [readStatus(connection)])];
    if (isIn) reads.push(readLocks(connection), confirmProtection(connection));
    await Promise.all(reads);
    if (connection.isLive && !abandoned) options.done(connection);
  };

  const poll = createPoll({
    clock,
    random,
    everyMs: READ_EVERY_MS,
    async task() {
      const connection = current;
      if (connection === undefined || running) return;
      const { state } = book;
      const isRefused = (channel: string): boolean => state.faults.has(`channel_refused ${channel}`);
      const reads: Promise<unknown>[] = [];
      if (options.isIn(connection)) {
        reads.push(readProtection(connection));
        if (isRefused(CHANNEL.userLock)) reads.push(readLocks(connection));
      }
      // Of parts the frames tell the end; of the whole they do not.
      const isOpenEnded = state.locked || state.maintenance !== 'none';
      if (isOpenEnded || isRefused(CHANNEL.platformState)) reads.push(readStatus(connection));
      await Promise.all(reads);
    },
  });

  const run = async (connection: Connection): Promise<void> => {
    running = true;
    do {
      again = false;
      abandoned = false;
      await confirm(connection);
    } while (again && connection.isLive);
    if (connection === current) running = false;
  };

  return {
    run(connection) {
      if (connection !== current) {
        current = connection;
        done = { isSubscribed: false, status: false, locks: false };
        running = false;
        poll.start();
      }
      if (running) again = true;
      else void run(connection);
    },
    readProtection,
    look() {
      const connection = current;
      if (looking || connection === undefined || !done.status) return;
      looking = true;
      void connection.pause(LOOK_AFTER_MS).then(async (isLive) => {
        looking = false;
        if (isLive && connection === current) await readStatus(connection);
      });
    },
    ended() {
      current = undefined;
      running = false;
      again = false;
      poll.stop();
    },
  };
}
