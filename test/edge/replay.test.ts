import { describe, expect, test } from 'vitest';
import type { SessionEvent } from '../../src/model/event.js';
import type { State } from '../../src/model/session.js';
import { createEdgeStage, type EdgeStage, type FakeWire, type Told } from '../support/edge-stage.js';

/**
 * What replays cost: pages of the journal are read, rendered and kept once for everybody, and what waits for one
 * subscriber is a cursor a channel. Counted, not timed.
 */
const UPDATES = '*.*.*.session.updated';

function updates(count: number, sessions = 1): readonly Told[] {
  return Array.from({ length: count }, (_, n) => ({
    subject: `deribit.main.s${n % sessions}`,
    type: 'session.updated',
  }));
}

interface Listener {
  readonly wire: FakeWire;
  /** Methods of notifications but events, in order; replies are `reply`. */
  readonly said: string[];
  ids: string[];
  broken: number;
}

/** A subscriber that checks `previous`, and parses nothing: thousands of them fit into a test. */
function listen(stage: EdgeStage, kernelBytes = Number.MAX_SAFE_INTEGER): Listener {
  let expected: string | undefined;
  const one: Listener = {
    said: [],
    ids: [],
    broken: 0,
    wire: stage.connect(kernelBytes, (text) => {
      const method = between(text, '"method":"') ?? 'reply';
      if (method !== 'subscription') one.said.push(method);
      else {
        const id = between(text, '"data":{"id":"') ?? '';
        if (expected !== undefined && between(text, '"previous":"') !== expected) one.broken++;
        expected = id;
        one.ids.push(id);
      }
      if (method === 'caught_up') expected = between(text, '"cursor":"');
    }),
  };
  return one;
}

function between(text: string, start: string): string | undefined {
  const from = text.indexOf(start);
  return from < 0 ? undefined : text.slice(from + start.length, text.indexOf('"', from + start.length));
}

function subscribe({ wire }: Pick<Listener, 'wire'>, params: object): void {
  wire.handlers?.message(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'subscribe', params }), 100);
}

/** Everybody reads until nothing comes any more. */
async function readAll(stage: EdgeStage, all: readonly Listener[]): Promise<void> {
  for (;;) {
    await stage.settle();
    const unread = all.reduce((sum, { wire }) => sum + wire.unread, 0);
    if (unread === 0) return;
    for (const { wire } of all) wire.read(Number.MAX_SAFE_INTEGER);
  }
}

describe('a crowd', () => {
  test('that resumes at once on a few channels reads and renders each page of the journal once', async () => {
    const stage = await createEdgeStage();
    const channels = ['>', UPDATES, 'deribit.main.s1.>'];
    stage.append(updates(5_000, 10));
    stage.publish();
    const since = stage.told[999]?.id;
    const crowd = Array.from({ length: 600 }, () => listen(stage));
    for (const [index, one] of crowd.entries())
      subscribe(one, { channels: [{ channel: channels[index % channels.length], since }] });
    await readAll(stage, crowd);
    for (const [index, { ids, broken }] of crowd.entries()) {
      expect(ids.length).toBe(index % 3 === 2 ? 400 : 4_000);
      expect(broken).toBe(0);
    }
    const pages = Math.ceil(5_000 / 256) - Math.floor(1_000 / 256);
    expect(stage.asked.events).toBe(pages);
    // A page is rendered whole, from its first event on.
    expect(stage.replay.counts().rendered).toBeLessThanOrEqual((4_000 + 256) * 2 + 430);
  }, 60_000);

  test('whose cursors differ meets in the same pages', async () => {
    const stage = await createEdgeStage();
    stage.append(updates(2_000));
    stage.publish();
    const crowd = Array.from({ length: 500 }, () => listen(stage));
    for (const [index, one] of crowd.entries())
      subscribe(one, { channels: [{ channel: UPDATES, since: stage.told[index * 3]?.id }] });
    await readAll(stage, crowd);
    expect(crowd.map(({ ids }) => ids.length)).toEqual(crowd.map((_, index) => 1_999 - index * 3));
    expect(crowd.every(({ broken }) => broken === 0)).toBe(true);
    expect(stage.asked.events).toBe(Math.ceil(2_000 / 256));
    expect(stage.replay.counts().rendered).toBe(2_000);
  });

  test('that replays while events go on coming reads the journal once and takes the rest as it is rendered', async () => {
    const stage = await createEdgeStage();
    stage.append(updates(300));
    stage.publish();
    const crowd = Array.from({ length: 200 }, () => listen(stage, 0));
    for (const one of crowd) {
      subscribe(one, { channels: [{ channel: UPDATES, since: stage.told[0]?.id }] });
      await stage.settle();
      stage.append(updates(1));
      stage.publish();
    }
    await readAll(stage, crowd);
    for (const { ids, broken } of crowd) expect([ids.length, broken]).toEqual([499, 0]);
    expect(stage.asked.events).toBe(2);
    expect(stage.replay.counts().rendered).toBe(500);
  });

  test('that connects at once and wants a snapshot reads and renders the states once', async () => {
    const states = Array.from(
      { length: 700 },
      (_, n) =>
        ({ key: `deribit.main.s${String(n).padStart(3, '0')}`, cursor: '1-0', attributes: { n } }) as unknown as State,
    );
    const stage = await createEdgeStage({ states: () => states });
    const crowd = Array.from({ length: 1_000 }, () => listen(stage));
    for (const one of crowd) subscribe(one, { channels: ['>'] });
    await readAll(stage, crowd);
    for (const { said } of crowd) expect(said.filter((method) => method === 'snapshot')).toHaveLength(4);
    expect(stage.asked.states).toBe(1);
    stage.append(updates(1));
    stage.publish();
    const late = listen(stage);
    subscribe(late, { channels: ['>'] });
    await readAll(stage, [late]);
    expect(stage.asked.states).toBe(2);
  });
});

