import { messageOf } from '../errors.js';
import type { Clock } from '../net/clock.js';
import type { Log } from '../net/log.js';
import { CLOSE } from './errors.js';
import type { Frame } from './frames.js';
import { HEARTBEAT_SHARE, LIVE_AGAIN_SHARE, type Limits, REPLAY_BYTES, REPLAY_SHARE, STREAM_SHARE } from './limits.js';
import { createStallWatch } from './stall.js';
import type { EdgeStats } from './stats.js';
import { bytesOnWire, type SendOutcome, type Wire } from './wire.js';

/**
 * The way down to one subscriber. What waits in the socket never exceeds `maxBufferedBytes`, but for one message that is
 * larger than all of it, which is sent alone. Every outcome is looked at: what was not sent is told to whoever sends,
 * and never skipped. Nothing here throws.
 */
export interface Outbound {
  /**
   * Messages that cannot wait: replies, and what is said of the connection. Where there is no room the connection ends
   * with 4408. `false` where it is gone or being ended.
   */
  send(texts: readonly string[]): boolean;
  /** Live frames: how many of them went, from the first on. The others must be replayed. */
  push(frames: readonly Frame[]): number;
  /** So many bytes were handed to the socket by {@link FanOut}, and something waits in it since. */
  queued(bytes: number): void;
  /**
   * Frames of a replay from index `from` on, no more than one part: the index of the first that did not go. `first`
   * stands in for the frame at `from`.
   */
  pour(frames: readonly Frame[], from: number, first: Frame): number;
  /** Messages that belong to a replay, all or none; `false` where there is no room now. */
  offer(texts: readonly string[]): boolean;
  /** A message that may be left out, or come later: `pulse` only where nothing waits. Whether it went. */
  spare(text: string, kind: 'pulse' | 'heartbeat'): boolean;
  /** Whether a replay may send a message of so many bytes: nothing is read before it may. */
  hasRoom(bytes: number): boolean;
  /** So little waits that what is live may follow. */
  isLow(): boolean;
  /** Nothing is waiting in the socket. */
  isIdle(): boolean;
  /** Resolves when there is room for so many bytes more; `false` where the connection is gone. */
  writable(bytes: number): Promise<boolean>;
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
  readonly stats: Pick<EdgeStats, 'deliveries' | 'deliveredBytes'>;
  /**
   * Part of what waited has left together with a message of ours: no drain of the socket tells of that, and whoever
   * waits for room would wait for ever.
   */
  readonly left?: () => void;
  /** Ends the connection. */
  readonly close: (code: number, reason: string) => void;
}

interface Waiting {
  readonly bytes: number;
  readonly tell: (open: boolean) => void;
}

