import type { Fact } from '../../../src/model/event.js';
import type { Json } from '../../../src/model/json.js';
import type { Log } from '../../../src/net/log.js';
import { type DeribitOptions, deribit } from '../../../src/venues/deribit/index.js';
import type { FactBatch, Venue } from '../../../src/venues/venue.js';
import { FakeNetwork, type FakeSocket } from '../../support/fake-socket.js';
import { settle, VirtualClock } from '../../support/virtual-clock.js';

/** A request as the venue sees it. */
export interface Asked {
  readonly method: string;
  readonly params: { readonly [name: string]: Json };
}

/** What the scripted venue does with a request. */
export type Answer =
  | { readonly result: Json }
  | { readonly error: { readonly code: number; readonly message: string; readonly data?: Json } }
  /** Nothing comes back. */
  | 'silence'
  /** The socket is closed, as private/logout does. */
  | 'close';

/** Shapes: recorded frames (public/auth) and Deribit's docs (the others). */
export interface Script {
  sid: string | undefined;
  expiresIn: number;
  scope: string;
  connectionEnabled: boolean;
  accountEnabled: boolean;
  locked: Json;
  lockedIndices: readonly string[];
  userLocks: Json;
  testnet: boolean;
  /** The venue's clock is ahead by so much. */
  skewMs: number;
  /** Channels that are left out of what is confirmed. */
  readonly refused: Set<string>;
  /** Frames that follow a subscription. */
  readonly burst: Json[];
  /** The venue sends its test_requests. */
  beats: boolean;
  /** Nothing at all is sent. */
  mute: boolean;
  /** Answers that come first; consulted by method. */
  readonly answers: Map<string, (asked: Asked, socket: FakeSocket) => Answer | undefined>;
}

export interface World {
  readonly clock: VirtualClock;
  readonly network: FakeNetwork;
  readonly venue: Venue;
  readonly script: Script;
  readonly batches: readonly FactBatch[];
  readonly facts: readonly Fact[];
  readonly pulses: readonly Fact<'heartbeat.pulse'>[];
  readonly logged: readonly string[];
  /** The memory that a journal would hold now. */
  readonly memory: Map<string, Json>;
  /** What was told since the last call, one line a fact. */
  told(): readonly string[];
  /** Methods that were asked since the last call, with what matters of their parameters. */
  asked(): readonly string[];
  /** Every request so far. */
  readonly requests: readonly Asked[];
  /** Opens the socket that is being connected, and lets what follows settle. */
  open(): Promise<void>;
  /** Waits for the next attempt, and opens it. */
  reopen(): Promise<void>;
  drop(): Promise<void>;
  receive(frame: unknown): Promise<void>;
  command(command: string, params?: { readonly [name: string]: Json }): Promise<Json>;
}

export const CREDENTIALS = { clientId: 'AMANDA', clientSecret: 'AMANDASECRET' } as const;
/** Recorded (public heartbeat probe): the members in this order, no id. */
export const TEST_REQUEST = '{"params":{"type":"test_request"},"method":"heartbeat","jsonrpc":"2.0"}';
export const HEARTBEAT = '{"params":{"type":"heartbeat"},"method":"heartbeat","jsonrpc":"2.0"}';
/** The longest first back-off. */
const NEXT_ATTEMPT_MS = 31_000;

export function channelFrame(channel: string, data: Json): Json {
  return { jsonrpc: '2.0', method: 'subscription', params: { channel, data } };
}

export interface StartOptions extends Omit<Partial<DeribitOptions>, 'credentials'> {
  readonly credentials?: NonNullable<DeribitOptions['credentials']> | 'none';
}

