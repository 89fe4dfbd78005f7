import { asSessionRelayError, ConfigError, describeProblem } from '../errors.js';
import type { Log } from '../net/log.js';
import type { Relay } from '../relay.js';
import { realPorts } from '../venues/ports.js';
import type { Venue } from '../venues/venue.js';
import { authOptions } from './assemble.js';
import { isLoopback, type RelayConfig } from './config.js';
import { afterReload, nameOf, planReload, type ReloadPlan } from './reload-plan.js';

/** Reads the configuration again whenever it is asked to. */
export interface Reloads {
  /**
   * One at a time: asked while one runs, another follows it, however often. Ignored once the relay is ending. Never
   * throws: what is wrong with the new configuration is in the log, and nothing has changed.
   */
  ask(): void;
}

export interface ReloadsOptions {
  readonly relay: Pick<Relay, 'reload'>;
  /** What the relay was started with. */
  readonly config: RelayConfig;
  /** The venues that were made of it, by `<venue>.<id>`. */
  readonly venues: ReadonlyMap<string, Venue>;
  readonly file: string;
  /** Serve without auth beyond loopback. */
  readonly insecure: boolean;
  /** Throws a `ConfigError`. */
  readonly load: () => RelayConfig;
  /** Aborted once the relay is ending. */
  readonly ending: AbortSignal;
  readonly log: Log;
}

export function createReloads(options: ReloadsOptions): Reloads {
  const { relay, load, ending, log } = options;
  let { config, venues } = options;
  let running = false;
  let again = false;

  const reload = async (): Promise<void> => {
    let taken: RelayConfig | undefined;
    let made = venues;
    try {
      const result = await relay.reload(() => {
        const next = load();
        if (!options.insecure) mustStayClosed(next, config, options.file);
        const plan = planReload(config, next);
        made = venuesOf(next, plan, venues, log);
        taken = afterReload(config, next);
        return changesOf(next, config, plan, made);
      });
      if (taken !== undefined) config = taken;
      venues = made;
      log.info('the configuration was read again', { ...result });
      const { needsRestart } = result;
      if (needsRestart.length > 0) log.warn('changed but needs a restart: as before until then', { needsRestart });
    } catch (thrown) {
      log.error('the configuration could not be taken over: nothing has changed', problemOf(thrown));
    }
  };
  const run = async (): Promise<void> => {
    running = true;
    do {
      again = false;
      await reload();
    } while (again && !ending.aborted);
    running = false;
  };

  return {
    ask() {
      if (ending.aborted) {
        log.warn('the relay is ending: the configuration is not read again');
      } else if (running) {
        again = true;
        log.info('the configuration is being read: it is read once more afterwards');
      } else void run();
    },
  };
}

/** Which venues there are from now on: those that run stay the same objects, unless they have to begin anew. */
function venuesOf(
  next: RelayConfig,
  { added, changed }: ReloadPlan,
  running: ReadonlyMap<string, Venue>,
  log: Log,
): ReadonlyMap<string, Venue> {
  const fresh = new Set([...added, ...changed]);
  return new Map(
    next.sources.map((source) => {
      const name = nameOf(source);
      const known = fresh.has(source) ? undefined : running.get(name);
      return [name, known ?? source.module.create(source.options, realPorts(log))];
    }),
  );
}

function changesOf(
  next: RelayConfig,
  before: RelayConfig,
  { revised, needsRestart }: ReloadPlan,
  venues: ReadonlyMap<string, Venue>,
): Awaited<ReturnType<Extract<Parameters<Relay['reload']>[0], () => unknown>>> {
  const revisions = new Map<Venue, unknown>();
  for (const source of revised) {
    const venue = venues.get(nameOf(source));
    if (venue !== undefined) revisions.set(venue, source.options);
  }
  const { maxConnections, maxConnectionsPerAddress, maxConnectionsPerIdentity } = next.limits;
  const { maxChannels, maxRequestsPerSecond, origins } = next.limits;
  return {
    venues: [...venues.values()],
    revisions,
    // Whether it may be reached without credentials is decided by where it listens, whatever the file says now.
    auth: authOptions({ auth: next.auth, anyHost: next.auth.mode === 'none' && !isLoopback(before.listen.host) }),
    limits: {
      maxConnections,
      maxConnectionsPerAddress,
      maxConnectionsPerIdentity,
      maxChannels,
      maxRequestsPerSecond,
      origins,
    },
    needsRestart,
  };
}

/** A relay that can be reached from other machines does not lose its auth because the file names another address now. */
function mustStayClosed(next: RelayConfig, before: RelayConfig, file: string): void {
  const { host } = before.listen;
  if (next.auth.mode !== 'none' || isLoopback(host)) return;
  const message = `none, while the relay listens on ${host}, which other machines can reach: restart it on 127.0.0.1, or say --insecure`;
  throw new ConfigError([{ file, key: 'auth.mode', message }]);
}

/** The stable code and where it is; never what stands there. */
function problemOf(thrown: unknown): Readonly<Record<string, unknown>> {
  if (thrown instanceof ConfigError) return { code: thrown.code, problems: thrown.problems.map(describeProblem) };
  const { code, message } = asSessionRelayError(thrown);
  return { code, error: message };
}
