import { expect, test } from 'vitest';
import { LIVE_AGAIN_SHARE, STREAM_SHARE } from '../../src/edge/limits.js';
import type { Grant } from '../../src/model/grant.js';
import { createEdgeStage, type FakeWire, type Told } from '../support/edge-stage.js';

/** What a connection says of itself while it is behind: nothing that is not so. */
const UPDATES = '*.*.*.session.updated';
const ALL: Grant = { identity: 'test', channels: ['>'], commands: [], fields: 'full' };
const updates = (count: number): readonly Told[] =>
  Array.from({ length: count }, () => ({ subject: 'deribit.main.bot', type: 'session.updated' }));

interface Said {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
}

function ask(wire: FakeWire, id: number, method: string, params: object): void {
  wire.handlers?.message(JSON.stringify({ jsonrpc: '2.0', id, method, params }), 100);
}

async function setUp(options: Parameters<typeof createEdgeStage>[0] = {}) {
  const stage = await createEdgeStage({ limits: { maxBufferedBytes: 4_096 }, ...options });
  const said: Said[] = [];
  /** What waited when `caught_up` was sent. */
  const atCaughtUp: number[] = [];
  const wire = stage.connect(
    0,
    (text) => said.push(JSON.parse(text)),
    (text, waiting) => {
      if (text.includes('"caught_up"')) atCaughtUp.push(waiting);
    },
  );
  const tell = (count: number): void => {
    stage.append(updates(count));
    stage.publish();
  };
  const readAll = async (): Promise<void> => {
    do {
      wire.read(Number.MAX_SAFE_INTEGER);
      await stage.settle();
    } while (wire.unread > 0);
  };
  const of = (method: string): readonly NonNullable<Said['params']>[] =>
    said.flatMap((one) => (one.method === method ? [one.params ?? {}] : []));
  const sent = (): unknown => (of('subscription').at(-1)?.data as { readonly id: string } | undefined)?.id;
  ask(wire, 1, 'subscribe', { channels: [UPDATES], snapshot: false });
  await stage.settle();
  await readAll();
  return { stage, wire, said, tell, readAll, of, sent, atCaughtUp };
}

test('unsubscribed names the last event that was sent, not the last that there is: a resume from it has no hole', async () => {
  let next: Grant = ALL;
  const { stage, wire, tell, of, sent } = await setUp({ granted: () => next });
  tell(100);
  await stage.settle();
  next = { ...ALL, channels: ['deribit.main.desk.>'] };
  ask(wire, 2, 'auth', { token: 't' });
  await stage.settle();
  wire.read(Number.MAX_SAFE_INTEGER);
  expect(of('subscription').length).toBeLessThan(100);
  expect(of('unsubscribed')).toEqual([
    { channel: UPDATES, cursor: sent(), reason: 'the grant no longer contains this channel' },
  ]);
  await stage.settle();
  wire.read(Number.MAX_SAFE_INTEGER);
  expect(of('subscription').at(-1)).toMatchObject({ data: { id: sent() } });
  expect(of('lag')).toEqual([]);
});

test('a heartbeat promises nothing that was not sent, before lag is told and after, and names live channels alone', async () => {
  const { stage, tell, readAll, of, wire, sent: sentLast } = await setUp();
  tell(100);
  const before = stage.replay.channels.position();
  // The lag itself finds no room yet.
  await stage.clock.advance(15_000);
  wire.read(Number.MAX_SAFE_INTEGER);
  const [early] = of('heartbeat');
  expect(of('lag')).toEqual([]);
  const sent = sentLast();
  expect(early).toMatchObject({ cursor: sent, last: {} });
  expect(sent).not.toBe(before);
  await readAll();
  expect(of('lag')).toEqual([{ since: { [UPDATES]: sent } }]);
  expect(of('caught_up')).toEqual([{ channel: UPDATES, cursor: before }]);
  await stage.clock.advance(15_000);
  await readAll();
  expect(of('heartbeat').at(-1)).toMatchObject({ cursor: before, last: { [UPDATES]: before } });
});

test('a heartbeat that finds no room is left out, closes nothing, and comes as soon as there is some', async () => {
  const { stage, wire, tell, readAll, of } = await setUp();
  tell(1);
  for (let id = 10; id < 13; id++) ask(wire, id, 'ping', { text: 'x'.repeat(1_000) });
  await stage.settle();
  expect(wire.waiting).toBeGreaterThan(3_072);
  await stage.clock.advance(15_000);
  expect(wire.closedWith).toBeUndefined();
  wire.read(1_500);
  wire.read(Number.MAX_SAFE_INTEGER);
  expect(of('heartbeat')).toHaveLength(1);
  expect(of('heartbeat')[0]).toMatchObject({ last: { [UPDATES]: stage.replay.channels.position() } });
  await readAll();
  expect(wire.highest).toBeLessThanOrEqual(4_096);
});

test('pulses are dropped while anything waits, and lag is not a matter of them', async () => {
  const { stage, wire, readAll, of } = await setUp();
  ask(wire, 2, 'subscribe', { channels: [UPDATES, 'deribit.main.bot.>'], snapshot: false, pulses: true });
  await stage.settle();
  await readAll();
  const pulse = {
    source: '/deribit/main',
    subject: 'deribit.main.bot',
    type: 'heartbeat.pulse' as const,
    time: '2026-11-23T08:00:00.000Z',
    data: {},
  };
  for (let n = 0; n < 100; n++) stage.replay.channels.publish({ events: [], pulses: [pulse] });
  await readAll();
  expect(of('subscription').filter(({ pulse: is }) => is === true)).toHaveLength(1);
  stage.replay.channels.publish({ events: [], pulses: [pulse] });
  await readAll();
  expect(of('subscription').filter(({ pulse: is }) => is === true)).toHaveLength(2);
  expect(of('lag')).toEqual([]);
});

test('a reply that finds no room closes with 4408; what was sent before has no hole', async () => {
  const { stage, wire, tell, of, said } = await setUp();
  tell(100);
  for (let id = 10; id < 20; id++) ask(wire, id, 'ping', { text: 'x'.repeat(1_000) });
  await stage.settle();
  expect(wire.closedWith).toBe(4408);
  expect(wire.highest).toBeLessThanOrEqual(4_096);
  wire.read(Number.MAX_SAFE_INTEGER);
  const got = of('subscription').map(({ data }) => (data as { readonly id: string }).id);
  expect(got).toEqual(stage.told.slice(0, got.length).map(({ id }) => id));
  expect(said.filter(({ id }) => id !== undefined && id >= 10).length).toBeLessThan(10);
  // Nothing of it is left: no group, no timer, no replay.
  expect([stage.replay.channels.size, stage.clock.timers]).toEqual([0, 0]);
});

test('it is live again only once little waits, so that it does not fall behind at once', async () => {
  const { wire, tell, readAll, of, stage, atCaughtUp } = await setUp();
  tell(100);
  await stage.settle();
  // It reads a message at a time, and each time the replay fills up what it took.
  for (let reads = 0; reads < 300; reads++) {
    wire.read(1);
    await stage.settle();
  }
  expect(of('caught_up')).toHaveLength(1);
  expect(atCaughtUp[0]).toBeGreaterThan(0);
  expect(atCaughtUp[0]).toBeLessThanOrEqual(4_096 * STREAM_SHARE * LIVE_AGAIN_SHARE);
  for (let n = 0; n < 50; n++) {
    tell(1);
    wire.read(200);
    await stage.settle();
  }
  await readAll();
  expect(of('lag')).toHaveLength(1);
  expect(of('subscription')).toHaveLength(150);
});
