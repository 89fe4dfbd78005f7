import { SessionRelayError } from '../errors.js';
import { type Cursor, compareCursors, formatCursor, orderOf, parseCursor } from '../model/cursor.js';
import type { Grant } from '../model/grant.js';
import { hasSnapshot } from '../model/subject.js';
import type { ChannelGroup, Member } from './channels.js';
import { notification, rechained } from './frames.js';
import type { JournalPage } from './journal-pages.js';
import { SCAN_PAGES } from './limits.js';
import type { Outbound } from './outbound.js';
import type { Pump, Replayer, Step } from './pump.js';
import { type Recovery, resumeAfter } from './recovery.js';
import type { Replay } from './replay.js';
import { type ReadChunk, snapshotFrame } from './snapshots.js';
import type { EdgeStats } from './stats.js';
import type { Tape } from './tapes.js';
import type { Slot } from './wire.js';

/** What a subscription needs of its connection. */
export interface Outlet extends Outbound {
  readonly grant: () => Grant;
  readonly pump: Pump;
  readonly stats: EdgeStats;
  readonly slot: Slot | undefined;
  /** What is live cannot follow: every live channel of the connection is replayed from where it stands. */
  fallBehind(): void;
  /** Something failed that the subscriber cannot know of: the connection must end. */
  fail(thrown: unknown): void;
}

/** One channel of one connection: snapshot or replay first, then live, with `previous` chained throughout. */
export interface Subscription {
  readonly channel: string;
  readonly group: ChannelGroup;
  /** Whether what it sends is what this grant shows; whether the grant contains the channel is not asked here. */
  fits(grant: Grant): boolean;
  /** Whether it is live: everything before the edge's position was sent. */
  isLive(): boolean;
  /** The last event that was sent, or what was said instead of it: what the subscriber may resume with. */
  sent(): string;
  /**
   * Up to where everything was sent, while the subscriber may take it for live and it is not; else `undefined`. No
   * cursor that it is told may lie beyond.
   */
  sentUpTo(): string | undefined;
  /** Sends what comes first (snapshot, replay), then goes live. Call it in the turn in which the reply was sent. */
  start(): void;
  /** Where it is live, it is live no more: what was not sent is replayed. */
  fallBehind(): void;
  /** Ends it; nothing is sent after this returns. */
  end(): void;
}

export interface SubscriptionOptions {
  readonly channel: string;
  readonly recovery: Recovery;
  readonly pulses: boolean;
  readonly replay: Pick<Replay, 'channels' | 'tapes' | 'snapshots'>;
  readonly outlet: Outlet;
}

