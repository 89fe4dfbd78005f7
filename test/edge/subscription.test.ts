import { NEVER } from 'rxjs';
import { describe, expect, test } from 'vitest';
import type { Bus } from '../../src/bus/bus.js';
import { createChannels } from '../../src/edge/channels.js';
import type { Recovery } from '../../src/edge/recovery.js';
import { createSubscription } from '../../src/edge/subscription.js';
import type { SessionEvent } from '../../src/model/event.js';
import type { State } from '../../src/model/session.js';
import { settle } from '../support/virtual-clock.js';

/** An edge whose bus answers when the test says so: what lies between a question and its answer is where holes come from. */
function setUp() {
  const journal: SessionEvent[] = [];
  const gates: (() => void)[] = [];
  const sent: { readonly method: string; readonly params: Readonly<Record<string, unknown>> }[] = [];
  const state = { gated: false, room: true, statesAt: '7-0', complete: true };
  const channels = createChannels('7-0');
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
    head: () => channels.position(),
    async states() {
      await gate();
      return { cursor: state.statesAt, states: [{ key: 'deribit.main.bot', attributes: {} } as unknown as State] };
    },
    async events(after, limit) {
      await gate();
      const events = journal.slice(Number(after.split('-')[1])).slice(0, limit);
      return { events, cursor: events.at(-1)?.id ?? after, more: false, complete: state.complete };
    },
    lag: () => Promise.resolve({ oldestMs: 0, waiting: 0 }),
    holds: () => Promise.resolve(true),
    sources: () => Promise.resolve([]),
    command: () => Promise.reject(new Error('not asked here')),
    webhook: () => Promise.reject(new Error('not asked here')),
  };
  const failures: unknown[] = [];
  const start = (channel: string, recovery: Recovery) => {
    const subscription = createSubscription({
      channel,
      recovery,
      pulses: false,
      bus,
      channels,
      outlet: {
        grant: () => ({ identity: 'test', channels: ['>'], commands: [], fields: 'full' }),
        send(frames) {
          sent.push(...frames.map((frame) => JSON.parse(frame)));
          return true;
        },
        isIdle: () => true,
        writable: async () => {
          await gate();
          return true;
        },
        fail: (thrown) => failures.push(thrown),
      },
    });
    subscription.start();
    return subscription;
  };
  const brief = (): unknown[] =>
    sent.map(({ method, params }) => {
      const { previous, data, cursor, from, to } = params;
      if (method === 'subscription') return [previous, (data as { readonly id: string }).id];
      return method === 'gap' ? ['gap', from, to] : [method, cursor];
    });
  return {
    channels,
    state,
    append,
    start,
    brief,
    failures,
    publish: (...events: SessionEvent[]) => channels.publish({ events, pulses: [] }),
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
    const { state, append, publish, start, pass, brief } = setUp();
    state.gated = true;
    const subscription = start('>', { how: 'live', snapshot: true });
    expect(subscription.sentUpTo()).toBe('7-0');
    publish(...append('session.updated', 'session.lost'));
    for (let step = 0; step < 2; step++) await pass();
    expect(brief()).toEqual([['snapshot', '7-0']]);
    expect([subscription.isLive(), subscription.sentUpTo()]).toEqual([false, '7-0']);
    for (let step = 0; step < 6; step++) await pass();
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
    state.complete = false;
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
