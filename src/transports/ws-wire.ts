import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import type { FanOut, SendOutcome, Wire, WireHandlers } from '../edge/wire.js';
import { closeReason } from './refusal.js';
import type { Slots } from './slots.js';
import type { WsSeat } from './ws-fan-out.js';

/** A turn's frames leave as one write, unless they are more than this: a write is not cut up by Node. */
const WRITE_BYTES = 64 * 1024;
const NOTHING = Buffer.alloc(0);

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
  { remoteAddress, maxBufferedBytes, slots, fanOut }: WsWireOptions,
): void {
  let isOpen = true;
  let corkedBytes: number | undefined;
  let wantsDrain = false;
  const buffered = (): number => webSocket.bufferedAmount;
  const flushed = (): void => {
    if (!wantsDrain) return;
    // What was queued behind it is still there: its own flush is told too.
    wantsDrain = buffered() > 0;
    if (isOpen) handlers.drained();
  };

  const index = slots.take({
    webSocket,
    socket,
    queued() {
      wantsDrain = true;
      // It is flushed behind what waits: a socket tells by itself only of having drained from above its mark.
      socket.write(NOTHING, flushed);
    },
  });
  const wire: Wire = {
    remoteAddress,
    slot: { fanOut, index },
    get isOpen() {
      return isOpen;
    },
    buffered: () => (isOpen ? buffered() : 0),
    send(message): SendOutcome {
      if (!isOpen || webSocket.readyState !== webSocket.OPEN) return 'closed';
      if (buffered() > maxBufferedBytes) return 'refused';
      webSocket.send(message, { binary: false }, flushed);
      if (corkedBytes !== undefined) {
        corkedBytes += message.length;
        if (corkedBytes > WRITE_BYTES) {
          corkedBytes = 0;
          socket.uncork();
          socket.cork();
        }
      } else if (buffered() > 0) {
        wantsDrain = true;
        return 'queued';
      }
      return 'sent';
    },
    cork(task) {
      if (!isOpen || corkedBytes !== undefined) return task();
      corkedBytes = 0;
      socket.cork();
      try {
        task();
      } finally {
        corkedBytes = undefined;
        socket.uncork();
        if (buffered() > 0) wantsDrain = true;
      }
      return undefined;
    },
    close(code, reason) {
      if (!isOpen) return;
      isOpen = false;
      webSocket.close(code, closeReason(reason));
    },
    terminate() {
      isOpen = false;
      webSocket.terminate();
    },
  };
  const handlers = open(wire);
  webSocket.on('message', (data, isBinary) => {
    if (!isOpen) return;
    const bytes = Array.isArray(data) ? Buffer.concat(data) : Buffer.isBuffer(data) ? data : Buffer.from(data);
    handlers.message(isBinary ? undefined : bytes.toString('utf8'), bytes.length);
  });
  webSocket.on('error', () => {}); // followed by close, which says the code
  webSocket.on('close', (code, reason) => {
    isOpen = false;
    handlers.closed(code, reason.toString());
    // Whoever stood in a group has left it by now.
    slots.give(index);
  });
}
