import type { Json } from '../model/json.js';
import type { Clock } from './clock.js';

/**
 * The client's side of JSON-RPC 2.0 over one connection. Make one per connection (per generation): replies that
 * belong to an older one can then never be taken for its own.
 */
export interface JsonRpc {
  /**
   * Sends a request. Resolves with `result`; rejects with `VenueError` (the answer was an error), `VenueTimeoutError`
   * (no answer in time, or the connection ended first: the outcome is unknown) or `source_unavailable` (not sent).
   */
  call(method: string, params?: Json, options?: { readonly timeoutMs?: number }): Promise<Json>;
  /** Takes one inbound text. A response settles its call; everything is also returned, so that its owner sees it. */
  accept(text: string): Incoming;
  /** Rejects what is pending (`VenueTimeoutError`) and everything after (`source_unavailable`). Idempotent. */
  close(why: string): void;
  readonly pending: number;
}

export type Incoming =
  /** The reply to a call; `roundTripMs` on the monotonic clock; `extras` are the frame's other members (`usIn`, `testnet`). */
  | {
      readonly kind: 'reply';
      readonly method: string;
      readonly roundTripMs: number;
      readonly error?: RpcError;
      readonly extras: { readonly [name: string]: Json };
    }
  | { readonly kind: 'notification'; readonly method: string; readonly params: Json }
  /** An error without an id: it concerns the connection, not a request. */
  | { readonly kind: 'error'; readonly error: RpcError }
  /** A reply to nothing that is pending: timed out before, or never asked. */
  | { readonly kind: 'late'; readonly id: string | number }
  | { readonly kind: 'bad'; readonly why: string; readonly sample: string };

export interface RpcError {
  readonly code: number;
  readonly message: string;
  readonly data?: Json;
}

export interface JsonRpcOptions {
  readonly clock: Clock;
  readonly send: (text: string) => void;
  /** Default 10 000. */
  readonly timeoutMs?: number;
}

export function createJsonRpc(_options: JsonRpcOptions): JsonRpc {
  throw new Error('being written');
}
