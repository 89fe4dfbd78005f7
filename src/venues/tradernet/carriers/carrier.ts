import type { Connect } from '../../../net/socket.js';
import type { TlsOptions } from '../../../net/tls.js';
import type { Frame } from '../messages.js';

/**
 * One live connection to Tradernet, whatever it speaks: the raw WebSocket, socket.io 2 or socket.io 4. It is already
 * connecting when it is made, and never reconnects by itself: that is the feed's.
 */
export interface Carrier {
  /** Asks for the list of security sessions and for what follows. `word` matters on the raw WebSocket alone. */
  askSessions(word: 'sessions' | 'session'): void;
  /** Asks for a sign of life; the answer comes to `alive` or `frame`. */
  ask(): void;
  /** Ends it in good order; `ended` follows. */
  close(): void;
  /** Drops it at once; `ended` follows. */
  terminate(): void;
}

/** What a carrier tells its owner. `ended` is called exactly once, in a later turn than the opening, and nothing after it. */
export interface CarrierHandlers {
  opened(): void;
  frame(frame: Frame): void;
  /** A sign of life that says nothing else. */
  alive(): void;
  ended(end: CarrierEnd): void;
}

export interface CarrierEnd {
  /** The close frame's code; 1006 without one; 0 where the connection never opened. */
  readonly code: number;
  /** Why, in words; may quote what the other side or the system said. */
  readonly reason: string;
  readonly clean: boolean;
  /** `venue`: a close frame or an answer said so. */
  readonly initiator: 'venue' | 'network';
  /** The HTTP status with which the upgrade was refused. */
  readonly status?: number;
  /** `Retry-After` of that answer, as it was given. */
  readonly retryAfter?: string;
}

export interface CarrierTarget {
  /** With whatever proves the login in its query: never shown to anybody. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly tls?: TlsOptions;
  /** The user of socket.io's subscription. */
  readonly user: string;
}

export type OpenCarrier = (connect: Connect, target: CarrierTarget, handlers: CarrierHandlers) => Carrier;

/** Whether a carrier's socket has `userData`, the proof of a login; without it the first list is the proof. */
export const SAYS_USER_DATA = { websocket: true, socketio2: false, socketio4: false } as const;
