import type { UpgradeDecision, UpgradeRequest } from '../edge/wire.js';

/** A server of sockets and HTTP on one port: uWebSockets.js or `ws`, behind one seam. */
export interface Transport {
  readonly kind: 'uws' | 'ws';
  /** Listens exclusively. Rejects with `port_in_use` where the address is taken. */
  listen(options: ListenOptions, handlers: TransportHandlers): Promise<Listening>;
}

export interface ListenOptions {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** The path that upgrades; an upgrade on any other path is answered by `fetch`. */
  readonly path: string;
  /**
   * A larger inbound message closes with 1009; text that is not UTF-8 with 1007. uWebSockets.js cannot say so of what it
   * refuses to parse itself (bad UTF-8, over 1 MiB, broken frames): it drops the connection, which the peer sees as 1006.
   */
  readonly maxPayloadBytes: number;
  /** While more than this waits for one socket a transport accepts nothing for it: `send` answers `refused`. */
  readonly maxBufferedBytes: number;
  /** For headers and body of a request. uWebSockets.js has its own 10 s for headers, which cannot be changed. */
  readonly handshakeTimeoutMs: number;
  /** While part of an HTTP answer waits and nothing is read for so long, its connection is ended. uWebSockets.js has its own 10 s. */
  readonly stallMs?: number;
  /** A larger HTTP request body is answered with 413. */
  readonly maxBodyBytes: number;
  /** Take the peer's address from `X-Forwarded-For`'s last entry. */
  readonly trustProxy: boolean;
}

export interface TransportHandlers {
  upgrade(request: UpgradeRequest): UpgradeDecision | Promise<UpgradeDecision>;
  /** A fetch-style handler; the body of the response may stream. Never rejects. */
  fetch(request: Request, peer: { readonly remoteAddress: string; readonly signal: AbortSignal }): Promise<Response>;
}

export interface Listening {
  readonly url: string;
  readonly port: number;
  /** Takes no new connection, and answers new requests with 503; open sockets stay. Idempotent. */
  stopAccepting(): void;
  /** Ends everything that is still open and resolves when the port is free. Idempotent. */
  close(): Promise<void>;
}
