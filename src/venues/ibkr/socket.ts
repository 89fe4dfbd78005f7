import { type Fact, SOURCE_TOKEN } from '../../model/event.js';
import type { Timer } from '../../net/clock.js';
import { createLiveness, type Liveness } from '../../net/liveness.js';
import { createRetry } from '../../net/retry.js';
import type { Socket as NetSocket, SocketEnd } from '../../net/socket.js';
import type { Secrets } from '../secrets.js';
import type { VenuePorts } from '../venue.js';
import { headersOf } from './http-line.js';
import { type Frame, readFrame } from './messages.js';
import type { IbkrConfig } from './options.js';

/**
 * The socket of one source (`/ws`): opened with the session that `/tickle` names, kept alive with `tic`, connected
 * again with back-off. It tells changes at once and proves nothing: whether a session lives is HTTP's to say.
 */
export interface SessionSocket {
  /** Connects where nothing is connected or waited for. */
  wake(): void;
  /** Ends it on the relay's own decision; nothing follows until `wake`. */
  drop(reason: string): void;
  /** Ends it where it is of another session than this one, and connects again. */
  follow(session: string): void;
  /** Resolves when nothing is connected. */
  gone(): Promise<void>;
  readonly generation: number;
}

/** The venue beats every 10 s (recorded). */
const BEAT_MS = 10_000;
/** From so much silence on it is asked for a sign of life (`net/liveness.ts`: 1.5 beats and 2 s). */
const ASKED_AFTER_MS = 17_000;
/** `tic` at least once a minute (IBKR docs). */
export const TIC_EVERY_MS = 45_000;
/** A socket that is not authenticated within this is not believed: the greeting comes within 250 ms (recorded). */
export const GREETING_TIMEOUT_MS = 10_000;
const CLOSE_TIMEOUT_MS = 1_000;
const RETRY_CAP_MS = 60_000;
const UNAUTHORIZED: ReadonlySet<number> = new Set([301, 302, 303, 307, 308, 401, 403]);

type Form = 'json' | 'plain' | 'frame';

export interface SessionSocketOptions {
  readonly config: IbkrConfig;
  readonly ports: Pick<VenuePorts, 'clock' | 'random' | 'connect'>;
  readonly secrets: Secrets;
  /** What `/tickle` has named last. */
  readonly session: () => string | undefined;
  /** Whether there is a login to connect to; asked before each attempt. */
  readonly wanted: () => boolean;
  /** Nothing may be sent for so long. */
  readonly penaltyLeftMs: () => number;
  readonly tell: (facts: readonly Fact[]) => void;
  readonly frame: (frame: Frame, generation: number) => void;
  /** The upgrade was answered with 429. */
  readonly throttled: (retryAfter: string | undefined) => void;
}

interface Current {
  readonly socket: NetSocket;
  readonly session: string;
  isOpen: boolean;
  authenticated: boolean;
  /** The session was sent because the gateway said that it waits for one. */
  answered: boolean;
  /** Why the relay ended it. */
  dropped?: string;
}

