import { messageOf } from '../errors.js';
import type { Clock } from '../net/clock.js';
import type { Log } from '../net/log.js';
import { CLOSE } from './errors.js';
import type { Frame } from './frames.js';
import { HEARTBEAT_SHARE, LIVE_AGAIN_SHARE, type Limits, REPLAY_BYTES, REPLAY_SHARE, STREAM_SHARE } from './limits.js';
import { createStallWatch, type StallWatch } from './stall.js';
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

/** What is the same for all connections of an edge. */
export interface OutboundTerms {
  readonly limits: Pick<Limits, 'maxBufferedBytes' | 'stallMs'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly stats: Pick<EdgeStats, 'deliveries' | 'deliveredBytes'>;
}

/** Whose way down it is. */
export interface OutboundOwner {
  /**
   * Part of what waited has left together with a message of ours: no drain of the socket tells of that, and whoever
   * waits for room would wait for ever.
   */
  left(): void;
  /** Ends the connection. */
  close(code: number, reason: string): void;
}

interface Waiting {
  readonly bytes: number;
  readonly tell: (open: boolean) => void;
}

export function createOutbound(wire: Wire, terms: OutboundTerms, owner: OutboundOwner): Outbound {
  return new WireOutbound(wire, terms, owner);
}

/** One write: what the wire took of what it was handed. */
class Writing {
  /** The first frame that did not go. */
  next: number;
  written = 0;
  outcome: SendOutcome = 'sent';
  private readonly wire: Wire;
  private room: number;
  /** A message that is larger than all the room may go where nothing else waits. */
  private alone: boolean;

  constructor(wire: Wire, from: number, room: number, alone: boolean) {
    this.wire = wire;
    this.next = from;
    this.room = room;
    this.alone = alone;
  }

  /** From `next` on, until there is no room; `first` stands in for the first of them. */
  frames(frames: readonly Frame[], first?: Frame): void {
    let head = first;
    for (; this.next < frames.length; this.next++) {
      const frame = head ?? frames[this.next];
      if (frame === undefined || !this.takes(frame.data ?? frame.text, frame.bytes)) return;
      head = undefined;
    }
  }

  texts(texts: readonly string[]): void {
    for (const text of texts) if (!this.takes(text, Buffer.byteLength(text))) return;
  }

  private takes(message: string | Uint8Array, bytes: number): boolean {
    const size = bytesOnWire(bytes);
    if (size > this.room && !this.alone) return false;
    this.outcome = this.wire.send(message);
    if (this.outcome === 'refused' || this.outcome === 'closed') return false;
    this.alone = false;
    this.room -= size;
    this.written += size;
    return true;
  }
}

class WireOutbound implements Outbound {
  private readonly wire: Wire;
  private readonly terms: OutboundTerms;
  private readonly owner: OutboundOwner;
  private stopped = false;
  /** Only while something waits in the socket. */
  private stall: StallWatch | undefined;
  private waiting: Waiting[] | undefined;

  constructor(wire: Wire, terms: OutboundTerms, owner: OutboundOwner) {
    this.wire = wire;
    this.terms = terms;
    this.owner = owner;
  }

  send(texts: readonly string[]): boolean {
    if (this.stopped) return false;
    const before = this.wire.buffered();
    const isSent = isFree(before, sizeOf(texts), this.most) && this.writeAll(texts, before);
    if (!isSent && !this.stopped)
      this.owner.close(
        CLOSE.tooSlow,
        'too slow: a reply found no room, because too much is unread; resume with your last cursor',
      );
    return isSent;
  }

  push(frames: readonly Frame[]): number {
    if (this.stopped) return 0;
    const { most, streamMost } = this;
    let next = 0;
    // What the socket hands on at once makes room again, up to what one turn may push: the others' turn comes too.
    for (let left = most; left > 0; ) {
      const before = this.wire.buffered();
      const mayBeAlone = left === most && before === 0;
      const writing = new Writing(this.wire, next, Math.min(left, streamMost - before), mayBeAlone);
      this.write(writing, frames.length - next, before, () => writing.frames(frames));
      this.count(writing.next - next, writing.written);
      const isStuck = writing.next === next || writing.outcome === 'refused' || this.stopped;
      next = writing.next;
      left -= writing.written;
      if (isStuck || next === frames.length) break;
    }
    return next;
  }

  queued(bytes: number): void {
    if (!this.stopped) this.watch(this.wire.buffered(), bytes);
  }

