import type { Fact } from '../../../src/model/event.js';
import type { Json } from '../../../src/model/json.js';
import type { HttpRequest } from '../../../src/net/http.js';
import type { Log } from '../../../src/net/log.js';
import { seededRandom } from '../../../src/net/timer.js';
import { type SnaptradeOptions, snaptrade } from '../../../src/venues/snaptrade/index.js';
import { printPythonJson, toPythonJson } from '../../../src/venues/snaptrade/python-json.js';
import { hmacBase64 } from '../../../src/venues/snaptrade/signing.js';
import type { FactBatch, Venue, WebhookReply } from '../../../src/venues/venue.js';
import { type FakeAnswer, FakeHttp } from '../../support/fake-http.js';
import { settle, VirtualClock } from '../../support/virtual-clock.js';

export const KEY = 'consumer-key-of-the-partner';
export const CREDENTIALS = { clientId: 'PARTNER', consumerKey: KEY } as const;
export const USER = { userId: 'customer-1', userSecret: 'secret-of-customer-1' } as const;
/** The id of the vendor's own samples. */
export const ID = 'dc90a844-367b-4120-8b56-21040bfa6525';
export const OTHER_ID = '2bcd7cc3-e922-4976-bce1-9858296801c3';

/** One authorization, as SnapTrade's spec describes it. */
export function row(id: string = ID, changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    id,
    created_date: '2026-11-20T10:00:00.000000Z',
    brokerage: {
      id: '3aad8ed0-7e7c-4a4b-8e7c-5e0d7f9b5c1a',
      slug: 'EXAMPLE',
      name: 'Example Broker',
      enabled: true,
      maintenance_mode: false,
      is_degraded: false,
      allows_trading: true,
    },
    name: 'Connection-1',
    type: 'trade',
    disabled: false,
    disabled_date: null,
    meta: {},
    data_freshness_mode: 'realtime',
    ...changes,
  };
}

export function brokerIn(changes: Record<string, unknown>): Record<string, unknown> {
  return { brokerage: { ...(row().brokerage as Record<string, unknown>), ...changes } };
}

/** Broken at a time, in the venue's own spelling. */
export const BROKEN = { disabled: true, disabled_date: '2026-11-23 03:01:00.250000-05:00' } as const;

/** A SnapTrade venue on virtual time, with a fake HTTP venue that lists `rows` for everybody. */
export interface World {
  readonly clock: VirtualClock;
  readonly http: FakeHttp;
  readonly venue: Venue;
  readonly batches: FactBatch[];
  readonly facts: Fact[];
  readonly memory: Map<string, Json>;
  readonly logged: string[];
  /** What each user's list is answered with. */
  rows: readonly unknown[];
  /** Answers before `rows` do. */
  answer: ((request: HttpRequest, url: URL) => FakeAnswer | Promise<FakeAnswer> | undefined) | undefined;
  /** What a batch's `committed` is told; `undefined`: nothing, so that the batch stays uncommitted. */
  journal: boolean | undefined;
  file: string;
  told(): readonly string[];
  hook(payload: Record<string, unknown>, signature?: string): Promise<WebhookReply>;
  command(command: string, params?: Record<string, Json>, session?: string): Promise<Json>;
  lists(): number;
}

export interface Extras {
  readonly memory?: ReadonlyMap<string, Json>;
  readonly start?: boolean;
  readonly file?: string;
  readonly answer?: World['answer'];
}

