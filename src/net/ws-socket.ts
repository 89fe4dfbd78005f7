import WebSocket from 'ws';
import { messageOf, SessionRelayError } from '../errors.js';
import type { Connect, SocketEnd } from './socket.js';
import { connectPinned, tlsConnection } from './verify.js';

const HANDSHAKE_TIMEOUT_MS = 10_000;
const MAX_PAYLOAD_BYTES = 16 * 1024 * 1024;
/** A venue that leaves more than this unread is sent nothing: what is not sent is known not to have been. */
export const MAX_UNREAD_BYTES = 4 * 1024 * 1024;

/** What `ws` found wrong with a frame of the venue's, and the code that it closed with. */
const OWN_CLOSE_CODES: ReadonlyMap<string, number> = new Map([
  ['WS_ERR_UNSUPPORTED_MESSAGE_LENGTH', 1009],
  ['WS_ERR_TOO_MANY_BUFFERED_PARTS', 1008],
  ['WS_ERR_INVALID_UTF8', 1007],
]);
const PROTOCOL_ERROR = 1002;

/** A WebSocket over `ws`, without compression: venues offer it, and a relay has no use for it. */
export const connectWs: Connect = (url, options, handlers) => {
  let socket: WebSocket | undefined;
  let opened = false;
  let over = false;
  let refused: SocketEnd['refused'];
  let failure: string | undefined;
  /** We ended it over a frame that cannot be read: what the venue answers to that is not read any more. */
  let ownCode: number | undefined;

  const end = (code: number, reason: string): void => {
    if (over) return;
    over = true;
    socket?.removeAllListeners();
    socket?.on('error', () => {}); // a socket that is torn down may still fail once
    handlers.ended({
      code: opened ? (ownCode ?? code) : 0,
      reason,
      clean: opened && ownCode === undefined && code !== 1006,
      ...(refused === undefined ? {} : { refused }),
      ...(failure === undefined ? {} : { error: failure }),
    });
  };

  try {
    socket = new WebSocket(url, {
      headers: { ...options.headers },
      perMessageDeflate: false,
      followRedirects: false,
      handshakeTimeout: options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS,
      maxPayload: options.maxPayloadBytes ?? MAX_PAYLOAD_BYTES,
      ...tlsConnection(options.tls),
      ...(options.tls?.fingerprint === undefined ? {} : { createConnection: connectPinned(options.tls) as never }),
    });
  } catch (cause) {
    // A message may repeat the URL, and a query string may hold a credential.
    failure = messageOf(cause).replaceAll(url, '(the URL)');
    queueMicrotask(() => end(0, 'it could not be tried: see its URL, headers and TLS settings'));
  }
  socket?.on('open', () => {
    opened = true;
    handlers.opened();
  });
  socket?.on('message', (bytes) => {
    if (!over) handlers.message(String(bytes));
  });
  socket?.on('pong', () => {
    if (!over) handlers.pong();
  });
  socket?.on('error', (error) => {
    failure = error.message;
    const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
    if (code.startsWith('WS_ERR_')) ownCode = OWN_CLOSE_CODES.get(code) ?? PROTOCOL_ERROR;
  });
  socket?.on('unexpected-response', (_request, response) => {
    const headers = Object.entries(response.headers).map(([name, value]) => [name, String(value)] as const);
    refused = { status: response.statusCode ?? 0, headers: Object.fromEntries(headers) };
    response.resume();
    socket?.terminate();
    end(0, `the upgrade was refused with ${refused.status}`);
  });
  socket?.on('close', (code, reason) => end(code, reason.toString()));

  return {
    send(text) {
      if (socket?.readyState !== WebSocket.OPEN) {
        throw new SessionRelayError('closed', 'the socket to the venue is not open');
      }
      if (socket.bufferedAmount > MAX_UNREAD_BYTES) {
        throw new SessionRelayError('source_unavailable', `the venue leaves ${socket.bufferedAmount} bytes unread`);
      }
      socket.send(text);
    },
    ping() {
      if (socket?.readyState === WebSocket.OPEN) socket.ping();
    },
    close(code, reason) {
      socket?.close(code, reason);
    },
    terminate() {
      socket?.terminate();
    },
    get bufferedBytes() {
      return socket?.bufferedAmount ?? 0;
    },
  };
};
