import { NEVER } from 'rxjs';
import type { Bus } from '../../src/bus/bus.js';
import { createChannels } from '../../src/edge/channels.js';
import { createLru } from '../../src/edge/lru.js';
import type { Recovery } from '../../src/edge/recovery.js';
import { createSnapshots } from '../../src/edge/snapshots.js';
import { createStates } from '../../src/edge/states.js';
import { createStatesSubscription } from '../../src/edge/states-subscription.js';
import { createEdgeStats } from '../../src/edge/stats.js';
import type { Subscription } from '../../src/edge/subscription.js';
import { compareCursors, formatCursor } from '../../src/model/cursor.js';
import type { EventData, EventType, Pulse, SessionEvent } from '../../src/model/event.js';
import { fold, foldPulse } from '../../src/model/fold.js';
import type { Grant } from '../../src/model/grant.js';
import type { State } from '../../src/model/session.js';
import { coversKey } from '../../src/model/subject.js';
import { eventOf } from '../support/events.js';
import { settle, VirtualClock } from '../support/virtual-clock.js';

export const EVERYTHING: Grant = { identity: 'test', channels: ['>'], commands: [], fields: 'full' };

interface Params {
  readonly channel: string;
  readonly previous?: string;
  readonly cursor?: string;
  readonly states?: readonly State[];
  readonly removed?: readonly string[];
  readonly last?: boolean;
  readonly to?: string;
}
interface Frame {
  readonly method: string;
  readonly params: Params;
  readonly text: string;
  /** Virtual ms. */
  readonly at: number;
  /** Whether the subscription was live when it was sent. */
  readonly live: boolean;
}

/** What a subscriber makes of what it is sent, as PROTOCOL.md §4 tells it to; and a socket that has room or has not. */
export interface Reader {
  readonly subscription: Subscription;
  readonly frames: readonly Frame[];
  readonly table: ReadonlyMap<string, State>;
  /** What the next `previous` must be. */
  readonly expected: () => string;
  /** Breaks of the chain. */
  readonly losses: readonly string[];
  readonly failures: readonly unknown[];
  /** What happened up to here is not in its table, unless it changed since; `undefined` before anything is known. */
  readonly base: string | undefined;
  /** Whether its table is whole: not while a snapshot is on its way, nor after a gap without one. */
  readonly isWhole: () => boolean;
  /** From now on it takes so many frames, and no more before `drain`. */
  stall(frames?: number): void;
  drain(): void;
  /** How many wait for room. */
  readonly waiting: () => number;
}

