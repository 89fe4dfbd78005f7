import type { IncomingMessage } from 'node:http';
import WebSocket from 'ws';
import { z } from 'zod';
import { messageOf, SessionRelayError } from '../errors.js';
import { socketUrl } from './relay-url.js';

/**
 * The command line's own connection to a relay: one JSON-RPC socket without recovery. It ends itself when the relay
 * falls silent, so that nothing waits for an answer that cannot come. What reconnects and resumes is built on top of
 * it (`tail`).
 */
export interface RelaySocket {
  /**
   * Resolves with `result`; rejects with a {@link RelayRefusal}, or `relay_unreachable` when the socket ends first:
   * what was asked for may have been done. `answered` is called with the result before any frame behind it is read: a
   * reply is a fence.
   */
  request(method: string, params: unknown, answered?: (result: unknown) => void): Promise<unknown>;
  /** Ends it, within a second also where the relay does not answer. Idempotent. */
  close(): void;
  /** Resolves when the socket has ended, however it did. */
  readonly ended: Promise<SocketEnd>;
}

export interface SocketEnd {
  readonly code: number;
  readonly reason: string;
}

export interface Notification {
  readonly method: string;
  readonly params: unknown;
}

/** The relay's own error answer: its code (PROTOCOL.md §4, Errors), message and data. */
export class RelayRefusal extends SessionRelayError {
  override readonly name = 'RelayRefusal';
  readonly rpcCode: number;

  constructor(rpcCode: number, message: string, data: unknown) {
    super('venue_error', message, { data: { code: rpcCode, message, ...(data === undefined ? {} : { data }) } });
    this.rpcCode = rpcCode;
  }
}

/** The upgrade was refused with an HTTP status (PROTOCOL.md §4: 401, 403, 429, 503). */
export class UpgradeRefused extends SessionRelayError {
  override readonly name = 'UpgradeRefused';
  readonly status: number;
  readonly retryAfterMs: number | undefined;

