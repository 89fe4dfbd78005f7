import { SessionRelayError } from '../errors.js';

/**
 * What the client needs of a WebSocket: a browser's, Node's own and `ws`'s all have it. A port: tests hand in a class
 * of their own.
 */
export interface SocketLike {
  send(text: string): void;
  close(code?: number, reason?: string): void;
  /** Drops the connection without a closing handshake, where the class can (`ws`). */
  terminate?(): void;
  addEventListener(type: 'message', listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: 'close', listener: (event: { readonly code: number; readonly reason: string }) => void): void;
  addEventListener(type: 'error', listener: (event: object) => void): void;
}

export type SocketClass = new (url: string, protocols: string[]) => SocketLike;

const PATH = '/v1/ws';

/**
 * The URL of the relay's socket: `http(s)` becomes `ws(s)`, and an origin alone gets `/v1/ws`.
 *
 * @throws SessionRelayError `invalid_params`
 */
export function socketUrl(text: string): string {
  const url = parsed(text);
  if (url === undefined || !/^(ws|http)s?:$/.test(url.protocol) || url.username + url.password + url.search !== '') {
    // It may hold a secret: it is not repeated.
    const what = 'the relay is given as http(s)://host or ws(s)://host/v1/ws, without user, password and query';
    throw new SessionRelayError('invalid_params', what);
  }
  url.protocol = url.protocol.replace('http', 'ws');
  url.hash = '';
  if (url.pathname === '/') url.pathname = PATH;
  return url.href;
}

function parsed(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}
