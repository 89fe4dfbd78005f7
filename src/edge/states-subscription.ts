import type { Bus } from '../bus/bus.js';
import { compareCursors } from '../model/cursor.js';
import type { SessionEvent } from '../model/event.js';
import { redactState } from '../model/grant.js';
import type { State } from '../model/session.js';
import { hasSnapshot } from '../model/subject.js';
import type { Channels } from './channels.js';
import { MAX_EVENTS_SCANNED, MAX_PAGE, REPLAY_PAGE, SNAPSHOT_STATES, STATES_FRAME_BYTES } from './limits.js';
import type { States } from './states.js';
import { cutFrames, mustBeNew, type Wanted } from './states-frames.js';
import type { StatesMember } from './states-group.js';
import { viewOf } from './states-view.js';
import type { Outlet, Subscription, SubscriptionOptions } from './subscription.js';

/** More than any socket may leave unread: room for it is there once nothing waits. */
const ALL_BYTES = Number.MAX_SAFE_INTEGER;

/** What is being sent: `replay` was asked for, and ends with `caught_up`; `mending` was not. */
type Phase = 'snapshot' | 'replay' | 'mending' | 'live' | 'ended';

export interface StatesSubscriptionOptions extends Omit<SubscriptionOptions, 'replay' | 'outlet'> {
  readonly bus: Bus;
  readonly channels: Channels;
  readonly states: States;
  readonly outlet: Pick<Outlet, 'grant' | 'send' | 'isIdle' | 'writable' | 'fail'>;
}

/**
 * One channel of one connection in states mode: the table first, or what changed after `since`; then the newest states
 * of what changes, as its group flushes them and the socket has room.
 */
export function createStatesSubscription(options: StatesSubscriptionOptions): Subscription {
  const { channel, recovery, pulses, bus, channels, states, outlet } = options;
  const group = states.acquire(channel, outlet.grant(), pulses);
  let phase: Phase = 'snapshot';
  /** What the subscriber was told last, and what the next frame calls `previous`. */
  let cursor = group.last();
  /** Until it is live: up to where all was sent, or will have been once its table is whole. */
  let done = channels.position();
  // A function: what ends it happens while something is waited for.
  const isOver = (): boolean => phase === 'ended';

  const member: StatesMember = {
    send: (frames) => outlet.send(frames),
    isIdle: () => outlet.isIdle(),
    idle: () => outlet.writable(ALL_BYTES),
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
  const say = (method: string, params: object): boolean =>
    outlet.send([JSON.stringify({ jsonrpc: '2.0', method, params })]);
  /** Sends when there is room. `false` where the connection or the subscription is gone. */
  const sendAtItsPace = async (frame: string, bytes: number): Promise<boolean> =>
    (await outlet.writable(bytes)) && !isOver() && outlet.send([frame]);

  const goLive = (): void => {
    phase = 'live';
    group.join(member, cursor, false);
  };
  /** In one turn with going live: nothing may come between what is said here and the group's next frame. */
  const catchUp = (): void => {
    cursor = group.last();
    if (say('caught_up', { channel, cursor })) goLive();
  };

  /** The whole table; what changes while it is being sent is remembered by the group, and follows. */
  const snapshot = async (caughtUp: boolean): Promise<void> => {
    phase = 'snapshot';
    cursor = group.last();
    group.join(member, cursor, true);
    const from = cursor;
    for (const { chunk, last } of chunksOf(await readTable(from))) {
      const params = `"channel":${JSON.stringify(channel)},"states":[${chunk.join(',')}],"last":${last},"cursor":"${from}"`;
      const frame = `{"jsonrpc":"2.0","method":"snapshot","params":{${params}}}`;
      if (isOver() || !(await sendAtItsPace(frame, Buffer.byteLength(frame)))) return;
    }
    if (caughtUp && !say('caught_up', { channel, cursor })) return;
    phase = 'live';
    group.release(member);
  };

  const readTable = async (atLeast: string): Promise<readonly string[]> => {
    const table: string[] = [];
    let after: string | undefined;
    do {
      const page = await bus.states({ within: [channel], limit: MAX_PAGE, ...(after === undefined ? {} : { after }) });
      if (isOver()) return [];
      mustBeNew(page.cursor, atLeast);
      await channels.reached(page.cursor);
      for (const state of page.states) if (group.view.shows(state.key)) table.push(render(state));
      after = page.next;
    } while (after !== undefined && !isOver());
    return table;
  };
  const render = (state: State): string => JSON.stringify(redactState(state, group.fields));

  const afterGap = async (): Promise<void> => {
    if (!say('gap', { channel, from: cursor, to: group.last() })) return undefined;
    return hasSnapshot(channel) ? snapshot(false) : catchUp();
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
    while (compareCursors(done, group.last()) < 0) {
      if (scanned >= MAX_EVENTS_SCANNED && hasSnapshot(channel)) return afterGap();
      const page = await bus.events(done, REPLAY_PAGE);
      if (isOver()) return undefined;
      if (!page.complete) return afterGap();
      const { wanted, end, count } = scan(page.events, sent);
      scanned += count;
      if (wanted.length === 0) {
        // A journal in memory answers within the same task: others must get their turn.
        await new Promise<void>((resolve) => setImmediate(resolve));
      } else {
        const rendered = await states.read(
          wanted.map(({ key }) => key),
          group.fields,
          end,
        );
        for (const { key } of wanted) sent.set(key, rendered.cursor);
        for (const frame of cutFrames(channel, { previous: cursor, end }, wanted, rendered)) {
          if (isOver() || !(await sendAtItsPace(frame.text, frame.bytes))) return undefined;
          cursor = frame.cursor;
        }
      }
      if (isOver()) return undefined;
      done = end;
    }
    return catchUp();
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
    },
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
      begin(run);
    },
    end() {
      if (isOver()) return;
      phase = 'ended';
      group.leave(member);
      states.release(group);
    },
  };
}

/** Chunks of at most {@link SNAPSHOT_STATES} states and about {@link STATES_FRAME_BYTES}; one, empty, where there are none. */
function chunksOf(table: readonly string[]): readonly { readonly chunk: readonly string[]; readonly last: boolean }[] {
  const chunks: string[][] = [];
  let chunk: string[] = [];
  let bytes = 0;
  for (const state of table) {
    const size = Buffer.byteLength(state);
    if (chunk.length === SNAPSHOT_STATES || (chunk.length > 0 && bytes + size > STATES_FRAME_BYTES)) {
      chunks.push(chunk);
      chunk = [];
      bytes = 0;
    }
    chunk.push(state);
    bytes += size;
  }
  chunks.push(chunk);
  return chunks.map((one, index) => ({ chunk: one, last: index === chunks.length - 1 }));
}
