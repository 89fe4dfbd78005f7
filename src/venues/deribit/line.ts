import type { Clock, Random, Timer } from '../../net/clock.js';
import { createRetry } from '../../net/retry.js';
import type { Connect, ConnectOptions, Socket, SocketEnd } from '../../net/socket.js';

/**
 * The socket of one source: one at a time, connected again with back-off after whatever ended it. Each has a generation
 * number; what an older one says late is dropped. Nothing here ends a socket by itself.
 */
export interface Line {
  /** Connects now: a wait is cut short, a socket that lives stays. */
  connect(): void;
  /**
   * Ends the socket, or the wait for one, on the relay's own decision. `close` starts the closing handshake (and drops
   * the connection where that takes too long), `terminate` drops it at once.
   */
  end(reason: string, how: 'close' | 'terminate', then: Then): void;
  /** The venue is about to end the socket because the relay asked it to: what that end will mean. */
  expectEnd(reason: string, then: Then): void;
  /** It does not after all. */
  expectNoEnd(): void;
  /** The session on it works: the back-off may begin to forget. */
  healthy(): void;
  readonly generation: number;
  readonly phase: 'idle' | 'waiting' | 'connecting' | 'open' | 'closing';
}

/** What follows an end: the next attempt after a back-off, at once, or nothing until `connect`. */
export type Then = 'later' | 'now' | 'stay';

export interface LineEnd {
  readonly generation: number;
  /** The socket had been open. */
  readonly wasOpen: boolean;
  readonly code: number;
  readonly reason: string;
  readonly clean: boolean;
  readonly byRelay: boolean;
  readonly refused?: SocketEnd['refused'];
  /** The venue sent a frame that is larger than the socket takes. */
  readonly oversized: boolean;
}

export interface LineOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly connect: Connect;
  readonly url: string;
  readonly socket: ConnectOptions;
  /** `send` throws `closed` once the socket is not open. */
  readonly opened: (generation: number, send: (text: string) => void) => void;
  readonly message: (text: string) => void;
  /** Ended. The answer says how long to wait at least before the next attempt, or `stay`. */
  readonly ended: (end: LineEnd) => number | 'stay';
  readonly retrying: (generation: number, attempt: number, delayMs: number) => void;
}

/** A closing handshake that takes longer is not waited for. */
const CLOSE_TIMEOUT_MS = 1_000;
const NORMAL_CLOSE = 1000;

interface Current {
  readonly socket: Socket;
  isOpen: boolean;
  isClosing: boolean;
  /** Why the relay ended it, or had it ended. */
  expected?: string;
}

export function createLine(options: LineOptions): Line {
  const { clock, random } = options;
  const retry = createRetry({ clock, random });
  let generation = 0;
  let current: Current | undefined;
  let next: Then = 'later';
  let wait: Timer | undefined;
  let closing: Timer | undefined;

  const start = (): void => {
    wait?.cancel();
    wait = undefined;
    next = 'later';
    const mine = ++generation;
    const socket = options.connect(options.url, options.socket, {
      opened() {
        if (mine !== generation || current === undefined) return;
        if (current.isClosing) return socket.terminate();
        current.isOpen = true;
        options.opened(mine, (text) => socket.send(text));
      },
      message(text) {
        if (mine === generation && current?.isClosing === false) options.message(text);
      },
      pong() {},
      ended(end) {
        if (mine === generation && current !== undefined) over(current, end);
      },
    });
    current = { socket, isOpen: false, isClosing: false };
  };
  const over = ({ isOpen, expected }: Current, end: SocketEnd): void => {
    current = undefined;
    closing?.cancel();
    retry.ended();
    const oversized = /max payload/i.test(end.error ?? '') || (isOpen && end.code === 1009);
    const words = [end.reason, end.error].filter((text) => text !== undefined && text !== '').join(': ');
    const atLeastMs = options.ended({
      generation,
      wasOpen: isOpen,
      code: end.code,
      reason: expected ?? words,
      clean: end.clean,
      byRelay: expected !== undefined || oversized,
      oversized,
      ...(end.refused === undefined ? {} : { refused: end.refused }),
    });
    if (current !== undefined || wait !== undefined || next === 'stay' || atLeastMs === 'stay') return;
    if (next === 'now' && atLeastMs === 0) return start();
    const { attempt, delayMs } = retry.next(atLeastMs);
    wait = clock.setTimer(start, delayMs);
    options.retrying(generation, attempt, delayMs);
  };

  return {
    connect() {
      if (current === undefined) start();
      else if (current.isClosing) next = 'now';
    },
    end(reason, how, then) {
      wait?.cancel();
      wait = undefined;
      next = then;
      if (current === undefined) {
        if (then === 'now') start();
        return;
      }
      current.expected ??= reason;
      if (current.isClosing && how === 'close') return;
      current.isClosing = true;
      const { socket } = current;
      if (how === 'terminate' || !current.isOpen) return socket.terminate();
      socket.close(NORMAL_CLOSE, '');
      closing?.cancel();
      closing = clock.setTimer(() => socket.terminate(), CLOSE_TIMEOUT_MS);
    },
    expectEnd(reason, then) {
      if (current === undefined) return;
      next = then;
      current.expected = reason;
    },
    expectNoEnd() {
      next = 'later';
      if (current?.isClosing === false) delete current.expected;
    },
    healthy: () => retry.healthy(),
    get generation() {
      return generation;
    },
    get phase() {
      if (current === undefined) return wait === undefined ? 'idle' : 'waiting';
      if (current.isClosing) return 'closing';
      return current.isOpen ? 'open' : 'connecting';
    },
  };
}
