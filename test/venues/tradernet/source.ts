import type { Fact } from '../../../src/model/event.js';
import type { Json } from '../../../src/model/json.js';
import type { HttpRequest } from '../../../src/net/http.js';
import { silentLog } from '../../../src/net/log.js';
import { seededRandom } from '../../../src/net/timer.js';
import { type TradernetOptions, tradernet } from '../../../src/venues/tradernet/index.js';
import type { FactBatch, Venue, VenuePorts } from '../../../src/venues/venue.js';
import { type FakeAnswer, FakeHttp } from '../../support/fake-http.js';
import { FakeNetwork } from '../../support/fake-socket.js';
import { settle, VirtualClock } from '../../support/virtual-clock.js';

/** A Tradernet source on virtual time, with a fake network and a fake HTTP venue that logs everybody in. */
export interface World {
  readonly clock: VirtualClock;
  readonly network: FakeNetwork;
  readonly http: FakeHttp;
  readonly venue: Venue;
  readonly batches: FactBatch[];
  /** What was told since the last call, as short lines. */
  told(): readonly string[];
  readonly facts: readonly Fact[];
  /** The memory that a journal would hold now. */
  readonly memory: Map<string, Json>;
  /** Rows that `getSecuritySessions` answers with. */
  rows: readonly unknown[];
  /** Logins that were sent over HTTP. */
  readonly logins: () => number;
  command(command: string, params?: Record<string, Json>): Promise<Json>;
}

export const LOGIN = { login: 'desk@example.org', password: 'correct horse' } as const;
/** The start of virtual time, as the venue writes times: UTC without a zone. */
export const START = '2026-11-23T07:00:00.000';

export function row(id: number, changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    id,
    owner_login: 'desk@example.org',
    user_login: 'desk@example.org',
    safety_type_id: 4,
    key_current: 'Login, password',
    start_datetime: START,
    expire_datetime: '2026-11-24T07:00:00.000',
    expire: 82_800,
    ip: 'c5u7iip134fdfsxfqt4aq1osqchtg5b',
    ip_client: '192.0.2.7',
    ...changes,
  };
}

/** Frames as recorded: three elements, the last one the server's time. */
export const PROD = [
  'userData',
  { isDemo: false, mode: 'prod', clientLogin: 'desk@example.org' },
  'wstm=2026-11-23T08:00:00.000Z',
];
export const DEMO = [
  'userData',
  { mode: 'demo', marketDataDelay: false, version: '4.4.0.prod' },
  'wstm=2026-11-23T08:00:00.000Z',
];

export function commandOf(request: HttpRequest): string {
  const url = new URL(request.url);
  const query = url.searchParams.get('q');
  if (query === null) return url.pathname.split('/').at(-1) ?? '';
  return String((JSON.parse(query) as { cmd: unknown }).cmd);
}

export function startSource(
  options: Partial<TradernetOptions> = {},
  extras: {
    readonly memory?: ReadonlyMap<string, Json>;
    readonly answer?: (request: HttpRequest) => FakeAnswer | undefined;
    readonly start?: boolean;
  } = {},
): World {
  const clock = new VirtualClock();
  const network = new FakeNetwork();
  const http = new FakeHttp();
  const ports: VenuePorts = {
    clock,
    random: seededRandom(7),
    connect: network.connect,
    http: () => http.client,
    log: silentLog,
  };
  const venue = tradernet({ id: 'desk', credentials: LOGIN, ...options } as TradernetOptions, ports);
  const batches: FactBatch[] = [];
  const facts: Fact[] = [];
  const memory = new Map<string, Json>(extras.memory);
  let shown = 0;
  venue.facts$.subscribe((batch) => {
    batches.push(batch);
    facts.push(...batch.facts);
    for (const [key, value] of Object.entries(batch.memory ?? {})) memory.set(key, value);
  });
  let sids = 0;
  const world: World = {
    clock,
    network,
    http,
    venue,
    batches,
    facts,
    memory,
    rows: [],
    told() {
      const lines = facts.slice(shown).map(lineOf);
      shown = facts.length;
      return lines;
    },
    logins: () => http.requests.filter((request) => commandOf(request) === 'check-login-password').length,
    command: (command, params = {}) => venue.command({ source: 'desk', command, params }),
  };
  http.answer = (request) => {
    const special = extras.answer?.(request);
    if (special !== undefined) return special;
    switch (commandOf(request)) {
      case 'check-login-password':
        return { json: { SID: `sid-of-login-${++sids}`, userId: 42 } };
      case 'getSecuritySessions':
        return { json: world.rows };
      case 'getSidInfo':
        return { json: { SID: 'known', user_id: 42 } };
      default:
        return { json: { errMsg: 'Unsupported query method', code: 2 } };
    }
  };
  if (extras.start !== false) venue.start(memory);
  return world;
}

/** Starts a source and brings it to where its login is proved and its list is read. */
export async function startLive(
  options: Partial<TradernetOptions> = {},
  rows: readonly unknown[] = [],
  extras: Parameters<typeof startSource>[1] = {},
): Promise<World> {
  const world = startSource(options, extras);
  world.rows = rows;
  await settle();
  await goLive(world, rows);
  return world;
}

/** Lets time pass on a socket that answers when it is asked. */
export async function pass(world: World, ms: number): Promise<void> {
  const end = world.clock.monotonic() + ms;
  while (world.clock.monotonic() < end) {
    await world.clock.advance(Math.min(ANSWER_EVERY_MS, end - world.clock.monotonic()));
    if (world.network.last.isOpen) world.network.last.pong();
  }
}

const ANSWER_EVERY_MS = 20_000;

/** The last socket opens, proves its login and says its list. */
export async function goLive(world: World, rows: readonly unknown[] = world.rows): Promise<void> {
  world.network.last.open();
  world.network.last.receive(PROD);
  world.network.last.receive(['sessions', rows]);
  await settle();
}

/** A fact in a few words: `login session.lost demo`, `- link.down ws#1 network`. */
export function lineOf(fact: Fact): string {
  const head = `${fact.session} ${fact.type}`;
  switch (fact.type) {
    case 'link.up':
      return `${head} ${fact.data.carrier}#${fact.data.generation}`;
    case 'link.down':
      return `${head} ${fact.data.carrier}#${fact.data.generation} ${fact.data.code} ${fact.data.initiator}`;
    case 'link.retrying':
      return `${head} ${fact.data.carrier}#${fact.data.generation}`;
    case 'session.lost':
      return `${head} ${fact.data.reason}`;
    case 'session.closed':
      return `${head} ${fact.data.by}`;
    case 'session.renewed':
      return `${head} ${fact.data.how} ${fact.data.expiresAt ?? ''}`.trimEnd();
    case 'session.attention':
      return `${head} ${fact.data.action}`;
    case 'source.fault':
      return `${head} ${fact.data.what}`;
    case 'session.expiring':
      return `${head} ${fact.data.inMs}`;
    default:
      return head;
  }
}
