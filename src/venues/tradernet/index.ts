import { Subject } from 'rxjs';
import type { z } from 'zod';
import { differLittle, revised, safetyOf } from '../options.js';
import { realPorts } from '../ports.js';
import type { FactBatch, SourceDescription, Venue, VenueModule, VenuePorts } from '../venue.js';
import { runCommand, tradernetCommands } from './commands.js';
import { createFeed } from './feed.js';
import { type TradernetConfig, tradernetConfig } from './options.js';

/** What {@link tradernet} takes: every key but `id` and `credentials` has a default. */
export type TradernetOptions = z.input<typeof tradernetConfig>;

export const tradernetModule: VenueModule<TradernetConfig> = {
  venue: 'tradernet',
  config: tradernetConfig,
  // Orders go through the login, wherever they are placed: only Deribit's connections are apart from one another.
  serveRole: 'trading',
  create,
  canRevise: (before, after) => differLittle(before, after),
};

/**
 * A Tradernet source: its login, and the security sessions of that login, each with its end. Nothing is connected
 * before `start()`. The login's role is `trading` by default, a security session's always `watch`.
 *
 * @throws ZodError where the options do not fit; its `issues` name each key.
 */
export function tradernet(options: TradernetOptions, ports: Partial<VenuePorts> = {}): Venue {
  return create(tradernetConfig.parse(options), { ...realPorts(ports.log), ...ports });
}

function create(config: TradernetConfig, ports: VenuePorts): Venue {
  const { role, policy } = safetyOf('tradernet', config.safety, 'trading');
  const facts = new Subject<FactBatch>();
  const feed = createFeed({ config, role, ports, out: (batch) => facts.next(batch) });
  let description: SourceDescription = {
    venue: 'tradernet',
    source: config.id,
    role,
    safety: policy,
    forgetAfterMs: config.forgetAfter,
    // Either shows both: a socket that is being connected again makes nothing stale while the polls are answered.
    provedBy: { login: ['ws', 'http'], security: ['ws', 'http'] },
    ...(config.environment === undefined ? {} : { environment: config.environment }),
  };
  return {
    venue: 'tradernet',
    id: config.id,
    sources: () => [description],
    facts$: facts.asObservable(),
    commands: tradernetCommands,
    command: (call) => runCommand(feed, call),
    forget: (_source, session) => feed.forget(session),
    revise(options) {
      description = revised(description, options);
    },
    start: (memory) => feed.start(memory),
    // Tradernet has no cancel-on-disconnect: orders stay whatever is asked for, and the login is left alive.
    async stop() {
      await feed.stop();
      facts.complete();
    },
  };
}
