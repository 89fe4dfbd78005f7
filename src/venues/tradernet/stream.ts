import { type Fact, SOURCE_TOKEN } from '../../model/event.js';
import type { Timer } from '../../net/clock.js';
import type { Secrets } from '../secrets.js';
import { shownUrl } from '../shown-url.js';
import type { VenuePorts } from '../venue.js';
import type { Auth } from './api.js';
import type { Book } from './book.js';
import { SAYS_USER_DATA } from './carriers/carrier.js';
import { type HttpLine, penaltyOf } from './http-line.js';
import { createLine, type LineEnd } from './line.js';
import { BLOCKED_RETRY_MS } from './login.js';
import { judgeUserData, mapFrame, noteFault } from './mapper.js';
import type { Frame } from './messages.js';
import type { TradernetConfig } from './options.js';
import { LOGIN_TOKEN } from './state.js';
import { CARRIERS, socketUrl, targetOf } from './target.js';

/** The socket of one source: waits for the proof of the login, asks for the list, takes in what follows, tells ends. */
export interface Stream {
  connect(): void;
  /** Ends it on the relay's own decision. `replaced`: another one follows at once, so that it is no outage. */
  drop(reason: string, how?: { readonly replaced: boolean }): void;
  readonly generation: number;
  readonly isOpen: boolean;
  readonly isIdle: boolean;
  /** Full lists that were said so far. */
  readonly lists: number;
  /** What this connection has shown: nothing yet, the login, or the sessions too. */
  readonly shows: 'nothing' | 'login' | 'sessions';
}

/** An opened socket proves its login within this, or is not believed. */
export const PROOF_TIMEOUT_MS = 10_000;
/** The list is answered within this, or the other word is tried. */
export const LIST_TIMEOUT_MS = 10_000;
/** The close code of a frame that is larger than the socket takes. */
const TOO_BIG = 1009;
const BLOCKED_WORDS = 'the upgrade was refused with 403: the venue refuses this client, not its login; set headers';

export interface StreamOptions {
  readonly config: TradernetConfig;
  readonly ports: Pick<VenuePorts, 'clock' | 'random' | 'connect' | 'log'>;
  readonly book: Book;
  readonly http: Pick<HttpLine, 'penalize' | 'penaltyLeftMs'>;
  readonly secrets: Secrets;
  readonly auth: () => Auth | undefined;
  /** The login of this connection is proved. */
  readonly proved: () => void;
  /** The socket is demo: the venue does not take the login. */
  readonly demo: () => void;
  /** The venue's kind of account is not the configured one; the fact has been told. */
  readonly mismatch: () => void;
  /** Ended, and the fact has been told. `outage`: nothing was meant to follow; said once until the next proof. */
  readonly ended: (end: LineEnd, outage: boolean) => void;
}

