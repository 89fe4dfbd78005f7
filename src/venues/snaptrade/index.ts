import { Subject } from 'rxjs';
import type { z } from 'zod';
import { safetyOf } from '../options.js';
import { realPorts } from '../ports.js';
import type { FactBatch, SourceDescription, Venue, VenueModule, VenuePorts } from '../venue.js';
import { createCommands, snaptradeCommands } from './commands.js';
import { createFeed } from './feed.js';
import { type SnaptradeConfig, snaptradeConfig } from './options.js';
import { createUsers, type ReadFile, readFile } from './users.js';

/** What {@link snaptrade} takes: `id`, `credentials`, and one of `users`, `usersFile` and `personal`. */
export type SnaptradeOptions = z.input<typeof snaptradeConfig>;

/** Beside the ports of every venue: how `usersFile` is read. */
export interface SnaptradePorts extends VenuePorts {
  readonly readFile: ReadFile;
}

export const snaptradeModule: VenueModule<SnaptradeConfig> = {
  venue: 'snaptrade',
  config: snaptradeConfig,
  // Orders go through the connection, wherever they are placed.
  serveRole: 'trading',
  create: (config, ports) => create(config, { ...ports, readFile }),
};

/**
 * The connections of a SnapTrade partner's users, or of a personal key: each user is a source of its own, each brokerage
 * authorization a session. Nothing is sent before `start()`. A connection of type `trade` has the role `trading` by
 * default, any other always `watch`.
 *
 * @throws ZodError where the options do not fit; its `issues` name each key.
 * @throws ConfigError where `usersFile` cannot be read.
 */
export function snaptrade(options: SnaptradeOptions, ports: Partial<SnaptradePorts> = {}): Venue {
  return create(snaptradeConfig.parse(options), { ...realPorts(ports.log), readFile, ...ports });
}

function create(config: SnaptradeConfig, ports: SnaptradePorts): Venue {
  const { role, policy } = safetyOf('snaptrade', config.safety, 'trading');
  const facts = new Subject<FactBatch>();
  const users = createUsers(config, ports.readFile);
  const describe = (source: string): SourceDescription => ({
    venue: 'snaptrade',
    source,
    role,
    safety: policy,
    forgetAfterMs: config.forgetAfter,
    // A webhook tells what happened; that nothing happened only a list can tell.
    provedBy: { connection: ['http'] },
    ...(config.environment === undefined ? {} : { environment: config.environment }),
  });
  let held = users.current.map(({ source }) => describe(source));
  /** Of the last change: what is said of their end is still to be taken in. */
  let leaving: readonly SourceDescription[] = [];
  const hold = (sources: readonly string[]): void => {
    const wanted = new Set(sources);
    const isSame = held.length === wanted.size && held.every(({ source }) => wanted.has(source));
    if (isSame && leaving.length === 0) return;
    leaving = isSame ? [] : held.filter(({ source }) => !wanted.has(source));
    const known = new Map(held.map((description) => [description.source, description]));
    held = sources.map((source) => known.get(source) ?? describe(source));
    listed = [...held, ...leaving];
  };
  let listed: readonly SourceDescription[] = held;
  const feed = createFeed({
    config,
    role,
    graceMs: policy.graceMs,
    ports,
    users,
    hold,
    out: (batch) => facts.next(batch),
  });
  return {
    venue: 'snaptrade',
    id: config.id,
    sources: () => listed,
    facts$: facts.asObservable(),
    commands: snaptradeCommands,
    command: createCommands(feed, config.credentials.clientId),
    webhook: feed.webhook,
    start: (memory) => feed.start(memory),
    // SnapTrade has no cancel-on-disconnect: orders stay whatever is asked for, and so do the connections.
    async stop() {
      await feed.stop();
      facts.complete();
    },
  };
}
