import { SessionRelayError } from '../errors.js';

/**
 * Reserved for the subscribers' library. This version has none: subscribe over WebSocket as PROTOCOL.md §4 says, or
 * embed the stream library (`import { sessions } from 'session-relay'`).
 */
export function connect(): never {
  throw new SessionRelayError(
    'not_available',
    'session-relay/client is not in this version: speak the WebSocket protocol of PROTOCOL.md §4',
  );
}