/** Makes a subscription and takes its place in the channel's group; nothing is sent before `start`. */
export function createSubscription({ channel, recovery, pulses, replay, outlet }: SubscriptionOptions): Subscription {
  const { channels, tapes, snapshots } = replay;
  const group = channels.acquire(channel, outlet.grant().fields, pulses);
  let phase: 'new' | 'gap' | 'states' | 'replay' | 'live' | 'ended' = 'new';
  /**
   * The last event that was sent, or what was said instead: the next frame's `previous`. Not kept up while it is live:
   * what the group has sent, this has.
   */
  let chain = group.last;
  /** Everything that matches up to here was sent. Not kept up while it is live. */
  let at: Cursor = channels.at();
  /** The subscriber knows that it is replaying, and is told when that ends. */
  let announced = false;
  let tape: Tape | undefined;
  /** On the way through a snapshot: after which key it goes on, and how old its states may be. */
  let after: string | undefined;
  let atLeast = '';
  /** What the next frame needs, where it found no room: nothing is read again before there is so much. */
  let needs = 1;
  /** What was waited for, until the next step. */
  let waiting = false;
  let page: JournalPage | undefined;
  let chunk: ReadChunk | undefined;
  /** The last event that was sent, where a delivery ended before its end. */
  let stoppedAt: string | undefined;

  const member: Member = {
    slot: outlet.slot,
    deliver(frames) {
      if (phase !== 'live') return;
      const went = outlet.push(frames);
      if (went === frames.length) return;
      stoppedAt = frames[went - 1]?.id ?? frames[0]?.previous;
      outlet.fallBehind();
    },
    queued(bytes) {
      outlet.queued(bytes);
    },
    broken() {
      outlet.fail(new SessionRelayError('internal', 'a socket took part of what it was sent'));
    },
    pulse(frame) {
      if (phase === 'live') outlet.spare(frame, 'pulse');
    },
  };

  const goLive = (): void => {
    phase = 'live';
    chain = group.last;
    announced = false;
    if (tape !== undefined) tapes.close(tape);
    tape = undefined;
    channels.join(group, member);
  };
  const beginReplay = (from: string, how: 'gap' | 'states' | 'replay', lagging: boolean): void => {
    phase = how;
    at = parseCursor(from) ?? channels.at();
    tape ??= tapes.open(channel, group.fields);
    outlet.pump.add(replayer, lagging);
  };
  /** The states as they are now; what is published from now on follows them. */
  const beginStates = (): void => {
    phase = 'states';
    after = undefined;
    requireStates();
  };
  /** What was resumed with may be ahead of the stream: the states must cover it, since nothing up to it is replayed. */
  const requireStates = (): void => {
    const position = channels.position();
    atLeast = compareCursors(chain, position) > 0 ? chain : position;
  };
  /** Resolves what a step waits for; the step after that uses it. */
  const waitFor = <T>(task: Promise<T>, use: (found: T) => void): Step => {
    waiting = true;
    task.then(
      (found) => {
        waiting = false;
        if (phase === 'ended') return;
        use(found);
        outlet.pump.wake();
      },
      (thrown: unknown) => {
        if (phase !== 'ended') outlet.fail(thrown);
      },
    );
    return 'waiting';
  };

  const full = (bytes: number): Step => {
    needs = bytes;
    return 'full';
  };

  const stepGap = (): Step => {
    const gap = notification('gap', { channel, from: chain, to: group.last });
    if (hasSnapshot(channel)) {
      if (!outlet.offer([gap])) return 'full';
      outlet.stats.gaps++;
      // The states take the place of what is missing, and what follows them is not a replay that ends.
      chain = group.last;
      at = channels.at();
      announced = false;
      beginStates();
      return 'again';
    }
    if (!outlet.offer([gap, notification('caught_up', { channel, cursor: group.last })])) return 'full';
    outlet.stats.gaps++;
    goLive();
    return 'done';
  };

  /** A cursor may come from an answer that was read ahead of the stream: what it covers is not told again. */
  const waitForStream = (): Step => waitFor(channels.reached(formatCursor(at.epoch, at.offset)), requireStates);

  const stepStates = (): Step => {
    if (orderOf(at, channels.at()) > 0) return waitForStream();
    if (!outlet.hasRoom(needs)) return 'full';
    const taken = snapshots.take({ channel, grant: outlet.grant(), after, atLeast }, chunk);
    chunk = undefined;
    if (taken.how === 'wait')
      return waitFor(taken.chunk, (found) => {
        chunk = found;
      });
    const { count, next } = taken.chunk;
    if (count > 0 || next === undefined) {
      const frame = snapshotFrame(channel, taken.chunk, chain);
      if (!outlet.offer([frame])) return full(Buffer.byteLength(frame));
    }
    needs = 1;
    after = next;
    if (next === undefined) phase = 'replay';
    return 'again';
  };

  const stepReplay = (): Step => {
    for (let scanned = 0; scanned < SCAN_PAGES; scanned++) {
      const ahead = orderOf(at, channels.at());
      if (ahead > 0) return waitForStream();
      if (ahead === 0) return arrive();
      if (!outlet.hasRoom(needs)) return 'full';
      if (tape === undefined) return 'done';
      const taken = tapes.take(tape, at, page);
      page = undefined;
      if (taken.how === 'wait')
        return waitFor(taken.page, (found) => {
          page = found;
        });
      if (taken.how === 'gap') {
        phase = 'gap';
        return 'again';
      }
      const { frames, from, upTo } = taken;
      const first = frames[from];
      if (first === undefined) {
        at = upTo;
        continue;
      }
      const to = outlet.pour(frames, from, rechained(first, tape.head, chain));
      const last = frames[to - 1];
      if (to === from || last === undefined) return full(first.bytes);
      needs = 1;
      chain = last.id;
      at = to === frames.length ? upTo : { epoch: upTo.epoch, offset: last.offset };
      return 'again';
    }
    return 'again';
  };

  /** Nothing may come between what is said here and the first `previous` of the group: all in one turn. */
  const arrive = (): Step => {
    if (!outlet.isLow()) return 'full';
    if (announced && !outlet.offer([notification('caught_up', { channel, cursor: group.last })])) return 'full';
    if (announced) outlet.stats.replays++;
    goLive();
    return 'done';
  };

  const replayer: Replayer = {
    channel,
    sent: () => chain,
    step() {
      if (waiting) return 'waiting';
      if (phase === 'gap') return stepGap();
      if (phase === 'states') return stepStates();
      return phase === 'replay' ? stepReplay() : 'done';
    },
    toldOfLag() {
      announced = true;
    },
  };

  return {
    channel,
    group,
    fits: (grant) => grant.fields === group.fields,
    isLive: () => phase === 'live',
    sent: () => (phase === 'live' ? group.sent : chain),
    sentUpTo() {
      if (phase === 'live' || phase === 'ended' || announced) return undefined;
      return formatCursor(at.epoch, at.offset);
    },
    start() {
      if (phase !== 'new') return;
      const now = channels.position();
      if (recovery.how === 'live') {
        if (!recovery.snapshot) return goLive();
        chain = group.last;
        beginReplay(now, 'states', false);
        return beginStates();
      }
      chain = recovery.since;
      if (recovery.how === 'gap') return beginReplay(now, 'gap', false);
      announced = true;
      beginReplay(recovery.since, recovery.snapshot ? 'states' : 'replay', false);
      if (recovery.snapshot) beginStates();
      return undefined;
    },
    fallBehind() {
      if (phase !== 'live') return;
      channels.leave(group, member);
      chain = stoppedAt ?? group.sent;
      stoppedAt = undefined;
      const from = resumeAfter({
        sent: chain,
        last: group.last,
        delivered: channels.delivered(),
        position: channels.position(),
      });
      beginReplay(from, 'replay', true);
    },
    end() {
      if (phase === 'ended') return;
      if (phase === 'live') channels.leave(group, member);
      else outlet.pump.remove(replayer);
      phase = 'ended';
      page = undefined;
      chunk = undefined;
      if (tape !== undefined) tapes.close(tape);
      tape = undefined;
      channels.release(group);
    },
  };
}
