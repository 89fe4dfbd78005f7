/**
 * The relay of a stress run as a process of its own: `startRelay` on a real journal, real transports and real venues,
 * with what the command line has no option for: a clock that jumps or runs fast, short retries, and the fountain.
 *
 * `relay-entry.js FILE`: options as JSON (`entry-options.ts`). Says one JSON line when it listens, logs JSON lines to
 * stderr, drains on SIGTERM, and dies with whoever started it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { createLog } from '../../src/cli/log.js';
import type { SessionEvent } from '../../src/model/event.js';
import { startRelay } from '../../src/relay.js';
import { realPorts } from '../../src/venues/ports.js';
import { venueModules } from '../../src/venues/registry.js';
import type { Venue } from '../../src/venues/venue.js';
import { createDraw } from './draw.js';
import { createEntryJournal } from './entry-journal.js';
import {
  type EntryOptions,
  type EntryRequest,
  entryOptions,
  entryRequest,
  type Measure,
  REMEMBERED_PAGE,
  type RememberedAnswer,
} from './entry-options.js';
import { createFountain, type Fountain } from './fountain.js';
import type { JournaledEvent } from './record.js';
import { createStressClock } from './stress-clock.js';

const DESCRIPTORS = '/proc/self/fd';

process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));

const [, , file = ''] = process.argv;
const options = entryOptions.parse(JSON.parse(readFileSync(file, 'utf8')));
const clock = createStressClock(options.pace);
const draw = createDraw(options.seed);
const log = createLog('info', process.stderr);
const fountain = fountainOf(options);
const { maxConnectionsPerAddress, maxConnectionsPerIdentity, stallMs, maxBufferedBytes } = options.limits;
const relay = await startRelay({
  venues: [...venuesOf(options), ...(fountain === undefined ? [] : [fountain])],
  listen: { host: '127.0.0.1', port: options.port },
  auth: options.auth,
  limits: {
    ...(maxConnectionsPerAddress === undefined ? {} : { maxConnectionsPerAddress }),
    ...(maxConnectionsPerIdentity === undefined ? {} : { maxConnectionsPerIdentity }),
    ...(stallMs === undefined ? {} : { stallMs }),
    ...(maxBufferedBytes === undefined ? {} : { maxBufferedBytes }),
  },
  journal: createEntryJournal(options.journal, log),
  transport: options.transport,
  drainTimeoutMs: options.drainTimeoutMs,
  clock,
  random: draw.fork('relay').random,
  log,
});

const remembered: JournaledEvent[] = [];
const since = relay.hub.head();
if (options.remembers) {
  relay.hub.turns$.subscribe(({ events }) => {
    for (const event of events) remembered.push(slim(event));
  });
}

process.on('message', (message) => {
  void answer(entryRequest.parse(message)).then((said) => process.send?.(said));
});
process.once('SIGTERM', () => {
  void relay.drain().then(() => process.exit(0));
});
process.stdout.write(`${JSON.stringify({ listening: relay.url, transport: relay.transport })}\n`);

function venuesOf({ sources, retryShare }: EntryOptions): readonly Venue[] {
  const { random } = draw.fork('venues');
  const ports = { ...realPorts(log), clock, random: () => random() * retryShare };
  return sources.map(({ venue, ...rest }) => {
    const module = venueModules.find((one) => one.venue === venue);
    if (module === undefined) throw new Error(`no venue ${String(venue)}`);
    return module.create(module.config.parse(rest), ports);
  });
}

function fountainOf({ fountain: wanted }: EntryOptions): Fountain | undefined {
  return wanted === undefined ? undefined : createFountain({ ...wanted, random: draw.fork('fountain').random });
}

/** Without what only makes it large. */
function slim({ id, key, subject, type, time, data }: SessionEvent): JournaledEvent {
  const changed = 'changed' in data ? { changed: { n: Number(data.changed.n) } } : {};
  return { id, key, subject, type, time, data: changed };
}

async function answer(request: EntryRequest): Promise<Measure | RememberedAnswer | { readonly id: number }> {
  switch (request.ask) {
    case 'measure':
      return measured(request.id);
    case 'rate':
      await fountain?.setRate(request.rate);
      return { id: request.id };
    case 'remembered':
      return { id: request.id, since, events: remembered.slice(request.from, request.from + REMEMBERED_PAGE) };
    case 'jump':
      clock.jump(request.byMs);
      return { id: request.id };
  }
}

async function measured(id: number): Promise<Measure> {
  // Finalizers of one collection free what the next one collects.
  for (let round = 0; round < 3; round++) {
    globalThis.gc?.();
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  const resources: Record<string, number> = {};
  for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1;
  const { heapUsed, rss } = process.memoryUsage();
  return {
    id,
    descriptors: readdirSync(DESCRIPTORS).length,
    timers: clock.timers,
    heapBytes: heapUsed,
    rssBytes: rss,
    resources,
  };
}
