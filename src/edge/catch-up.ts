import { type Cursor, compareCursors, formatCursor, orderOf, parseCursor } from '../model/cursor.js';
import { hasSnapshot } from '../model/subject.js';
import type { ChannelGroup } from './channels.js';
import { notification, rechained } from './frames.js';
import type { JournalPage } from './journal-pages.js';
import { SCAN_PAGES } from './limits.js';
import type { Replayer, Step } from './pump.js';
import type { Recovery } from './recovery.js';
import type { Replay } from './replay.js';
import { type ReadChunk, snapshotFrame } from './snapshots.js';
import type { Outlet } from './subscription.js';
import type { Tape } from './tapes.js';

export interface CatchUpOptions {
  readonly group: ChannelGroup;
  readonly replay: Pick<Replay, 'channels' | 'tapes' | 'snapshots'>;
  readonly outlet: Outlet;
  /** What a new subscription begins with. */
  readonly recovery: Recovery | undefined;
  /** Everything was sent: in this very turn it joins the group. Nothing is asked of this object after that. */
  readonly live: () => void;
}

/** What a subscription is sent at its own pace before it is live: what it missed, the states as they are, or both. */
export class CatchUp implements Replayer {
  private readonly group: ChannelGroup;
  private readonly replay: CatchUpOptions['replay'];
  private readonly outlet: Outlet;
  private readonly recovery: Recovery | undefined;
  private readonly live: () => void;
  private phase: 'new' | 'gap' | 'states' | 'replay' | 'over' = 'new';
  /** The last event that was sent, or what was said instead: the next frame's `previous`. */
  private chain: string;
  /** Everything that matches up to here was sent. */
  private at: Cursor;
  /** The subscriber knows that it is replaying, and is told when that ends. */
  private announced = false;
  private tape: Tape | undefined;
  /** On the way through a snapshot: after which key it goes on, and how old its states may be. */
  private after: string | undefined;
  private atLeast = '';
  /** What the next frame needs, where it found no room: nothing is read again before there is so much. */
  private needs = 1;
  /** What was waited for, until the next step. */
  private waiting = false;
  private page: JournalPage | undefined;
  private chunk: ReadChunk | undefined;

  constructor({ group, replay, outlet, recovery, live }: CatchUpOptions) {
    this.group = group;
    this.replay = replay;
    this.outlet = outlet;
    this.recovery = recovery;
    this.live = live;
    this.chain = group.last;
    this.at = replay.channels.at();
  }

  get channel(): string {
    return this.group.channel;
  }

  sent(): string {
    return this.chain;
  }

  /** See `Subscription.sentUpTo`. */
  sentUpTo(): string | undefined {
    return this.announced ? undefined : formatCursor(this.at.epoch, this.at.offset);
  }

  /** As a new subscription does. */
  start(): void {
    const { recovery } = this;
    if (this.phase !== 'new' || recovery === undefined) return;
    const now = this.replay.channels.position();
    if (recovery.how === 'live') {
      if (!recovery.snapshot) return this.goLive();
      this.chain = this.group.last;
      this.begin(now, 'states', false);
      return this.beginStates();
    }
    this.chain = recovery.since;
    if (recovery.how === 'gap') return this.begin(now, 'gap', false);
    this.announced = true;
    this.begin(recovery.since, recovery.snapshot ? 'states' : 'replay', false);
    if (recovery.snapshot) this.beginStates();
    return undefined;
  }

  /** It was live, and was sent `sent` last; nothing was missed up to `from`. */
  mend(sent: string, from: string): void {
    this.chain = sent;
    this.begin(from, 'replay', true);
  }

  step(): Step {
    if (this.waiting) return 'waiting';
    switch (this.phase) {
      case 'gap':
        return this.stepGap();
      case 'states':
        return this.stepStates();
      case 'replay':
        return this.stepReplay();
      case 'new':
      case 'over':
        return 'done';
    }
  }

  toldOfLag(): void {
    this.announced = true;
  }

  /** Nothing is sent after this. */
  end(): void {
    if (this.phase !== 'new') this.outlet.pump.remove(this);
    this.stop();
  }

  private begin(from: string, how: 'gap' | 'states' | 'replay', lagging: boolean): void {
    this.phase = how;
    this.at = parseCursor(from) ?? this.replay.channels.at();
    this.tape ??= this.replay.tapes.open(this.channel, this.group.fields);
    this.outlet.pump.add(this, lagging);
  }

  /** The states as they are now; what is published from now on follows them. */
  private beginStates(): void {
    this.phase = 'states';
    this.after = undefined;
    this.requireStates();
  }

