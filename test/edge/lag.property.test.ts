import fc from 'fast-check';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { compareCursors } from '../../src/model/cursor.js';
import type { SessionEvent } from '../../src/model/event.js';
import type { State } from '../../src/model/session.js';
import { addressOf, hasSnapshot, matches } from '../../src/model/subject.js';
import { createEdgeStage, type FakeWire, type Told } from '../support/edge-stage.js';

/**
 * PROTOCOL.md §6.1 to §6.3 and §6.5, whatever happens in whichever order: a subscriber is told everything that its
 * channels have, each event once, in order, proved by `previous`, or told of the gap; and what waits for it is bounded.
 */
const CHANNELS = ['>', '*.*.*.session.updated', 'deribit.main.a.>', 'deribit.main.b.session.lost'] as const;
const MAX_BUFFERED = 4_096;
const RUNS = Number(process.env.LAG_RUNS ?? 400);

const message = z.looseObject({
  method: z.string().optional(),
  id: z.number().optional(),
  params: z.looseObject({ channel: z.string().optional() }).optional(),
  result: z.unknown().optional(),
  error: z.unknown().optional(),
});
type Message = z.output<typeof message>;
/** Most messages: what is wrong with one of these shows in the checks. */
const FRAME = '{"jsonrpc":"2.0","method":"subscription"';
const framed = z.object({ channel: z.string(), previous: z.string(), data: z.looseObject({ id: z.string() }) });
const subscribed = z.object({
  channels: z.array(z.object({ channel: z.string(), cursor: z.string(), recovered: z.boolean() })),
});
const state = z.looseObject({ key: z.string(), cursor: z.string() });

/** What one subscription was told, under the terms of one subscribe reply. */
interface Terms {
  readonly channel: string;
  /** Everything after this is owed. */
  from: string;
  expected: string | undefined;
  phase: 'snapshot' | 'replay' | 'lag' | 'gap' | 'live';
  readonly got: Set<string>;
  readonly gaps: { readonly from: string; readonly to: string }[];
  /** What the states that were told cover, by session. */
  covered: Map<string, string>;
}

