/**
 * One subscriber's socket, as an edge sees it: the port between `edge` (which knows no socket) and `transports`
 * (which know no protocol). Each wire wraps one native socket and knows when it is closed.
 */
export interface Wire {
  /** Queues one text message, as a string or as its UTF-8 bytes. The outcome is always looked at: nothing is dropped without a word. */
  send(message: string | Uint8Array): SendOutcome;
  /** Runs `task`; what it sends leaves in as few writes as the transport can. */
  cork(task: () => void): void;
  /** Starts the closing handshake behind what is queued; `closed` follows, maybe within this call. Idempotent. */
  close(code: number, reason: string): void;
  /** Drops the connection without a handshake; `closed` follows, maybe within this call. Idempotent. */
  terminate(): void;
  /** Bytes accepted by `send` that have not left yet. */
  buffered(): number;
  readonly isOpen: boolean;
  /** The peer's address, or the one its proxy named where `limits.trustProxy` allows. */
  readonly remoteAddress: string;
  /** Where it stands among its transport's wires; absent where each can only be sent to by itself. */
  readonly slot?: Slot;
}

export interface Slot {
  readonly fanOut: FanOut;
  /** Its number there, and nobody else's before `closed` has returned. */
  readonly index: number;
}

/**
 * The wires of one transport, by number. What many are sent alike goes to them in one loop over flat arrays: with
 * thousands of subscribers most of a delivery's time beside the system call is waiting for memory, so what is asked of
 * each wire must be little and lie close together.
 */
export interface FanOut {
  /**
   * Sends the same text messages, in this order and in one write where the transport can, to each of the wires in which
   * nothing waits. They must fit into what a wire may hold. One array stands for one group, whoever is in it at the
   * time. Calls nobody back: who leaves by what it says must be told
   * to leave afterwards.
   */
  send(messages: readonly (string | Uint8Array)[], slots: readonly number[]): FanOutResult;
  /** This array is sent to no more: what was remembered of it may go. */
  forget(slots: readonly number[]): void;
}

/** Positions in the `slots` that were handed in, ascending. All others were sent everything, and nothing waits there. */
export interface FanOutResult {
  /** Nothing was sent: something waits there, or may, or the wire is not open. */
  readonly skipped: readonly number[];
  /** Everything was taken, and part of it waits. */
  readonly queued: readonly number[];
  /** Part of it was taken: such a wire must be ended. */
  readonly failed: readonly number[];
}

/** What a text message of so many bytes takes in a socket: its frame's header too (RFC 6455 §5.2; a server masks nothing). */
export function bytesOnWire(bytes: number): number {
  if (bytes < 126) return bytes + 2;
  return bytes + (bytes < 65_536 ? 4 : 10);
}

/** `queued`: in the socket's buffer; `refused`: not sent and never will be; `closed`: the socket is gone. */
export type SendOutcome = 'sent' | 'queued' | 'refused' | 'closed';

/** What a transport tells the edge about one wire. */
export interface WireHandlers {
  /** One whole message. `text` is `undefined` for a binary message. */
  message(text: string | undefined, bytes: number): void;
  /** What was queued has left, or part of it. */
  drained(): void;
  /** Called exactly once, never before `open` returned, and nothing after it. 1006 without a close frame. */
  closed(code: number, reason: string): void;
}

/** A request to upgrade. Header names in lower case. */
export interface UpgradeRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly remoteAddress: string;
}

export type UpgradeDecision =
  | {
      readonly accept: true;
      /** The subprotocol to echo, if any. */
      readonly protocol?: string;
      /** Called once the socket is open. */
      readonly open: (wire: Wire) => WireHandlers;
      /** Called instead of `open` where the peer went away first. */
      readonly abandoned: () => void;
    }
  | {
      readonly accept: false;
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body: string;
    };
