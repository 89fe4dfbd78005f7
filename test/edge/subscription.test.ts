import { NEVER } from 'rxjs';
import { describe, expect, test } from 'vitest';
import type { Bus } from '../../src/bus/bus.js';
import { createPump } from '../../src/edge/pump.js';
import type { Recovery } from '../../src/edge/recovery.js';
import { createReplay } from '../../src/edge/replay.js';
import { createEdgeStats } from '../../src/edge/stats.js';
import { createSubscription, type Outlet, type Subscription } from '../../src/edge/subscription.js';
import type { SessionEvent } from '../../src/model/event.js';
import type { State } from '../../src/model/session.js';
import { settle } from '../support/virtual-clock.js';

/** An edge whose bus answers when the test says so: what lies between a question and its answer is where holes come from. */
function setUp({ cacheBytes }: { readonly cacheBytes?: number } = {}) {
  const journal: SessionEvent[] = [];
  const gates: (() => void)[] = [];
  const sent: { readonly method: string; readonly params: Readonly<Record<string, unknown>> }[] = [];
  const state = {
    gated: false,
    room: true,
    offers: true,
    takes: Number.POSITIVE_INFINITY,
    statesAt: '7-0',
    dropped: 0,
  };
  const gate = (): Promise<void> => (state.gated ? new Promise((resolve) => gates.push(resolve)) : Promise.resolve());
  const append = (...types: readonly ('session.updated' | 'session.lost')[]): SessionEvent[] =>
    types.map((type) => {
      const event = {
        id: `7-${journal.length + 1}`,
        key: `k${journal.length + 1}`,
        source: '/deribit/main',
        subject: 'deribit.main.bot',
        type,
        time: '2026-11-23T08:00:00.000Z',
        data: type === 'session.lost' ? { reason: 'x' } : { changed: {} },
      } as SessionEvent;
      journal.push(event);
      return event;
    });
  const bus: Bus = {
    node: 'test',
    turns$: NEVER,
    sight$: NEVER,
    head: () => '7-0',
    async states() {
      await gate();
      return { cursor: state.statesAt, states: [{ key: 'deribit.main.bot', attributes: {} } as unknown as State] };
    },
    async events(after, limit) {
      await gate();
      const offset = Number(after.split('-')[1]);
      const events = journal.slice(Math.max(offset, state.dropped)).slice(0, limit);
      return { events, cursor: events.at(-1)?.id ?? after, more: false, complete: offset >= state.dropped };
    },
    lag: () => Promise.resolve({ oldestMs: 0, waiting: 0, bytes: 0 }),
    holds: () => Promise.resolve(true),
    sources: () => Promise.resolve([]),
    command: () => Promise.reject(new Error('not asked here')),
    webhook: () => Promise.reject(new Error('not asked here')),
  };
  const replay = createReplay(cacheBytes === undefined ? { bus } : { bus, cacheBytes });
  const { channels } = replay;
  const failures: unknown[] = [];
  const fail = (thrown: unknown): void => void failures.push(thrown);
  const take = (texts: readonly string[]): boolean => {
    if (state.room) sent.push(...texts.map((text) => JSON.parse(text)));
    return state.room;
  };
  /** A socket that takes everything, or nothing. */
  const outlet: Outlet = {
    stats: createEdgeStats(),
    grant: () => ({ identity: 'test', channels: ['>'], commands: [], fields: 'full' }),
    outbound: {
      send: take,
      offer: (texts) => state.offers && take(texts),
      spare: (text) => take([text]),
      push(frames) {
        const fitting = frames.slice(0, state.takes);
        state.takes -= fitting.length;
        take(fitting.map(({ text }) => text));
        return fitting.length;
      },
      queued() {},
      pour(frames, from, first) {
        if (state.takes === 0) return from;
        take([first, ...frames.slice(from + 1)].map(({ text }) => text));
        return frames.length;
      },
      hasRoom: () => state.room,
      isLow: () => state.room,
      isIdle: () => state.room,
      writable: () => Promise.resolve(true),
      drained() {},
      stop() {},
    },
    slot: undefined,
    pump: createPump({
      stats: createEdgeStats(),
      rounds: replay.rounds,
      outbound: { offer: (texts) => state.offers && take(texts) },
      fail,
    }),
    fallBehind: () => {
      for (const subscription of subscriptions) subscription.fallBehind();
    },
    fail,
  };
  const subscriptions: Subscription[] = [];
  const start = (channel: string, recovery: Recovery): Subscription => {
    const subscription = createSubscription({ channel, recovery, pulses: false, replay, outlet });
    subscriptions.push(subscription);
    subscription.start();
    return subscription;
  };
  const brief = (): unknown[] =>
    sent.map(({ method, params }) => {
      const { previous, data, cursor, from, to, since } = params;
      if (method === 'subscription') return [previous, (data as { readonly id: string }).id];
      if (method === 'gap') return ['gap', from, to];
      return method === 'lag' ? ['lag', since] : [method, cursor];
    });
  return {
    channels,
    state,
    append,
    start,
    brief,
    failures,
    publish: (...events: SessionEvent[]) => channels.publish({ events, pulses: [] }),
    outlet,
    async pass() {
      for (const open of gates.splice(0)) open();
      await settle(2);
    },
  };
}

