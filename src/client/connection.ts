import { SessionRelayError } from '../errors.js';
import type { Clock, Random, Timer } from '../net/clock.js';
import { createRetry } from '../net/retry.js';
import { endingOf, errorOf, retryAfterOf } from './endings.js';
import type { Notice, RpcError, Welcome } from './frames.js';
import { type Line, openLine } from './line.js';
import { createRenewal } from './renewal.js';
import { shape, string } from './shape.js';
import type { SocketClass } from './socket.js';
import type { Away, Beat, ClientNotice } from './status.js';
import { type TokenSource, withToken } from './token.js';

/** Where a connection stands, without what its channels add to it. */
export type Phase = Away | ({ readonly state: 'connected'; readonly drainAtMs?: number } & Beat);

/** What the relay is to know of us before channels and commands may be asked for. */
export interface Admitted {
  readonly line: Line;
  readonly welcome: Welcome;
  /** Who the relay takes us for, where it says so. */
  readonly identity: string | undefined;
}

/** Keeps one connection to the relay: connects, authenticates, renews, moves, comes back (PROTOCOL.md §4). */
export interface Connection {
  readonly phase: Phase;
  start(): void;
  /** While it waits to connect again: at once. */
  retryNow(): void;
  close(): Promise<void>;
}

export interface ConnectionOptions {
  readonly url: string;
  readonly token: TokenSource | undefined;
  readonly WebSocket: SocketClass;
  readonly clock: Clock;
  readonly random: Random;
  readonly report: (notice: ClientNotice) => void;
  /** `phase` has changed. */
  readonly changed: () => void;
  readonly admitted: (admitted: Admitted) => void;
  /** The token was replaced, and with it maybe the grant. */
  readonly regranted: (identity: string) => void;
  readonly notice: (notice: Notice) => void;
  /** The connection is gone; whether there will be another, `phase` says. */
  readonly lost: () => void;
}

const PROTOCOL = 1;
const isGranted = shape({ identity: string }, { expiresAt: string });