export function startVenue(
  options: Partial<SnaptradeOptions> = {},
  rows: readonly unknown[] = [],
  extras: Extras = {},
): World {
  const clock = new VirtualClock();
  const http = new FakeHttp();
  const logged: string[] = [];
  const write = (message: string, fields?: Readonly<Record<string, unknown>>): void =>
    void logged.push(`${message} ${JSON.stringify(fields ?? {})}`);
  const log: Log = { debug: write, info: write, warn: write, error: write };
  const hasUsers = 'users' in options || 'usersFile' in options || 'personal' in options;
  const batches: FactBatch[] = [];
  const facts: Fact[] = [];
  const memory = new Map<string, Json>(extras.memory);
  let shown = 0;
  let file = extras.file ?? '';
  const venue = snaptrade(
    {
      id: 'partner',
      credentials: CREDENTIALS,
      sessionEvents: 'off',
      ...(hasUsers ? {} : { users: [USER] }),
      ...options,
    },
    {
      clock,
      random: seededRandom(3),
      http: () => http.client,
      log,
      readFile() {
        if (file === '') throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
        return file;
      },
    },
  );
  const world: World = {
    clock,
    http,
    venue,
    batches,
    facts,
    memory,
    logged,
    rows,
    answer: extras.answer,
    journal: true,
    get file() {
      return file;
    },
    set file(text) {
      file = text;
    },
    told() {
      const lines = facts.slice(shown).map(lineOf);
      shown = facts.length;
      return lines;
    },
    hook(payload, signature) {
      const body = Buffer.from(JSON.stringify(payload), 'utf8');
      return webhookOf(venue)({ headers: { signature: signature ?? sign(payload) }, body });
    },
    command: (command, params = {}, session) =>
      venue.command({ source: 'partner', command, params, ...(session === undefined ? {} : { session }) }),
    lists: () => http.requests.filter(({ url }) => new URL(url).pathname.endsWith('/authorizations')).length,
  };
  venue.facts$.subscribe((batch) => {
    batches.push(batch);
    facts.push(...batch.facts);
    for (const [key, value] of Object.entries(batch.memory ?? {})) {
      if (value === null) memory.delete(key);
      else memory.set(key, value);
    }
    if (world.journal !== undefined) batch.committed?.(world.journal);
  });
  http.answer = (request) => {
    const url = new URL(request.url);
    const special = world.answer?.(request, url);
    if (special !== undefined) return special;
    if (url.pathname.endsWith('/authorizations')) return { json: world.rows };
    return { json: { detail: 'Not found.' }, status: 404 };
  };
  if (extras.start !== false) venue.start(memory);
  return world;
}

export function webhookOf(venue: Venue) {
  if (venue.webhook === undefined) throw new Error('SnapTrade takes webhooks');
  return venue.webhook;
}

/** Starts a venue and lets its first lists come in. */
export async function startLive(
  options: Partial<SnaptradeOptions> = {},
  rows: readonly unknown[] = [],
  extras: Extras = {},
): Promise<World> {
  const world = startVenue(options, rows, extras);
  await world.clock.advance(0);
  await settle();
  return world;
}

/** Signs a payload as the venue does. */
export function sign(payload: Record<string, unknown>, key: string = KEY): string {
  return hmacBase64(key, printPythonJson(toPythonJson(JSON.parse(JSON.stringify(payload)))));
}

let hooks = 0;

/** A webhook about a connection, in the shape of the vendor's samples. */
export function hook(
  world: Pick<World, 'clock'>,
  eventType: string,
  changes: Record<string, unknown> = {},
): Record<string, unknown> {
  return {
    webhookId: `434d23af-5f89-44f8-9415-${String(++hooks).padStart(12, '0')}`,
    clientId: CREDENTIALS.clientId,
    eventTimestamp: new Date(world.clock.now()).toISOString().replace('Z', '000+00:00'),
    userId: USER.userId,
    eventType,
    brokerageAuthorizationId: ID,
    webhookSecret: 'deprecated-but-still-there',
    ...changes,
  };
}

/** A fact in a few words; connections by the beginning of their id. */
export function lineOf(fact: Fact): string {
  const head = `${fact.session === ID ? 'A' : fact.session === OTHER_ID ? 'B' : fact.session} ${fact.type}`;
  switch (fact.type) {
    case 'link.up':
      return `${head} ${fact.data.carrier}#${fact.data.generation}`;
    case 'link.down':
      return `${head} ${fact.data.carrier}#${fact.data.generation} ${fact.data.code} ${fact.data.initiator}`;
    case 'session.opened':
      return `${head} ${fact.data.role}`;
    case 'session.lost':
    case 'session.stale':
      return `${head} ${fact.data.reason}`;
    case 'session.closed':
      return `${head} by:${fact.data.by}`;
    case 'session.attention':
      return `${head} ${fact.data.action}`;
    case 'session.step':
      return `${head} ${fact.data.step}${fact.data.reason === undefined ? '' : ` (${fact.data.reason})`}`;
    case 'session.updated':
      return `${head} ${Object.keys(fact.data.changed).join(',')}`;
    case 'venue.degraded':
    case 'venue.normal':
      return `${head} ${fact.data.what ?? ''} ${fact.data.reason ?? ''}`.trimEnd();
    case 'source.fault':
      return `${head} ${fact.data.what}`;
    default:
      return head;
  }
}