describe('a snapshot', () => {
  test('what is published while it is being read follows it, chained, each event once', async () => {
    const { state, append, publish, start, brief, pass } = setUp();
    state.gated = true;
    const subscription = start('>', { how: 'live', snapshot: true });
    publish(...append('session.updated', 'session.lost'));
    for (let step = 0; step < 3; step++) await pass();
    publish(...append('session.updated'));
    for (let step = 0; step < 6; step++) await pass();
    expect(subscription.isLive()).toBe(true);
    publish(...append('session.updated'));
    expect(brief()).toEqual([
      ['snapshot', '7-0'],
      ['7-0', '7-1'],
      ['7-1', '7-2'],
      ['7-2', '7-3'],
      ['7-3', '7-4'],
    ]);
  });

  test('until all of that is sent, it says up to where everything was: no heartbeat may promise more', async () => {
    const { state, append, publish, start, pass, brief, outlet } = setUp();
    state.gated = true;
    const subscription = start('>', { how: 'live', snapshot: true });
    expect(subscription.sentUpTo()).toBe('7-0');
    publish(...append('session.updated', 'session.lost'));
    state.takes = 0;
    for (let step = 0; step < 2; step++) await pass();
    expect(brief()).toEqual([['snapshot', '7-0']]);
    expect([subscription.isLive(), subscription.sentUpTo()]).toEqual([false, '7-0']);
    state.takes = Number.POSITIVE_INFINITY;
    outlet.pump.wake();
    await pass();
    expect([subscription.isLive(), subscription.sentUpTo()]).toEqual([true, undefined]);
  });

  test('states that were read ahead of the stream are held until the stream has come there', async () => {
    const { state, append, publish, start, brief } = setUp();
    state.statesAt = '7-2';
    start('>', { how: 'live', snapshot: true });
    await settle();
    expect(brief()).toEqual([]);
    publish(...append('session.updated'));
    await settle();
    expect(brief()).toEqual([]);
    publish(...append('session.updated'));
    await settle();
    expect(brief()).toEqual([
      ['snapshot', '7-0'],
      ['7-0', '7-1'],
      ['7-1', '7-2'],
    ]);
  });
});

describe('a replay', () => {
  const replay = (since: string): Recovery => ({ how: 'replay', since, snapshot: false });

  test('ends with caught_up at what the next frame’s previous will be', async () => {
    const { append, publish, start, brief } = setUp();
    publish(...append('session.updated', 'session.lost', 'session.updated'));
    start('*.*.*.session.updated', replay('7-1'));
    await settle();
    publish(...append('session.lost', 'session.updated'));
    expect(brief()).toEqual([
      ['7-1', '7-3'],
      ['caught_up', '7-3'],
      ['7-3', '7-5'],
    ]);
  });

  test('what the journal has and the stream has not brought yet comes with the stream, once', async () => {
    const { append, publish, start, brief } = setUp();
    publish(...append('session.updated'));
    const ahead = append('session.updated', 'session.updated');
    start('>', replay('7-0'));
    await settle();
    publish(...ahead);
    expect(brief()).toEqual([
      ['7-0', '7-1'],
      ['caught_up', '7-1'],
      ['7-1', '7-2'],
      ['7-2', '7-3'],
    ]);
  });

  test('a journal that drops what is missing meanwhile is a gap from what was sent last', async () => {
    const { state, append, publish, start, brief } = setUp();
    publish(...append('session.updated', 'session.updated'));
    state.dropped = 2;
    start('*.*.*.session.updated', replay('7-1'));
    await settle();
    publish(...append('session.updated'));
    expect(brief()).toEqual([
      ['gap', '7-1', '7-2'],
      ['caught_up', '7-2'],
      ['7-2', '7-3'],
    ]);
  });
});

