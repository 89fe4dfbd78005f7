import type { Fact } from '../../../src/model/event.js';
import type { Json } from '../../../src/model/json.js';
import type { HttpRequest } from '../../../src/net/http.js';
import type { Log } from '../../../src/net/log.js';
import { silentLog } from '../../../src/net/log.js';
import { seededRandom } from '../../../src/net/timer.js';
import { type IbkrOptions, ibkr } from '../../../src/venues/ibkr/index.js';
import type { FactBatch, Venue, VenuePorts } from '../../../src/venues/venue.js';
import { type FakeAnswer, FakeHttp } from '../../support/fake-http.js';
import { FakeNetwork } from '../../support/fake-socket.js';
import { settle, VirtualClock } from '../../support/virtual-clock.js';

/** A made-up credential in the shape of `/tickle`'s: 32 hex digits. */
export const SESSION = '0123456789abcdef0123456789abcdef';

/** A status as recorded by live gateways: all fields, in a session that works. */
export const READY = {
  authenticated: true,
  competing: false,
  connected: true,
  established: true,
  message: '',
  MAC: '98:F2:B3:00:00:00',
  serverInfo: { serverName: 'JifN00000', serverVersion: 'Build 10.34.1a' },
  hardware_info: 'deadbeef|98:F2:B3:00:00:00',
};
/** After a logout (recorded): no message, no server, and a MAC that is null. */
export const ALL_FALSE = { authenticated: false, established: false, competing: false, connected: false, MAC: null };
/** "Bridge drift" (recorded): tickle and login are well, and the bridge is gone. */
export const NO_BRIDGE = { ...ALL_FALSE, fail: 'no bridge' };
/** The answer of `ssodh/init` without `compete` while another login is active (live probe): `competing` is false. */
export const NOT_PASSED = { passed: false, authenticated: false, connected: true, competing: false };
export const FORCE_COMPETE = 'Force compete capability must be used together with compete flag';

/** What a gateway answers: each may be replaced by a test. */
export interface Gateway {
  tickle: FakeAnswer;
  status: FakeAnswer;
  validate: FakeAnswer;
  init: FakeAnswer | ((body: unknown) => FakeAnswer);
  reauthenticate: FakeAnswer;
  logout: FakeAnswer;
}

export function tickleAnswer(changes: Record<string, unknown> = {}): FakeAnswer {
  return {
    json: {
      session: SESSION,
      ssoExpires: 460_311,
      collission: false,
      userId: 123_456_789,
      hmds: { error: 'no bridge' },
      iserver: { authStatus: READY },
      ...changes,
    },
  };
}

/** `/sso/validate` as recorded, with made-up names. */
export function validAnswer(changes: Record<string, unknown> = {}): FakeAnswer {
  return {
    json: {
      USER_ID: 123_456_789,
      USER_NAME: 'desk-user',
      RESULT: true,
      AUTH_TIME: 1_795_330_000_000,
      EXPIRES: 460_000,
      QUALIFIED_FOR_MOBILE_AUTH: null,
      LANDING_APP: 'UNIVERSAL',
      LOGIN_TYPE: 2,
      CREDENTIAL: 'desk-user',
      IP: '192.0.2.7',
      TOKEN: 'feedfacefeedfacefeedface',
      ...changes,
    },
  };
}

/** What a gateway that is not logged in answers to everything. */
export const LOGIN_PAGE: FakeAnswer = {
  json: {},
  status: 302,
  headers: { location: 'https://localhost:5000/sso/Login?forwardTo=22&RL=1' },
};
export const ACCESS_DENIED: FakeAnswer = { text: 'access denied', status: 401 };

export function wellGateway(): Gateway {
  return {
    tickle: tickleAnswer(),
    status: { json: READY },
    validate: validAnswer(),
    init: { json: { ...READY, passed: true } },
    reauthenticate: { json: { message: 'triggered' } },
    logout: { json: { status: true } },
  };
}

export function pathOf({ url }: HttpRequest): string {
  return new URL(url).pathname.replace('/v1/api', '');
}

export interface World {
  readonly clock: VirtualClock;
  readonly network: FakeNetwork;
  readonly http: FakeHttp;
  readonly gateway: Gateway;
  readonly venue: Venue;
  readonly batches: FactBatch[];
  readonly facts: Fact[];
  /** What was told since the last call, as short lines; pulses are left out. */
  told(): readonly string[];
  /** What was asked since the last call: `POST /tickle`. */
  asked(): readonly string[];
  /** The memory that a journal would hold now. */
  readonly memory: Map<string, Json>;
  /** The next answers of `/tickle`, before the gateway's own. */
  readonly nextTickles: FakeAnswer[];
  command(command: string, params?: Record<string, Json>): Promise<Json>;
}

