import type { Bus } from '../bus/bus.js';
import { compareCursors } from '../model/cursor.js';
import { type Grant, redactState, showsSession } from '../model/grant.js';
import type { State } from '../model/session.js';
import { addressOf, coversKey, hasSnapshot, matches } from '../model/subject.js';
import { type ChannelGroup, type Channels, createRenderer, type Member, subscriptionFrame } from './channels.js';
import { MAX_PAGE, REPLAY_BYTES, REPLAY_PAGE, SNAPSHOT_STATES } from './limits.js';
import type { Recovery } from './recovery.js';

/** What a subscription needs of its connection. */
export interface Outlet {
  readonly grant: () => Grant;
  /** Sends frames now; `false` where the connection is gone or being ended. */
  send(frames: readonly string[]): boolean;
  /** Nothing is waiting in the socket: what may be dropped may be sent. */
  isIdle(): boolean;
  /** Resolves when there is room for so many bytes more; `false` where the connection is gone. */
  writable(bytes: number): Promise<boolean>;
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
  /**
   * Up to where everything was sent, while the subscriber may take it for live (its snapshot is complete) and it is
   * not; else `undefined`. No cursor that it is told may lie beyond.
   */
  sentUpTo(): string | undefined;
  /** Sends what comes first (snapshot, replay), then goes live. Call it in the turn in which the reply was sent. */
  start(): void;
  /** Ends it; nothing is sent after this returns. */
  end(): void;
}

export interface SubscriptionOptions {
  readonly channel: string;
  readonly recovery: Recovery;
  readonly pulses: boolean;
  readonly bus: Bus;
  readonly channels: Channels;
  readonly outlet: Outlet;
}

/** Makes a subscription and takes its place in the channel's group; nothing is sent before `start`. */
export function createSubscription(options: SubscriptionOptions): Subscription {
  const { channel, recovery, pulses, bus, channels, outlet } = options;
  const group = channels.acquire(channel, outlet.grant().fields, pulses);
  const render = createRenderer();
  let ended = false;
  let live = false;
  let sentUpTo: string | undefined;

  const member: Member = {
    deliver: (frames) => void outlet.send(frames),
    pulse(frame) {
      if (outlet.isIdle()) outlet.send([frame]);
    },
  };
  const say = (method: string, params: object): boolean =>
    outlet.send([JSON.stringify({ jsonrpc: '2.0', method, params })]);
  const join = (): void => {
    live = true;
    sentUpTo = undefined;
    channels.join(group, member);
  };
  /** Sends frames in portions, each when there is room. `false` where the connection or the subscription is gone. */
  const sendAtItsPace = async (frames: readonly string[]): Promise<boolean> => {
    let portion: string[] = [];
    let bytes = 0;
    const flush = async (): Promise<boolean> => {
      if (portion.length === 0) return true;
      if (!(await outlet.writable(bytes)) || ended) return false;
      const sent = outlet.send(portion);
      portion = [];
      bytes = 0;
      return sent;
    };
    for (const frame of frames) {
      const size = Buffer.byteLength(frame);
      if (bytes + size > REPLAY_BYTES && !(await flush())) return false;
      portion.push(frame);
      bytes += size;
    }
    return flush();
  };

  /** Everything after `from` up to the edge's own position, in order, then live. `chain` is what was sent last. */
  const catchUp = async (from: string, chain: string, announce: boolean): Promise<void> => {
    let at = from;
    let previous = chain;
    for (;;) {
      if (!announce) sentUpTo = at;
      if (compareCursors(at, channels.position()) >= 0) {
        // In one turn: no live frame may come between what was said here and the first `previous` of the group.
        if (!announce || say('caught_up', { channel, cursor: group.last })) join();
        return;
      }
      const page = await bus.events(at, REPLAY_PAGE);
      if (ended) return;
      if (!page.complete) {
        await afterGap(previous);
        return;
      }
      const position = channels.position();
      const frames: string[] = [];
      for (const event of page.events) {
        // What the stream has not brought yet comes with it.
        if (compareCursors(event.id, position) > 0) break;
        at = event.id;
        if (!matches(channel, addressOf(event))) continue;
        frames.push(subscriptionFrame(channel, previous, render(event, group.fields)));
        previous = event.id;
      }
      // The journal may be behind the stream only by a fault of the bus: never spin on it.
      if (page.events.length === 0) at = position;
      if (!(await sendAtItsPace(frames)) || ended) return;
    }
  };

  /**
   * The states as they are now, in chunks, each when there is room, none before the stream has come to where they were
   * read. `false` where the connection is gone.
   */
  const sendStates = async (cursor: string): Promise<boolean> => {
    const states: State[] = [];
    let after: string | undefined;
    do {
      const page = await bus.states({ within: [channel], limit: MAX_PAGE, ...(after === undefined ? {} : { after }) });
      if (ended) return false;
      await channels.reached(page.cursor);
      if (ended) return false;
      states.push(...page.states.filter((state) => shows(outlet.grant(), channel, state)));
      after = page.next;
    } while (after !== undefined);
    for (const { chunk, last } of chunksOf(states, group.fields)) {
      const frame = JSON.stringify({
        jsonrpc: '2.0',
        method: 'snapshot',
        params: { channel, states: chunk, last, cursor },
      });
      if (!(await outlet.writable(Buffer.byteLength(frame))) || ended || !outlet.send([frame])) return false;
    }
    return true;
  };

  /** The states, then what was published since: states may be newer than the cursor, and the fold passes over that. */
  const snapshot = async (): Promise<void> => {
    const at = channels.position();
    const cursor = group.last;
    sentUpTo = at;
    if (await sendStates(cursor)) await catchUp(at, cursor, false);
  };

  const afterGap = async (from: string): Promise<void> => {
    if (!say('gap', { channel, from, to: group.last })) return;
    if (hasSnapshot(channel)) await snapshot();
    else if (say('caught_up', { channel, cursor: group.last })) join();
  };

  const run = async (): Promise<void> => {
    switch (recovery.how) {
      case 'live':
        return recovery.snapshot ? snapshot() : join();
      case 'gap':
        return afterGap(recovery.since);
      case 'replay': {
        const { since } = recovery;
        if (recovery.snapshot && !(await sendStates(since))) return undefined;
        return catchUp(since, since, true);
      }
    }
  };

  return {
    channel,
    group,
    fits: (grant) => grant.fields === group.fields,
    isLive: () => live,
    sentUpTo: () => (ended ? undefined : sentUpTo),
    start() {
      run().catch((thrown: unknown) => {
        if (!ended) outlet.fail(thrown);
      });
    },
    end() {
      if (ended) return;
      ended = true;
      if (live) channels.leave(group, member);
      channels.release(group);
    },
  };
}

/** Chunks of at most {@link SNAPSHOT_STATES} states; one, empty, where there are none. */
function chunksOf(
  states: readonly State[],
  fields: Grant['fields'],
): readonly { readonly chunk: readonly State[]; readonly last: boolean }[] {
  const count = Math.max(1, Math.ceil(states.length / SNAPSHOT_STATES));
  return Array.from({ length: count }, (_, index) => ({
    chunk: states
      .slice(index * SNAPSHOT_STATES, (index + 1) * SNAPSHOT_STATES)
      .map((state) => redactState(state, fields)),
    last: index === count - 1,
  }));
}

function shows(grant: Grant, channel: string, state: State): boolean {
  return coversKey(channel, state.key) && showsSession(grant, state.key);
}
