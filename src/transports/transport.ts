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
  /** Of all request bodies together. Default 32 MiB. */
  readonly maxBodiesBytes?: number;
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
  /** Absent where the transport cannot share its port with threads of this process. */
  readonly share?: SharedPort;
}

/**
 * Hands each new connection to one of the threads that were added, in turn; where there is none it is served here. The
 * port itself is listened on by one thread alone, exclusively.
 */
export interface SharedPort {
  /** `descriptor`: of a {@link Receiver}, of any thread of this process. */
  add(descriptor: number): void;
  /**
   * Hands it nothing more from now on; connections that were handed over just now may still arrive there. It must be
   * called before its thread ends: afterwards the descriptor is memory that is not there any more.
   */
  remove(descriptor: number): void;
}

/** Serves the connections that another thread's {@link SharedPort} hands over. */
export interface Receiver {
  readonly descriptor: number;
  /** Ends every connection. To be called before the thread ends, which otherwise ends the process. Idempotent. */
  close(): Promise<void>;
}
