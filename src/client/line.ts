import { messageOf } from '../errors.js';
import type { Clock, Timer } from '../net/clock.js';
import { type Notice, type Reply, readFrame, type Welcome } from './frames.js';
import type { SocketClass, SocketLike } from './socket.js';

/** The handshakes of TCP, TLS and HTTP, and `welcome`, which comes with the socket or not at all. */
export const WELCOME_MS = 20_000;
/** Silence of this many heartbeats means that the relay is out of reach (PROTOCOL.md §3). */
export const SILENT_HEARTBEATS = 2.5;
/** How long a closing handshake may take before the socket is dropped. */
const CLOSING_MS = 1_000;
const MAX_HEARTBEAT_MS = 600_000;
const DEFAULT_PAYLOAD_BYTES = 65_536;

/**
 * One connection to a relay, from its handshake to its end: requests and their replies, notifications, and silence. It
 * does not recover; what reconnects is built on top of it (`connection.ts`).
 */
export interface Line {
  /**
   * Sends a request. `answered` is called with the reply before any frame behind it is read, for a reply is a fence;
   * it is never called where the line ends first: whether the request was carried out is then unknown. `false`: it is
   * too large to be sent, and was not.
   */
  ask(method: string, params: object, answered: (reply: Reply) => void): boolean;
  /** Ends it now, without `ended`; resolves when the socket is gone, within {@link CLOSING_MS}. */
  close(): Promise<void>;
  /** Ends it now, as a line that cannot be trusted: `ended` is called with this reason. */
  drop(reason: string): void;
}

export interface LineHandlers {
  welcome(welcome: Welcome): void;
  notice(notice: Exclude<Notice, { readonly method: 'welcome' }>): void;
  /** A frame could not be used: what it said is lost. The line is dropped. */
  unreadable(what: string): void;
  /** Once; nothing is called after it. `code`: 1006 without a close frame. */
  ended(code: number, reason: string): void;
}

export interface LineOptions {
  readonly url: string;
  readonly WebSocket: SocketClass;
  readonly clock: Clock;
  readonly handlers: LineHandlers;
}

export function openLine({ url, WebSocket, clock, handlers }: LineOptions): Line {
  const pending = new Map<number, (reply: Reply) => void>();
  let socket: SocketLike | undefined;
  let timer: Timer | undefined;
  let over = false;
  let welcomed = false;
  let requests = 0;
  let heardAt = clock.monotonic();
  let maxBytes = DEFAULT_PAYLOAD_BYTES;
  let trouble = '';
  let gone = (): void => {};
  const isGone = new Promise<void>((resolve) => {
    gone = resolve;
  });

  const stop = (): void => {
    over = true;
    timer?.cancel();
    pending.clear();
  };
  const end = (code: number, reason: string): void => {
    if (over) return;
    stop();
    handlers.ended(code, reason);
  };
  const terminate = (): void => {
    if (socket?.terminate !== undefined) socket.terminate();
    else socket?.close();
  };
  const drop = (reason: string): void => {
    if (over) return;
    terminate();
    end(1006, reason);
  };

  /** Looks once more after what has already arrived was read: whoever was held up must not take that for silence. */
  const watch = (patienceMs: number): void => {
    const left = heardAt + patienceMs - clock.monotonic();
    const silent = (): void => drop(`nothing was heard for ${Math.round(patienceMs / 1_000)} s`);
    timer = clock.setTimer(() => {
      if (clock.monotonic() - heardAt < patienceMs) return watch(patienceMs);
      timer = clock.setTimer(() => (clock.monotonic() - heardAt < patienceMs ? watch(patienceMs) : silent()), 0);
    }, left);
  };
  const welcome = (said: Welcome): void => {
    if (welcomed) return;
    welcomed = true;
    timer?.cancel();
    maxBytes = said.limits?.maxPayloadBytes ?? maxBytes;
    watch(Math.min(Math.max(said.heartbeatMs, 1), MAX_HEARTBEAT_MS) * SILENT_HEARTBEATS);
    handlers.welcome(said);
  };

  const receive = (data: unknown): void => {
    heardAt = clock.monotonic();
    const frame = readFrame(typeof data === 'string' ? data : '');
    switch (frame.kind) {
      case 'reply': {
        const answered = pending.get(frame.id);
        pending.delete(frame.id);
        answered?.(frame.reply);
        return;
      }
      case 'notice':
        if (frame.notice.method === 'welcome') welcome(frame.notice.params);
        else if (welcomed) handlers.notice(frame.notice);
        return;
      case 'unreadable':
        handlers.unreadable(frame.what);
        drop(frame.what);
        return;
      case 'ignored':
    }
  };

  const open = (): void => {
    timer = clock.setTimer(() => drop('it said no welcome'), WELCOME_MS);
    try {
      // A browser fails a connection where none of the protocols that it offered is taken: this one is.
      socket = new WebSocket(url, ['session-relay.v1']);
    } catch (thrown) {
      gone();
      // Not within `openLine`: whoever opens it does not have it yet.
      timer.cancel();
      timer = clock.setTimer(() => end(1006, messageOf(thrown)), 0);
      return;
    }
    socket.addEventListener('message', ({ data }) => {
      if (!over) receive(data);
    });
    // Browsers do not tell why; `ws` does.
    socket.addEventListener('error', (event) => {
      if ('message' in event && typeof event.message === 'string') trouble = event.message;
    });
    socket.addEventListener('close', ({ code, reason }) => {
      gone();
      end(code, reason === '' ? trouble : reason);
    });
  };
  open();

  return {
    ask(method, params, answered) {
      const id = ++requests;
      const text = JSON.stringify({ jsonrpc: '2.0', id, method, params });
      if (new TextEncoder().encode(text).length > maxBytes) return false;
      if (over) return true;
      pending.set(id, answered);
      try {
        socket?.send(text);
      } catch (thrown) {
        // Browsers throw while the socket is opening, others where it is closed: either way it is not open.
        drop(messageOf(thrown));
      }
      return true;
    },
    close() {
      if (!over) {
        stop();
        socket?.close(1000);
        const late = clock.setTimer(() => {
          terminate();
          gone();
        }, CLOSING_MS);
        void isGone.then(() => late.cancel());
      }
      return isGone;
    },
    drop,
  };
}