test('a snapshot with a cursor that the stream has not reached covers it, though older states are still kept', async () => {
  const states: State[] = [];
  const stage = await createEdgeStage({ states: () => states });
  const first = listen(stage);
  subscribe(first, { channels: ['>'] });
  await readAll(stage, [first]);
  stage.append(updates(1));
  states.push({ key: 'deribit.main.s0', cursor: '1-1', attributes: {} } as unknown as State);
  const snapshots: string[] = [];
  const wire = stage.connect(Number.MAX_SAFE_INTEGER, (text) => {
    if (text.includes('"method":"snapshot"')) snapshots.push(text);
  });
  subscribe({ wire }, { channels: [{ channel: '>', since: '1-1' }], snapshot: true });
  // The stream comes there before the first step towards the snapshot.
  for (let turn = 0; turn < 12; turn++) await Promise.resolve();
  stage.publish();
  await stage.settle();
  wire.read(Number.MAX_SAFE_INTEGER);
  expect(snapshots).toEqual([expect.stringContaining('"key":"deribit.main.s0"')]);
});

test('a burst of 20,000 events in one turn reaches 1,000 subscribers and is rendered once a channel', async () => {
  const stage = await createEdgeStage();
  const channels = ['>', UPDATES];
  const checked = channels.map((channel) => {
    const one = listen(stage, 64 * 1024);
    subscribe(one, { channels: [channel], snapshot: false });
    return one;
  });
  // The others read at once whatever they are sent: the very frames that the first of their channel was sent.
  const crowd = Array.from({ length: 998 }, (_, index) => {
    const one = { events: 0, said: [] as string[], first: '', last: '' };
    const wire = stage.connectInstant((text) => {
      if (!text.startsWith('{"jsonrpc":"2.0","method":"subscription"')) return void one.said.push(text);
      if (one.events++ === 0) one.first = text;
      one.last = text;
    });
    wire.handlers?.message(
      JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'subscribe',
        params: { channels: [channels[index % 2]], snapshot: false },
      }),
      100,
    );
    return one;
  });
  await stage.settle();
  // 10,000 sessions of one source lose their link: each is stale, and is judged anew.
  stage.append(updates(20_000, 10_000));
  stage.publish();
  await readAll(stage, checked);
  const wanted = stage.told.map(({ id }) => id);
  for (const { ids, broken, wire, said } of checked) {
    expect(ids).toEqual(wanted);
    expect(broken).toBe(0);
    expect(wire.highest).toBeLessThanOrEqual(256 * 1024);
    expect(said.slice(-2)).toEqual(['lag', 'caught_up']);
  }
  for (const { events, first, last, said } of crowd) {
    expect(events).toBe(20_000);
    expect(between(first, '"data":{"id":"')).toBe(wanted[0]);
    expect(between(last, '"data":{"id":"')).toBe(wanted.at(-1));
    expect(said.slice(-2).map((text) => between(text, '"method":"'))).toEqual(['lag', 'caught_up']);
  }
  expect(stage.replay.counts().rendered).toBe(20_000 * channels.length);
  expect(stage.asked.events).toBe(0);
}, 60_000);

