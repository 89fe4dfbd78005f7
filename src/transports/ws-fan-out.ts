import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import type { FanOut } from '../edge/wire.js';
import type { Slots } from './slots.js';
import { textFrames } from './text-frames.js';

/** A socket of `ws`, and the one below it. */
export interface WsSeat {
  readonly webSocket: WebSocket;
  readonly socket: Socket;
  /** What was written did not leave at once. */
  readonly queued: () => void;
}

/**
 * A turn's messages are framed once and written as they are to every socket, one write each. `ws` itself frames anew for
 * each socket and writes header and payload apart. It keeps no order of its own without compression: what it sends is
 * written to the same socket at once, so nothing overtakes anything.
 */
export function createWsFanOut({ sockets: seats }: Pick<Slots<WsSeat>, 'sockets'>): FanOut {
  return {
    send(messages, slots) {
      const skipped: number[] = [];
      const queued: number[] = [];
      const bytes = textFrames(messages);
      for (let at = 0; at < slots.length; at++) {
        const seat = seats[slots[at] ?? -1];
        if (seat === undefined || !mayWrite(seat)) {
          skipped.push(at);
          continue;
        }
        seat.socket.write(bytes);
        if (seat.socket.writableLength === 0) continue;
        queued.push(at);
        seat.queued();
      }
      return { skipped, queued, failed: [] };
    },
    forget() {},
  };
}

/** Open on both sides, and nothing waits: neither in the socket nor, behind a pong of its own, in `ws`. */
function mayWrite({ webSocket, socket }: WsSeat): boolean {
  return webSocket.readyState === webSocket.OPEN && socket.writable && webSocket.bufferedAmount === 0;
}
