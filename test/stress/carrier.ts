/** One connection of a subscriber, whoever frames it: `raw-carrier.ts` or `ws-carrier.ts`. */
export interface Carrier {
  send(text: string): void;
  /** Reads nothing more, so that the relay's own buffers fill. */
  pause(): void;
  resume(): void;
  /** Says goodbye as a browser does. */
  close(): void;
  /** Is gone without a word: TCP reset. */
  reset(): void;
}

export interface CarrierHandlers {
  opened(): void;
  message(text: string): void;
  /** Called once, whatever happened: 1006 without a close frame. */
  closed(end: CarrierEnd): void;
}

export type CarrierEnd =
  | { readonly how: 'closed'; readonly code: number; readonly reason: string }
  /** Never opened: the HTTP status, or 0 where there was no answer. */
  | { readonly how: 'refused'; readonly status: number }
  /** What a WebSocket server must never send. */
  | { readonly how: 'fault'; readonly what: string };

export interface Dial {
  readonly port: number;
  /** Where it comes from: 127.0.0.x, so that thousands are not one address. */
  readonly localAddress?: string;
  readonly token?: string;
}

export type OpenCarrier = (dial: Dial, handlers: CarrierHandlers) => Carrier;

export const PATH = '/v1/ws';
