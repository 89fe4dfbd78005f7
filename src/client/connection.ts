import { SessionRelayError } from '../errors.js';
import type { Clock, Random, Timer } from '../net/clock.js';
import { createRetry } from '../net/retry.js';
import { endingOf, errorOf, retryAfterOf } from './endings.js';
import type { Notice, RpcError, Welcome } from './frames.js';
import { type Line, openLine } from './line.js';
import { shape, string } from './shape.js';
import type { SocketClass } from './socket.js';
import type { ClientNotice } from './status.js';

/** A credential: a text, or where to get a fresh one from. */
export type TokenSource = string | (() => string | Promise<string>);

/** Where a connection stands, without what its channels add to it. */
export type Phase =
  | { readonly at: 'connecting'; readonly attempt: number }
  | { readonly at: 'connected'; readonly drainAtMs?: number; readonly rttMs?: number; readonly heartbeatAtMs?: number }
  | {
      readonly at: 'waiting';
      readonly attempt: number;
      readonly retryAtMs: number;
      readonly code: number;
      readonly reason: string;
    }
  | { readonly at: 'over'; readonly code?: number; readonly reason: string; readonly error?: SessionRelayError };

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
  readonly regranted: () => void;
  readonly notice: (notice: Notice) => void;
  /** The connection is gone; whether there will be another, `phase` says. */
  readonly lost: () => void;
}

const PROTOCOL = 1;
/** Longest wait for a token that a function was asked for. */
const TOKEN_MS = 30_000;
/** Part of a token's life after which it is renewed: from, and by chance up to so much more, so that a fleet is spread. */
const RENEW_FROM = 0.75;
const RENEW_SPREAD = 0.1;
/** Between two tries to renew: a quarter of what is left, within these. */
const RENEW_AGAIN_MS = { least: 1_000, most: 30_000 };

const isGranted = shape({ identity: string }, { expiresAt: string });

