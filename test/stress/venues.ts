import type { Json } from '../../src/model/json.js';
import { type Simulator, simulators } from '../../src/simulators/index.js';
import type { BadLine } from './bad-line.js';
import type { Stage } from './stage.js';
import { createStressClock, type Pace } from './stress-clock.js';

/** A simulated venue behind a line that can be made bad. */
export interface LinedVenue {
  readonly venue: string;
  readonly simulator: Simulator;
  readonly line: BadLine;
  /** An entry of `sources` that goes through the line. */
  readonly source: { readonly [key: string]: Json };
}

/** Real simulators, each behind a line of its own, on the same time as the relay. */
export async function startVenues(
  stage: Stage,
  pace: Pace,
  names: readonly string[] = Object.keys(simulators),
): Promise<readonly LinedVenue[]> {
  const venues: LinedVenue[] = [];
  for (const venue of names) {
    const start = simulators[venue];
    if (start === undefined) throw new Error(`no simulator ${venue}`);
    const simulator = await stage.simulator(start({ seed: stage.seed, clock: createStressClock(pace) }));
    const line = await stage.badLine(Number(new URL(simulator.url).port));
    venues.push({ venue, simulator, line, source: through(line, simulator.source) });
  }
  return venues;
}

/** Every URL of a source with the line's port in place of the venue's. */
function through(line: BadLine, source: { readonly [key: string]: Json }): { readonly [key: string]: Json } {
  const lined = (value: Json): Json => {
    if (typeof value !== 'string') return value;
    const url = new URL(value);
    url.port = String(line.port);
    return url.href;
  };
  return Object.fromEntries(
    Object.entries(source).map(([name, value]) => [name, /url$/i.test(name) ? lined(value) : value]),
  );
}
