import type { Bus } from '../bus/bus.js';
import { compareCursors } from '../model/cursor.js';
import type { SessionEvent } from '../model/event.js';
import { hasSnapshot } from '../model/subject.js';
import type { Channels } from './channels.js';
import { notification } from './frames.js';
import { MAX_EVENTS_SCANNED, REPLAY_PAGE } from './limits.js';
import { type Chunk, type ReadChunk, type Snapshots, snapshotFrame } from './snapshots.js';
import type { States } from './states.js';
import { cutFrames, type Wanted } from './states-frames.js';
import type { StatesMember } from './states-group.js';
import { viewOf } from './states-view.js';
import { countDelivery } from './stats.js';
import type { Outlet, Subscription, SubscriptionOptions } from './subscription.js';

/** More than any socket may leave unread: room for it is there once nothing waits. */
const ALL_BYTES = Number.MAX_SAFE_INTEGER;

/** What is being sent: `replay` was asked for, and ends with `caught_up`; `mending` was not. */
type Phase = 'snapshot' | 'replay' | 'mending' | 'live' | 'ended';

export interface StatesSubscriptionOptions extends Omit<SubscriptionOptions, 'replay' | 'outlet'> {
  readonly bus: Bus;
  readonly channels: Channels;
  readonly snapshots: Snapshots;
  readonly states: States;
  readonly outlet: Pick<Outlet, 'grant' | 'stats' | 'fail'> & {
    readonly outbound: Pick<Outlet['outbound'], 'send' | 'offer' | 'isIdle' | 'writable'>;
  };
}

/**
 * One channel of one connection in states mode: the table first, or what changed after `since`; then the newest states
 * of what changes, as its group flushes them and the socket has room.
 */