export function createConnection(options: ConnectionOptions): Connection {
  const { url, token, WebSocket, clock, random, report } = options;
  const retry = createRetry({ clock, random });
  let phase: Phase = { at: 'connecting', attempt: 1 };
  let line: Line | undefined;
  /** Counts attempts: what belongs to an earlier one is dropped. */
  let generation = 0;
  const timers = new Set<Timer>();
  let renewal: Timer | undefined;
  /** Refusals of a token since one was good. */
  let refusals = 0;
  let drainAt: number | undefined;
  let renewing = false;
  /** The relay's clock less ours. */
  let skewMs = 0;

  const turn = (next: Phase): void => {
    phase = next;
    options.changed();
  };
  const after = (ms: number, task: () => void): void => {
    const timer = clock.setTimer(() => {
      timers.delete(timer);
      task();
    }, ms);
    timers.add(timer);
  };
  const disarm = (): void => {
    for (const timer of timers) timer.cancel();
    timers.clear();
    renewal?.cancel();
  };

  const stop = (error: SessionRelayError, code?: number): void => {
    end();
    void line?.close();
    line = undefined;
    turn({ at: 'over', reason: error.message, error, ...(code === undefined ? {} : { code }) });
    options.lost();
  };
  /** Nothing of the present connection counts any more. */
  const end = (): void => {
    generation++;
    disarm();
    renewing = false;
  };

  const wait = (code: number, reason: string, atLeastMs: number): void => {
    end();
    line = undefined;
    retry.ended();
    const { attempt, delayMs } = retry.next(atLeastMs);
    turn({ at: 'waiting', attempt, retryAtMs: clock.now() + delayMs, code, reason });
    options.lost();
    if (phase.at === 'waiting') after(delayMs, () => connect(attempt + 1));
  };
  const waitOut = (code: number, reason: string, atLeastMs: number): void => {
    void line?.close();
    wait(code, reason, atLeastMs);
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
    if (typeof token === 'function' && refusals < 2) return waitOut(code, why, 0);
    const what = token === undefined ? 'the relay wants a token' : 'the relay does not take the token';
    return stop(new SessionRelayError('unauthenticated', why === '' ? what : `${what}: ${why}`), code);
  };

  /** Asks for a token; `use` and `fail` are called only while the same connection is wanted. */
  const withToken = (use: (token: string | undefined) => void, fail: (error: SessionRelayError) => void): void => {
    const mine = generation;
    let done = false;
    const once = (task: () => void): void => {
      if (done) return;
      done = true;
      late?.cancel();
      if (mine === generation) task();
    };
    let late: Timer | undefined;
    if (typeof token !== 'function') return use(token);
    late = clock.setTimer(() => {
      once(() => fail(new SessionRelayError('unauthenticated', `no token came within ${TOKEN_MS / 1_000} s`)));
    }, TOKEN_MS);
    // `async`, so that a function which throws is one which rejects.
    (async () => token())().then(
      (value) => once(() => use(value)),
      (thrown: unknown) => once(() => fail(noToken(thrown))),
    );
    return undefined;
  };

  const connect = (attempt: number): void => {
    end();
    drainAt = undefined;
    const mine = generation;
    turn({ at: 'connecting', attempt });
    if (mine !== generation) return;
    withToken(
      (value) => open(mine, value),
      (error) => {
        report({ kind: 'token', error });
        if (mine === generation) wait(0, error.message, 0);
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
    skewMs = Number.isNaN(now) ? 0 : now - clock.now();
    // A relay that wants no token is not handed one.
    if (!welcome.authRequired) return admit(opened, welcome, undefined);
    if (value === undefined) return tokenRefused('', 4401);
    return authenticate(opened, value, {
      granted: (identity) => admit(opened, welcome, identity),
      refused: (error) => {
        if (error.code === 4401) tokenRefused(error.message, 4401);
        else waitOut(error.code, error.message, retryAfterOf(error, 0));
      },
    });
  };
  const admit = (opened: Line, welcome: Welcome, identity: string | undefined): void => {
    retry.healthy();
    const mine = generation;
    // First, so that nobody is told `open` before what is behind counts.
    options.admitted({ line: opened, welcome, identity });
    if (mine === generation) turn({ at: 'connected' });
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
      then.granted(identity);
      if (mine === generation && expiresAt !== undefined) renewBefore(opened, Date.parse(expiresAt));
      return undefined;
    });
    if (!sent) stop(new SessionRelayError('invalid_params', 'the token is longer than the relay reads'));
  };

  /** Only where a function gives tokens: a text stays what it is, and the relay says when it has expired. */
  const renewBefore = (opened: Line, expiresAtMs: number): void => {
    if (typeof token !== 'function' || Number.isNaN(expiresAtMs)) return;
    const mine = generation;
    const leftMs = (): number => expiresAtMs - (clock.now() + skewMs);
    const renewIn = (ms: number): void => {
      renewal?.cancel();
      renewal = clock.setTimer(renew, Math.max(0, ms));
    };
    const failed = (error: SessionRelayError): void => {
      renewing = false;
      report({ kind: 'token', error });
      if (mine === generation) renewIn(Math.min(RENEW_AGAIN_MS.most, Math.max(RENEW_AGAIN_MS.least, leftMs() / 4)));
    };
    const renew = (): void => {
      if (renewing || mine !== generation) return;
      renewing = true;
      withToken((value) => {
        if (value === undefined) return;
        authenticate(opened, value, {
          granted: () => {
            renewing = false;
            options.regranted();
          },
          refused: (error) => failed(errorOf(error)),
        });
      }, failed);
    };
    renewSoon = renew;
    renewIn(leftMs() * (RENEW_FROM + RENEW_SPREAD * random()));
  };
  let renewSoon = (): void => {};

  const noticed = (opened: Line, notice: Notice): void => {
    switch (notice.method) {
      case 'heartbeat':
        if (phase.at === 'connected') turn({ ...phase, heartbeatAtMs: clock.now() });
        measure(opened);
        break;
      case 'token_expiring':
        renewSoon();
        break;
      case 'draining': {
        const delayMs = Math.max(0, notice.params.retryAfterMs);
        drainAt = clock.monotonic() + delayMs;
        if (phase.at === 'connected') turn({ ...phase, drainAtMs: clock.now() + delayMs });
        after(delayMs, () => waitOut(1001, 'the relay shuts down', 0));
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
      if (mine === generation && phase.at === 'connected') turn({ ...phase, rttMs: clock.monotonic() - askedAt });
    });
  };

  return {
    get phase() {
      return phase;
    },
    start: () => connect(1),
    retryNow() {
      if (phase.at === 'waiting') connect(phase.attempt + 1);
    },
    close() {
      if (phase.at === 'over') return Promise.resolve();
      end();
      const closed = line?.close();
      line = undefined;
      turn({ at: 'over', reason: 'closed' });
      options.lost();
      return closed ?? Promise.resolve();
    },
  };
}

/** What was thrown is kept, and not repeated: it may hold what it was about. */
function noToken(cause: unknown): SessionRelayError {
  return new SessionRelayError('unauthenticated', 'the function that gives tokens failed', { cause });
}