/** A hub's journal and states, an edge's channels, and subscribers whose sockets do as they are told. */
export function createWorld() {
  const clock = new VirtualClock();
  const journal: SessionEvent[] = [];
  const hub = new Map<string, State>();
  /** Events that the stream has not brought to the edge yet. */
  let ahead: SessionEvent[] = [];
  const channels = createChannels('7-0');
  const asked: (readonly string[])[] = [];
  const gates: (() => void)[] = [];
  const rendered = new Map<string, number>();
  const faults = {
    states: undefined as Error | undefined,
    gated: false,
    journalFrom: 0,
    statesOf: undefined as string | undefined,
  };
  const head = (): string => journal.at(-1)?.id ?? '7-0';
  const gate = (): Promise<void> => (faults.gated ? new Promise((open) => gates.push(open)) : Promise.resolve());

  /** A state that counts how often it is made JSON of: each time asks for its cursor once. */
  const counted = (state: State): State =>
    Object.defineProperty({ ...state }, 'cursor', {
      enumerable: true,
      get() {
        rendered.set(state.key, (rendered.get(state.key) ?? 0) + 1);
        return state.cursor;
      },
    });

  const bus: Bus = {
    node: 'test',
    turns$: NEVER,
    sight$: NEVER,
    head: () => channels.position(),
    async states({ within = [], limit, after }) {
      asked.push(within);
      await gate();
      if (faults.states !== undefined) throw faults.states;
      const keys = [...hub.keys()]
        .filter((key) => within.some((pattern) => coversKey(pattern, key)) && (after === undefined || key > after))
        .toSorted();
      const page = keys.slice(0, limit);
      return {
        cursor: faults.statesOf ?? head(),
        states: page.flatMap((key) => hub.get(key) ?? []).map(counted),
        ...(keys.length > limit ? { next: page.at(-1) ?? '' } : {}),
      };
    },
    async events(after, limit) {
      await gate();
      const offset = Number(after.split('-')[1]);
      const events = journal.slice(offset, offset + limit);
      const more = journal.length > offset + limit;
      return { events, cursor: events.at(-1)?.id ?? after, more, complete: offset >= faults.journalFrom };
    },
    holds: () => Promise.resolve(true),
    lag: () => Promise.resolve({ oldestMs: 0, waiting: 0, bytes: 0 }),
    sources: () => Promise.resolve([]),
    command: () => Promise.reject(new Error('not asked here')),
    webhook: () => Promise.reject(new Error('not asked here')),
  };
  const states = createStates({ bus, channels, clock });
  const snapshots = createSnapshots({ bus, channels, lru: createLru(1024 * 1024) });

  const commit = <T extends EventType>(session: string, type: T, data: EventData<T>): SessionEvent => {
    const offset = journal.length + 1;
    const event = eventOf(type, data, {
      subject: `deribit.main.${session}`,
      offset,
      epoch: 7,
      atMs: clock.now(),
    }) as unknown as SessionEvent;
    journal.push(event);
    ahead.push(event);
    const after = fold(hub.get(event.subject), event);
    if (after === undefined) hub.delete(event.subject);
    else hub.set(event.subject, after);
    return event;
  };
  /** The stream brings what was committed, or the first so many of it. */
  const publish = (count = ahead.length): void => {
    const turn = { events: ahead.slice(0, count), pulses: [] };
    ahead = ahead.slice(count);
    channels.publish(turn);
    states.publish(turn);
  };

  const subscribe = (
    channel: string,
    recovery: Recovery,
    how: {
      readonly grant?: Grant;
      readonly pulses?: boolean;
      /** What it knows already. */
      readonly table?: ReadonlyMap<string, State>;
      /** Called after each frame was taken in. */
      readonly onFrame?: () => void;
    } = {},
  ): Reader => {
    const { grant = EVERYTHING, pulses = false, onFrame } = how;
    const frames: Frame[] = [];
    const table = new Map(how.table);
    let base: string | undefined;
    const losses: string[] = [];
    const failures: unknown[] = [];
    let expected = '';
    let whole = false;
    let partial = false;
    let room = Number.POSITIVE_INFINITY;
    const waiting: ((open: boolean) => void)[] = [];
    let ended = false;

    const take = (text: string): void => {
      const { method, params } = JSON.parse(text) as { readonly method: string; readonly params: Params };
      frames.push({ method, params, text, at: clock.monotonic(), live: subscription.isLive() });
      switch (method) {
        case 'subscription':
          if (params.previous !== expected) losses.push(`previous is ${params.previous}, not ${expected}`);
          if (compareCursors(params.cursor ?? '', expected) < 0) losses.push(`${params.cursor} after ${expected}`);
          for (const state of params.states ?? []) table.set(state.key, state);
          for (const key of params.removed ?? []) table.delete(key);
          break;
        case 'snapshot':
          if (!partial) table.clear();
          for (const state of params.states ?? []) table.set(state.key, state);
          partial = params.last === false;
          whole = !partial;
          base = '7-0';
          if (partial) return;
          break;
        case 'gap':
          table.clear();
          whole = false;
          base = params.to;
          return;
        case 'caught_up':
          whole = true;
          break;
      }
      expected = params.cursor ?? expected;
      onFrame?.();
    };
    const write = (texts: readonly string[]): true => {
      if (ended) losses.push('sent after its end');
      for (const text of texts) {
        room--;
        take(text);
      }
      return true;
    };
    const subscription = createStatesSubscription({
      channel,
      recovery,
      pulses,
      bus,
      channels,
      snapshots,
      states,
      outlet: {
        grant: () => grant,
        outbound: {
          send: write,
          offer: (texts) => room > 0 && write(texts),
          isIdle: () => room > 0,
          writable: () => (room > 0 ? Promise.resolve(true) : new Promise((tell) => waiting.push(tell))),
        },
        stats: createEdgeStats(),
        fail(thrown) {
          failures.push(thrown);
          subscription.end();
        },
      },
    });
    expected = recovery.how === 'live' ? subscription.group.last : recovery.since;
    base = how.table === undefined || how.table.size === 0 ? expected : '7-0';
    whole = recovery.how === 'replay' || (recovery.how === 'live' && !recovery.snapshot);
    const end = subscription.end.bind(subscription);
    const reader: Reader = {
      subscription: {
        ...subscription,
        get group() {
          return subscription.group;
        },
        end() {
          end();
          ended = true;
        },
      },
      frames,
      table,
      losses,
      failures,
      expected: () => expected,
      get base() {
        return base;
      },
      isWhole: () => whole,
      stall(count = 0) {
        room = count;
      },
      drain() {
        room = Number.POSITIVE_INFINITY;
        for (const tell of waiting.splice(0)) tell(true);
      },
      waiting: () => waiting.length,
    };
    subscription.start();
    return reader;
  };

  return {
    clock,
    channels,
    states,
    journal,
    faults,
    /** The keys of each read, in order. */
    asked,
    /** How often each session's state was rendered. */
    rendered,
    /** The states as they are, in key order. */
    hub: (): ReadonlyMap<string, State> => new Map([...hub].toSorted(([a], [b]) => (a < b ? -1 : 1))),
    commit,
    publish,
    subscribe,
    open(...sessions: readonly string[]) {
      for (const session of sessions) commit(session, 'session.opened', { kind: 'api', role: 'watch' });
      publish();
    },
    /** `session.updated`, with the event's number as `n`. */
    update(...sessions: readonly string[]) {
      for (const session of sessions) commit(session, 'session.updated', { changed: { n: journal.length + 1 } });
      publish();
    },
    pulse(session: string, rttMs: number) {
      const key = `deribit.main.${session}`;
      const pulse: Pulse = {
        source: '/deribit/main',
        subject: key,
        type: 'heartbeat.pulse',
        time: '2026-11-23T09:00:00.000Z',
        data: { rttMs },
      };
      const before = hub.get(key);
      if (before !== undefined) hub.set(key, foldPulse(before, pulse));
      const turn = { events: [], pulses: [pulse] };
      channels.publish(turn);
      states.publish(turn);
    },
    /** Answers whoever waits for the bus. */
    async pass() {
      for (const open of gates.splice(0)) open();
      await settle(2);
    },
    settle: () => settle(2),
  };
}

/** What a subscriber's frames say, in short: kind, and cursors and keys. */
export function brief(frames: readonly Frame[]): unknown[] {
  return frames.map(({ method, params }) => {
    const names = (params.states ?? []).map(({ key }) => key.split('.').at(-1));
    if (method === 'subscription') {
      const gone =
        params.removed === undefined ? [] : [{ removed: params.removed.map((key) => key.split('.').at(-1)) }];
      return [params.previous, params.cursor, names, ...gone];
    }
    return method === 'snapshot' ? [method, params.cursor, names] : [method, params.cursor];
  });
}

export function cursorOf(offset: number): string {
  return formatCursor(7, offset);
}