export function createOutbound({ wire, limits, clock, log, stats, left, close }: OutboundOptions): Outbound {
  const most = limits.maxBufferedBytes;
  const streamMost = Math.floor(most * STREAM_SHARE);
  const replayMost = Math.floor(streamMost * REPLAY_SHARE);
  const liveAgain = Math.floor(streamMost * LIVE_AGAIN_SHARE);
  const heartbeatMost = Math.floor(most * HEARTBEAT_SHARE);
  let waiting: Waiting[] = [];
  let stopped = false;
  const stall = createStallWatch({
    clock,
    stallMs: limits.stallMs,
    buffered: () => wire.buffered(),
    stalled: () => close(CLOSE.tooSlow, 'too slow: nothing was read for too long; resume with your last cursor'),
  });

  // What is being written, for the one task that every cork runs.
  let frames: readonly Frame[] = [];
  let next = 0;
  let first: Frame | undefined;
  let texts: readonly string[] = [];
  let room = 0;
  let written = 0;
  let alone = false;
  let outcome: SendOutcome = 'sent';
  const ended = (how: SendOutcome): boolean => outcome === how;
  const takes = (message: string | Uint8Array, bytes: number): boolean => {
    const size = bytesOnWire(bytes);
    if (size > room && !alone) return false;
    outcome = wire.send(message);
    if (outcome === 'refused' || outcome === 'closed') return false;
    alone = false;
    room -= size;
    written += size;
    return true;
  };
  const writeFrames = (): void => {
    for (; next < frames.length; next++) {
      const frame = first ?? frames[next];
      if (frame === undefined || !takes(frame.data ?? frame.text, frame.bytes)) return;
      first = undefined;
    }
  };
  const writeTexts = (): void => {
    for (const text of texts) if (!takes(text, Buffer.byteLength(text))) return;
  };
  /** `count` messages at most: a single one leaves at once anyway, and a cork costs a call out of JavaScript and back. */
  const write = (task: () => void, count: number, before: number, bytes: number, mayBeAlone: boolean): void => {
    stall.look(before);
    room = bytes;
    written = 0;
    alone = mayBeAlone && before === 0;
    outcome = 'sent';
    try {
      if (count === 1) task();
      else wire.cork(task);
      const now = wire.buffered();
      stall.sent(now, written);
      if (now < before) {
        tellWaiting(now);
        left?.();
      }
      if (ended('closed')) close(CLOSE.goingAway, 'the socket is gone');
    } catch (thrown) {
      log.error('a frame could not be sent', { error: messageOf(thrown) });
      close(CLOSE.fault, 'a fault in the relay: connect again and resume');
    }
  };
  const isFree = (before: number, bytes: number, upTo: number): boolean => before === 0 || before + bytes <= upTo;
  const tellWaiting = (now: number): void => {
    if (waiting.length === 0) return;
    const all = waiting;
    waiting = [];
    for (const one of all) {
      if (isFree(now, one.bytes, streamMost)) one.tell(true);
      else waiting.push(one);
    }
  };
  const sizeOf = (all: readonly string[]): number =>
    all.reduce((sum, text) => sum + bytesOnWire(Buffer.byteLength(text)), 0);
  /** All of them or none; there is room. */
  const writeAll = (all: readonly string[], before: number): boolean => {
    texts = all;
    write(writeTexts, all.length, before, Number.POSITIVE_INFINITY, true);
    texts = [];
    return !stopped && !ended('refused');
  };

  const tooSlow = (): void =>
    close(CLOSE.tooSlow, 'too slow: a reply found no room, because too much is unread; resume with your last cursor');

  return {
    send(all) {
      if (stopped) return false;
      const before = wire.buffered();
      const isSent = isFree(before, sizeOf(all), most) && writeAll(all, before);
      if (!isSent && !stopped) tooSlow();
      return isSent;
    },
    push(all) {
      if (stopped) return 0;
      frames = all;
      next = 0;
      first = undefined;
      // What the socket hands on at once makes room again, up to what one turn may push: the others' turn comes too.
      for (let left = most; left > 0; left -= written) {
        const [from, before] = [next, wire.buffered()];
        write(writeFrames, all.length - next, before, Math.min(left, streamMost - before), left === most);
        stats.deliveries += next - from;
        stats.deliveredBytes += written;
        if (next === from || next === all.length || ended('refused') || stopped) break;
      }
      frames = [];
      return next;
    },
    queued(bytes) {
      if (!stopped) stall.sent(wire.buffered(), bytes);
    },
    pour(all, from, head) {
      if (stopped) return from;
      const before = wire.buffered();
      frames = all;
      next = from;
      first = head;
      write(writeFrames, all.length - from, before, Math.min(REPLAY_BYTES, replayMost - before), true);
      stats.deliveries += next - from;
      stats.deliveredBytes += written;
      frames = [];
      first = undefined;
      return next;
    },
    offer(all) {
      if (stopped) return false;
      const before = wire.buffered();
      return isFree(before, sizeOf(all), replayMost) && writeAll(all, before);
    },
    spare(text, kind) {
      if (stopped) return false;
      const before = wire.buffered();
      if (kind === 'pulse' && before > 0) return false;
      return isFree(before, sizeOf([text]), heartbeatMost) && writeAll([text], before);
    },
    hasRoom: (bytes) => !stopped && isFree(wire.buffered(), bytesOnWire(bytes), replayMost),
    isLow: () => !stopped && wire.buffered() <= liveAgain,
    isIdle: () => !stopped && wire.buffered() === 0,
    writable(bytes) {
      if (stopped) return Promise.resolve(false);
      if (isFree(wire.buffered(), bytes, streamMost)) return Promise.resolve(true);
      return new Promise((tell) => waiting.push({ bytes, tell }));
    },
    drained() {
      if (stopped) return;
      const now = wire.buffered();
      stall.look(now);
      tellWaiting(now);
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
