import type { WebSocket } from 'uWebSockets.js';
import type { FanOut, SendOutcome, Slot, Wire, WireHandlers } from '../edge/wire.js';
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
  return new SocketWire(socket, options);
}

/** Close code and reason. */
interface End {
  readonly code: number;
  readonly reason: string;
}

/** A class, and its own slot: there are as many of these as subscribers, and closures cost each 50 bytes and more. */
class SocketWire implements UwsWire, Slot {
  readonly remoteAddress: string;
  readonly index: number;
  readonly fanOut: FanOut;
  private readonly socket: WebSocket<unknown>;
  private readonly slots: Slots<WebSocket<unknown>>;
  private readonly maxBufferedBytes: number;
  private state: 'open' | 'closing' | 'closed' = 'open';
  private handlers: WireHandlers | undefined;
  /** The close frame that waits for the queue before it; or, where nobody is attached yet, what ended it. */
  private end: End | undefined;
  /** Runs out when the peer does not read what is queued before its close frame. */
  private grace: NodeJS.Timeout | undefined;
  private prodding: NodeJS.Timeout | undefined;
  private hasDrained = false;

  constructor(socket: WebSocket<unknown>, { remoteAddress, maxBufferedBytes, slots, fanOut }: UwsWireOptions) {
    this.remoteAddress = remoteAddress;
    this.index = slots.take(socket);
    this.fanOut = fanOut;
    this.socket = socket;
    this.slots = slots;
    this.maxBufferedBytes = maxBufferedBytes;
  }

  get slot(): Slot {
    return this;
  }

  get isOpen(): boolean {
    return this.state === 'open';
  }

  buffered(): number {
    return this.isClosed() ? 0 : this.waiting();
  }

  send(message: string | Uint8Array): SendOutcome {
    if (this.state !== 'open') return 'closed';
    if (this.mayWait() && this.waiting() > this.maxBufferedBytes) return 'refused';
    const outcome = this.socket.send(message, false, false);
    if (outcome === SENT) return 'sent';
    this.setWaits(true);
    return outcome === QUEUED ? 'queued' : 'refused';
  }

  cork(task: () => void): void {
    if (this.isClosed()) return task();
    let failure: { readonly thrown: unknown } | undefined;
    this.socket.cork(() => {
      try {
        task();
      } catch (thrown) {
        failure = { thrown };
      }
    });
    // What was corked leaves, or not, after the task.
    this.setWaits(true);
    if (failure !== undefined) throw failure.thrown;
    return undefined;
  }

  close(code: number, reason: string): void {
    if (this.state !== 'open') return;
    this.state = 'closing';
    const end = { code, reason: closeReason(reason) };
    this.setWaits(true);
    if (this.waiting() === 0) return this.finish(end);
    // Behind what is queued: above its limit uWebSockets.js would drop the close frame and cut the queue off.
    this.end = end;
    this.grace = setTimeout(() => this.terminate(), CLOSE_GRACE_MS);
    return undefined;
  }

  terminate(): void {
    if (this.isClosed()) return;
    this.state = 'closing';
    this.setWaits(true);
    this.socket.close();
  }

  attach(handlers: WireHandlers): void {
    this.handlers = handlers;
    this.setWaits(true);
    if (this.isClosed() && this.end !== undefined) handlers.closed(this.end.code, this.end.reason);
  }

  received(text: string | undefined, bytes: number): void {
    if (this.state === 'open') this.handlers?.message(text, bytes);
    // Within its own events uWebSockets.js corks a socket by itself: what was sent then leaves, or not, afterwards.
    this.setWaits(true);
  }

  drained(): void {
    this.hasDrained = true;
    this.tellDrained();
  }

  ended(code: number, reason: string): void {
    if (this.isClosed()) return;
    this.state = 'closing';
    this.setWaits(true);
    this.state = 'closed';
    clearTimeout(this.grace);
    clearTimeout(this.prodding);
    if (this.handlers === undefined) this.end = { code, reason };
    else this.handlers.closed(code, reason);
    // Whoever stood in a group has left it by now.
    this.slots.give(this.index);
  }

  // A function: what ends it happens while something is called.
  private isClosed(): boolean {
    return this.state === 'closed';
  }

  /**
   * Something may wait in the socket. Asking is a call out of JavaScript, and most of the time nothing waits: what was
   * sent outside of any cork, and was not queued, has left.
   */
  private mayWait(): boolean {
    return this.slots.states()[this.index] !== IDLE;
  }

  /** Before it is attached, and once it is closing, nobody but its own handlers sends. */
  private setWaits(waits: boolean): void {
    // Its number may be another's by now.
    if (this.isClosed()) return;
    const isReady = this.state === 'open' && this.handlers !== undefined;
    this.slots.states()[this.index] = isReady ? (waits ? MAY_WAIT : IDLE) : NOT_OPEN;
  }

  private waiting(): number {
    if (!this.mayWait()) return 0;
    const bytes = this.socket.getBufferedAmount();
    this.setWaits(bytes > 0);
    if (bytes > 0 && this.prodding === undefined) {
      this.hasDrained = false;
      this.prodding = setTimeout(() => this.prod(), PROD_AFTER_MS);
      this.prodding.unref();
    }
    return bytes;
  }

  private prod(): void {
    this.prodding = undefined;
    if (this.isClosed()) return;
    const before = this.socket.getBufferedAmount();
    // An empty cork writes what is kept back, and nothing else.
    if (before > 0 && !this.hasDrained) this.socket.cork(() => undefined);
    this.setWaits(true);
    if (!this.isClosed() && this.waiting() < before) this.tellDrained();
  }

  private tellDrained(): void {
    this.setWaits(true);
    if (this.state === 'open') this.handlers?.drained();
    else if (this.end !== undefined && this.state === 'closing' && this.socket.getBufferedAmount() === 0)
      this.finish(this.end);
    this.setWaits(true);
  }

  private finish({ code, reason }: End): void {
    if (!this.isClosed()) this.socket.end(code, reason);
  }
}
