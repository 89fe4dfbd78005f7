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
}

/** The process answers: that is all it says. */
export function livez({ version }: HealthOptions): Response {
  return json(200, { status: 'live', version });
}

const OK = 'ok';

/**
 * 503 while the journal does not commit, the event loop is late, the relay drains or is blind; with `?sources=1` also
 * while a source has no link. Each check is `ok` or says what is wrong.
 */
export async function readyz(options: HealthOptions, strict: boolean): Promise<Response> {
  const { bus, edge, eventLoop, version, transport } = options;
  const sources = (await bus.sources()).map(({ venue, source, state }) => {
    const { links, venueLevel } = state.attributes;
    return { source: `${venue}.${source}`, up: Object.values(links).includes('up'), links, venueLevel };
  });
  const sight = edge.sight();
  const down = sources.filter(({ up }) => !up).map(({ source }) => source);
  const lateMs = eventLoop.lateMs();
  const own = {
    // Within one process the hub is out of sight only while its journal does not commit, or has not been opened yet.
    journal: sight.blind ? sight.why : OK,
    eventLoop: lateMs > MAX_LATE_MS ? `late by ${lateMs} ms` : OK,
    draining: edge.isDraining() ? 'draining' : OK,
    blind: sight.blind ? `blind since ${new Date(sight.since).toISOString()}` : OK,
  };
  const checks = { ...own, sources: down.length === 0 ? OK : `down: ${down.join(', ')}` };
  const ready = Object.values(strict ? checks : own).every((check) => check === OK);
  const body = { status: ready ? 'ready' : 'not_ready', version, transport, checks, sources, ...edge.counts() };
  return json(ready ? 200 : 503, body);
}
