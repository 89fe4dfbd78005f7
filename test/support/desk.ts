import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { parseConfig } from '../../src/cli/config.js';
import type { SessionEvent } from '../../src/model/event.js';
import type { Json } from '../../src/model/json.js';
import { type Relay, type RelayOptions, startRelay } from '../../src/relay.js';
import { type Simulator, simulators } from '../../src/simulators/index.js';
import { realPorts } from '../../src/venues/ports.js';
import type { Venue } from '../../src/venues/venue.js';

/** What a desk looks at: a relay in this process, on real time and real sockets, with simulated venues behind it. */
export interface Desk {
  readonly url: string;
  readonly relay: Relay;
  /** A venue that was asked for. */
  venue(name: string): Simulator;
  close(): Promise<void>;
}

export interface DeskOptions extends Partial<Omit<RelayOptions, 'venues'>> {
  /** Simulated, by name; nothing happens there by itself. */
  readonly simulated?: readonly string[];
  /** What the configuration of a simulated venue says beside its simulator's own entry, by name. */
  readonly settings?: { readonly [venue: string]: { readonly [key: string]: Json } };
  readonly venues?: readonly Venue[];
}

const desks = new Set<Desk>();

export async function startDesk({
  simulated = [],
  settings = {},
  venues = [],
  ...options
}: DeskOptions): Promise<Desk> {
  if (!existsSync(fileURLToPath(new URL('../../dist/dashboard/index.html', import.meta.url))))
    throw new Error('there is no built page: npm run build');
  const running = new Map<string, Simulator>();
  for (const name of simulated) {
    const start = simulators[name];
    if (start !== undefined) running.set(name, await start());
  }
  const sources = [...running.values()].map(({ venue, source }) => ({ ...source, ...settings[venue] }));
  const configured = sources.length === 0 ? [] : parseConfig(stringify({ sources }), { env: {}, file: 'desk' }).sources;
  const relay = await startRelay({
    listen: { port: 0 },
    drainTimeoutMs: 5_000,
    ...options,
    venues: [...venues, ...configured.map((source) => source.module.create(source.options, realPorts()))],
  });
  for (const { venue, source, sendWebhooksTo } of running.values())
    sendWebhooksTo?.(`${relay.url}/v1/hooks/${venue}/${String(source.id)}`);
  const desk: Desk = {
    url: relay.url,
    relay,
    venue(name) {
      const found = running.get(name);
      if (found === undefined) throw new Error(`${name} is not simulated here`);
      return found;
    },
    async close() {
      desks.delete(desk);
      await relay.close({ orders: 'leave' });
      for (const simulator of running.values()) await simulator.close();
    },
  };
  desks.add(desk);
  return desk;
}

/** For `afterEach`. */
export async function closeDesks(): Promise<void> {
  for (const desk of desks) await desk.close();
}

/** Every event that the journal holds, from the first one on, page by page. */
export async function journaled(url: string): Promise<readonly SessionEvent[]> {
  const events: SessionEvent[] = [];
  let since = '0-0';
  for (;;) {
    const page = (await (await fetch(`${url}/v1/events?since=${since}&limit=1000`)).json()) as {
      readonly events: readonly SessionEvent[];
      readonly next?: string;
    };
    events.push(...page.events);
    if (page.next === undefined) return events;
    since = page.next;
  }
}