export function createConnection(options: ConnectionOptions): Connection {
  const { url, token, WebSocket, clock, random, report } = options;
  const retry = createRetry({ clock, random });
  let phase: Phase = { state: 'connecting', willRetry: true, attempt: 1 };
  let line: Line | undefined;
  /** Counts attempts: what belongs to an earlier one is dropped. */
  let generation = 0;
  /** The next try, or the move away from a relay that drains. */
  let timer: Timer | undefined;
  /** Refusals of a token since one was good. */
  let refusals = 0;
  let drainAt: number | undefined;
  /** The relay's wall clock less our monotonic one: our own wall clock may be wrong, and may jump. */
  let relayClock = 0;

  const turn = (next: Phase): void => {
    phase = next;
    options.changed();
  };
  /** Nothing of the present connection counts any more. */
  const end = (): void => {
    generation++;
    timer?.cancel();
    renewal.stop();
  };
  const leave = (next: Away): Promise<void> | undefined => {
    end();
    const closed = line?.close();
    line = undefined;
    turn(next);
    options.lost();
    return closed;
  };
  const stop = (error: SessionRelayError, code?: number): void => {
    const { message: reason } = error;
    void leave({ state: 'closed', willRetry: false, reason, error, ...(code === undefined ? {} : { code }) });
  };
  const wait = (code: number, reason: string, atLeastMs: number): void => {
    retry.ended();
    const { attempt, delayMs } = retry.next(atLeastMs);
    const mine = generation + 1;
    void leave({ state: 'unreachable', willRetry: true, attempt, retryAtMs: clock.now() + delayMs, code, reason });
    if (mine === generation) timer = clock.setTimer(() => connect(attempt + 1), delayMs);
  };

  const ended = (code: number, reason: string): void => {
    const ending = endingOf(code, reason, random());
    switch (ending.how) {
      case 'stop':
        return stop(ending.error, code);
      case 'token':
        return tokenRefused(reason, code);
      case 'retry': {
        const left = drainAt === undefined ? 0 : drainAt - clock.monotonic();
        return wait(code, reason, Math.max(ending.atLeastMs, left));
      }
    }
  };

  /** A function may know a better one, once. */
  const tokenRefused = (why: string, code: number): void => {
    refusals++;
    if (typeof token === 'function' && refusals < 2) return wait(code, why, 0);
    const what = token === undefined ? 'the relay wants a token' : 'the relay does not take the token';
    return stop(new SessionRelayError('unauthenticated', why === '' ? what : `${what}: ${why}`), code);
  };

  const connect = (attempt: number): void => {
    end();
    drainAt = undefined;
    const mine = generation;
    turn({ state: 'connecting', willRetry: true, attempt });
    if (mine !== generation) return;
    withToken(
      token,
      clock,
      (value) => {
        if (mine === generation) open(mine, value);
      },
      (error) => {
        if (mine !== generation) return;
        report({ kind: 'token', error });
        wait(0, error.message, 0);
      },
    );
  };

  const open = (mine: number, value: string | undefined): void => {
    const isMine = (): boolean => mine === generation;
    const opened = openLine({
      url,
      WebSocket,
      clock,
      handlers: {
        welcome: (welcome) => isMine() && enter(opened, welcome, value),
        notice: (notice) => isMine() && noticed(opened, notice),
        unreadable: (what) => isMine() && report({ kind: 'fault', what }),
        ended: (code, reason) => isMine() && ended(code, reason),
      },
    });
    line = opened;
  };

  const enter = (opened: Line, welcome: Welcome, value: string | undefined): void => {
    if (welcome.protocol !== PROTOCOL) {
      const what = `the relay speaks protocol ${welcome.protocol}, and this client ${PROTOCOL}`;
      return stop(new SessionRelayError('not_available', what));
    }
    const now = Date.parse(welcome.now);
    relayClock = (Number.isNaN(now) ? clock.now() : now) - clock.monotonic();
    // A relay that wants no token is not handed one.
    if (!welcome.authRequired) return admit(opened, welcome, undefined);
    if (value === undefined) return tokenRefused('', 4401);
    return authenticate(opened, value, {
      granted: (identity) => admit(opened, welcome, identity),
      refused: (error) => {
        if (error.code === 4401) tokenRefused(error.message, 4401);
        else wait(error.code, error.message, retryAfterOf(error, 0));
      },
    });
  };
  const admit = (opened: Line, welcome: Welcome, identity: string | undefined): void => {
    retry.healthy();
    const mine = generation;
    // First, so that nobody is told `open` before what is behind counts.
    options.admitted({ line: opened, welcome, identity });
    if (mine === generation) turn({ state: 'connected' });
  };

  const authenticate = (
    opened: Line,
    value: string,
    then: {
      readonly granted: (identity: string) => void;
      readonly refused: (error: RpcError) => void;
    },
  ): void => {
    const mine = generation;
    const sent = opened.ask('auth', { token: value }, (reply) => {
      if (mine !== generation) return undefined;
      if (!reply.ok) return then.refused(reply.error);
      if (!isGranted(reply.result)) return opened.drop('an auth reply that cannot be used');
      refusals = 0;
      const { identity, expiresAt } = reply.result;
      const leftMs = Date.parse(expiresAt ?? '') - (relayClock + clock.monotonic());
      if (typeof token === 'function' && !Number.isNaN(leftMs)) renewal.expires(leftMs);
      then.granted(identity);
      return undefined;
    });
    if (!sent) stop(new SessionRelayError('invalid_params', 'the token is longer than the relay reads'));
  };

  /** Only where a function gives tokens: a text stays what it is, and the relay says when it has expired. */
  const renewal = createRenewal({
    clock,
    random,
    failed: (error) => report({ kind: 'token', error }),
    renew(done) {
      const mine = generation;
      withToken(
        token,
        clock,
        (value) => {
          if (mine !== generation || value === undefined || line === undefined) return;
          authenticate(line, value, {
            granted(identity) {
              done(undefined);
              options.regranted(identity);
            },
            refused: (error) => done(errorOf(error)),
          });
        },
        done,
      );
    },
  });

  const noticed = (opened: Line, notice: Notice): void => {
    switch (notice.method) {
      case 'heartbeat':
        if (phase.state === 'connected') turn({ ...phase, heartbeatAtMs: clock.now() });
        measure(opened);
        break;
      case 'token_expiring':
        if (typeof token === 'function') renewal.soon();
        break;
      case 'draining': {
        const delayMs = Math.max(0, notice.params.retryAfterMs);
        drainAt = clock.monotonic() + delayMs;
        if (phase.state === 'connected') turn({ ...phase, drainAtMs: clock.now() + delayMs });
        timer?.cancel();
        timer = clock.setTimer(() => wait(1001, 'the relay shuts down', 0), delayMs);
        break;
      }
    }
    options.notice(notice);
  };
  /** How long the relay takes to answer: what a screen shows. */
  const measure = (opened: Line): void => {
    const mine = generation;
    const askedAt = clock.monotonic();
    opened.ask('ping', {}, () => {
      if (mine === generation && phase.state === 'connected') turn({ ...phase, rttMs: clock.monotonic() - askedAt });
    });
  };

  return {
    get phase() {
      return phase;
    },
    start: () => connect(1),
    retryNow() {
      if (phase.state === 'unreachable') connect(phase.attempt + 1);
    },
    close() {
      const closed =
        phase.state === 'closed' ? undefined : leave({ state: 'closed', willRetry: false, reason: 'closed' });
      return closed ?? Promise.resolve();
    },
  };
}