describe('a subscriber that stops reading', () => {
  test('costs its buffer and nothing else: not a page is read or kept for it', async () => {
    const stage = await createEdgeStage({ cacheBytes: 64 * 1024 });
    const stopped = listen(stage, 0);
    const channels = Array.from({ length: 256 }, (_, n) => `deribit.main.s${n}.>`);
    subscribe(stopped, { channels, snapshot: false });
    await readAll(stage, [stopped]);
    for (let turn = 0; turn < 100; turn++) {
      stage.append(updates(512, 256));
      stage.publish();
      await stage.settle();
    }
    expect(stopped.wire.highest).toBeLessThanOrEqual(256 * 1024);
    expect(stage.asked.events).toBe(0);
    expect(stage.replay.counts().bytes).toBeLessThanOrEqual(64 * 1024 + 60_000);
    await readAll(stage, [stopped]);
    expect(stopped.ids).toHaveLength(51_200);
    expect(stopped.said.filter((method) => method === 'caught_up')).toHaveLength(256);
  }, 60_000);

  test('delays nobody: the others have each turn before the next', async () => {
    const stage = await createEdgeStage();
    const [good, stopped] = [listen(stage), listen(stage, 0)];
    for (const one of [good, stopped]) subscribe(one, { channels: [UPDATES] });
    await readAll(stage, [good, stopped]);
    for (let turn = 1; turn <= 100; turn++) {
      stage.append(updates(100));
      stage.publish();
      good.wire.read(Number.MAX_SAFE_INTEGER);
      expect(good.ids.length).toBe(turn * 100);
    }
    expect(good.said).not.toContain('lag');
    await readAll(stage, [stopped]);
    expect(stopped.ids).toEqual(good.ids);
  });

  test('a replay of many events gives the event loop back between its parts', async () => {
    const stage = await createEdgeStage();
    stage.append(updates(10_000));
    stage.publish();
    const one = listen(stage);
    subscribe(one, { channels: [{ channel: UPDATES, since: '1-0' }] });
    let rounds = 0;
    for (let idle = 0; idle < 3; ) {
      for (let turn = 0; turn < 12; turn++) await Promise.resolve();
      const before = one.wire.unread;
      idle = stage.round() ? 0 : idle + 1;
      rounds++;
      expect(one.wire.unread - before).toBeLessThanOrEqual(32 * 33 * 1024);
    }
    one.wire.read(Number.MAX_SAFE_INTEGER);
    expect(one.ids).toHaveLength(10_000);
    expect(rounds).toBeGreaterThan(40);
  });
});

test('what was published while nobody replayed a channel is read, not skipped, by whoever replays it next', async () => {
  const stage = await createEdgeStage();
  stage.append(updates(10));
  stage.publish();
  const first = listen(stage);
  subscribe(first, { channels: [{ channel: UPDATES, since: '1-2' }] });
  await readAll(stage, [first]);
  // The pages of its replay stay; these events are in none of them.
  stage.append(updates(5));
  stage.publish();
  const second = listen(stage);
  subscribe(second, { channels: [{ channel: UPDATES, since: '1-2' }] });
  for (let turn = 0; turn < 12; turn++) await Promise.resolve();
  // It stands before its first part when this comes.
  stage.append(updates(5));
  stage.publish();
  await readAll(stage, [second]);
  expect(second.ids).toEqual(stage.told.slice(2).map(({ id }) => id));
  expect([second.broken, first.broken]).toEqual([0, 0]);
});

test('a journal that lacks what was published is a gap that is told, not a hole and not a loop', async () => {
  const stage = await createEdgeStage();
  stage.append(updates(10));
  stage.publish();
  const [last] = stage.told.slice(-1);
  const lost = { ...last, id: '1-11', key: 'lost' } as SessionEvent;
  stage.replay.channels.publish({ events: [lost], pulses: [] });
  const one = listen(stage);
  subscribe(one, { channels: [{ channel: UPDATES, since: '1-2' }] });
  await readAll(stage, [one]);
  expect(one.ids).toEqual(stage.told.slice(2).map(({ id }) => id));
  expect(one.said).toEqual(['welcome', 'reply', 'gap', 'caught_up']);
});

test('a snapshot that is read slowly, while sessions change and nothing of it is kept, has every session once', async () => {
  const states = new Map<string, State>();
  const put = (n: number, cursor: string): void => {
    const key = `deribit.main.s${String(n).padStart(4, '0')}`;
    states.set(key, { key, cursor, attributes: { pad: 'x'.repeat(100) } } as unknown as State);
  };
  for (let n = 0; n < 1_200; n++) put(n, '1-0');
  const stage = await createEdgeStage({
    cacheBytes: 0,
    states: () => [...states.values()].toSorted((a, b) => (a.key < b.key ? -1 : 1)),
  });
  const keys: string[] = [];
  const cursors = new Set<string>();
  const events: string[] = [];
  const wire = stage.connect(0, (text) => {
    const { method, params } = JSON.parse(text) as { method?: string; params: Record<string, never> };
    if (method === 'snapshot') {
      keys.push(...(params.states as unknown as State[]).map(({ key }) => key));
      cursors.add(String(params.cursor));
    }
    if (method === 'subscription') events.push(`${params.previous}>${(params.data as unknown as { id: string }).id}`);
  });
  subscribe({ wire }, { channels: ['>'] });
  for (let n = 0; n < 40; n++) {
    await stage.settle();
    wire.read(9_000);
    stage.append([{ subject: 'deribit.main.s0600', type: 'session.updated' }]);
    put(600, `1-${n + 1}`);
    stage.publish();
  }
  for (let turn = 0; turn < 100; turn++) {
    await stage.settle();
    wire.read(Number.MAX_SAFE_INTEGER);
  }
  expect(keys).toEqual([...states.keys()].toSorted());
  expect([...cursors]).toEqual(['1-0']);
  expect(events).toEqual(stage.told.map(({ id }, index) => `${stage.told[index - 1]?.id ?? '1-0'}>${id}`));
  expect(wire.highest).toBeLessThanOrEqual(256 * 1024);
});
