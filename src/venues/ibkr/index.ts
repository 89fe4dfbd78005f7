import { Subject } from 'rxjs';
import type { z } from 'zod';
import { differLittle, revised, safetyOf } from '../options.js';
import { realPorts } from '../ports.js';
import type { FactBatch, SourceDescription, Venue, VenueModule, VenuePorts } from '../venue.js';
import { ibkrCommands, runCommand } from './commands.js';
import { createFeed } from './feed.js';
import { type IbkrConfig, ibkrConfig } from './options.js';

/** What {@link ibkr} takes: every key but `id` has a default. */
export type IbkrOptions = z.input<typeof ibkrConfig>;

export const ibkrModule: VenueModule<IbkrConfig> = {
  venue: 'ibkr',
  config: ibkrConfig,
  // Orders go through the brokerage session, whoever places them: there is one a username.
  serveRole: 'trading',
  create,
  canRevise: (before, after) => differLittle(before, after),
};

/**
 * An IBKR source: the login at a Client Portal gateway (`sso`), which only a person can make, and the brokerage session
 * in it (`brokerage`). Nothing is connected before `start()`. The brokerage session's role is `trading` by default, the
 * login's always `watch`. `stop()` leaves both alive.
 *
 * @throws ZodError where the options do not fit; its `issues` name each key.
 */
export function ibkr(options: IbkrOptions, ports: Partial<VenuePorts> = {}): Venue {
  return create(ibkrConfig.parse(options), { ...realPorts(ports.log), ...ports });
}

function create(config: IbkrConfig, ports: VenuePorts): Venue {
  const { role, policy } = safetyOf('ibkr', config.safety, 'trading');
  const facts = new Subject<FactBatch>();
  const feed = createFeed({ config, role, ports, out: (batch) => facts.next(batch) });
  let description: SourceDescription = {
    venue: 'ibkr',
    source: config.id,
    role,
    safety: policy,
    forgetAfterMs: config.forgetAfter,
    // The socket tells changes; that a session lives is what the polls show.
    provedBy: { sso: ['http'], brokerage: ['http'] },
    ...(config.environment === undefined ? {} : { environment: config.environment }),
  };
  return {
    venue: 'ibkr',
    id: config.id,
    sources: () => [description],
    facts$: facts.asObservable(),
    commands: ibkrCommands,
    command: (call) => runCommand(feed, call),
    forget: (_source, session) => feed.forget(session),
    revise(options) {
      description = revised(description, options);
    },
    start: (memory) => feed.start(memory),
    // IBKR has no cancel-on-disconnect: orders stay whatever is asked for, and the login is left alive.
    async stop() {
      await feed.stop();
      facts.complete();
    },
  };
}
