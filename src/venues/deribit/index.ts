import { Subject } from 'rxjs';
import type { z } from 'zod';
import type { Role } from '../../model/event.js';
import { differLittle, revised, safetyOf } from '../options.js';
import { realPorts } from '../ports.js';
import type { FactBatch, SourceDescription, Venue, VenueModule, VenuePorts } from '../venue.js';
import { callMethod, deribitCommands, runCommand } from './commands.js';
import { createFeed } from './feed.js';
import { type DeribitConfig, deribitConfig } from './options.js';

/** What {@link deribit} takes: every key but `id` has a default; without `credentials` it hears public channels only. */
export type DeribitOptions = z.input<typeof deribitConfig>;

export const deribitModule: VenueModule<DeribitConfig> = {
  venue: 'deribit',
  config: deribitConfig,
  // Under `serve` bots trade on sockets of their own: this one only shows that the venue and the key work.
  serveRole: 'watch',
  create: (config, ports) => create(config, ports, 'watch'),
  canRevise: (before, after) => differLittle(before, after),
};

/**
 * A Deribit source: one WebSocket, and on it one session (`session:NAME`, the connection's own, or `public`). Nothing is
 * connected before `start()`. Its role is `trading` by default: orders go through `venue.call`.
 *
 * @throws ZodError where the options do not fit; its `issues` name each key.
 */
export function deribit(options: DeribitOptions, ports: Partial<VenuePorts> = {}): Venue {
  return create(deribitConfig.parse(options), { ...realPorts(ports.log), ...ports }, 'trading');
}

function create(config: DeribitConfig, ports: VenuePorts, defaultRole: Role): Venue {
  const { role, policy } = safetyOf('deribit', config.safety, defaultRole);
  const facts = new Subject<FactBatch>();
  const feed = createFeed({ config, role, ports, out: (batch) => facts.next(batch) });
  let description: SourceDescription = {
    venue: 'deribit',
    source: config.id,
    role,
    safety: policy,
    forgetAfterMs: config.forgetAfter,
    provedBy: { api: ['ws'], public: ['ws'] },
    ...(config.environment === undefined ? {} : { environment: config.environment }),
  };
  return {
    venue: 'deribit',
    id: config.id,
    sources: () => [description],
    facts$: facts.asObservable(),
    commands: deribitCommands,
    command: (call) => runCommand(feed, call),
    call: (method, params) => callMethod(feed, method, params),
    forget: (_source, session) => feed.forget(session),
    revise(options) {
      description = revised(description, options);
    },
    start: (memory) => feed.start(memory),
    async stop(options) {
      await feed.stop(options);
      facts.complete();
    },
  };
}
