import type { WebSocket } from 'uWebSockets.js';
import type { Slots } from './slots.js';

/**
 * The sockets that are to get one long burst, as subscribers of a topic of uWebSockets.js: what is published is copied
 * to each without a call out of JavaScript. On its own that loses messages without a word and says nothing of when they
 * leave, so it is used for idle sockets alone, in which all of it has room, and the last message of a burst is sent to
 * each by itself: a `send` takes along what was published before, in order and in one write, and says how it went.
 */
export interface Topic {
  readonly name: string;
  /**
   * From here on exactly these sockets are subscribed: so many of the slots, each with a socket. Whoever was and is not
   * named gets nothing more of this topic; nothing that was published may be on its way.
   */
  subscribe(slots: Int32Array, count: number): void;
  /** Nobody is subscribed any more. */
  end(): void;
}

export function createTopic(name: string, sockets: Slots<WebSocket<unknown>>['sockets']): Topic {
  /** Who is subscribed, and at which slot: another socket may be there by now. */
  const subscribed = new Map<WebSocket<unknown>, number>();
  const leave = (socket: WebSocket<unknown>, index: number): void => {
    subscribed.delete(socket);
    // One that has closed left by itself.
    if (sockets[index] === socket) socket.unsubscribe(name);
  };

  return {
    name,
    subscribe(slots, count) {
      for (let at = 0; at < count; at++) {
        const index = slots[at] ?? -1;
        const socket = sockets[index];
        if (socket === undefined || subscribed.has(socket)) continue;
        socket.subscribe(name);
        subscribed.set(socket, index);
      }
      if (subscribed.size === count) return;
      const wanted = new Set(slots.subarray(0, count));
      for (const [socket, index] of [...subscribed])
        if (!wanted.has(index) || sockets[index] !== socket) leave(socket, index);
    },
    end() {
      for (const [socket, index] of [...subscribed]) leave(socket, index);
    },
  };
}
