import type { Observable } from 'rxjs';
import { expect } from 'vitest';
import {
  type ClientNotice,
  type ClientStatus,
  type ConnectOptions,
  connect,
  type EventsOptions,
  type Gap,
  type RelayClient,
  type Safety,
  type SessionEvent,
  type StatesOptions,
  type StatesView,
} from '../../src/client/index.js';
import { seededRandom } from '../../src/net/timer.js';
import { settle, VirtualClock } from '../support/virtual-clock.js';
import { HEARTBEAT_MS, ModelRelay, START_MS } from './model-relay.js';

/** A client and a model relay on one virtual clock. */
export interface Stage {
  readonly clock: VirtualClock;
  readonly relay: ModelRelay;
  readonly client: RelayClient;
  readonly statuses: readonly ClientStatus[];
  readonly notices: readonly ClientNotice[];
  readonly status: ClientStatus;
  /** Everything that a stream has said so far. */
  events(channel: string, options?: EventsOptions): Heard<SessionEvent>;
  states(channel: string, options?: StatesOptions): Heard<StatesView>;
  safety(key?: string): Heard<Safety>;
  /** Lets what is under way arrive; no time passes. */
  settle(): Promise<void>;
  advance(ms: number): Promise<void>;
}

export interface Heard<T> {
  readonly values: readonly T[];
  readonly last: T | undefined;
  readonly gaps: readonly Gap[];
  readonly error: unknown;
  readonly completed: boolean;
  stop(): void;
}

const open = new Set<RelayClient>();

/** `prepare` runs before the client connects. */
export async function stage(
  options: ConnectOptions & {
    readonly prepare?: (relay: ModelRelay) => void;
    readonly settled?: () => Promise<void>;
  } = {},
): Promise<Stage> {
  const { prepare, settled, ...how } = options;
  const clock = settled === undefined ? new VirtualClock(START_MS) : new VirtualClock(START_MS, settled);
  const relay = new ModelRelay(clock);
  prepare?.(relay);
  const client = connect('https://relay.test', {
    clock,
    random: seededRandom(1),
    WebSocket: relay.network.WebSocket,
    ...how,
  });
  open.add(client);
  const statuses: ClientStatus[] = [];
  const notices: ClientNotice[] = [];
  client.status$.subscribe((status) => statuses.push(status));
  client.notices$.subscribe((notice) => notices.push(notice));
  await settle();
  return {
    clock,
    relay,
    client,
    statuses,
    notices,
    get status() {
      const status = statuses.at(-1);
      if (status === undefined) throw new Error('no status was told');
      return status;
    },
    events(channel, given) {
      const gaps: Gap[] = [];
      return hear(client.events$(channel, given), gaps);
    },
    states: (channel, given) => hear(client.states$(channel, given)),
    safety: (key = 'deribit.main.relay') => hear(client.safety$(key)),
    settle: () => settle(),
    advance: (ms) => clock.advance(ms),
  };
}

function hear<T>(stream$: Observable<T>, gaps: readonly Gap[] = []): Heard<T> {
  const values: T[] = [];
  let error: unknown;
  let completed = false;
  const subscription = stream$.subscribe({
    next: (value) => values.push(value),
    error(thrown) {
      error = thrown;
    },
    complete() {
      completed = true;
    },
  });
  return {
    values,
    get last() {
      return values.at(-1);
    },
    gaps,
    get error() {
      return error;
    },
    get completed() {
      return completed;
    },
    stop: () => subscription.unsubscribe(),
  };
}

/** For `afterEach`. */
export async function closeStages(): Promise<void> {
  for (const client of open) void client.close();
  open.clear();
  await settle();
}

/** After `close`: no timer is set, no socket is open, nothing is subscribed. */
export async function expectNothingLeft({ client, clock, relay }: Stage): Promise<void> {
  const closed = client.close();
  await settle();
  await closed;
  // The model's own heartbeat ends at its next turn.
  await clock.advance(HEARTBEAT_MS);
  expect(relay.network.live).toBe(0);
  expect(clock.timers).toBe(0);
}

export const OPENED = { kind: 'api', role: 'watch', environment: 'test' } as const;
export const SAFE = { level: 'safe', reasons: [], notes: [], previous: 'unknown' } as const;

export const ids = (events: readonly SessionEvent[]): readonly string[] => events.map(({ id }) => id);
