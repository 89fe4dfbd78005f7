import type { Socket } from 'node:net';
import type { RawData, WebSocket } from 'ws';
import type { FanOut, SendOutcome, Slot, Wire, WireHandlers } from '../edge/wire.js';
import { closeReason } from './refusal.js';
import type { Slots } from './slots.js';
import type { WsSeat } from './ws-fan-out.js';

/** A turn's frames leave as one write, unless they are more than this: a write is not cut up by Node. */
const WRITE_BYTES = 64 * 1024;
const NOTHING = Buffer.alloc(0);
const AS_TEXT = { binary: false };

export interface WsWireOptions {
  readonly remoteAddress: string;
  readonly maxBufferedBytes: number;
  readonly slots: Slots<WsSeat>;
  /** Over the same slots. */
  readonly fanOut: FanOut;
}

/** Opens the wire of one `ws` socket; `ws` itself drops a socket whose peer does not close within 30 s. */
export function attachWsWire(
  webSocket: WebSocket,
  socket: Socket,
  open: (wire: Wire) => WireHandlers,
  options: WsWireOptions,
): void {
  const wire = new SocketWire(webSocket, socket, options);
  wire.attach(open(wire));
  webSocket.on('message', (data, isBinary) => wire.received(data, isBinary));
  webSocket.on('error', ignore); // followed by close, which says the code
  webSocket.on('close', (code, reason) => wire.ended(code, reason.toString()));
}

/** Its own seat and slot; see `uws-wire.ts`. */
class SocketWire implements Wire, Slot, WsSeat {
  readonly webSocket: WebSocket;
  readonly socket: Socket;
  readonly remoteAddress: string;
  readonly fanOut: FanOut;
  readonly index: number;
  isOpen = true;
  private readonly slots: Slots<WsSeat>;
  private readonly maxBufferedBytes: number;
  private handlers: WireHandlers | undefined;
  private corkedBytes: number | undefined;
  private wantsDrain = false;

  constructor(webSocket: WebSocket, socket: Socket, options: WsWireOptions) {
    this.webSocket = webSocket;
    this.socket = socket;
    this.remoteAddress = options.remoteAddress;
    this.fanOut = options.fanOut;
    this.slots = options.slots;
    this.maxBufferedBytes = options.maxBufferedBytes;
    this.index = options.slots.take(this);
  }

  get slot(): Slot {
    return this;
  }

  attach(handlers: WireHandlers): void {
    this.handlers = handlers;
  }

  buffered(): number {
    return this.isOpen ? this.webSocket.bufferedAmount : 0;
  }

  send(message: string | Uint8Array): SendOutcome {
    const { webSocket, socket } = this;
    if (!this.isOpen || webSocket.readyState !== webSocket.OPEN) return 'closed';
    if (webSocket.bufferedAmount > this.maxBufferedBytes) return 'refused';
    webSocket.send(message, AS_TEXT, () => this.flushed());
    if (this.corkedBytes !== undefined) {
      this.corkedBytes += message.length;
      if (this.corkedBytes > WRITE_BYTES) {
        this.corkedBytes = 0;
        socket.uncork();
        socket.cork();
      }
    } else if (webSocket.bufferedAmount > 0) {
      this.wantsDrain = true;
      return 'queued';
    }
    return 'sent';
  }

  cork(task: () => void): void {
    if (!this.isOpen || this.corkedBytes !== undefined) return task();
    this.corkedBytes = 0;
    this.socket.cork();
    try {
      task();
    } finally {
      this.corkedBytes = undefined;
      this.socket.uncork();
      if (this.webSocket.bufferedAmount > 0) this.wantsDrain = true;
    }
    return undefined;
  }

  close(code: number, reason: string): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.webSocket.close(code, closeReason(reason));
  }

  terminate(): void {
    this.isOpen = false;
    this.webSocket.terminate();
  }

  queued(): void {
    this.wantsDrain = true;
    // It is flushed behind what waits: a socket tells by itself only of having drained from above its mark.
    this.socket.write(NOTHING, () => this.flushed());
  }

  received(data: RawData, isBinary: boolean): void {
    if (!this.isOpen) return;
    const bytes = Array.isArray(data) ? Buffer.concat(data) : Buffer.isBuffer(data) ? data : Buffer.from(data);
    this.handlers?.message(isBinary ? undefined : bytes.toString('utf8'), bytes.length);
  }

  ended(code: number, reason: string): void {
    this.isOpen = false;
    this.handlers?.closed(code, reason);
    // Whoever stood in a group has left it by now.
    this.slots.give(this.index);
  }

  private flushed(): void {
    if (!this.wantsDrain) return;
    // What was queued behind it is still there: its own flush is told too.
    this.wantsDrain = this.webSocket.bufferedAmount > 0;
    if (this.isOpen) this.handlers?.drained();
  }
}

function ignore(): void {}
