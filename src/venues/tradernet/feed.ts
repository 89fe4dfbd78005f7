import { SessionRelayError, VenueTimeoutError } from '../../errors.js';
import type { Role } from '../../model/event.js';
import { createPoll } from '../../net/poll.js';
import { createSecrets } from '../secrets.js';
import { shownUrl } from '../shown-url.js';
import type { FactBatch, Venue, VenueMemory, VenuePorts } from '../venue.js';
import { type Asked, createApi, isUnknownLogin, type ListAnswer, type SidInfo } from './api.js';
import { createBook } from './book.js';
import { limited, unwrap } from './failures.js';
import { createLoginGuard } from './guard.js';
import { createHttpLine } from './http-line.js';
import { createLogin, type Login } from './login.js';
import { goStale, loseSight, proveLogin } from './mapper.js';
import type { TradernetConfig } from './options.js';
import { createReconciler } from './reconcile.js';
import { forgotten } from './state.js';
import { createStream, type Stream } from './stream.js';
import { headersOf } from './target.js';

/** A failed poll is repeated sooner than the next one is due. */
const POLL_AGAIN_MS = 15_000;
/** So many polls in a row without a list leave unseen what the socket does not show. */
const UNREAD_TO_STALE = 2;
/** A command that brings a connection waits so long for its proof: within the 30 s that commands have. */
const PROOF_WAIT_MS = 25_000;

/**
 * One Tradernet source, live. Three things fail on their own and are told apart: the transport (socket and HTTP), the
 * login (a SID, or an API key), and the security sessions in it.
 */
export interface Feed {
  start(memory?: VenueMemory): void;
  /** See {@link Venue.forget}. */
  forget(session: string): FactBatch['memory'];
  /** Ends the transport and leaves the login as it is. Idempotent; resolves when the socket is gone. */
  stop(): Promise<void>;
  /** Reads the list over HTTP now and takes it in. Rejects as `errors.ts` says, like all that follow. */
  refresh(): Promise<ListAnswer>;
  sidInfo(): Promise<SidInfo>;
  /** Logs in anew and connects with the new SID; resolves once the venue has proved it. */
  login(): Promise<Proof>;
  /** Ends the connection and opens another, from a held source too; resolves once the login is proved on it. */
  reconnect(): Promise<Proof>;
}

/** The connection on which a login was proved. */
export interface Proof {
  readonly generation: number;
}

