import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { createLocalBus } from '../../../src/bus/local.js';
import { type AuthOptions, createAuthenticator } from '../../../src/edge/auth.js';
import { createEdge } from '../../../src/edge/edge.js';
import { DEFAULT_LIMITS, type Limits } from '../../../src/edge/limits.js';
import { liveAuthenticator } from '../../../src/edge/live-auth.js';
import { SOCKET_PATH } from '../../../src/http/routes.js';
import { createHub, type Hub } from '../../../src/hub/hub.js';
import type { Journal } from '../../../src/hub/journal/journal.js';
import { createLmdbJournal } from '../../../src/hub/journal/lmdb.js';
import { createMemoryJournal } from '../../../src/hub/journal/memory.js';
import { isSessionState } from '../../../src/model/fold.js';
import { silentLog } from '../../../src/net/log.js';
import { systemClock } from '../../../src/net/timer.js';
import { startRelay } from '../../../src/relay.js';
import { chooseTransport } from '../../../src/transports/choose.js';
import { deribit } from '../../../src/venues/deribit/index.js';
import { deribitConfig } from '../../../src/venues/deribit/options.js';
import type { Venue } from '../../../src/venues/venue.js';
import { BENCH_TOKEN, type RelayTerms } from './options.js';
import type { BenchServer } from './server.js';
import { createSpout } from './spout.js';

/** Every subscriber comes from one address, under one name. */
const LIMITS: Partial<Limits> = { maxConnectionsPerAddress: 0, maxConnectionsPerIdentity: 0 };
const READY_MS = 10_000;

/** The whole relay: a venue's frame in, journaled, folded, granted, chained, counted, and out. */
export async function startBenchRelay(terms: RelayTerms): Promise<BenchServer> {
  const spout = terms.sessions === undefined ? undefined : await createSpout(terms.sessions);
  const source = terms.source === undefined ? [] : [deribit(deribitConfig.parse(configOf(terms.source)))];
  const venues: readonly Venue[] = [...source, ...(spout === undefined ? [] : [spout])];
  const journal = journalOf(terms);
  const start = terms.metrics ? whole : withoutMetrics;
  const { port, hub, counts } = await start({ venues, journal, auth: authOf(terms), terms });
  await allActive(hub, venues.length === 0 ? 0 : (terms.sessions ?? 0) + source.length);
  return {
    port,
    triggerPort: spout?.port ?? 0,
    get cursor() {
      return hub.head();
    },
    prepare() {},
    counts: () => ({ ...counts() }),
    ...(spout === undefined ? {} : { pad: spout.pad }),
  };
}

interface Parts {
  readonly venues: readonly Venue[];
  readonly journal: Journal;
  readonly auth: AuthOptions;
  readonly terms: RelayTerms;
}

interface Started {
  readonly port: number;
  readonly hub: Hub;
  readonly counts: () => Readonly<Record<string, number>>;
}

async function whole({ venues, journal, auth, terms }: Parts): Promise<Started> {
  const { transport, workers } = terms;
  const relay = await startRelay({ venues, journal, auth, transport, workers, limits: LIMITS, listen: { port: 0 } });
  return { port: Number(new URL(relay.url).port), hub: relay.hub, counts: () => ({}) };
}

/** As `startRelay` puts it together, without what counts for `/metrics`. */
async function withoutMetrics({ venues, journal, auth, terms }: Parts): Promise<Started> {
  const [clock, random, log] = [systemClock, Math.random, silentLog];
  const limits: Limits = { ...DEFAULT_LIMITS, ...LIMITS };
  const authenticator = liveAuthenticator(await createAuthenticator(auth, clock));
  const transport = await chooseTransport(log, terms.transport);
  const hub = createHub({ venues, journal, clock, random, log, node: hostname() });
  await hub.start();
  const edge = createEdge({ bus: createLocalBus(hub), authenticator, limits, clock, random, log, version: 'bench' });
  const listening = await transport.listen(
    { host: '127.0.0.1', port: 0, path: SOCKET_PATH, maxBodyBytes: 1_024, ...limits },
    { upgrade: (request) => edge.upgrade(request), fetch: () => Promise.resolve(new Response('', { status: 404 })) },
  );
  return { port: listening.port, hub, counts: () => ({ deliveries: edge.stats.deliveries, ...edge.load() }) };
}

function configOf(source: NonNullable<RelayTerms['source']>): Readonly<Record<string, unknown>> {
  const { venue: _, ...config } = source;
  return config;
}

function journalOf({ journal, folder }: RelayTerms): Journal {
  if (journal === 'memory') return createMemoryJournal();
  if (folder === undefined) throw new Error('a journal on disk needs a folder');
  return createLmdbJournal({ path: folder, sync: journal });
}

function authOf({ auth, fields }: RelayTerms): AuthOptions {
  if (auth === 'none') return { mode: 'none' };
  const sha256 = createHash('sha256').update(BENCH_TOKEN).digest('hex');
  return { mode: 'keys', keys: [{ name: 'bench', sha256, channels: ['deribit.>'], commands: [], fields }] };
}

/** Before that events of the start would mix with those that are counted. */
async function allActive(hub: Hub, sessions: number): Promise<void> {
  const deadline = performance.now() + READY_MS;
  const active = (): number =>
    [...hub.states().values()].filter((state) => isSessionState(state) && state.status === 'active').length;
  while (active() < sessions) {
    if (performance.now() > deadline) throw new Error(`${active()} of ${sessions} sessions are active`);
    await new Promise<void>((resolve) => setTimeout(resolve, 10));
  }
}