export function createStatesSubscription(options: StatesSubscriptionOptions): Subscription {
  const { channel, recovery, pulses, bus, channels, snapshots, states, outlet } = options;
  const { outbound } = outlet;
  const group = states.acquire(channel, outlet.grant(), pulses);
  let phase: Phase = 'snapshot';
  /** What the subscriber was told last, and what the next frame calls `previous`. */
  let cursor = group.last();
  /** Until it is live: up to where all was sent, or will have been once its table is whole. */
  let done = channels.position();
  // A function: what ends it happens while something is waited for.
  const isOver = (): boolean => phase === 'ended';

  const member: StatesMember = {
    send(frames) {
      const sent = outbound.send(frames);
      if (sent) for (const frame of frames) countDelivery(outlet.stats, Buffer.byteLength(frame));
      return sent;
    },
    isIdle: () => outbound.isIdle(),
    idle: () => outbound.writable(ALL_BYTES),
    moved(to) {
      cursor = to;
    },
    lost() {
      begin(() => replay('mending', cursor));
    },
    fail: (thrown) => outlet.fail(thrown),
  };
  const begin = (task: () => Promise<void>): void => {
    task().catch((thrown: unknown) => {
      if (!isOver()) outlet.fail(thrown);
    });
  };
  /**
   * Sends when there is room, at its own pace: asked anew each time, since whoever else waits is told at the same
   * moment. `false` where the connection or the subscription is gone; it may be gone too before its caller goes on.
   */
  const sendInTurn = async (text: string): Promise<boolean> => {
    while (!outbound.offer([text])) if (!(await outbound.writable(ALL_BYTES)) || isOver()) return false;
    return true;
  };

  const goLive = (): void => {
    phase = 'live';
    group.join(member, cursor, false);
  };
  /** In one turn with going live: nothing may come between what is said here and the group's next frame. */
  const catchUp = (...before: readonly string[]): boolean => {
    const last = group.last();
    if (!outbound.offer([...before, notification('caught_up', { channel, cursor: last })])) return false;
    cursor = last;
    goLive();
    return true;
  };

  /** The whole table; what changes while it is being sent is remembered by the group, and follows. */
  const snapshot = async (caughtUp: boolean): Promise<void> => {
    phase = 'snapshot';
    cursor = group.last();
    group.join(member, cursor, true);
    const atLeast = channels.position();
    let after: string | undefined;
    do {
      const chunk = await chunkOf(after, atLeast);
      const { count, next } = chunk;
      if (isOver()) return;
      const isWorth = count > 0 || next === undefined;
      if ((isWorth && !(await sendInTurn(snapshotFrame(channel, chunk, cursor)))) || isOver()) return;
      after = next;
    } while (after !== undefined);
    if ((caughtUp && !(await sendInTurn(notification('caught_up', { channel, cursor })))) || isOver()) return;
    phase = 'live';
    group.release(member);
  };

  const chunkOf = async (after: string | undefined, atLeast: string): Promise<Chunk> => {
    let fetched: ReadChunk | undefined;
    for (;;) {
      const taken = snapshots.take({ channel, grant: outlet.grant(), after, atLeast }, fetched);
      if (taken.how === 'chunk') return taken.chunk;
      fetched = await taken.chunk;
    }
  };

  const afterGap = async (): Promise<void> => {
    outlet.stats.gaps++;
    const gap = (): string => notification('gap', { channel, from: cursor, to: group.last() });
    if (hasSnapshot(channel)) return (await sendInTurn(gap())) && !isOver() ? snapshot(false) : undefined;
    while (!isOver() && !catchUp(gap())) if (!(await outbound.writable(ALL_BYTES))) return undefined;
    return undefined;
  };

  /**
   * The newest states of the sessions that the journal names after `from`, page by page, each session once unless it
   * changes again, until it has come to where the group stands. Where that is far, and there is a table, the table is
   * the shorter way.
   */
  const replay = async (how: 'replay' | 'mending', from: string): Promise<void> => {
    phase = how;
    cursor = from;
    done = from;
    const sent = new Map<string, string>();
    let scanned = 0;
    while (!isOver()) {
      if (compareCursors(done, group.last()) >= 0) {
        if (catchUp() || !(await outbound.writable(ALL_BYTES))) return undefined;
        // The group may have gone on while there was no room to say so.
        continue;
      }
      if (scanned >= MAX_EVENTS_SCANNED && hasSnapshot(channel)) return afterGap();
      const page = await bus.events(done, REPLAY_PAGE);
      if (isOver()) return undefined;
      if (!page.complete) return afterGap();
      const { wanted, end, count } = scan(page.events, sent);
      scanned += count;
      if (wanted.length > 0) {
        const keys = wanted.map(({ key }) => key);
        const rendered = await states.read(keys, group.fields, end);
        // Of a session that is gone and was not told to be there is nothing to send yet: its removal is still to come.
        for (const { key, removed } of wanted) if (removed || rendered.states.has(key)) sent.set(key, rendered.cursor);
        for (const frame of cutFrames(channel, { previous: cursor, end }, wanted, rendered)) {
          if (isOver() || !(await sendInTurn(frame.text))) return undefined;
          cursor = frame.cursor;
        }
      }
      done = end;
      // A journal in memory answers within the same task: others must get their turn.
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    return undefined;
  };

  /** The sessions that a page of the journal names, up to where the group stands, without what was sent since. */
  const scan = (
    events: readonly SessionEvent[],
    sent: ReadonlyMap<string, string>,
  ): { readonly wanted: readonly Wanted[]; readonly end: string; readonly count: number } => {
    const wanted = new Map<string, Wanted>();
    const goal = group.last();
    let end: string | undefined;
    let count = 0;
    for (const event of events) {
      if (compareCursors(event.id, goal) > 0) {
        end = goal;
        break;
      }
      end = event.id;
      count++;
      const concern = group.concern(event);
      if (concern === undefined || compareCursors(event.id, sent.get(event.subject) ?? '') <= 0) continue;
      const { first = event.id, removed = false } = wanted.get(event.subject) ?? {};
      wanted.set(event.subject, { key: event.subject, first, removed: removed || concern.removed });
    }
    // The journal may be behind the stream only by a fault of the bus: never spin on it.
    return { wanted: [...wanted.values()], end: end ?? goal, count };
  };

  const run = async (): Promise<void> => {
    switch (recovery.how) {
      case 'live':
        return recovery.snapshot ? snapshot(false) : goLive();
      case 'gap':
        cursor = recovery.since;
        return afterGap();
      case 'replay':
        // The table holds what a replay would tell.
        return recovery.snapshot ? snapshot(true) : replay('replay', recovery.since);
    }
  };

  return {
    channel,
    group: {
      channel,
      fields: group.fields,
      pulses,
      get last() {
        return cursor;
      },
      get sent() {
        return cursor;
      },
    },
    toldLast: cursor,
    fits: (grant) => grant.fields === group.fields && viewOf(grant, channel).id === group.view.id,
    isLive: () => phase === 'live',
    sent: () => cursor,
    // It never lags: it skips.
    fallBehind: () => undefined,
    sentUpTo() {
      switch (phase) {
        case 'live':
          return group.completeUpTo(cursor);
        case 'snapshot':
        case 'mending':
          return done;
        case 'replay':
        case 'ended':
          return undefined;
      }
    },
    start() {
      if (!isOver()) begin(run);
    },
    end() {
      if (isOver()) return;
      phase = 'ended';
      group.leave(member);
      states.release(group);
    },
  };
}