export function createFeed(options: {
  readonly config: TradernetConfig;
  readonly role: Role;
  readonly ports: VenuePorts;
  readonly out: (batch: FactBatch) => void;
}): Feed {
  const { config, ports } = options;
  const { clock, random } = ports;
  const { environment, id: source } = config;
  const secrets = createSecrets(secretsOf(config));
  const about = { source, role: options.role, ...(environment === undefined ? {} : { environment }) };
  const book = createBook({ clock, about, warnMs: config.expiryWarning, out: options.out });
  const waiters = new Set<{ readonly resolve: () => void; readonly reject: (error: SessionRelayError) => void }>();
  /** Polls in a row that brought no list. */
  let unread = 0;
  let stopping: Promise<void> | undefined;
  let socketGone: (() => void) | undefined;

  const unavailable = (why: string): SessionRelayError =>
    new SessionRelayError('source_unavailable', `tradernet.${source}: ${why}`);
  const refuseWaiters = (error: SessionRelayError): void => {
    for (const { reject } of waiters) reject(error);
  };

  /** With neither socket nor HTTP nothing is seen: whoever derives staleness says the same of the sessions. */
  const checkSight = (): void => {
    if (!stream.isOpen && !http.isUp) book.apply((state) => [loseSight(state), []]);
  };

  const http = createHttpLine({
    http: ports.http(config.tls === undefined ? {} : { tls: config.tls }),
    clock,
    source,
    url: shownUrl(config.httpUrl),
    hide: secrets.hide,
    tell: book.tell,
    moved: checkSight,
  });
  const api = createApi({ line: http, clock, config, headers: headersOf(config) });

  const guard = createLoginGuard(clock, (memory) => book.tell([], memory));
  const login: Login = createLogin({
    config,
    ports,
    api,
    book,
    guard,
    http,
    secrets,
    generation: () => stream.generation,
    live() {
      stream.connect();
      poll.start();
    },
    left(why, held) {
      poll.stop();
      stream.drop(why, { replaced: true });
      if (held) refuseWaiters(unavailable(why));
    },
  });

  const stream: Stream = createStream({
    config,
    ports,
    book,
    http,
    secrets,
    auth: login.auth,
    proved() {
      login.proved();
      void poll.now();
      for (const { resolve } of waiters) resolve();
    },
    demo: () => login.ended('demo'),
    mismatch: login.hold,
    ended({ initiator, reason }, outage) {
      checkSight();
      if (login.phase === 'stopped') socketGone?.();
      if (initiator !== 'relay') refuseWaiters(unavailable(`the socket ended: ${reason}`));
      if (outage && login.phase === 'live') void poll.now();
    },
  });

  const reconciler = createReconciler({ clock, api, book, http, login, secrets, lists: () => stream.lists });

  const poll = createPoll({
    clock,
    random,
    everyMs: config.pollSeconds * 1_000,
    afterFailureMs: Math.min(POLL_AGAIN_MS, config.pollSeconds * 1_000),
    async task() {
      for (;;) {
        const { epoch } = login;
        const answer = await reconciler.read({ patient: true });
        if (epoch !== login.epoch && login.phase === 'live') continue; // another login meanwhile: it has its own list
        takeOutcome(answer);
        if (answer.kind === 'failed' || answer.kind === 'blocked') throw unavailable(answer.reason);
        return;
      }
    },
  });

  /** A carrier may be up and show nothing: what neither list nor socket has confirmed for two polls is stale. */
  const takeOutcome = (answer: Asked<ListAnswer>): void => {
    unread = answer.kind === 'ok' ? 0 : unread + 1;
    const { shows } = stream;
    if (login.phase !== 'live' || unread < UNREAD_TO_STALE || shows === 'sessions') return;
    const reason = answer.kind === 'throttled' ? 'throttled' : 'link_down';
    book.apply((state) => goStale(state, shows === 'login' ? 'sessions' : 'all', reason, stream.generation));
  };

  const nextProof = (): Promise<Proof> =>
    new Promise((resolve, reject) => {
      const settle = (done: () => void): void => {
        timer.cancel();
        waiters.delete(waiter);
        done();
      };
      const waiter = {
        resolve: () => settle(() => resolve({ generation: stream.generation })),
        reject: (error: SessionRelayError) => settle(() => reject(error)),
      };
      const timer = clock.setTimer(
        () => waiter.reject(new VenueTimeoutError(`no proof of the login within ${PROOF_WAIT_MS / 1_000} s`)),
        PROOF_WAIT_MS,
      );
      waiters.add(waiter);
    });

  const checkRunning = (): void => {
    if (login.phase === 'stopped') throw new SessionRelayError('closed', `tradernet.${source} is stopped`);
    if (login.phase === 'idle') throw unavailable('it has not been started');
  };

  return {
    start(memory) {
      if (login.phase !== 'idle') return;
      book.recall(memory);
      guard.recall(memory);
      http.resumePenalty(memory);
      login.start();
    },
    forget: (session) => book.quietly((state) => forgotten(state, session)),
    stop() {
      stopping ??= (async () => {
        login.stop();
        poll.stop();
        refuseWaiters(new SessionRelayError('closed', `tradernet.${source} is stopped`));
        const gone = stream.isIdle
          ? Promise.resolve()
          : new Promise<void>((resolve) => {
              socketGone = resolve;
            });
        stream.drop('stopped');
        await gone;
        await http.close();
        book.stop();
      })();
      return stopping;
    },
    async refresh() {
      checkRunning();
      if (login.phase !== 'live') throw unavailable('it is not logged in');
      return unwrap(await reconciler.read({ patient: false }));
    },
    async sidInfo() {
      checkRunning();
      const auth = login.auth();
      if (auth === undefined) throw unavailable('it is not logged in');
      const { epoch } = login;
      const answer = await api.sidInfo(auth, { patient: false });
      const dead = 'sid' in auth && (answer.kind === 'ok' ? !answer.value.alive : isUnknownLogin(answer));
      if (!dead) {
        const info = unwrap(answer);
        if (login.isCurrent(epoch)) book.apply((state) => proveLogin(state, http));
        return info;
      }
      if (login.isCurrent(epoch)) login.ended('sid_refused');
      return { alive: false };
    },
    async login() {
      checkRunning();
      await login.renew();
      return nextProof();
    },
    async reconnect() {
      checkRunning();
      const waitMs = http.penaltyLeftMs();
      if (waitMs > 0) throw limited(waitMs);
      const proof = nextProof();
      if (login.phase === 'live') {
        stream.drop('a new connection was asked for', { replaced: true });
        stream.connect();
      } else login.again();
      return proof;
    },
  };
}

function secretsOf({ credentials }: TradernetConfig): readonly string[] {
  if ('login' in credentials) return [credentials.password];
  return 'sid' in credentials ? [credentials.sid] : [credentials.secretKey, credentials.publicKey];
}