/** A client as PROTOCOL.md wants it. It throws where the protocol is broken. */
function createClient(events: () => readonly SessionEvent[]) {
  const current = new Map<string, Terms>();
  const asked = new Map<number, { readonly since: Map<string, string | undefined>; readonly snapshot: boolean }>();
  const dropped = new Map<number, readonly string[]>();
  const seen = { lag: 0, gap: 0, snapshot: 0, caught_up: 0, subscription: 0, heartbeat: 0 };
  const termsOf = (channel: string): Terms => {
    const terms = current.get(channel);
    if (terms === undefined) throw new Error(`a message of ${channel}, which is not subscribed`);
    return terms;
  };
  const receive = (text: string): void => {
    const parsed: unknown = JSON.parse(text);
    const { method, id, params, result, error } = text.startsWith(FRAME) ? (parsed as Message) : message.parse(parsed);
    if (method !== undefined && method in seen) seen[method as keyof typeof seen]++;
    if (error !== undefined) throw new Error(`an error: ${text}`);
    if (method === undefined && id !== undefined) {
      for (const channel of dropped.get(id) ?? []) current.delete(channel);
      const request = asked.get(id);
      if (request === undefined) return;
      for (const { channel, cursor, recovered } of subscribed.parse(result).channels) {
        const since = request.since.get(channel);
        const withStates = hasSnapshot(channel) && (request.snapshot || !recovered);
        current.set(channel, {
          channel,
          // Nobody is owed what it says that it has, also where that is ahead of the stream and cannot be resumed from.
          from: recovered || compareCursors(since ?? cursor, cursor) > 0 ? (since ?? cursor) : cursor,
          expected: recovered ? (since ?? cursor) : undefined,
          phase: recovered ? (since !== undefined ? 'replay' : withStates ? 'snapshot' : 'live') : 'gap',
          got: new Set(),
          gaps: [],
          covered: new Map(),
        });
      }
      return;
    }
    switch (method) {
      case 'subscription': {
        const { channel, previous, data } = params as unknown as z.output<typeof framed>;
        const terms = termsOf(channel);
        if (terms.phase === 'gap' || (terms.phase === 'snapshot' && terms.expected === undefined))
          throw new Error(`an event of ${channel} before its states`);
        if (previous !== terms.expected) throw new Error(`${channel}: previous ${previous}, not ${terms.expected}`);
        if (compareCursors(data.id, previous) <= 0) throw new Error(`${channel}: ${data.id} after ${previous}`);
        terms.expected = data.id;
        terms.got.add(data.id);
        return;
      }
      case 'lag': {
        const { since } = z.object({ since: z.record(z.string(), z.string()) }).parse(params);
        for (const [channel, cursor] of Object.entries(since)) {
          const terms = termsOf(channel);
          if (terms.expected !== cursor) throw new Error(`lag of ${channel} at ${cursor}, not ${terms.expected}`);
          terms.phase = 'lag';
        }
        return;
      }
      case 'gap': {
        const { channel, from, to } = z.object({ channel: z.string(), from: z.string(), to: z.string() }).parse(params);
        const terms = termsOf(channel);
        terms.gaps.push({ from, to });
        terms.phase = hasSnapshot(channel) ? 'snapshot' : 'gap';
        terms.expected = undefined;
        return;
      }
      case 'snapshot': {
        const told = z
          .object({ channel: z.string(), states: z.array(state), last: z.boolean(), cursor: z.string() })
          .parse(params);
        const terms = termsOf(told.channel);
        for (const one of told.states) terms.covered.set(one.key, one.cursor);
        if (!told.last) return;
        const stale = events().find(
          (e) =>
            isOf(terms.channel, e) &&
            compareCursors(e.id, told.cursor) <= 0 &&
            compareCursors(terms.covered.get(e.subject) ?? '0-0', e.id) < 0,
        );
        if (stale !== undefined) throw new Error(`the states of ${told.cursor} lack ${stale.id}`);
        terms.expected = told.cursor;
        if (terms.phase !== 'replay') terms.phase = 'live';
        return;
      }
      case 'caught_up': {
        const { channel, cursor } = z.object({ channel: z.string(), cursor: z.string() }).parse(params);
        const terms = termsOf(channel);
        if (terms.phase === 'live' || terms.phase === 'snapshot') throw new Error(`caught_up of a live ${channel}`);
        terms.expected = cursor;
        terms.phase = 'live';
        return;
      }
      case 'heartbeat': {
        const beat = z.object({ cursor: z.string(), last: z.record(z.string(), z.string()) }).parse(params);
        for (const terms of current.values()) {
          if (terms.phase !== 'live') continue;
          const missing = owedOf(terms, events()).find(
            (e) => compareCursors(e.id, beat.cursor) <= 0 && !isTold(terms, e),
          );
          if (missing !== undefined) throw new Error(`the heartbeat has ${beat.cursor} before ${missing.id} was sent`);
        }
        for (const [channel, last] of Object.entries(beat.last)) {
          const terms = termsOf(channel);
          if (terms.expected !== last)
            throw new Error(`the heartbeat has ${last} of ${channel}, not ${terms.expected}`);
        }
        return;
      }
    }
  };
  return { current, asked, dropped, receive, seen };
}
type Client = ReturnType<typeof createClient>;

/** The events that a subscriber must be told, or told to be missing, under these terms. */
function owedOf({ channel, from }: Terms, told: readonly SessionEvent[]): readonly SessionEvent[] {
  return told.filter((e) => isOf(channel, e) && compareCursors(e.id, from) > 0);
}

const known = new Map<string, boolean>();
function isOf(channel: string, event: SessionEvent): boolean {
  const key = `${channel} ${addressOf(event)}`;
  const is = known.get(key) ?? matches(channel, addressOf(event));
  known.set(key, is);
  return is;
}

function isTold({ got, gaps, covered }: Terms, { id, subject }: SessionEvent): boolean {
  if (got.has(id) || compareCursors(covered.get(subject) ?? '0-0', id) >= 0) return true;
  return gaps.some(({ from, to }) => compareCursors(id, from) > 0 && compareCursors(id, to) <= 0);
}

