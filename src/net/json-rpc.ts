import { messageOf, SessionRelayError, VenueError, VenueTimeoutError } from '../errors.js';
import type { Json } from '../model/json.js';
import type { Clock, Timer } from './clock.js';
import { type ReadError, readFrame } from './json-rpc-frame.js';

/**
 * The client's side of JSON-RPC 2.0 over one connection. Make one per connection (per generation): replies that
 * belong to an older one can then never be taken for its own.
 */
export interface JsonRpc {
  /**
   * Sends a request. Resolves with `result`; rejects with `VenueError` (the answer was an error), `VenueTimeoutError`
   * (no answer in time, or the connection ended first: the outcome is unknown) or `source_unavailable` (not sent).
   */
  call(method: string, params?: Json, options?: CallOptions): Promise<Json>;
  /** Takes one inbound text. A response settles its call; everything is also returned, so that its owner sees it. */
  accept(text: string): Incoming;
  /** Rejects what is pending (`VenueTimeoutError`) and everything after (`source_unavailable`). Idempotent. */
  close(why: string): void;
  readonly pending: number;
}

export interface CallOptions {
  readonly timeoutMs?: number;
  /** What keeps the connection alive, or ends it in order: not refused because of others that wait. */
  readonly urgent?: boolean;
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
  /** `sample` is raw, as the venue sent it: it may hold a credential and is masked before it goes anywhere. */
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

/** How much of a frame that was not understood is kept. */
const MAX_SAMPLE_CHARACTERS = 256;
const DEFAULT_TIMEOUT_MS = 10_000;
/** Calls that wait for their answers at once; more are not sent. */
export const MAX_PENDING_CALLS = 1_000;
/** Urgent ones have so many places of their own. */
const URGENT_CALLS = 100;

interface Pending {
  readonly method: string;
  readonly sentAt: number;
  readonly timer: Timer;
  resolve(value: Json): void;
  reject(error: SessionRelayError): void;
}

export function createJsonRpc(options: JsonRpcOptions): JsonRpc {
  const { clock, send, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  const waiting = new Map<string | number, Pending>();
  let last = 0;
  let closed: string | undefined;

  const take = (id: string | number): Pending | undefined => {
    const pending = waiting.get(id);
    waiting.delete(id);
    pending?.timer.cancel();
    return pending;
  };

  return {
    get pending() {
      return waiting.size;
    },
    call(method, params = {}, callOptions = {}) {
      if (closed !== undefined) return Promise.reject(unsent(method, closed));
      if (waiting.size >= MAX_PENDING_CALLS + (callOptions.urgent === true ? URGENT_CALLS : 0))
        return Promise.reject(unsent(method, `${waiting.size} calls wait for their answers`));
      const id = ++last;
      const patienceMs = callOptions.timeoutMs ?? timeoutMs;
      return new Promise<Json>((resolve, reject) => {
        const timer = clock.setTimer(() => {
          waiting.delete(id);
          reject(
            new VenueTimeoutError(
              `${method}: the venue did not answer within ${patienceMs} ms; whether it acted is unknown`,
            ),
          );
        }, patienceMs);
        waiting.set(id, { method, sentAt: clock.monotonic(), timer, resolve, reject });
        try {
          send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
        } catch (cause) {
          take(id);
          reject(unsent(method, messageOf(cause), cause));
        }
      });
    },
    accept(text) {
      const frame = readFrame(text);
      if ('why' in frame) return bad(frame.why, text);
      if ('called' in frame) {
        return { kind: 'notification', method: frame.called.method, params: frame.called.params ?? null };
      }
      const { id, result, error: failure, jsonrpc: _, ...extras } = frame.answered;
      const error = failure ?? undefined;
      if (id === null || id === undefined) {
        return error === undefined ? bad('a reply without an id', text) : { kind: 'error', error: plain(error) };
      }
      if (error === undefined && result === undefined) return bad('a reply with neither a result nor an error', text);
      const pending = take(id);
      if (pending === undefined) return { kind: 'late', id };
      const roundTripMs = clock.monotonic() - pending.sentAt;
      const told = {
        kind: 'reply',
        method: pending.method,
        roundTripMs,
        extras: extras as { [name: string]: Json },
      } as const;
      if (error !== undefined) {
        const data = error.data === undefined ? {} : { data: { detail: error.data } };
        pending.reject(new VenueError(error.code, error.message, data));
        return { ...told, error: plain(error) };
      }
      pending.resolve(result ?? null);
      return told;
    },
    close(why) {
      if (closed !== undefined) return;
      closed = why;
      for (const id of [...waiting.keys()]) {
        const pending = take(id);
        pending?.reject(
          new VenueTimeoutError(`${pending.method}: ${why} before the venue answered; whether it acted is unknown`),
        );
      }
    },
  };
}

function plain({ code, message, data }: ReadError): RpcError {
  return data === undefined ? { code, message } : { code, message, data };
}

function bad(why: string, text: string): Incoming {
  const isCut = text.length > MAX_SAMPLE_CHARACTERS;
  // The piece of a token that a cut leaves over would not be known for one: it goes too.
  const sample = isCut ? text.slice(0, MAX_SAMPLE_CHARACTERS).replace(/[\w+/=.-]+$/, '') : text;
  return { kind: 'bad', why, sample };
}

function unsent(method: string, why: string, cause?: unknown): SessionRelayError {
  return new SessionRelayError(
    'source_unavailable',
    `${method} was not sent: ${why}`,
    cause === undefined ? {} : { cause },
  );
}
