import { NEVER } from 'rxjs';
import type { Bus } from '../../src/bus/bus.js';
import { type Authenticator, createAuthenticator } from '../../src/edge/auth.js';
import { createConnection } from '../../src/edge/connection.js';
import { createHeartbeats } from '../../src/edge/heartbeats.js';
import { DEFAULT_LIMITS, HEARTBEAT_MS, type Limits, STREAM_SHARE } from '../../src/edge/limits.js';
import { createReplay, type ReplayOptions } from '../../src/edge/replay.js';
import { createStates } from '../../src/edge/states.js';
import { createEdgeStats } from '../../src/edge/stats.js';
import { bytesOnWire, type SendOutcome, type Slot, type Wire, type WireHandlers } from '../../src/edge/wire.js';
import type { Journal } from '../../src/hub/journal/journal.js';
import { createMemoryJournal } from '../../src/hub/journal/memory.js';
import { formatCursor } from '../../src/model/cursor.js';
import { type SessionEvent, timestampOf } from '../../src/model/event.js';
import type { Grant } from '../../src/model/grant.js';
import type { State } from '../../src/model/session.js';
import { silentLog } from '../../src/net/log.js';
import { createFakeFanOut } from './fake-fan-out.js';
import { VirtualClock } from './virtual-clock.js';

/** A socket whose peer reads what a test says, behind a kernel that takes so many bytes. */
export interface FakeWire extends Wire {
  /** The peer reads up to so many bytes of whole messages, and is told of each. */
  read(bytes: number): void;
  /** The most that ever waited. */
  readonly highest: number;
  /** The size of the largest message. */
  readonly largest: number;
  readonly closedWith: number | undefined;
  /** From the next message on it refuses, as a transport does that is over its own limit, until `accept`. */
  refuse(): void;
  /** It has drained. */
  accept(): void;
  /** Bytes that neither the peer nor the kernel took. */
  readonly waiting: number;
  readonly unread: number;
  handlers: WireHandlers | undefined;
  slot?: Slot;
}

export function createFakeWire(options: {
  readonly kernelBytes: number;
  readonly received: (text: string) => void;
  /** A message is handed over while so many bytes wait. */
  readonly sending?: ((text: string, waiting: number) => void) | undefined;
}): FakeWire {
  const queue: { readonly text: string; readonly size: number }[] = [];
  let first = 0;
  let unread = 0;
  let highest = 0;
  let largest = 0;
  let closedWith: number | undefined;
  let refusing: 'no' | 'next' | 'yes' = 'no';
  const waiting = (): number => Math.max(0, unread - options.kernelBytes);
  const buffered = (): number => (refusing === 'yes' ? Number.MAX_SAFE_INTEGER : waiting());
  const wire: FakeWire = {
    handlers: undefined,
    refuse() {
      if (refusing === 'no') refusing = 'next';
    },
    accept() {
      const told = refusing === 'yes';
      refusing = 'no';
      if (told) wire.handlers?.drained();
    },
    get highest() {
      return highest;
    },
    get largest() {
      return largest;
    },
    get closedWith() {
      return closedWith;
    },
    get waiting() {
      return waiting();
    },
    get unread() {
      return unread;
    },
    send(message): SendOutcome {
      if (closedWith !== undefined) return 'closed';
      if (refusing !== 'no') {
        refusing = 'yes';
        return 'refused';
      }
      const text = String(message);
      const size = bytesOnWire(Buffer.byteLength(text));
      options.sending?.(text, waiting());
      queue.push({ text, size });
      unread += size;
      highest = Math.max(highest, waiting());
      largest = Math.max(largest, size);
      return buffered() > 0 ? 'queued' : 'sent';
    },
    cork: (task) => task(),
    close(code) {
      closedWith ??= code;
    },
    terminate() {
      closedWith ??= 1006;
    },
    buffered,
    get isOpen() {
      return closedWith === undefined;
    },
    remoteAddress: '127.0.0.1',
    read(bytes) {
      const before = buffered();
      for (let left = bytes; left > 0; ) {
        const next = queue[first];
        if (next === undefined) break;
        first++;
        left -= next.size;
        unread -= next.size;
        options.received(next.text);
      }
      if (before > 0 && closedWith === undefined) wire.handlers?.drained();
    },
  };
  return wire;
}

/** More rounds than any test needs: a replay that makes no progress is told. */
const MAX_ROUNDS = 20_000;

export interface Told {
  readonly subject: string;
  readonly type: 'session.updated' | 'session.lost';
}

/** An edge's insides on a real journal, without sockets: rounds and journal reads happen when the test says so. */
export interface EdgeStage {
  readonly journal: Journal;
  readonly replay: ReturnType<typeof createReplay>;
  readonly clock: VirtualClock;
  readonly bus: Bus;
  /** Calls of the bus so far. */
  readonly asked: { events: number; states: number };
  /** Journals events; they are published with the next `publish`. */
  append(events: readonly Told[]): void;
  /** Publishes as one turn what was appended. */
  publish(): void;
  /** Every event that was ever journaled. */
  readonly told: readonly SessionEvent[];
  /** One round of replays, if one is due. */
  round(): boolean;
  /** Lets promises, reads and rounds run until nothing is left to do. */
  settle(): Promise<void>;
  connect(
    kernelBytes: number,
    received: (text: string) => void,
    sending?: (text: string, waiting: number) => void,
  ): FakeWire;
  /** A subscriber that reads everything the moment it is sent. */
  connectInstant(received: (text: string) => void): { readonly handlers: WireHandlers };
  /** A connection over a wire of the test's own. */
  attach(wire: Wire): WireHandlers;
}