const event = fc.record({
  subject: fc.constantFrom('deribit.main.a', 'deribit.main.b', 'deribit.main.c'),
  type: fc.constantFrom('session.updated' as const, 'session.lost' as const),
});
const channel = fc.constantFrom(...CHANNELS);
const client = fc.nat({ max: 1 });
const steps = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant('tell' as const),
        events: fc.array(event, { minLength: 1, maxLength: 30, size: 'max' }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('append' as const), events: fc.array(event, { maxLength: 9 }) }),
    },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('read' as const), client, bytes: fc.nat({ max: 3_000 }) }) },

    { weight: 3, arbitrary: fc.record({ do: fc.constant('round' as const) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('settle' as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('drop' as const), part: fc.nat({ max: 100 }) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('refuse' as const), client, on: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('beat' as const) }) },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('subscribe' as const),
        client,
        channels: fc.uniqueArray(channel, { minLength: 1, maxLength: 3 }),
        since: fc.constantFrom('none' as const, 'last' as const, 'start' as const, 'middle' as const),
        snapshot: fc.boolean(),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('unsubscribe' as const), client, channel }) },
  ),
  { minLength: 1, maxLength: 24, size: 'max' },
);
type Step = typeof steps extends fc.Arbitrary<readonly (infer T)[]> ? T : never;

/** The cursor before the first epoch's first event. */
const BEFORE_ALL = '1-0';

function someEvents(count: number): readonly Told[] {
  return Array.from({ length: count }, (_, n) => ({
    subject: `deribit.main.${'abc'[n % 3]}`,
    type: n % 4 === 0 ? 'session.lost' : 'session.updated',
  }));
}

interface World {
  readonly cacheBytes: number;
  readonly kernelBytes: number;
  /** Whether what is live goes to both at once, or to each by itself. */
  readonly together: boolean;
  /** Events of an earlier epoch, and of this one, before anybody subscribes. */
  readonly past: number;
  readonly before: number;
}

