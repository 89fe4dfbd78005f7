import type { Clock, Random, Timer } from '../../net/clock.js';
import { createLiveness, type Liveness } from '../../net/liveness.js';
import { createRetry } from '../../net/retry.js';
import type { Connect } from '../../net/socket.js';
import type { Carrier, CarrierEnd, CarrierTarget, OpenCarrier } from './carriers/carrier.js';
import type { Frame } from './messages.js';

/**
 * The socket side of one source: one carrier at a time, connected again with back-off after whatever ended it. Each
 * connection has a generation number; what an older one says late is dropped.
 */
export interface Line {
  /** Connects now: whatever waits is not waited for, and a connection that lives stays. */
  connect(): void;
  /** Ends the connection, or the wait for one, on the relay's own decision; nothing follows until `connect`. */
  drop(reason: string): void;
  /** Ends the connection on the relay's own decision, and connects again with back-off. */
  renew(reason: string): void;
  askSessions(word: 'sessions' | 'session'): void;
  /** The login of this connection works: the back-off may begin to forget. */
  healthy(): void;
  readonly generation: number;
  readonly isOpen: boolean;
  /** Nothing is connected or being connected. */
  readonly isIdle: boolean;
}

export interface LineEnd extends Omit<CarrierEnd, 'initiator'> {
  readonly initiator: 'relay' | 'venue' | 'network';
}

export interface LineOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly connect: Connect;
  readonly open: OpenCarrier;
  /** Made anew for each connection: a SID changes, a signature holds a time. */
  readonly target: () => CarrierTarget;
  readonly opened: (generation: number) => void;
  readonly frame: (generation: number, frame: Frame) => void;
  /** Ended; the answer says how long to wait at least before the next attempt. */
  readonly ended: (generation: number, end: LineEnd) => number;
  readonly retrying: (generation: number, attempt: number, delayMs: number) => void;
  /** Silence, asked and not answered; the connection is ended next. */
  readonly missed: (info: { readonly silentMs: number; readonly missed: number; readonly intervalMs: number }) => void;
}

/** A closing handshake that takes longer is not waited for. */
const CLOSE_TIMEOUT_MS = 1_000;

interface Current {
  readonly carrier: Carrier;
  isOpen: boolean;
  /** Why the relay ended it. */
  dropped?: string;
}

export function createLine(options: LineOptions): Line {
  const { clock, random } = options;
  const retry = createRetry({ clock, random });
  let generation = 0;
  let current: Current | undefined;
  /** What to do once the present connection has ended. */
  let next: 'now' | 'later' | 'stay' = 'later';
  let timer: Timer | undefined;
  let closing: Timer | undefined;
  let liveness: Liveness | undefined;

  const start = (): void => {
    timer?.cancel();
    timer = undefined;
    next = 'later';
    const mine = ++generation;
    const isMine = (): boolean => mine === generation && current !== undefined && current.dropped === undefined;
    const carrier = options.open(options.connect, options.target(), {
      opened() {
        if (!isMine() || current === undefined) return;
        current.isOpen = true;
        liveness = createLiveness({
          clock,
          ask: () => guarded(() => current?.carrier.ask()),
          missed: options.missed,
          resumed: () => {},
          dead: ({ silentMs }) =>
            end(`silent for ${Math.round(silentMs / 1_000)} s, and no answer when asked`, 'later', 'terminate'),
        });
        options.opened(mine);
      },
      frame(frame) {
        if (!isMine()) return;
        liveness?.seen();
        options.frame(mine, frame);
      },
      alive() {
        if (isMine()) liveness?.seen();
      },
      ended(how) {
        if (mine !== generation || current === undefined) return;
        const { dropped } = current;
        current = undefined;
        liveness?.stop();
        closing?.cancel();
        retry.ended();
        const told: LineEnd = dropped === undefined ? how : { ...how, reason: dropped, initiator: 'relay' };
        const atLeastMs = options.ended(mine, told);
        if (current !== undefined || timer !== undefined) return; // the owner has connected already
        if (next === 'now') start();
        else if (next === 'later') later(atLeastMs);
      },
    });
    current = { carrier, isOpen: false };
  };
  const later = (atLeastMs: number): void => {
    const { attempt, delayMs } = retry.next(atLeastMs);
    timer = clock.setTimer(start, delayMs);
    options.retrying(generation, attempt, delayMs);
  };
  const end = (reason: string, then: typeof next, how: 'close' | 'terminate' = 'close'): void => {
    next = then;
    if (current === undefined || current.dropped !== undefined) return;
    const ending = current;
    ending.dropped = reason;
    liveness?.stop();
    ending.carrier[how]();
    if (how === 'close') closing = clock.setTimer(() => ending.carrier.terminate(), CLOSE_TIMEOUT_MS);
  };
  /** A socket that has just gone throws where one sends: its end is told in a moment. */
  const guarded = (task: () => void): void => {
    try {
      task();
    } catch {
      // the end follows
    }
  };

  return {
    connect() {
      if (current === undefined) start();
      else if (current.dropped !== undefined) next = 'now';
    },
    drop(reason) {
      timer?.cancel();
      timer = undefined;
      end(reason, 'stay');
    },
    renew: (reason) => end(reason, 'later'),
    askSessions: (word) => guarded(() => current?.carrier.askSessions(word)),
    healthy: () => retry.healthy(),
    get generation() {
      return generation;
    },
    get isOpen() {
      return current?.isOpen === true && current.dropped === undefined;
    },
    get isIdle() {
      return current === undefined;
    },
  };
}
