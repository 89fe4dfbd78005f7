import type { WebSocket } from 'uWebSockets.js';
import type { FanOut } from '../edge/wire.js';
import { IDLE, MAY_WAIT, type Slots } from './slots.js';
import { createTopic, type Topic } from './uws-topics.js';

/** What `send` of uWebSockets.js says: gone to the kernel, or part of it waits; anything else was dropped. */
export const SENT = 1;
export const QUEUED = 0;

/** Bursts of so many messages, to so many sockets, go by a topic: see {@link createTopic}. */
const LONG = 8;
const MANY = 16;
/** What uWebSockets.js keeps of a topic for a socket before it writes by itself. */
const MOST_PUBLISHED = 31;

export interface UwsFanOutOptions {
  readonly slots: Slots<WebSocket<unknown>>;
  /** The app's own. */
  readonly publish: (topic: string, message: string | ArrayBuffer) => unknown;
}

/**
 * One `send` a socket, outside of any cork for a single message: then its outcome is the kernel's. Several leave in one
 * write under a cork, whose end says nothing, so that each socket is asked afterwards what waits in it.
 */
export function createUwsFanOut({ slots: { sockets, states }, publish }: UwsFanOutOptions): FanOut {
  const topics = new WeakMap<readonly number[], Topic>();
  let names = 0;
  /** Slots of those who are sent a long burst: kept, so that it need not be made anew. */
  let idle = new Int32Array(0);
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

  /** Calls for each idle socket, and lists the others. */
  const each = (
    slots: readonly number[],
    result: Mutable,
    send: (target: WebSocket<unknown>, index: number, at: number, result: Mutable) => void,
  ): void => {
    const state = states();
    for (let at = 0; at < slots.length; at++) {
      const index = slots[at] ?? -1;
      const target = sockets[index];
      if (target === undefined || state[index] !== IDLE) {
        result.skipped.push(at);
        continue;
      }
      try {
        send(target, index, at, result);
      } catch {
        // A socket that was touched after its end: by itself it will be told so, and the others go on.
        state[index] = MAY_WAIT;
        result.failed.push(at);
      }
    }
  };

  const topicOf = (slots: readonly number[]): Topic => {
    let topic = topics.get(slots);
    if (topic === undefined) {
      topic = createTopic(`group ${names++}`, sockets);
      topics.set(slots, topic);
    }
    return topic;
  };
  /** Part after part, so that each leaves in one write; of each all but the last message are published. */
  const long = (all: readonly (string | ArrayBuffer)[], slots: readonly number[], result: Mutable): void => {
    const state = states();
    if (idle.length < slots.length) idle = new Int32Array(slots.length * 2);
    let count = 0;
    for (const index of slots) if (sockets[index] !== undefined && state[index] === IDLE) idle[count++] = index;
    const topic = topicOf(slots);
    topic.subscribe(idle, count);
    const failed = new Set<number>();
    for (let from = 0; from < all.length; from += MOST_PUBLISHED + 1) {
      const part = all.slice(from, from + MOST_PUBLISHED + 1);
      for (const message of part.slice(0, -1)) publish(topic.name, message);
      messages = part.slice(-1);
      for (let n = 0; n < count; n++) {
        const index = idle[n] ?? -1;
        taken = 0;
        socket = sockets[index];
        try {
          socket?.cork(sendAll);
        } catch {}
        if (taken === 0) failed.add(index);
      }
    }
    for (let at = 0, n = 0; at < slots.length; at++) {
      const index = slots[at] ?? -1;
      if (n === count || index !== idle[n]) {
        result.skipped.push(at);
        continue;
      }
      n++;
      if (failed.has(index)) result.failed.push(at);
      else if (sockets[index]?.getBufferedAmount() !== 0) result.queued.push(at);
      else continue;
      state[index] = MAY_WAIT;
    }
  };

  return {
    send(all, slots) {
      const result: Mutable = { skipped: [], queued: [], failed: [] };
      messages = all.map(asRead);
      if (all.length >= LONG && slots.length >= MANY) long(messages, slots, result);
      else each(slots, result, all.length === 1 ? single : burst);
      messages = [];
      socket = undefined;
      return result;
    },
    forget(slots) {
      topics.get(slots)?.end();
      topics.delete(slots);
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
