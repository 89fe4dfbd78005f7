import type { TlsOptions } from './tls.js';

/** A WebSocket to a venue, as a port. One is made by {@link Connect} and is already connecting. */
export interface Socket {
  /** Queues one text frame. Throws `closed` when the socket is not open, `source_unavailable` when too much waits in it. */
  send(text: string): void;
  /** A WebSocket ping; the answer comes to `pong`. */
  ping(): void;
  /** Starts the closing handshake. Deribit cancels protected orders when this happens: ending is a decision. */
  close(code?: number, reason?: string): void;
  /** Drops the connection at once, without a closing handshake. */
  terminate(): void;
  /** Bytes accepted by `send` that have not left yet. */
  readonly bufferedBytes: number;
}

export interface SocketEnd {
  /** The close frame's code; 1006 without a close frame; 0 where the socket never opened. */
  readonly code: number;
  readonly reason: string;
  /** A close frame was received and answered. */
  readonly clean: boolean;
  /** Where the upgrade was answered with something other than 101: the status and headers (names in lower case). */
  readonly refused?: { readonly status: number; readonly headers: Readonly<Record<string, string>> };
  /** What the operating system or TLS said, where it did. */
  readonly error?: string;
}

/** What a socket tells its owner. `ended` is called exactly once, and nothing after it. */
export interface SocketHandlers {
  opened(): void;
  /** One text frame. A binary frame arrives as its UTF-8 decoding. */
  message(text: string): void;
  pong(): void;
  ended(end: SocketEnd): void;
}

export interface ConnectOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly tls?: TlsOptions;
  /** The upgrade must be done within this; default 10 000. */
  readonly handshakeTimeoutMs?: number;
  /** A larger inbound frame ends the socket with 1009; default 16 MiB. */
  readonly maxPayloadBytes?: number;
}

/** Opens a WebSocket. Never throws: a bad URL is an `ended` with code 0, in a later turn. */
export type Connect = (url: string, options: ConnectOptions, handlers: SocketHandlers) => Socket;
