import { createHash } from 'node:crypto';
import { Subject } from 'rxjs';
import { z } from 'zod';
import { differLittle, revised, safetyOf } from '../options.js';
import { realPorts } from '../ports.js';
import type { FactBatch, SourceDescription, Venue, VenueModule, VenuePorts } from '../venue.js';
import { createCommands, snaptradeCommands } from './commands.js';
import { createFeed } from './feed.js';
import { type SnaptradeConfig, snaptradeConfig, snaptradeUsers } from './options.js';
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
  canRevise: (before, after) =>
    differLittle(before, after, before.users === undefined || after.users === undefined ? [] : ['users']),
  readFiles({ usersFile, ...config }) {
    if (usersFile === undefined) return undefined;
    const digest = createHash('sha256');
    createUsers({ ...config, usersFile }, (path) => {
      const text = readFile(path);
      digest.update(text);
      return text;
    });
    return digest.digest('hex');
  },
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

const revisedUsers = z.object({ users: snaptradeUsers.optional() });

function create(config: SnaptradeConfig, ports: SnaptradePorts): Venue {
  const { role, policy } = safetyOf('snaptrade', config.safety, 'trading');
  const facts = new Subject<FactBatch>();
  const users = createUsers(config, ports.readFile);
  let template: Omit<SourceDescription, 'source'> = {
    venue: 'snaptrade',
    role,
    safety: policy,
    forgetAfterMs: config.forgetAfter,
    // A webhook tells what happened; that nothing happened only a list can tell.
    provedBy: { connection: ['http'] },
    ...(config.environment === undefined ? {} : { environment: config.environment }),
  };
  const describe = (source: string): SourceDescription => ({ ...template, source });
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
    graceMs: () => template.safety.graceMs,
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
    revise(options) {
      template = revised(describe(config.id), options);
      held = held.map(({ source }) => describe(source));
      leaving = leaving.map(({ source }) => describe(source));
      listed = [...held, ...leaving];
      feed.revise(revisedUsers.parse(options).users);
    },
    start: (memory) => feed.start(memory),
    // SnapTrade has no cancel-on-disconnect: orders stay whatever is asked for, and so do the connections.
    async stop() {
      await feed.stop();
      facts.complete();
    },
  };
}