async function play(script: readonly Step[], { cacheBytes, kernelBytes, together, past, before }: World) {
  const states = new Map<string, State>();
  const stage = await createEdgeStage({
    limits: { maxBufferedBytes: MAX_BUFFERED, stallMs: 1e9, maxRequestsPerSecond: 1e9 },
    cacheBytes,
    together,
    maxAgeMs: 1_000,
    states: () => [...states.values()].toSorted((a, b) => (a.key < b.key ? -1 : 1)),
    data: (n) => ({ n, text: 'x'.repeat(n % 70) }),
    ...(past === 0 ? {} : { past: someEvents(past) }),
  });
  const start = stage.told[0] === undefined ? stage.journal.head() : BEFORE_ALL;
  let floor = start;
  const clients: { readonly wire: FakeWire; readonly client: Client; requests: number }[] = [];
  for (let n = 0; n < 2; n++) {
    const made = createClient(() => stage.told);
    clients.push({ wire: stage.connect(kernelBytes, made.receive), client: made, requests: 0 });
  }
  const fold = (events: readonly SessionEvent[]): void => {
    for (const { subject, id } of events)
      states.set(subject, { key: subject, cursor: id, attributes: {} } as unknown as State);
  };
  fold(stage.told);
  const append = (events: readonly Told[]): void => {
    stage.append(events);
    fold(stage.told.slice(stage.told.length - events.length));
  };
  const request = (one: (typeof clients)[number], method: string, params: object): number => {
    const id = ++one.requests;
    one.wire.handlers?.message(JSON.stringify({ jsonrpc: '2.0', id, method, params }), 100);
    return id;
  };
  append(someEvents(before));
  stage.publish();
  const subscribe = (
    one: (typeof clients)[number],
    since: Map<string, string | undefined>,
    snapshot: boolean,
  ): void => {
    const channels = [...since].map(([name, from]) => (from === undefined ? name : { channel: name, since: from }));
    const id = request(one, 'subscribe', { channels, ...(snapshot ? { snapshot: true } : {}) });
    one.client.asked.set(id, { since, snapshot: snapshot || [...since.values()].every((from) => from === undefined) });
  };
  const check = (): void => {
    for (const { wire } of clients) {
      expect(wire.highest).toBeLessThanOrEqual(Math.max(MAX_BUFFERED, wire.largest));
      expect(wire.closedWith).toBeUndefined();
    }
  };

  for (const one of clients) subscribe(one, new Map(CHANNELS.map((name) => [name, undefined])), false);
  await stage.settle();

  for (const step of script) {
    if ('client' in step && clients[step.client] === undefined) continue;
    switch (step.do) {
      case 'tell':
        append(step.events);
        stage.publish();
        break;
      case 'append':
        append(step.events);
        break;
      case 'read':
        clients[step.client]?.wire.read(step.bytes);
        break;
      case 'round':
        for (let turn = 0; turn < 12; turn++) await Promise.resolve();
        stage.round();
        break;
      case 'settle':
        await stage.settle();
        break;
      case 'drop': {
        // Events are as old as their number says.
        const upTo = Math.floor((stage.told.length * step.part) / 100);
        await stage.journal.truncate(upTo + 1 + 1_000);
        floor = stage.journal.oldest();
        break;
      }
      case 'refuse': {
        const wire = clients[step.client]?.wire;
        if (step.on) wire?.refuse();
        else wire?.accept();
        break;
      }
      case 'beat':
        for (const { wire } of clients) wire.accept();
        await stage.clock.advance(15_000);
        break;
      case 'subscribe': {
        const one = clients[step.client];
        if (one === undefined) break;
        one.wire.accept();
        // A reply needs room, as everybody's does.
        one.wire.read(Number.MAX_SAFE_INTEGER);
        await stage.settle();
        one.wire.read(Number.MAX_SAFE_INTEGER);
        const since = new Map<string, string | undefined>();
        for (const name of step.channels) {
          const last = one.client.current.get(name)?.expected;
          const middle = stage.told[Math.floor(stage.told.length / 2)]?.id ?? start;
          since.set(name, { none: undefined, last, start, middle }[step.since]);
        }
        subscribe(one, since, step.snapshot);
        for (let turn = 0; turn < 12; turn++) await Promise.resolve();
        break;
      }
      case 'unsubscribe': {
        const one = clients[step.client];
        if (one === undefined) break;
        one.wire.accept();
        one.wire.read(Number.MAX_SAFE_INTEGER);
        const id = request(one, 'unsubscribe', { channels: [step.channel] });
        one.client.dropped.set(id, [step.channel]);
        for (let turn = 0; turn < 12; turn++) await Promise.resolve();
        break;
      }
    }
    check();
  }

  // Everybody reads everything now.
  stage.publish();
  for (let idle = 0; idle < 3; ) {
    await stage.settle();
    const before = clients.reduce((sum, { wire }) => sum + wire.unread, 0);
    for (const { wire } of clients) {
      wire.accept();
      wire.read(Number.MAX_SAFE_INTEGER);
    }
    idle = before === 0 ? idle + 1 : 0;
  }
  await stage.clock.advance(15_000);
  for (const { wire } of clients) wire.read(Number.MAX_SAFE_INTEGER);
  check();

  for (const { client: one } of clients) {
    for (const terms of one.current.values()) {
      expect(terms.phase, `${terms.channel} is live in the end`).toBe('live');
      const owed = owedOf(terms, stage.told);
      const untold = owed.find((one) => !isTold(terms, one));
      if (untold !== undefined) throw new Error(`${untold.id} of ${terms.channel} was not told`);
      const names = new Set(owed.map(({ id }) => id));
      for (const id of terms.got) if (!names.has(id)) throw new Error(`${id} is none of ${terms.channel}`);
      for (const { from } of terms.gaps)
        if (compareCursors(from, floor) >= 0) throw new Error(`a gap of ${terms.channel} from ${from} without cause`);
    }
  }
  return clients.map(({ client: one }) => one.seen);
}

test(
  'whatever is published, read, dropped and asked for: everything arrives once, in order, or is a gap that is told',
  async () => {
    const world = fc.record({
      cacheBytes: fc.constantFrom(0, 100_000, 100_000, 100_000, 1_000_000, 1_000_000),
      kernelBytes: fc.constantFrom(0, 2_000, 20_000),
      together: fc.boolean(),
      past: fc.constantFrom(0, 0, 3, 256),
      before: fc.constantFrom(0, 240, 256),
    });
    const totals = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(steps, world, async (script, given) => {
        for (const seen of await play(script, given))
          for (const [what, count] of Object.entries(seen)) totals.set(what, (totals.get(what) ?? 0) + count);
      }),
      { numRuns: RUNS },
    );
    // A property that never met what it is about would prove nothing.
    for (const what of ['lag', 'gap', 'snapshot', 'caught_up', 'heartbeat'])
      expect(totals.get(what)).toBeGreaterThan(RUNS / 10);
  },
  Math.max(60_000, RUNS * 200),
);
