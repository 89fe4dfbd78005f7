import type { WebSocket } from 'uWebSockets.js';
import type { FanOut, SendOutcome, Wire, WireHandlers } from '../edge/wire.js';
import { closeReason } from './refusal.js';
import { IDLE, MAY_WAIT, NOT_OPEN, type Slots } from './slots.js';
import { QUEUED, SENT } from './uws-fan-out.js';

/** How long a peer may take to read what is queued before its close frame; then the socket is dropped. */
const CLOSE_GRACE_MS = 30_000;
/**
 * A socket that something waits in, and that has told of no drain for so long, is written to once more. uWebSockets.js
 * was seen (20.0.8 on Linux, both cores busy) to keep tens of KiB back for good while the peer had read all before:
 * the event that the socket is writable never came. Whoever waits for room would wait for the next heartbeat.
 */
const PROD_AFTER_MS = 200;

/** The one owner of a native socket, which must never be touched after its close event: this knows when that was. */
export interface UwsWire extends Wire {
  /** Who listens; what happened before (a socket that closed while it was being opened) is told now. */
  attach(handlers: WireHandlers): void;
  received(text: string | undefined, bytes: number): void;
  drained(): void;
  ended(code: number, reason: string): void;
}

export interface UwsWireOptions {
  readonly remoteAddress: string;
  readonly maxBufferedBytes: number;
  readonly slots: Slots<WebSocket<unknown>>;
  /** Over the same slots. */
  readonly fanOut: FanOut;
}

export function createUwsWire(socket: WebSocket<unknown>, options: UwsWireOptions): UwsWire {
  const { remoteAddress, maxBufferedBytes, slots, fanOut } = options;
  const index = slots.take(socket);
  let state: 'open' | 'closing' | 'closed' = 'open';
  let handlers: WireHandlers | undefined;
  let end: { readonly code: number; readonly reason: string } | undefined;
  /** The close frame that waits for the queue before it. */
  let farewell: { readonly code: number; readonly reason: string } | undefined;
  let grace: NodeJS.Timeout | undefined;
  /**
   * Something may wait in the socket. Asking is a call out of JavaScript, and most of the time nothing waits: what was
   * sent outside of any cork, and was not queued, has left.
   */
  const mayWait = (): boolean => slots.states()[index] !== IDLE;
  /** Before it is attached, and once it is closing, nobody but its own handlers sends. */
  const setWaits = (waits: boolean): void => {
    // Its number may be another's by now.
    if (state === 'closed') return;
    slots.states()[index] = state !== 'open' || handlers === undefined ? NOT_OPEN : waits ? MAY_WAIT : IDLE;
  };

  const isClosed = (): boolean => state === 'closed';
  let prodding: NodeJS.Timeout | undefined;
  let hasDrained = false;

  const waiting = (): number => {
    if (!mayWait()) return 0;
    const bytes = socket.getBufferedAmount();
    setWaits(bytes > 0);
    if (bytes > 0 && prodding === undefined) {
      hasDrained = false;
      prodding = setTimeout(prod, PROD_AFTER_MS);
      prodding.unref();
    }
    return bytes;
  };
  const prod = (): void => {
    prodding = undefined;
    if (isClosed()) return;
    const before = socket.getBufferedAmount();
    // An empty cork writes what is kept back, and nothing else.
    if (before > 0 && !hasDrained) socket.cork(() => undefined);
    setWaits(true);
    if (!isClosed() && waiting() < before) drained();
  };
  const finish = (code: number, reason: string): void => {
    if (state !== 'closed') socket.end(code, reason);
  };
  const terminate = (): void => {
    if (state === 'closed') return;
    state = 'closing';
    setWaits(true);
    socket.close();
  };

  const drained = (): void => {
    setWaits(true);
    if (state === 'open') handlers?.drained();
    else if (farewell !== undefined && state === 'closing' && socket.getBufferedAmount() === 0)
      finish(farewell.code, farewell.reason);
    setWaits(true);
  };

  return {
    remoteAddress,
    slot: { fanOut, index },
    get isOpen() {
      return state === 'open';
    },
    buffered: () => (state === 'closed' ? 0 : waiting()),
    send(message): SendOutcome {
      if (state !== 'open') return 'closed';
      if (mayWait() && waiting() > maxBufferedBytes) return 'refused';
      const outcome = socket.send(message, false, false);
      if (outcome === SENT) return 'sent';
      setWaits(true);
      return outcome === QUEUED ? 'queued' : 'refused';
    },
    cork(task) {
      if (state === 'closed') return task();
      let failure: { readonly thrown: unknown } | undefined;
      socket.cork(() => {
        try {
          task();
        } catch (thrown) {
          failure = { thrown };
        }
      });
      // What was corked leaves, or not, after the task.
      setWaits(true);
      if (failure !== undefined) throw failure.thrown;
      return undefined;
    },
    close(code, reason) {
      if (state !== 'open') return;
      state = 'closing';
      const text = closeReason(reason);
      setWaits(true);
      if (waiting() === 0) return finish(code, text);
      // Behind what is queued: above its limit uWebSockets.js would drop the close frame and cut the queue off.
      farewell = { code, reason: text };
      grace = setTimeout(terminate, CLOSE_GRACE_MS);
      return undefined;
    },
    terminate,
    attach(next) {
      handlers = next;
      setWaits(true);
      if (end !== undefined) next.closed(end.code, end.reason);
    },
    received(text, bytes) {
      if (state === 'open') handlers?.message(text, bytes);
      // Within its own events uWebSockets.js corks a socket by itself: what was sent then leaves, or not, afterwards.
      setWaits(true);
    },
    drained() {
      hasDrained = true;
      drained();
    },
    ended(code, reason) {
      if (state === 'closed') return;
      state = 'closing';
      setWaits(true);
      state = 'closed';
      clearTimeout(grace);
      clearTimeout(prodding);
      if (handlers === undefined) end = { code, reason };
      else handlers.closed(code, reason);
      // Whoever stood in a group has left it by now.
      slots.give(index);
    },
  };
}