export function startSource(
  options: Partial<IbkrOptions> = {},
  extras: {
    readonly gateway?: Partial<Gateway>;
    readonly answer?: (request: HttpRequest) => FakeAnswer | undefined;
    readonly memory?: ReadonlyMap<string, Json>;
    readonly clock?: VirtualClock;
    readonly start?: boolean;
    readonly seed?: number;
    readonly log?: Log;
  } = {},
): World {
  const clock = extras.clock ?? new VirtualClock();
  const network = new FakeNetwork();
  const http = new FakeHttp();
  const nextTickles: FakeAnswer[] = [];
  const gateway = { ...wellGateway(), ...extras.gateway };
  const ports: VenuePorts = {
    clock,
    random: seededRandom(extras.seed ?? 7),
    connect: network.connect,
    http: () => http.client,
    log: extras.log ?? silentLog,
  };
  http.answer = (request) => {
    const special = extras.answer?.(request);
    if (special !== undefined) return special;
    switch (pathOf(request)) {
      case '/tickle':
        return nextTickles.shift() ?? gateway.tickle;
      case '/iserver/auth/status':
        return gateway.status;
      case '/sso/validate':
        return gateway.validate;
      case '/iserver/auth/ssodh/init': {
        const { init } = gateway;
        return typeof init === 'function' ? init(JSON.parse(request.body ?? 'null')) : init;
      }
      case '/iserver/reauthenticate':
        return gateway.reauthenticate;
      case '/logout':
        return gateway.logout;
      default:
        return { text: '<html><body><h1>Resource not found</h1></body></html>', status: 404 };
    }
  };
  const venue = ibkr({ id: 'gw', websocket: false, maintenance: [], ...options }, ports);
  const batches: FactBatch[] = [];
  const facts: Fact[] = [];
  const memory = new Map<string, Json>(extras.memory);
  let shown = 0;
  let heard = 0;
  venue.facts$.subscribe((batch) => {
    batches.push(batch);
    facts.push(...batch.facts);
    for (const [key, value] of Object.entries(batch.memory ?? {})) memory.set(key, value);
    batch.committed?.(true);
  });
  const world: World = {
    clock,
    network,
    http,
    gateway,
    nextTickles,
    venue,
    batches,
    facts,
    memory,
    told() {
      const lines = facts
        .slice(shown)
        .filter(({ type }) => type !== 'heartbeat.pulse')
        .map(lineOf);
      shown = facts.length;
      return lines;
    },
    asked() {
      const lines = http.requests.slice(heard).map((request) => `${request.method} ${pathOf(request)}`);
      heard = http.requests.length;
      return lines;
    },
    command: (command, params = {}) => venue.command({ source: 'gw', command, params }),
  };
  if (extras.start !== false) venue.start(memory);
  return world;
}

/** Starts a source and brings it to where both sessions are told; what was told and asked so far is taken. */
export async function startLive(
  options: Partial<IbkrOptions> = {},
  extras: Parameters<typeof startSource>[1] = {},
): Promise<World> {
  const world = startSource(options, extras);
  await settle();
  world.told();
  world.asked();
  return world;
}

/** One round later, whatever the jitter. */
export const ROUND_MS = 66_000;

/** Frames in the order of a recorded greeting. */
export function greet(world: World, sts: Record<string, unknown> = {}): void {
  const socket = world.network.last;
  socket.open();
  socket.receive({ topic: 'system', success: 'desk-user', isFT: false, isPaper: true });
  socket.receive({
    topic: 'act',
    args: { accounts: ['DU0000000'], selectedAccount: 'DU0000000', serverInfo: {}, sessionId: 'abc', isPaper: true },
  });
  socket.receive({
    topic: 'sts',
    args: { authenticated: true, competing: false, connected: true, established: true, message: '', fail: '', ...sts },
  });
}

/** Lets time pass on a socket that beats every 10 s. */
export async function beat(world: World, ms: number): Promise<void> {
  const end = world.clock.monotonic() + ms;
  while (world.clock.monotonic() < end) {
    await world.clock.advance(Math.min(10_000, end - world.clock.monotonic()));
    if (world.network.last.isOpen) world.network.last.receive({ topic: 'system', hb: world.clock.now() });
  }
}

/** A fact in a few words: `brokerage session.lost no_bridge`, `- link.down http#1 1006 network`. */
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
    case 'session.stale':
      return `${head} ${fact.data.reason}`;
    case 'session.closed':
      return `${head} ${fact.data.by}`;
    case 'session.attention':
      return `${head} ${fact.data.action}`;
    case 'source.fault':
      return `${head} ${fact.data.what}`;
    default:
      return head;
  }
}