export async function createEdgeStage(
  options: {
    readonly limits?: Partial<Limits>;
    readonly cacheBytes?: number;
    readonly maxAgeMs?: number;
    /** Events of an epoch before this one. */
    readonly past?: readonly Told[];
    /** In key order. */
    readonly states?: () => readonly State[];
    readonly grant?: Grant;
    /** What the next token grants. */
    readonly granted?: () => Grant;
    /** What data an event has, by its number. */
    readonly data?: (n: number) => object;
    /** Default: subscribers are sent to together where nothing waits; `false`: each by itself. */
    readonly together?: boolean;
  } = {},
): Promise<EdgeStage> {
  const clock = new VirtualClock();
  const limits: Limits = { ...DEFAULT_LIMITS, ...options.limits };
  const journal = createMemoryJournal({
    retention: { maxAgeMs: options.maxAgeMs ?? 1e12, maxBytes: Number.MAX_SAFE_INTEGER },
  });
  let { epoch } = await journal.open(1);
  const open: Authenticator = await createAuthenticator({ mode: 'none' }, clock);
  const { granted } = options;
  const authenticator = granted === undefined ? open : { ...open, authenticate: async () => granted() };
  const told: SessionEvent[] = [];
  let before = 0;
  const append = (added: readonly Told[]): void => {
    const events = added.map(({ subject, type }) => {
      const n = told.length + 1;
      const event = {
        id: formatCursor(epoch, n - before),
        key: `k${n}`,
        source: '/deribit/main',
        subject,
        type,
        time: timestampOf(n),
        data: options.data?.(n) ?? {},
      } as SessionEvent;
      told.push(event);
      return event;
    });
    void journal.append({ events, states: new Map() });
  };
  if (options.past !== undefined) {
    append(options.past);
    await journal.close();
    ({ epoch } = await journal.open(1));
    before = told.length;
  }
  let published = told.length;
  const asked = { events: 0, states: 0 };
  const bus: Bus = {
    node: 'test',
    turns$: NEVER,
    sight$: NEVER,
    head: () => journal.head(),
    states({ limit, after }) {
      asked.states++;
      const all = (options.states?.() ?? []).filter(({ key }) => after === undefined || key > after);
      const states = all.slice(0, limit);
      const next = states.length < all.length ? states.at(-1)?.key : undefined;
      return Promise.resolve({ cursor: journal.head(), states, ...(next === undefined ? {} : { next }) });
    },
    events(after, limit) {
      asked.events++;
      return journal.read(after, limit);
    },
    lag: () => Promise.resolve({ oldestMs: 0, waiting: 0, bytes: 0 }),
    holds: (cursor) => Promise.resolve(journal.holds(cursor)),
    sources: () => Promise.resolve([]),
    command: () => Promise.reject(new Error('not asked here')),
    webhook: () => Promise.reject(new Error('not asked here')),
  };
  const deferred: (() => void)[] = [];
  const mostBytes = Math.floor(limits.maxBufferedBytes * STREAM_SHARE);
  const how: ReplayOptions = { bus, defer: (task) => void deferred.push(task), live: { mostBytes } };
  const fanOut = createFakeFanOut();
  const replay = createReplay(options.cacheBytes === undefined ? how : { ...how, cacheBytes: options.cacheBytes });
  const states = createStates({ bus, channels: replay.channels, clock });
  const micro = async (): Promise<void> => {
    for (let turn = 0; turn < 12; turn++) await Promise.resolve();
  };
  const stage: EdgeStage = {
    journal,
    replay,
    clock,
    bus,
    asked,
    told,
    append,
    publish() {
      const events = told.slice(published);
      published = told.length;
      if (events.length > 0) replay.channels.publish({ events, pulses: [] });
    },
    round() {
      const task = deferred.shift();
      task?.();
      return task !== undefined;
    },
    async settle() {
      for (let rounds = 0; rounds < MAX_ROUNDS; rounds++) {
        await micro();
        if (!stage.round()) return;
      }
      throw new Error(`replays do not come to rest within ${MAX_ROUNDS} rounds`);
    },
    connect(kernelBytes, received, sending) {
      const wire = createFakeWire({ kernelBytes, received, sending });
      if (options.together !== false) wire.slot = fanOut.slotFor(() => wire);
      wire.handlers = attach(wire);
      return wire;
    },
    connectInstant(received) {
      const wire: Wire = {
        send(message) {
          received(String(message));
          return 'sent';
        },
        cork: (task) => task(),
        close: () => undefined,
        terminate: () => undefined,
        buffered: () => 0,
        isOpen: true,
        remoteAddress: '127.0.0.1',
      };
      return { handlers: attach(wire) };
    },
    attach: (wire) => attach(wire),
  };
  const terms = {
    bus,
    replay,
    states,
    heartbeats: createHeartbeats(clock, HEARTBEAT_MS),
    authenticator,
    limits,
    clock,
    log: silentLog,
    stats: createEdgeStats(),
    server: 'test',
  };
  const attach = (wire: Wire): WireHandlers =>
    createConnection(terms, {
      wire,
      grant: options.grant ?? { identity: 'test', channels: ['>'], commands: [], fields: 'full' },
      seat: { origin: { remoteAddress: '127.0.0.1', headers: {} }, identified: () => undefined, left: () => undefined },
    }).handlers;
  return stage;
}
