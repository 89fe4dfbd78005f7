import { messageOf } from '../errors.js';
import type { Clock } from '../net/clock.js';
import type { Log } from '../net/log.js';
import { CLOSE } from './errors.js';
import type { Limits } from './limits.js';
import { createStallWatch } from './stall.js';
import type { SendOutcome, Wire } from './wire.js';

/** The way down to one subscriber. Every outcome is looked at: what cannot be sent ends the connection, it is never skipped. */
export interface Outbound {
  /** Sends frames now, in one write where it can be; `false` where the connection is gone or being ended. Never throws. */
  send(frames: readonly string[]): boolean;
  /** Resolves when there is room for so many bytes more; `false` where the connection is gone. */
  writable(bytes: number): Promise<boolean>;
  /** Nothing is waiting in the socket. */
  isIdle(): boolean;
  /** The socket says that part of what waited has left. */
  drained(): void;
  /** Nothing is sent after this; whoever waits for room is told that there will be none. Idempotent. */
  stop(): void;
}

export interface OutboundOptions {
  readonly wire: Wire;
  readonly limits: Pick<Limits, 'maxBufferedBytes' | 'stallMs'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Ends the connection. */
  readonly close: (code: number, reason: string) => void;
}

interface Waiting {
  readonly bytes: number;
  readonly tell: (open: boolean) => void;
}

export function createOutbound({ wire, limits, clock, log, close }: OutboundOptions): Outbound {
  let waiting: Waiting[] = [];
  let stopped = false;
  const stall = createStallWatch({
    clock,
    stallMs: limits.stallMs,
    buffered: () => wire.buffered(),
    stalled: () => close(CLOSE.tooSlow, 'too slow: nothing was read for too long; resume with your last cursor'),
  });

  /** Half is left to what cannot wait: replies and live frames. */
  const hasRoom = (bytes: number): boolean => {
    const buffered = wire.buffered();
    return buffered === 0 || buffered + bytes <= limits.maxBufferedBytes / 2;
  };

  const write = (frames: readonly string[]): SendOutcome => {
    let outcome: SendOutcome = 'sent';
    wire.cork(() => {
      for (const frame of frames) {
        outcome = wire.send(frame);
        if (isLost(outcome)) return;
      }
    });
    return outcome;
  };

  return {
    send(frames) {
      if (stopped) return false;
      stall.look();
      let outcome: SendOutcome;
      try {
        outcome = write(frames);
      } catch (thrown) {
        log.error('a frame could not be sent', { error: messageOf(thrown) });
        close(CLOSE.fault, 'a fault in the relay: connect again and resume');
        return false;
      }
      if (isLost(outcome) || wire.buffered() > limits.maxBufferedBytes) {
        close(CLOSE.tooSlow, 'too slow: more was left unread than maxBufferedBytes; resume with your last cursor');
        return false;
      }
      stall.look();
      return true;
    },
    writable(bytes) {
      if (stopped) return Promise.resolve(false);
      if (hasRoom(bytes)) return Promise.resolve(true);
      return new Promise((tell) => waiting.push({ bytes, tell }));
    },
    isIdle: () => !stopped && wire.buffered() === 0,
    drained() {
      if (stopped) return;
      stall.look();
      const before = waiting;
      waiting = [];
      for (const one of before) {
        if (hasRoom(one.bytes)) one.tell(true);
        else waiting.push(one);
      }
    },
    stop() {
      if (stopped) return;
      stopped = true;
      stall.stop();
      for (const { tell } of waiting) tell(false);
      waiting = [];
    },
  };
}

function isLost(outcome: SendOutcome): boolean {
  return outcome === 'refused' || outcome === 'closed';
}