export function createSessionSocket(options: SessionSocketOptions): SessionSocket {
  const { config, secrets } = options;
  const { clock, random, connect } = options.ports;
  const url = socketUrl(config.url);
  const forms: readonly Form[] = config.websocketAuth === 'auto' ? ['json', 'plain'] : [config.websocketAuth];
  const retry = createRetry({ clock, random, capMs: RETRY_CAP_MS });
  let form = 0;
  let generation = 0;
  let current: Current | undefined;
  let stays = false;
  let retryTimer: Timer | undefined;
  let greetingTimer: Timer | undefined;
  let closeTimer: Timer | undefined;
  let ticTimer: Timer | undefined;
  let liveness: Liveness | undefined;
  const waiting: (() => void)[] = [];

  const tell = (one: Pick<Fact, 'type' | 'data'>): void =>
    options.tell([{ source: config.id, session: SOURCE_TOKEN, generation, ...one } as Fact]);

  /** A socket that has just gone throws where one sends: its end is told in a moment. */
  const send = (text: string): void => {
    try {
      current?.socket.send(text);
    } catch {
      // the end follows
    }
  };
  const ticLater = (): void => {
    ticTimer = clock.setTimer(() => {
      if (options.penaltyLeftMs() === 0) send('tic');
      ticLater();
    }, TIC_EVERY_MS);
  };
  const end = (reason: string, then: 'stay' | 'retry', how: 'close' | 'terminate'): void => {
    stays = then === 'stay';
    if (current === undefined || current.dropped !== undefined) return;
    const ending = current;
    ending.dropped = reason;
    liveness?.stop();
    if (how === 'terminate') ending.socket.terminate();
    else {
      ending.socket.close(1000);
      closeTimer = clock.setTimer(() => ending.socket.terminate(), CLOSE_TIMEOUT_MS);
    }
  };

  const opened = (): void => {
    if (current === undefined) return;
    current.isOpen = true;
    tell({ type: 'link.up', data: { carrier: 'ws', generation, url } });
    liveness = createLiveness({
      clock,
      ask: () => {
        if (options.penaltyLeftMs() === 0) current?.socket.ping();
      },
      // Whether the session lives is HTTP's to say: only the end of the socket is news.
      missed: () => {},
      resumed: () => {},
      dead: ({ silentMs }) => end(`silent for ${Math.round(silentMs / 1_000)} s`, 'retry', 'terminate'),
      answerMs: config.silence - ASKED_AFTER_MS,
    });
    liveness.arm(BEAT_MS);
    greetingTimer = clock.setTimer(() => {
      form++;
      end(`no greeting within ${GREETING_TIMEOUT_MS / 1_000} s`, 'retry', 'close');
    }, GREETING_TIMEOUT_MS);
    if (forms[form % forms.length] === 'frame') sendSession();
  };
  const sendSession = (): void => {
    const session = options.session();
    if (session !== undefined) send(JSON.stringify({ session }));
  };
  const take = (text: string): void => {
    if (current === undefined) return;
    liveness?.seen();
    const frame = readFrame(text);
    // Once a socket: a gateway that goes on waiting does not know this session, and would be answered for ever.
    if (frame.kind === 'waiting' && !current.answered) {
      current.answered = true;
      sendSession();
    }
    if (frame.kind === 'greeting' && !current.authenticated) {
      current.authenticated = true;
      greetingTimer?.cancel();
      retry.healthy();
      ticLater();
    }
    options.frame(frame, generation);
  };
  const ended = (how: SocketEnd): void => {
    if (current === undefined) return;
    const { dropped, authenticated } = current;
    current = undefined;
    for (const timer of [greetingTimer, closeTimer, ticTimer]) timer?.cancel();
    liveness?.stop();
    retry.ended();
    const { code, clean, refused } = how;
    const said = [how.reason, how.error].filter((text) => text !== undefined && text !== '').join(': ');
    const initiator = dropped !== undefined ? 'relay' : clean || refused !== undefined ? 'venue' : 'network';
    const reason = secrets.hide(dropped ?? said);
    tell({ type: 'link.down', data: { carrier: 'ws', generation, code, reason, clean, initiator } });
    if (refused !== undefined && UNAUTHORIZED.has(refused.status)) form++;
    else if (dropped === undefined && how.code !== 0 && !authenticated) form++;
    if (refused?.status === 429) options.throttled(refused.headers['retry-after']);
    if (!stays && options.wanted()) later();
    for (const resolve of waiting.splice(0)) resolve();
  };
  const later = (): void => {
    const { attempt, delayMs } = retry.next(options.penaltyLeftMs());
    retryTimer = clock.setTimer(() => {
      retryTimer = undefined;
      start();
    }, delayMs);
    tell({ type: 'link.retrying', data: { carrier: 'ws', generation, attempt, delayMs } });
  };
  /** Where nothing is wanted it stays as it is, until the next round wakes it. */
  const start = (): void => {
    const session = options.session();
    if (session === undefined || !options.wanted()) return;
    stays = false;
    const mine = ++generation;
    const isMine = (): boolean => mine === generation && current !== undefined && current.dropped === undefined;
    const socket = connect(
      url,
      {
        headers: { ...headersOf(config.headers), ...cookieOf(forms[form % forms.length] ?? 'json', session) },
        ...(config.tls === undefined ? {} : { tls: config.tls }),
      },
      {
        opened: () => {
          if (isMine()) opened();
        },
        message: (text) => {
          if (isMine()) take(text);
        },
        pong: () => {
          if (isMine()) liveness?.seen();
        },
        ended: (how) => {
          if (mine === generation) ended(how);
        },
      },
    );
    current = { socket, session, isOpen: false, authenticated: false, answered: false };
  };

  return {
    wake() {
      if (config.websocket && current === undefined && retryTimer === undefined) start();
    },
    drop(reason) {
      retryTimer?.cancel();
      retryTimer = undefined;
      if (current?.isOpen === false) end(reason, 'stay', 'terminate');
      else end(reason, 'stay', 'close');
    },
    follow(session) {
      if (current !== undefined && current.session !== session) end('another session', 'retry', 'close');
    },
    gone: () => (current === undefined ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
    get generation() {
      return generation;
    },
  };
}

/** The gateway takes the session as JSON in the cookie, `api.ibkr.com` as it is. */
function cookieOf(form: Form, session: string): { readonly cookie?: string } {
  if (form === 'frame') return {};
  return { cookie: form === 'json' ? `api=${JSON.stringify({ session })}` : `api=${session}` };
}

/** Where a base of the Web API has its socket. Without credentials: they belong into headers. */
export function socketUrl(base: string): string {
  const url = new URL(`${base}/ws`);
  url.protocol = url.protocol === 'http:' ? 'ws:' : 'wss:';
  url.username = '';
  url.password = '';
  return url.href;
}
