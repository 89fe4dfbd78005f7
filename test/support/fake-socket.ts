import { SessionRelayError } from '../../src/errors.js';
import type { Connect, ConnectOptions, SocketEnd, SocketHandlers } from '../../src/net/socket.js';

/** One socket that a feed opened: what it sent, and what the venue does next. */
export interface FakeSocket {
  readonly url: string;
  readonly options: ConnectOptions;
  /** Frames that were sent, as text. */
  readonly sent: string[];
  readonly pings: number;
  /** How our side ended it, if it did. */
  readonly closedBy: 'close' | 'terminate' | undefined;
  readonly isOpen: boolean;
  readonly ended: boolean;
  open(): void;
  receive(frame: unknown): void;
  pong(): void;
  end(end?: Partial<SocketEnd>): void;
}

/** A network without a network: every socket is made by the test, frame by frame. */
export class FakeNetwork {
  readonly sockets: FakeSocket[] = [];

  /** The last socket that was opened. */
  get last(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (socket === undefined) throw new Error('no socket was opened');
    return socket;
  }

  /** Sockets that are not ended: a feed must never have two. */
  get live(): number {
    return this.sockets.filter((socket) => !socket.ended).length;
  }

  /** Hears each frame as it is sent: what a scripted venue answers from. */
  onSend: ((socket: FakeSocket, text: string) => void) | undefined;

  readonly connect: Connect = (url, options, handlers) => {
    const socket = fakeSocket(url, options, handlers, (text) => this.onSend?.(socket.fake, text));
    this.sockets.push(socket.fake);
    return socket.port;
  };
}

function fakeSocket(url: string, options: ConnectOptions, handlers: SocketHandlers, heard: (text: string) => void) {
  const sent: string[] = [];
  let pings = 0;
  let isOpen = false;
  let ended = false;
  let closedBy: FakeSocket['closedBy'];
  const end = (how: Partial<SocketEnd> = {}): void => {
    if (ended) return;
    ended = true;
    const code = how.code ?? (isOpen ? 1006 : 0);
    isOpen = false;
    handlers.ended({ code, reason: '', clean: code !== 1006 && code !== 0, ...how });
  };
  const fake: FakeSocket = {
    url,
    options,
    sent,
    get pings() {
      return pings;
    },
    get closedBy() {
      return closedBy;
    },
    get isOpen() {
      return isOpen;
    },
    get ended() {
      return ended;
    },
    open() {
      isOpen = true;
      handlers.opened();
    },
    receive(frame) {
      if (!ended) handlers.message(typeof frame === 'string' ? frame : JSON.stringify(frame));
    },
    pong: () => handlers.pong(),
    end,
  };
  const port = {
    send(text: string) {
      if (!isOpen) throw new SessionRelayError('closed', 'the socket to the venue is not open');
      sent.push(text);
      heard(text);
    },
    ping() {
      pings++;
    },
    close(code = 1000, reason = '') {
      closedBy ??= 'close';
      queueMicrotask(() => end({ code, reason, clean: true }));
    },
    terminate() {
      closedBy ??= 'terminate';
      queueMicrotask(() => end({ code: 1006 }));
    },
    bufferedBytes: 0,
  };
  return { fake, port };
}