export function createStream(options: StreamOptions): Stream {
  const { config, book, secrets, http } = options;
  const { clock, random, connect, log } = options.ports;
  const { environment, id: source, transport } = config;
  const words = config.sessionsCommand === 'auto' ? (['sessions', 'session'] as const) : [config.sessionsCommand];
  const hasUserData = SAYS_USER_DATA[transport];

  let proved = false;
  let listed = false;
  /** The server's time of the newest list of this connection. */
  let listTime: string | undefined;
  let proofTimer: Timer | undefined;
  let listTimer: Timer | undefined;
  /** The word that was answered last, of those that may be sent. */
  let word = 0;
  let lists = 0;
  /** Since when the socket was silent; told, and not taken back yet. */
  let silentSinceMs: number | undefined;
  let replacing = false;
  let outageTold = false;

  const tell = (session: string, one: Pick<Fact, 'type' | 'data'>, generation: number): void =>
    book.tell([{ source, session, generation, ...one } as Fact]);

  const opened = (generation: number): void => {
    const url = shownUrl(socketUrl(config));
    tell(SOURCE_TOKEN, { type: 'link.up', data: { carrier: 'ws', generation, url } }, generation);
    const proof = hasUserData ? 'userData' : 'list of sessions';
    proofTimer = clock.setTimer(() => line.renew(`no ${proof} within ${PROOF_TIMEOUT_MS / 1_000} s`), PROOF_TIMEOUT_MS);
    if (!hasUserData) line.askSessions('sessions');
  };

  const takeFrame = (generation: number, frame: Frame): void => {
    const verdict = frame.kind === 'userData' ? judgeUserData(environment, frame) : undefined;
    const isList = frame.kind === 'sessions' && (proved || frame.proves);
    if (isList && frame.venueTime !== undefined) {
      if (listTime !== undefined && frame.venueTime < listTime) {
        book.apply((state) =>
          noteFault(state, 'older list', 'inconsistent', 'a list that is older than the one before'),
        );
        return;
      }
      listTime = frame.venueTime;
    }
    if (isList) {
      lists++;
      listed = true;
      listTimer?.cancel();
    }
    book.apply((state) => mapFrame(state, { frame, generation, atMs: clock.now(), proved }));
    if (verdict === 'demo') options.demo();
    else if (verdict === 'mismatch') options.mismatch();
    else if ((verdict === 'proved' || isList) && !proved) takeProof(generation);
  };

  const takeProof = (generation: number): void => {
    proofTimer?.cancel();
    proved = true;
    outageTold = false;
    line.healthy();
    if (silentSinceMs !== undefined) {
      const silentMs = Math.round(clock.monotonic() - silentSinceMs);
      silentSinceMs = undefined;
      tell(LOGIN_TOKEN, { type: 'heartbeat.resumed', data: { silentMs } }, generation);
    }
    if (hasUserData) askList(0);
    options.proved();
  };

  /** The documentation has both words: the second is tried once. */
  const askList = (tries: number): void => {
    word = (word + Math.min(tries, 1)) % words.length;
    line.askSessions(words[word] ?? 'sessions');
    listTimer = clock.setTimer(() => {
      if (tries + 1 < words.length) askList(tries + 1);
      else book.apply((state) => noteFault(state, 'no list', 'channel_refused', 'sessions'));
    }, LIST_TIMEOUT_MS);
  };

  const takeEnd = (generation: number, end: LineEnd): number => {
    proofTimer?.cancel();
    listTimer?.cancel();
    proved = false;
    listed = false;
    listTime = undefined;
    const { code, clean, initiator, status } = end;
    const reason = secrets.hide(status === 403 ? BLOCKED_WORDS : end.reason);
    const data = { carrier: 'ws', generation, code, reason, clean, initiator } as const;
    tell(SOURCE_TOKEN, { type: 'link.down', data }, generation);
    if (code === TOO_BIG || /max payload/i.test(reason)) {
      book.apply((state) => noteFault(state, 'too big', 'bad_frame', 'a frame larger than the socket takes'));
    }
    const outage = !replacing && !outageTold;
    outageTold ||= outage;
    replacing = false;
    options.ended({ ...end, reason }, outage);
    if (status === 403) {
      log.warn('the venue refuses this client at the upgrade: set headers', { source });
      return BLOCKED_RETRY_MS;
    }
    if (status === 429) http.penalize(penaltyOf(end.retryAfter, clock.now()));
    return http.penaltyLeftMs();
  };

  const line = createLine({
    clock,
    random,
    connect,
    open: CARRIERS[transport],
    target: () => targetOf(config, options.auth(), clock),
    opened,
    frame: takeFrame,
    ended: takeEnd,
    retrying(generation, attempt, delayMs) {
      const data = { carrier: 'ws', generation, attempt, delayMs } as const;
      tell(SOURCE_TOKEN, { type: 'link.retrying', data }, generation);
    },
    missed(info) {
      silentSinceMs ??= clock.monotonic() - info.silentMs;
      tell(LOGIN_TOKEN, { type: 'heartbeat.missed', data: info }, line.generation);
    },
  });

  /** A penalty that began before the start, or by an answer over HTTP, is waited for. */
  let penaltyTimer: Timer | undefined;
  const connectLater = (): void => {
    penaltyTimer?.cancel();
    const waitMs = http.penaltyLeftMs();
    if (waitMs > 0) penaltyTimer = clock.setTimer(connectLater, waitMs);
    else line.connect();
  };

  return {
    connect: connectLater,
    drop(reason, { replaced } = { replaced: false }) {
      penaltyTimer?.cancel();
      replacing = replaced && !line.isIdle;
      line.drop(reason);
    },
    get generation() {
      return line.generation;
    },
    get isOpen() {
      return line.isOpen;
    },
    get isIdle() {
      return line.isIdle;
    },
    get lists() {
      return lists;
    },
    get shows() {
      return listed ? 'sessions' : proved ? 'login' : 'nothing';
    },
  };
}
