/**
 * What `session-relay/client` is in Node: the same, on `ws`, on every version alike (Node's own WebSocket comes with 22,
 * and cannot drop a dead connection at once).
 */
import { WebSocket } from 'ws';
import type { ConnectOptions, RelayClient } from './api.js';
import { connect as connectWith } from './index.js';

export * from './index.js';

const HANDSHAKE_MS = 10_000;

class NodeSocket extends WebSocket {
  constructor(url: string, protocols: string[]) {
    super(url, protocols, { handshakeTimeout: HANDSHAKE_MS, perMessageDeflate: false });
  }
}

/** As in browsers; `options.WebSocket` wins over `ws`. */
export function connect(url: string, options: ConnectOptions = {}): RelayClient {
  return connectWith(url, { WebSocket: NodeSocket, ...options });
}
