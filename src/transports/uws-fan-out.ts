import type { WebSocket } from 'uWebSockets.js';
import type { FanOut } from '../edge/wire.js';
import { IDLE, MAY_WAIT, type Slots } from './slots.js';

/** What `send` of uWebSockets.js says: gone to the kernel, or part of it waits; anything else was dropped. */
export const SENT = 1;
export const QUEUED = 0;

/**
 * One `send` a socket, outside of any cork for a single message: then its outcome is the kernel's. Several leave in one
 * write under a cork, whose end says nothing, so that each socket is asked afterwards what waits in it.
 */
export function createUwsFanOut({ sockets, states }: Slots<WebSocket<unknown>>): FanOut {
  // For the one function that every cork runs: a delivery allocates nothing.
  let socket: WebSocket<unknown> | undefined;
  let messages: readonly (string | ArrayBuffer)[] = [];
  let taken = 0;
  const sendAll = (): void => {
    for (const message of messages) {
      const outcome = socket?.send(message, false, false);
      if (outcome !== SENT && outcome !== QUEUED) return;
      taken++;
    }
  };

  const single = (target: WebSocket<unknown>, index: number, at: number, result: Mutable): void => {
    const outcome = target.send(messages[0] ?? '', false, false);
    if (outcome === SENT) return;
    states()[index] = MAY_WAIT;
    if (outcome === QUEUED) result.queued.push(at);
    else result.skipped.push(at);
  };

  const burst = (target: WebSocket<unknown>, index: number, at: number, result: Mutable): void => {
    socket = target;
    taken = 0;
    target.cork(sendAll);
    const isQueued = target.getBufferedAmount() > 0;
    if (isQueued) states()[index] = MAY_WAIT;
    if (taken === 0) result.skipped.push(at);
    else if (taken < messages.length) result.failed.push(at);
    else if (isQueued) result.queued.push(at);
  };

  return {
    send(all, slots) {
      const result: Mutable = { skipped: [], queued: [], failed: [] };
      messages = all.map(asRead);
      const isSingle = all.length === 1;
      const state = states();
      for (let at = 0; at < slots.length; at++) {
        const index = slots[at] ?? -1;
        const target = sockets[index];
        if (target === undefined || state[index] !== IDLE) {
          result.skipped.push(at);
          continue;
        }
        try {
          if (isSingle) single(target, index, at, result);
          else burst(target, index, at, result);
        } catch {
          // A socket that was touched after its end: by itself it will be told so, and the others go on.
          state[index] = MAY_WAIT;
          result.failed.push(at);
        }
      }
      messages = [];
      socket = undefined;
      return result;
    },
  };
}

/** An array buffer of its own is what uWebSockets.js reads fastest: of a view it must ask for the buffer each time. */
function asRead(message: string | Uint8Array): string | ArrayBuffer {
  return typeof message === 'string' ? message : Uint8Array.from(message).buffer;
}

interface Mutable {
  readonly skipped: number[];
  readonly queued: number[];
  readonly failed: number[];
}