  pour(frames: readonly Frame[], from: number, first: Frame): number {
    if (this.stopped) return from;
    const before = this.wire.buffered();
    const room = Math.min(REPLAY_BYTES, this.replayMost - before);
    const writing = new Writing(this.wire, from, room, before === 0);
    this.write(writing, frames.length - from, before, () => writing.frames(frames, first));
    this.count(writing.next - from, writing.written);
    return writing.next;
  }

  offer(texts: readonly string[]): boolean {
    if (this.stopped) return false;
    const before = this.wire.buffered();
    return isFree(before, sizeOf(texts), this.replayMost) && this.writeAll(texts, before);
  }

  spare(text: string, kind: 'pulse' | 'heartbeat'): boolean {
    if (this.stopped) return false;
    const before = this.wire.buffered();
    if (kind === 'pulse' && before > 0) return false;
    const most = Math.floor(this.most * HEARTBEAT_SHARE);
    return isFree(before, sizeOf([text]), most) && this.writeAll([text], before);
  }

  hasRoom(bytes: number): boolean {
    return !this.stopped && isFree(this.wire.buffered(), bytesOnWire(bytes), this.replayMost);
  }

  isLow(): boolean {
    return !this.stopped && this.wire.buffered() <= Math.floor(this.streamMost * LIVE_AGAIN_SHARE);
  }

  isIdle(): boolean {
    return !this.stopped && this.wire.buffered() === 0;
  }

  writable(bytes: number): Promise<boolean> {
    if (this.stopped) return Promise.resolve(false);
    if (isFree(this.wire.buffered(), bytes, this.streamMost)) return Promise.resolve(true);
    this.waiting ??= [];
    const { waiting } = this;
    return new Promise((tell) => waiting.push({ bytes, tell }));
  }

  drained(): void {
    if (this.stopped) return;
    const now = this.wire.buffered();
    this.watch(now, 0);
    this.tellWaiting(now);
  }

  stop(): void {
    if (this.stopped) return;
    this.stopped = true;
    this.stall?.stop();
    this.stall = undefined;
    for (const { tell } of this.waiting ?? []) tell(false);
    this.waiting = undefined;
  }

  private get most(): number {
    return this.terms.limits.maxBufferedBytes;
  }

  private get streamMost(): number {
    return Math.floor(this.most * STREAM_SHARE);
  }

  private get replayMost(): number {
    return Math.floor(this.streamMost * REPLAY_SHARE);
  }

  /** All of them or none; there is room. */
  private writeAll(texts: readonly string[], before: number): boolean {
    const writing = new Writing(this.wire, 0, Number.POSITIVE_INFINITY, before === 0);
    this.write(writing, texts.length, before, () => writing.texts(texts));
    return !this.stopped && writing.outcome !== 'refused';
  }

  /** `count` messages at most: a single one leaves at once anyway, and a cork costs a call out of JavaScript and back. */
  private write(writing: Writing, count: number, before: number, task: () => void): void {
    this.watch(before, 0);
    try {
      if (count === 1) task();
      else this.wire.cork(task);
      const now = this.wire.buffered();
      this.watch(now, writing.written);
      if (now < before) {
        this.tellWaiting(now);
        this.owner.left();
      }
      if (writing.outcome === 'closed') this.owner.close(CLOSE.goingAway, 'the socket is gone');
    } catch (thrown) {
      const { log } = this.terms;
      log.error('a frame could not be sent', { error: messageOf(thrown) });
      this.owner.close(CLOSE.fault, 'a fault in the relay: connect again and resume');
    }
  }

  /** So many bytes wait, after so many more were handed over. */
  private watch(buffered: number, bytes: number): void {
    if (this.stopped) return;
    if (buffered === 0) {
      this.stall?.stop();
      this.stall = undefined;
      return;
    }
    this.stall ??= createStallWatch({
      clock: this.terms.clock,
      stallMs: this.terms.limits.stallMs,
      buffered: () => this.wire.buffered(),
      stalled: () =>
        this.owner.close(CLOSE.tooSlow, 'too slow: nothing was read for too long; resume with your last cursor'),
    });
    this.stall.sent(buffered, bytes);
  }

  private tellWaiting(now: number): void {
    if (this.waiting === undefined) return;
    const still: Waiting[] = [];
    for (const one of this.waiting) {
      if (isFree(now, one.bytes, this.streamMost)) one.tell(true);
      else still.push(one);
    }
    this.waiting = still.length === 0 ? undefined : still;
  }

  private count(frames: number, bytes: number): void {
    this.terms.stats.deliveries += frames;
    this.terms.stats.deliveredBytes += bytes;
  }
}

function isFree(before: number, bytes: number, upTo: number): boolean {
  return before === 0 || before + bytes <= upTo;
}

function sizeOf(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + bytesOnWire(Buffer.byteLength(text)), 0);
}