export async function startSource(
  { credentials = CREDENTIALS, ...options }: StartOptions = {},
  {
    memory: before,
    start = true,
    open = true,
    script: overrides = {},
  }: {
    readonly memory?: ReadonlyMap<string, Json>;
    readonly start?: boolean;
    readonly open?: boolean;
    readonly script?: Partial<Script>;
  } = {},
): Promise<World> {
  const clock = new VirtualClock();
  const network = new FakeNetwork();
  const logged: string[] = [];
  const write = (message: string, fields?: object): void => void logged.push(`${message} ${JSON.stringify(fields)}`);
  const log: Log = { debug: write, info: write, warn: write, error: write };
  const venue = deribit(
    {
      id: 'main',
      scope: 'session:bot',
      heartbeatSeconds: 10,
      ...(credentials === 'none' ? {} : { credentials }),
      ...options,
    },
    { clock, random: () => 0.5, connect: network.connect, log },
  );
  const batches: FactBatch[] = [];
  const facts: Fact[] = [];
  const pulses: Fact<'heartbeat.pulse'>[] = [];
  const memory = new Map<string, Json>(before);
  const requests: Asked[] = [];
  let shown = 0;
  let seen = 0;
  venue.facts$.subscribe((batch) => {
    batches.push(batch);
    for (const fact of batch.facts) {
      if (fact.type === 'heartbeat.pulse') pulses.push(fact);
      else facts.push(fact);
    }
    for (const [key, value] of Object.entries(batch.memory ?? {})) memory.set(key, value);
    batch.committed?.(true);
  });
  const script: Script = {
    sid: 'SID-ONE',
    expiresIn: 900,
    scope: 'trade:read_write session:bot mainaccount account:read_write',
    connectionEnabled: false,
    accountEnabled: false,
    locked: 'false',
    lockedIndices: [],
    userLocks: [],
    testnet: true,
    skewMs: 0,
    refused: new Set(),
    burst: [],
    beats: true,
    mute: false,
    answers: new Map(),
    ...overrides,
  };
  network.onSend = (socket, text) => {
    const { id, method, params } = JSON.parse(text) as Asked & { readonly id: number };
    requests.push({ method, params });
    const asked = { method, params };
    const answer = script.answers.get(method)?.(asked, socket) ?? usual(script, asked);
    if (answer === 'silence' || script.mute) return;
    if (method === 'public/set_heartbeat' && 'result' in Object(answer)) beat(socket, Number(params.interval) * 1_000);
    queueMicrotask(() => {
      if (answer === 'close') return socket.end({ code: 1000, clean: true });
      const us = (clock.now() + script.skewMs) * 1_000;
      socket.receive({ jsonrpc: '2.0', id, ...answer, usIn: us, usOut: us, usDiff: 0, testnet: script.testnet });
      if (method === 'public/subscribe' && 'result' in answer) for (const frame of script.burst) socket.receive(frame);
    });
  };
  /** Recorded: one every interval and 0.6 s, at an interval of 10 s. */
  const beat = (socket: FakeSocket, intervalMs: number): void => {
    clock.setTimer(() => {
      if (socket.ended) return;
      if (script.beats && !script.mute) socket.receive(TEST_REQUEST);
      beat(socket, intervalMs);
    }, intervalMs + 600);
  };
  const world: World = {
    clock,
    network,
    venue,
    script,
    batches,
    facts,
    pulses,
    logged,
    memory,
    requests,
    told() {
      const lines = facts.slice(shown).map(lineOf);
      shown = facts.length;
      return lines;
    },
    asked() {
      const lines = requests.slice(seen).map(askedLine);
      seen = requests.length;
      return lines;
    },
    async open() {
      network.last.open();
      await settle();
    },
    async reopen() {
      const before = network.sockets.length;
      for (let left = NEXT_ATTEMPT_MS; network.sockets.length === before && left > 0; left -= 100) {
        await clock.advance(100);
      }
      await world.open();
    },
    async drop() {
      network.last.end({ code: 1006 });
      await settle();
    },
    async receive(frame) {
      network.last.receive(frame);
      await settle();
    },
    command: (command, params = {}) => venue.command({ source: 'main', command, params }),
  };
  if (start) venue.start(before);
  if (start && open) await world.open();
  return world;
}

function usual(script: Script, { method, params }: Asked): Answer {
  switch (method) {
    case 'public/hello':
    case 'public/test':
      return { result: { version: '1.2.26' } };
    case 'public/auth':
      return { result: tokenOf(script) };
    case 'public/subscribe':
    case 'private/subscribe': {
      const channels = Array.isArray(params.channels) ? params.channels : [];
      return { result: channels.filter((channel) => !script.refused.has(String(channel))).reverse() };
    }
    case 'public/status':
      return { result: { locked: script.locked, locked_indices: script.lockedIndices } };
    case 'private/get_user_locks':
      return { result: script.userLocks };
    case 'private/enable_cancel_on_disconnect':
    case 'private/disable_cancel_on_disconnect': {
      const enabled = method.includes('enable_cancel') && !method.includes('disable');
      // Deribit docs: account scope sets the connection's too.
      script.connectionEnabled = enabled;
      if (params.scope === 'account') script.accountEnabled = enabled;
      return { result: 'ok' };
    }
    case 'private/get_cancel_on_disconnect': {
      const { scope = 'connection' } = params;
      return {
        result: { scope, enabled: scope === 'account' ? script.accountEnabled : script.connectionEnabled },
      };
    }
    case 'private/logout':
      return 'close';
    default:
      return { result: 'ok' };
  }
}

let tokens = 0;

/** The recorded reply's members; the values are made up. */
export function tokenOf({ expiresIn, scope, sid }: Pick<Script, 'expiresIn' | 'scope' | 'sid'>): Json {
  tokens++;
  return {
    enabled_features: [],
    access_token: `1796961742820.ACCESS${tokens}.zryvAz8d`,
    expires_in: expiresIn,
    refresh_token: `1796961742820.REFRESH${tokens}.dnDPkBoP`,
    scope,
    token_type: 'bearer',
    ...(sid === undefined ? {} : { sid }),
  };
}

function askedLine({ method, params }: Asked): string {
  const detail = params.grant_type ?? params.interval ?? params.scope ?? params.channels ?? params.invalidate_token;
  return detail === undefined ? method : `${method} ${String(detail)}`;
}

/** `<session> <type> <what matters of its data>` */
export function lineOf({ session, type, data }: Fact): string {
  const shown = [
    'kind',
    'code',
    'initiator',
    'announced',
    'what',
    'scope',
    'reason',
    'action',
    'how',
    'intervalMs',
    'by',
  ];
  const details = Object.entries(data).flatMap(([name, value]) =>
    shown.includes(name) && value !== '' && !(type === 'session.opened' && name === 'scope') ? [String(value)] : [],
  );
  return [session, type, ...details].join(' ');
}
