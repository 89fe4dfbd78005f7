import { type ProtectionScope, timestampOf } from '../../model/event.js';
import type { Json } from '../../model/json.js';
import type { ProtectionStatus } from '../../model/session.js';
import type { Clock } from '../../net/clock.js';
import type { Told } from './book.js';
import type { Connection } from './connection.js';
import { type Failure, failureOf } from './failures.js';
import { METHOD, parseProtection } from './messages.js';

/** Account scope sets the connection's too (Deribit docs): it goes first, so that the connection's own wish stands. */
const SCOPES: readonly ProtectionScope[] = ['account', 'connection'];
/** The order in which both are told. */
const TOLD: readonly ProtectionScope[] = ['connection', 'account'];

/** What is wanted of a scope; absent: it is left as it is. */
export type ProtectionWishes = { readonly [S in ProtectionScope]?: boolean };

export interface Reading {
  readonly connection: ProtectionStatus;
  readonly account: ProtectionStatus;
  readonly readAt: string;
  /** Why a scope is `unknown`, where the venue did not tell. */
  readonly failure?: Failure;
}

/**
 * Cancel-on-disconnect. What is published is what was read back, never what was asked for; a drop without logout while
 * a scope was armed is `protection.triggered`.
 */
export interface Protection {
  wishes: ProtectionWishes;
  /** Makes the wishes true on a new connection, as far as the venue lets it; `false`: it may be tried again. */
  apply(connection: Connection): Promise<boolean>;
  /** Reads both scopes and tells what was read. Without a reading: the token, or the connection, is gone. */
  read(connection: Connection): Promise<Reading | 'unauthorized' | 'gone'>;
  /** The venue does not tell: says so of both scopes. */
  unknown(): void;
  /** Changes one scope. Rejects as the venue's answer says. */
  set(connection: Connection, scope: ProtectionScope, enabled: boolean): Promise<Json>;
  /** Scopes that would cancel orders if the connection broke now, as far as one can tell. */
  armed(): readonly ProtectionScope[];
  /** Whether closing this connection may cancel orders: yes, unless it was read that it does not. */
  mayCancel(): boolean;
  /** The connection has ended: nothing is known of the next one. Answers the scopes that were armed. */
  ended(): readonly ProtectionScope[];
}

export interface ProtectionOptions {
  readonly clock: Clock;
  readonly wishes: ProtectionWishes;
  readonly tell: (facts: readonly Told[]) => void;
  /** A scope is about to be enabled, once this resolves: should nobody live to read it back, it may be armed all the same. */
  readonly asking: () => Promise<void>;
  /** What was read back is not what was asked for, or is no answer at all. */
  readonly inconsistent: (what: string) => void;
}

export function createProtection(options: ProtectionOptions): Protection {
  const { clock, tell, inconsistent } = options;
  let wishes = options.wishes;
  /** As last read for certain on this connection. */
  let known: ProtectionWishes = {};
  /** Asked for on this connection and not read back yet: it may be armed. */
  let asked = new Set<ProtectionScope>();
  let owner: Connection | undefined;
  /** Readings and changes one after the other: an older answer never overwrites a newer one. */
  let turn: Promise<unknown> = Promise.resolve();

  const inTurn = <T>(task: () => Promise<T>): Promise<T> => {
    const done = turn.then(task, task);
    turn = done.catch(() => undefined);
    return done;
  };
  const own = (connection: Connection): void => {
    if (owner === connection || !connection.isLive) return;
    owner = connection;
    known = {};
    asked = new Set();
  };
  const change = async (connection: Connection, scope: ProtectionScope, enabled: boolean): Promise<Json> => {
    own(connection);
    if (enabled && !asked.has(scope)) {
      asked.add(scope);
      await options.asking();
    }
    return connection.ask(enabled ? METHOD.enableProtection : METHOD.disableProtection, { scope });
  };

  const readScope = async (
    connection: Connection,
    scope: ProtectionScope,
  ): Promise<{ readonly status: ProtectionStatus; readonly failure?: Failure }> => {
    try {
      const enabled = parseProtection(await connection.ask(METHOD.readProtection, { scope }), scope);
      if (enabled !== undefined) return { status: enabled ? 'armed' : 'disarmed' };
      inconsistent(`${METHOD.readProtection} of ${scope} was answered with something else`);
      return { status: 'unknown', failure: 'refused' };
    } catch (thrown) {
      return { status: 'unknown', failure: failureOf(thrown) };
    }
  };

  const readNow = async (connection: Connection): Promise<Reading | 'unauthorized' | 'gone'> => {
    own(connection);
    const [ofConnection, ofAccount] = await Promise.all([
      readScope(connection, 'connection'),
      readScope(connection, 'account'),
    ]);
    if (!connection.isLive || owner !== connection) return 'gone';
    const failure = ofConnection.failure ?? ofAccount.failure;
    // A dead token tells nothing of protection: it is mended first, and then read again.
    if (failure === 'unauthorized') return 'unauthorized';
    const read = { connection: ofConnection.status, account: ofAccount.status };
    for (const scope of SCOPES) {
      if (read[scope] === 'unknown') continue;
      known = { ...known, [scope]: read[scope] === 'armed' };
      asked.delete(scope);
    }
    const readAt = timestampOf(clock.now());
    tell(TOLD.map((scope) => factOf(scope, read[scope], readAt)));
    return { ...read, readAt, ...(failure === undefined ? {} : { failure }) };
  };

  const armed = (): readonly ProtectionScope[] => TOLD.filter((scope) => known[scope] === true || asked.has(scope));

  return {
    get wishes() {
      return wishes;
    },
    set wishes(next) {
      wishes = next;
    },
    apply: (connection) =>
      inTurn(async () => {
        let isDone = true;
        for (const scope of SCOPES) {
          const wish = wishes[scope];
          if (wish === undefined || !connection.isLive) continue;
          // What comes of it is read back next, and told as it is.
          await change(connection, scope, wish).catch((thrown: unknown) => {
            if (failureOf(thrown) !== 'refused') {
              isDone = false;
              return;
            }
            asked.delete(scope);
            inconsistent(`cancel_on_disconnect of ${scope} could not be ${wish ? 'enabled' : 'disabled'}`);
          });
        }
        return isDone;
      }),
    read: (connection) => inTurn(() => readNow(connection)),
    unknown() {
      const readAt = timestampOf(clock.now());
      tell(TOLD.map((scope) => factOf(scope, 'unknown', readAt)));
    },
    set: (connection, scope, enabled) => inTurn(() => change(connection, scope, enabled)),
    armed,
    mayCancel: () => known.connection !== false || armed().length > 0,
    ended() {
      const scopes = armed();
      owner = undefined;
      known = {};
      asked = new Set();
      return scopes;
    },
  };
}

function factOf(scope: ProtectionScope, status: ProtectionStatus, readAt: string): Told {
  return { type: `protection.${status}`, data: { mechanism: 'cancel_on_disconnect', scope, readAt } };
}