  constructor(origin: string, status: number, why: string, retryAfterMs: number | undefined) {
    super('relay_unreachable', `the relay at ${origin} refused the connection with ${status}${why && `: ${why}`}`);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

const HANDSHAKE_MS = 10_000;
/** `welcome` is the first frame: it comes with the socket or not at all. */
const WELCOME_MS = 10_000;
/** How long a closing handshake may take. */
const CLOSING_MS = 1_000;
/** Silence of this many heartbeats means that the relay is out of reach (PROTOCOL.md §3). */
const SILENT_HEARTBEATS = 2.5;
const MAX_REFUSAL_CHARACTERS = 200;

const welcome = z.object({ server: z.string(), heartbeatMs: z.number().positive() });

const frame = z.union([
  z.object({
    id: z.number().nullable(),
    error: z.object({ code: z.number(), message: z.string(), data: z.unknown().optional() }),
  }),
  z.object({ id: z.number(), result: z.unknown() }),
  z.object({ method: z.string(), params: z.unknown() }),
]);

/** Connects and waits for `welcome`. Rejects with `relay_unreachable`, or {@link UpgradeRefused}. */
export function connectRelay(options: {
  readonly origin: string;
  readonly token?: string | undefined;
  readonly signal: AbortSignal;
  readonly notified?: (notification: Notification) => void;
}): Promise<RelaySocket> {
  const { origin, token, signal } = options;
  const socket = new WebSocket(socketUrl(origin), ['session-relay.v1'], {
    handshakeTimeout: HANDSHAKE_MS,
    perMessageDeflate: false,
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
  });
  const pending = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  let last = 0;
  let seenAt = performance.now();
  let lostBy: string | undefined;
  const timers = new Set<NodeJS.Timeout>();

  const unreachable = (why: string): SessionRelayError =>
    new SessionRelayError('relay_unreachable', `the relay at ${origin} cannot be asked: ${why}`);
  const lose = (why: string): void => {
    lostBy ??= why;
    socket.terminate();
  };
  const close = (): void => {
    if (socket.readyState === WebSocket.CLOSED) return;
    socket.close(1000);
    timers.add(setTimeout(() => socket.terminate(), CLOSING_MS));
  };
  if (signal.aborted) close();
  else signal.addEventListener('abort', close, { once: true });

  const ended = new Promise<SocketEnd>((resolve) => {
    socket.once('close', (code, bytes) => {
      signal.removeEventListener('abort', close);
      for (const timer of timers) clearTimeout(timer);
      const reason = lostBy ?? bytes.toString();
      for (const one of pending.values()) one.reject(unreachable(`the connection ended with ${code} ${reason}`.trim()));
      pending.clear();
      resolve({ code, reason });
    });
  });

  const request: RelaySocket['request'] = (method, params, answered) =>
    new Promise((resolve, reject) => {
      if (socket.readyState !== WebSocket.OPEN) {
        reject(unreachable('the connection has ended'));
        return;
      }
      const id = ++last;
      pending.set(id, {
        resolve: (value) => {
          answered?.(value);
          resolve(value);
        },
        reject,
      });
      socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
    });

  /** Looks again once what has arrived was read: whoever was held up must not take that for the relay's silence. */
  const watch = (heartbeatMs: number): void => {
    const patienceMs = heartbeatMs * SILENT_HEARTBEATS;
    const isSilent = (): boolean => performance.now() - seenAt > patienceMs;
    const look = (): void => {
      if (isSilent()) lose(`nothing was heard for ${Math.round(patienceMs / 1000)} s`);
    };
    timers.add(setInterval(() => isSilent() && setImmediate(look), heartbeatMs / 2));
  };

  return new Promise((resolve, reject) => {
    const refused = (response: IncomingMessage): void => {
      let text = '';
      const finish = (): void => {
        const why = /json|html/.test(response.headers['content-type'] ?? '') ? '' : text.trim();
        const seconds = Number(response.headers['retry-after'] ?? Number.NaN);
        const retryAfterMs = Number.isFinite(seconds) ? seconds * 1_000 : undefined;
        reject(
          new UpgradeRefused(origin, response.statusCode ?? 0, why.slice(0, MAX_REFUSAL_CHARACTERS), retryAfterMs),
        );
        response.destroy();
        socket.terminate();
      };
      timers.add(setTimeout(finish, CLOSING_MS));
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
        if (text.length > MAX_REFUSAL_CHARACTERS) finish();
      });
      response.once('end', finish);
      response.once('error', finish);
    };
    socket.once('unexpected-response', (_request, response) => refused(response));
    socket.on('error', (cause) => reject(unreachable(messageOf(cause))));
    void ended.then(({ code, reason }) => reject(unreachable(`the connection ended with ${code} ${reason}`.trim())));
    const silent = setTimeout(() => lose('it said no welcome'), HANDSHAKE_MS + WELCOME_MS);
    timers.add(silent);

    socket.on('message', (bytes) => {
      seenAt = performance.now();
      const parsed = frame.safeParse(parseJson(String(bytes)));
      if (!parsed.success) return;
      const message = parsed.data;
      if ('error' in message) {
        if (message.id === null) return;
        const { code, message: text, data } = message.error;
        pending.get(message.id)?.reject(new RelayRefusal(code, text, data));
        pending.delete(message.id);
      } else if ('id' in message) {
        const call = pending.get(message.id);
        pending.delete(message.id);
        call?.resolve(message.result);
      } else if (message.method === 'welcome') {
        const said = welcome.safeParse(message.params);
        if (!said.success) {
          reject(unreachable('what answers there is no session-relay of this version'));
          socket.terminate();
          return;
        }
        clearTimeout(silent);
        watch(said.data.heartbeatMs);
        resolve({ request, close, ended });
      } else options.notified?.(message);
    });
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