  /** What was resumed with may be ahead of the stream: the states must cover it, since nothing up to it is replayed. */
  private requireStates(): void {
    const position = this.replay.channels.position();
    this.atLeast = compareCursors(this.chain, position) > 0 ? this.chain : position;
  }

  private goLive(): void {
    this.stop();
    this.live();
  }

  private stop(): void {
    this.phase = 'over';
    this.page = undefined;
    this.chunk = undefined;
    if (this.tape !== undefined) this.replay.tapes.close(this.tape);
    this.tape = undefined;
  }

  // A function: what ends it happens while something is waited for.
  private isOver(): boolean {
    return this.phase === 'over';
  }

  /** Resolves what a step waits for; the step after that uses it. */
  private waitFor<T>(task: Promise<T>, use: (found: T) => void): Step {
    this.waiting = true;
    task.then(
      (found) => {
        this.waiting = false;
        if (this.isOver()) return;
        use(found);
        this.outlet.pump.wake();
      },
      (thrown: unknown) => {
        if (!this.isOver()) this.outlet.fail(thrown);
      },
    );
    return 'waiting';
  }

  private full(bytes: number): Step {
    this.needs = bytes;
    return 'full';
  }

  private offer(...texts: readonly string[]): boolean {
    return this.outlet.outbound.offer(texts);
  }

  private caughtUp(): string {
    return notification('caught_up', { channel: this.channel, cursor: this.group.last });
  }

  private stepGap(): Step {
    const { channel, group, outlet } = this;
    const gap = notification('gap', { channel, from: this.chain, to: group.last });
    if (hasSnapshot(channel)) {
      if (!this.offer(gap)) return 'full';
      outlet.stats.gaps++;
      // The states take the place of what is missing, and what follows them is not a replay that ends.
      this.chain = group.last;
      this.at = this.replay.channels.at();
      this.announced = false;
      this.beginStates();
      return 'again';
    }
    if (!this.offer(gap, this.caughtUp())) return 'full';
    outlet.stats.gaps++;
    this.goLive();
    return 'done';
  }

  /** A cursor may come from an answer that was read ahead of the stream: what it covers is not told again. */
  private waitForStream(): Step {
    const { epoch, offset } = this.at;
    return this.waitFor(this.replay.channels.reached(formatCursor(epoch, offset)), () => this.requireStates());
  }

  private stepStates(): Step {
    const { channel, outlet, replay, after, atLeast } = this;
    if (orderOf(this.at, replay.channels.at()) > 0) return this.waitForStream();
    if (!outlet.outbound.hasRoom(this.needs)) return 'full';
    const taken = replay.snapshots.take({ channel, grant: outlet.grant(), after, atLeast }, this.chunk);
    this.chunk = undefined;
    if (taken.how === 'wait')
      return this.waitFor(taken.chunk, (found) => {
        this.chunk = found;
      });
    const { count, next } = taken.chunk;
    if (count > 0 || next === undefined) {
      const frame = snapshotFrame(channel, taken.chunk, this.chain);
      if (!this.offer(frame)) return this.full(Buffer.byteLength(frame));
    }
    this.needs = 1;
    this.after = next;
    if (next === undefined) this.phase = 'replay';
    return 'again';
  }

  private stepReplay(): Step {
    const { outlet, replay } = this;
    for (let scanned = 0; scanned < SCAN_PAGES; scanned++) {
      const ahead = orderOf(this.at, replay.channels.at());
      if (ahead > 0) return this.waitForStream();
      if (ahead === 0) return this.arrive();
      if (!outlet.outbound.hasRoom(this.needs)) return 'full';
      if (this.tape === undefined) return 'done';
      const taken = replay.tapes.take(this.tape, this.at, this.page);
      this.page = undefined;
      if (taken.how === 'wait')
        return this.waitFor(taken.page, (found) => {
          this.page = found;
        });
      if (taken.how === 'gap') {
        this.phase = 'gap';
        return 'again';
      }
      const { frames, from, upTo } = taken;
      const first = frames[from];
      if (first === undefined) {
        this.at = upTo;
        continue;
      }
      const to = outlet.outbound.pour(frames, from, rechained(first, this.tape.head, this.chain));
      const last = frames[to - 1];
      if (to === from || last === undefined) return this.full(first.bytes);
      this.needs = 1;
      this.chain = last.id;
      this.at = to === frames.length ? upTo : { epoch: upTo.epoch, offset: last.offset };
      return 'again';
    }
    return 'again';
  }

  /** Nothing may come between what is said here and the first `previous` of the group: all in one turn. */
  private arrive(): Step {
    const { outlet } = this;
    if (!outlet.outbound.isLow()) return 'full';
    if (this.announced && !this.offer(this.caughtUp())) return 'full';
    if (this.announced) outlet.stats.replays++;
    this.goLive();
    return 'done';
  }
}
