import type { Bus } from '../bus/bus.js';
import type { Edge } from '../edge/edge.js';
import { type EventLoopWatch, MAX_LATE_MS } from './event-loop.js';
import { json } from './json.js';

/** `/livez` and `/readyz`: what an orchestrator asks. */
export interface HealthOptions {
  readonly bus: Bus;
  readonly edge: Edge;
  readonly eventLoop: Pick<EventLoopWatch, 'lateMs'>;
  readonly version: string;
  readonly transport: 'uws' | 'ws';
  /** The other threads of this relay, where there are some. */
  readonly threads?: () => Promise<Threads>;
}

/** How the threads of a relay are that serves by several. */
export interface Threads {
  readonly wanted: number;
  readonly up: number;
  /** What is wrong with some of them, a sentence each; never empty where they are fewer than wanted. */
  readonly problems: readonly string[];
  readonly connections: number;
  readonly groups: number;
}

/** What waits longer than this for the journal makes the relay not ready, whatever its hub says of itself. */
export const MAX_JOURNAL_LAG_MS = 1_000;

/**
 * The process answers. 503 only where it can never follow again by itself, so that whoever restarts what does not live
 * restarts it: a relay that drains, or that is blind for now, lives.
 */
export function livez({ edge, version }: HealthOptions): Response {
  const sight = edge.sight();
  if (sight.blind && sight.lasting === true) return json(503, { status: 'lost', version, why: sight.why });
  return json(200, { status: 'live', version });
}

/** Health of a relay that is not there yet: it lives, and is not ready. `undefined` where something else is asked. */
export function startingHealth({ url }: Pick<Request, 'url'>, version: string): Response | undefined {
  const { pathname } = new URL(url);
  if (pathname === '/livez') return json(200, { status: 'live', version });
  if (pathname === '/readyz') return json(503, { status: 'not_ready', version, checks: { starting: 'starting' } });
  return undefined;
}

const OK = 'ok';

/**
 * 503 while the journal does not commit or is more than {@link MAX_JOURNAL_LAG_MS} behind, the event loop is late by
 * more than {@link MAX_LATE_MS}, the relay drains or is blind; with `?sources=1` also while a source has no link. Each
 * check is `ok` or says what is wrong. Both lags are told in any case, in ms.
 */
export async function readyz(options: HealthOptions, strict: boolean): Promise<Response> {
  const { bus, edge, eventLoop, version, transport } = options;
  const sources = (await bus.sources()).map(({ venue, source, state }) => {
    const { links, venueLevel } = state.attributes;
    return { source: `${venue}.${source}`, up: Object.values(links).includes('up'), links, venueLevel };
  });
  const sight = edge.sight();
  const threads = await options.threads?.();
  const lag = await bus.lag();
  const isBehind = lag.oldestMs > MAX_JOURNAL_LAG_MS;
  const behind = `behind by ${lag.oldestMs} ms, ${lag.waiting} facts wait`;
  const down = sources.filter(({ up }) => !up).map(({ source }) => source);
  const lateMs = eventLoop.lateMs();
  const own = {
    // Within one process the hub is out of sight only while its journal does not commit, or has not been opened yet.
    journal: sight.blind ? sight.why : isBehind ? behind : OK,
    eventLoop: lateMs > MAX_LATE_MS ? `late by ${lateMs} ms` : OK,
    draining: edge.isDraining() ? 'draining' : OK,
    blind: sight.blind ? `blind since ${new Date(sight.since).toISOString()}` : OK,
    ...(threads === undefined ? {} : { workers: threads.problems.length === 0 ? OK : threads.problems.join('; ') }),
  };
  const checks = { ...own, sources: down.length === 0 ? OK : `down: ${down.join(', ')}` };
  const ready = Object.values(strict ? checks : own).every((check) => check === OK);
  const body = {
    status: ready ? 'ready' : 'not_ready',
    version,
    transport,
    checks,
    eventLoop: { lateMs },
    journal: { lagMs: lag.oldestMs, waiting: lag.waiting },
    sources,
    ...(threads === undefined
      ? edge.counts()
      : { workers: threads.up, connections: threads.connections, groups: threads.groups }),
  };
  return json(ready ? 200 : 503, body);
}