describe('falling behind', () => {
  const live: Recovery = { how: 'live', snapshot: false };

  test('in the middle of a turn: what went is not sent again, what did not go is, on every channel of the connection', async () => {
    const { state, append, publish, start, brief, channels } = setUp();
    const all = start('>', live);
    const updates = start('*.*.*.session.updated', live);
    const quiet = start('*.*.*.protection.*', live);
    publish(...append('session.updated', 'session.lost'));
    state.takes = 1;
    publish(...append('session.lost', 'session.updated'));
    expect([all.isLive(), updates.isLive(), quiet.isLive()]).toEqual([false, false, false]);
    // Nothing that it is told before it knows may lie beyond what was sent.
    expect([all.sentUpTo(), updates.sentUpTo(), quiet.sentUpTo()]).toEqual(['7-3', '7-2', '7-4']);
    state.takes = Number.POSITIVE_INFINITY;
    await settle();
    publish(...append('session.updated'));
    expect(channels.position()).toBe('7-5');
    expect(brief()).toEqual([
      ['7-0', '7-1'],
      ['7-1', '7-2'],
      ['7-0', '7-1'],
      ['7-2', '7-3'],
      ['lag', { '>': '7-3', '*.*.*.session.updated': '7-1', '*.*.*.protection.*': '7-0' }],
      ['7-3', '7-4'],
      ['7-1', '7-4'],
      ['caught_up', '7-0'],
      ['caught_up', '7-4'],
      ['caught_up', '7-4'],
      ['7-4', '7-5'],
      ['7-4', '7-5'],
    ]);
  });

  test('nothing is replayed before lag was told, and what ended meanwhile is not named in it', async () => {
    const { state, append, publish, start, brief, outlet } = setUp();
    start('>', live);
    const updates = start('*.*.*.session.updated', live);
    state.takes = 0;
    state.room = false;
    publish(...append('session.updated'));
    await settle();
    updates.end();
    // There is room for an event, but not for saying that it lags.
    state.takes = Number.POSITIVE_INFINITY;
    state.room = true;
    state.offers = false;
    outlet.pump.wake();
    await settle();
    expect(brief()).toEqual([]);
    state.offers = true;
    outlet.pump.wake();
    await settle();
    expect(brief()).toEqual([
      ['lag', { '>': '7-0' }],
      ['7-0', '7-1'],
      ['caught_up', '7-1'],
    ]);
  });

  test('what the journal dropped meanwhile is a gap from the last event that was sent, and states follow', async () => {
    const { state, append, publish, start, brief, outlet } = setUp({ cacheBytes: 0 });
    const subscription = start('>', live);
    publish(...append('session.updated'));
    state.takes = 0;
    state.room = false;
    for (let n = 0; n < 300; n++) publish(...append('session.updated'));
    state.dropped = 280;
    state.takes = Number.POSITIVE_INFINITY;
    state.room = true;
    outlet.pump.wake();
    await settle(8);
    expect(subscription.isLive()).toBe(true);
    publish(...append('session.updated'));
    expect(brief()).toEqual([
      ['7-0', '7-1'],
      ['lag', { '>': '7-1' }],
      ['gap', '7-1', '7-301'],
      ['snapshot', '7-301'],
      ['7-301', '7-302'],
    ]);
  });
});

test.each([
  ['a live one', { how: 'live', snapshot: false }],
  ['one in its snapshot', { how: 'live', snapshot: true }],
  ['one in its replay', { how: 'replay', since: '7-0', snapshot: true }],
  ['one after a gap', { how: 'gap', since: '5-1', snapshot: true }],
] as const)(
  'nothing is sent after the end of %s, at whatever point it ends, and its group is gone',
  async (_what, recovery) => {
    for (let steps = 0; steps < 8; steps++) {
      const { channels, state, append, publish, start, brief, pass, failures } = setUp();
      const other = channels.acquire('>', 'full', false);
      publish(...append('session.updated'));
      state.gated = true;
      const subscription = start('>', recovery);
      for (let step = 0; step < steps; step++) await pass();
      subscription.end();
      subscription.end();
      const before = brief().length;
      publish(...append('session.updated'));
      for (let step = 0; step < 8; step++) await pass();
      expect(brief()).toHaveLength(before);
      channels.release(other);
      expect([channels.size, failures]).toEqual([0, []]);
    }
  },
);
