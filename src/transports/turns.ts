import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Requests that wait on one connection for those before them; no client that reads its answers has as many. */
export const MAX_PIPELINED = 32;

/**
 * Answers the requests of one connection one at a time: the next when the one before has left. Node hands over all that
 * a peer sent in one piece at once, and what it is answered with waits in memory until the peer reads.
 */
export interface Turns {
  /** Runs `task` when it is this response's turn; never where its connection ended before. */
  take(socket: Socket, response: ServerResponse, task: () => void): void;
}

export function createTurns(): Turns {
  /** What waits behind the request that is being answered; none where none is. */
  const lines = new WeakMap<Socket, (() => void)[]>();
  return {
    take(socket, response, task) {
      const line = lines.get(socket);
      if (line !== undefined && line.length >= MAX_PIPELINED) {
        socket.destroy();
        return;
      }
      response.once('close', () => {
        const next = lines.get(socket)?.shift();
        if (next === undefined) lines.delete(socket);
        else if (!socket.destroyed) next();
      });
      if (line !== undefined) {
        line.push(task);
        return;
      }
      lines.set(socket, []);
      task();
    },
  };
}
