/**
 * session-relay/client: a relay's subscribers, in browsers and in Node. Needs `rxjs` and nothing else; in Node `ws` too
 * (`node.ts`).
 */
import { SessionRelayError } from '../errors.js';
import type { ConnectOptions, RelayClient } from './api.js';
import { createClient } from './client.js';
import type { SocketClass } from './socket.js';

export { type ErrorCode, SessionRelayError } from '../errors.js';
export type { EventData, EventType, Pulse, SafetyLevel, SessionEvent } from '../model/event.js';
export { isSessionState } from '../model/fold.js';
export type { Json } from '../model/json.js';
export type { Safety, SessionState, SessionStatus, SourceState, State } from '../model/session.js';
export type { Clock, Random, Timer } from '../net/clock.js';
export type { ConnectOptions, EventsOptions, RelayClient, StatesOptions, StatesView } from './api.js';
export type { CommandOptions, CommandOutcome, CommandReply } from './commands.js';
export type { ClientReason } from './safety.js';
export type { SocketClass, SocketLike } from './socket.js';
export type { SourceCommands } from './sources.js';
export type { ClientNotice, ClientStatus, Gap, StatusCounts, View } from './status.js';
export type { TokenSource } from './token.js';
export type { EventOn, EventTypeOn } from './typed.js';

/**
 * Connects to a relay, and stays connected until `close()`. `url`: the relay's origin (`https://relay.example`) or its
 * socket (`wss://relay.example/v1/ws`); it must hold no token. Never throws for what happens on the network:
 * `status$` says that.
 *
 * @throws SessionRelayError `invalid_params` where the URL cannot be used; `not_available` where there is no WebSocket.
 */
export function connect(url: string, options: ConnectOptions = {}): RelayClient {
  const WebSocket = options.WebSocket ?? globalSocket();
  if (WebSocket === undefined)
    throw new SessionRelayError('not_available', 'there is no WebSocket here: give one as `options.WebSocket`');
  return createClient(url, { ...options, WebSocket });
}

function globalSocket(): SocketClass | undefined {
  const found: unknown = Reflect.get(globalThis, 'WebSocket');
  return isSocketClass(found) ? found : undefined;
}

function isSocketClass(value: unknown): value is SocketClass {
  return typeof value === 'function';
}
