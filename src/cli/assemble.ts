import { resolve } from 'node:path';
import type { AuthOptions } from '../edge/auth.js';
import { asSessionRelayError } from '../errors.js';
import type { Journal } from '../hub/journal/journal.js';
import { createLmdbJournal } from '../hub/journal/lmdb.js';
import { createMemoryJournal } from '../hub/journal/memory.js';
import type { Log } from '../net/log.js';
import { type Relay, startRelay } from '../relay.js';
import { realPorts } from '../venues/ports.js';
import type { Venue } from '../venues/venue.js';
import type { Output } from './args.js';
import type { RelayConfig } from './config.js';
import { listening } from './listening.js';
import { createLog } from './log.js';

/** A relay that runs, and what it was made of. */
export interface Started {
  readonly relay: Relay;
  /** By `<venue>.<id>`. */
  readonly venues: ReadonlyMap<string, Venue>;
  readonly log: Log;
}

/**
 * Starts the relay that a configuration describes; it logs to `stderr`. `everyCommand` allows acting commands too to
 * whoever connects without credentials: for the demo, whose venues are simulated. `undefined` where `signal` ended it
 * before it was there.
 */
export async function startConfigured(
  config: RelayConfig,
  {
    stderr,
    signal,
    everyCommand = false,
  }: { readonly stderr: Output; readonly signal: AbortSignal; readonly everyCommand?: boolean },
): Promise<Started | undefined> {
  const log = createLog(config.log.level, stderr);
  const { handshakeTimeout, stall, ...limits } = config.limits;
  const { host, port, transport } = config.listen;
  const venues = config.sources.map(({ module, options }) => module.create(options, realPorts(log)));
  const started = listening(
    { host, port },
    startRelay({
      signal,
      venues,
      listen: { host, port },
      auth: everyCommand ? { mode: 'none', commands: commandsOf(venues) } : authOptions(config),
      limits: { ...limits, handshakeTimeoutMs: handshakeTimeout, stallMs: stall },
      journal: journalOf(config, log),
      ...(transport === 'auto' ? {} : { transport }),
      metrics: config.metrics,
      drainTimeoutMs: config.drain.timeout,
      workers: config.workers,
      log,
    }),
  );
  try {
    const relay = await started;
    return { relay, venues: new Map(venues.map((venue) => [`${venue.venue}.${venue.id}`, venue])), log };
  } catch (thrown) {
    if (signal.aborted && asSessionRelayError(thrown).code === 'closed') return undefined;
    throw thrown;
  }
}

function journalOf({ journal }: RelayConfig, log: Log): Journal {
  const { engine, path, sync } = journal;
  const retention = { maxAgeMs: journal.retention.maxAge, maxBytes: journal.retention.maxBytes };
  return engine === 'memory'
    ? createMemoryJournal({ retention })
    : createLmdbJournal({ path: resolve(path), sync, retention, log });
}

/** Each command by name: `*` in a grant would mean the reading ones alone. */
function commandsOf(venues: readonly Venue[]): readonly string[] {
  return venues.flatMap((venue) =>
    venue.sources().flatMap(({ source }) => venue.commands.map(({ command }) => `${venue.venue}.${source}:${command}`)),
  );
}

/** Keys that have no value are left out, as the edge's own types ask. */
export function authOptions({ auth, anyHost }: Pick<RelayConfig, 'auth' | 'anyHost'>): AuthOptions {
  switch (auth.mode) {
    case 'none':
      return { mode: 'none', anyHost, ...(auth.commands === undefined ? {} : { commands: auth.commands }) };
    case 'keys':
      return auth;
    case 'jwt': {
      const { secret, publicKey, jwks, issuer, audience } = auth;
      return {
        mode: 'jwt',
        ...(secret === undefined ? {} : { secret }),
        ...(publicKey === undefined ? {} : { publicKey }),
        ...(jwks === undefined ? {} : { jwks }),
        ...(issuer === undefined ? {} : { issuer }),
        ...(audience === undefined ? {} : { audience }),
      };
    }
  }
}
