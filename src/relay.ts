import { hostname } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Worker } from 'node:worker_threads';
import { createLocalBus } from './bus/local.js';
import { type AuthOptions, createAuthenticator } from './edge/auth.js';
import { DEFAULT_LIMITS, type Limits } from './edge/limits.js';
import { liveAuthenticator } from './edge/live-auth.js';
import { ConfigError, SessionRelayError } from './errors.js';
import { createMetrics } from './http/metrics.js';
import { readPage } from './http/page.js';
import { SOCKET_PATH } from './http/routes.js';
import { createHub, type Ending, type EndOptions, type Hub } from './hub/hub.js';
import type { Journal } from './hub/journal/journal.js';
import { createMemoryJournal } from './hub/journal/memory.js';
import type { Clock, Random } from './net/clock.js';
import { type Log, silentLog } from './net/log.js';
import { systemClock } from './net/timer.js';
import { within } from './net/within.js';
import { MAX_WORKERS, workersOf } from './relay/count.js';
import { createFront } from './relay/front.js';
import { STARTING } from './relay/starting.js';
import { startWorkers } from './relay/workers.js';
import { type Changeable, createReload, type Reload, type ReloadCounts } from './reload.js';
import { chooseTransport } from './transports/choose.js';
import type { Listening, ListenOptions, SharedPort, Transport } from './transports/transport.js';
import type { Venue } from './venues/venue.js';
import { VERSION } from './version.js';

export type { AuthOptions } from './edge/auth.js';
export type { Limits } from './edge/limits.js';
export type { ChangedVenues } from './hub/changes.js';
export type { Ending } from './hub/hub.js';
export type { Journal, Retention } from './hub/journal/journal.js';
export { createLmdbJournal, type LmdbJournalOptions } from './hub/journal/lmdb.js';
export { createMemoryJournal } from './hub/journal/memory.js';
export type { RelayChanges, ReloadResult } from './reload.js';
export type { Listening, Transport } from './transports/transport.js';

/** A relay put together in one process: venues → hub → bus → edge and HTTP → transport; the last two in several threads where asked. */
export interface RelayOptions {
  readonly venues: readonly Venue[];
  /** Default 127.0.0.1:8080; port 0 takes a free one. */
  readonly listen?: { readonly host?: string; readonly port?: number };
  /** Default `{ mode: 'none' }`, which serves loopback peers only. */
  readonly auth?: AuthOptions;
  readonly limits?: Partial<Limits>;
  /** Default: in memory, gone with the process. */
  readonly journal?: Journal;
  /** `uws` or `ws`, or a transport; default: uWebSockets.js where its binary loads. */
  readonly transport?: 'uws' | 'ws' | Transport;
  /**
   * Threads that serve subscribers. Default 1: everything in this one. More: each has an edge of its own, they take new
   * connections in turn, and this thread has the hub, the venues and the port alone; `uws` only, on the machine's own
   * clock (`config_invalid` otherwise), and `random` is not used by them. `auto`: one a processor, with `ws` 1.
   */
  readonly workers?: number | 'auto';
  /** For tests: each thread that was started. @internal */
  readonly workerStarted?: (worker: Worker) => void;
  /** `public`: `/metrics` is told to everybody; default: to loopback peers, and to others with a token. */
  readonly metrics?: { readonly public?: boolean };
  /** The folder of the built page that is served at `/`, read once at the start; default: the one in this package. */
  readonly dashboard?: string;
  /** How long `drain` may take; default 20 000. */
  readonly drainTimeoutMs?: number;
  /** Aborted while the relay still starts, it ends the start: `startRelay` rejects with `closed`. */
  readonly signal?: AbortSignal;
  readonly log?: Log;
  readonly clock?: Clock;
  readonly random?: Random;
}

export interface Relay {
  /** `http://host:port` */
  readonly url: string;
  readonly transport: 'uws' | 'ws';
  readonly hub: Hub;
  /**
   * Takes over another configuration while it runs. All of it is checked first: where something is wrong it rejects and
   * nothing has changed. Then who may do what, the limits and the options that sources take over in place change in one
   * turn, and everybody who is there is judged by them: whose token is refused now is closed with 4401, and no
   * connection is ended by a lower count. Then venues that are gone or changed are ended (Deribit is logged out of, so
   * that orders stay) and the new ones are started; resolves when they are, without waiting for their connections. One
   * at a time, in the order of the calls; a function is called when it is its turn, and what it throws is what this
   * rejects with. A venue that was ended cannot be handed in again (`conflict`). Rejects with `closed` once the relay is ending, with `config_invalid`, with `not_available` where a
   * token cannot be checked now, with `journal_failed` where sources change and nothing can be journaled.
   */
  readonly reload: Reload;
  /**
   * Ends it as a server should end. In the turn of the call: `/readyz` is red, newcomers and commands are refused with
   * 503, Deribit is asked to log out (within a second, so that orders stay), and subscribers begin to be told when to
   * come back. The other venues are left once Deribit has ended, without a logout. What all that means is journaled and
   * still delivered; subscribers are sent away over the time there is; reads and health are answered until the end.
   * Then the journal is flushed and closed, and the port given up. Never takes longer than `drainTimeoutMs` where that
   * is at least 5 s, whatever hangs. Idempotent; never rejects; resolves when everything is closed.
   */
  drain(): Promise<Ending>;
  /** Ends it now. `orders` as in {@link Venue.stop}. Idempotent. */
  close(options: { readonly orders: 'leave' | 'cancel' }): Promise<Ending>;
}

/** The same from `dist/` and from `src/`: what was built, never its source. */
const DASHBOARD = fileURLToPath(new URL('../dist/dashboard/', import.meta.url));
/** What one HTTP request's body may have; the largest are webhooks, and theirs have a few hundred bytes. */
const MAX_BODY_BYTES = 256 * 1024;
const DRAIN_TIMEOUT_MS = 20_000;
/** Part of the drain's time that the hub has; what is left is for subscribers, who leave meanwhile, and for the port. */
const HUB_SHARE = 0.5;
/** Threads do not end with the process as it ends by a second signal: they are told to at once, or the end is no clean one. */
const HUB_FIRST_MS = 200;

/**
 * Starts a relay: takes the port, opens the journal, rebuilds the states, connects the venues, serves. The port comes
 * first, so that a relay that cannot listen never takes a venue's session from the one that does. Rejects with
 * `port_in_use`, `journal_failed`, `config_invalid` or `not_available`; nothing is left running then.
 */
export async function startRelay(options: RelayOptions): Promise<Relay> {
  const { venues, log = silentLog, clock = systemClock, random = Math.random } = options;
  const auth: AuthOptions = options.auth ?? { mode: 'none' };
  const authenticator = liveAuthenticator(await createAuthenticator(auth, clock));
  const transport =
    typeof options.transport === 'object' ? options.transport : await chooseTransport(log, options.transport);
  const workers = workersOf(options.workers ?? 1, transport.kind, log);
  mustServe(workers, transport, options);
  const dashboard = options.dashboard ?? DASHBOARD;
  const journal = options.journal ?? createMemoryJournal();
  const hub = createHub({ venues, journal, clock, random, log, node: hostname() });
  const limits: Limits = { ...DEFAULT_LIMITS, ...options.limits };
  const listen: ListenOptions = {
    host: options.listen?.host ?? '127.0.0.1',
    port: options.listen?.port ?? 8080,
    path: SOCKET_PATH,
    maxPayloadBytes: limits.maxPayloadBytes,
    maxBufferedBytes: limits.maxBufferedBytes,
    handshakeTimeoutMs: limits.handshakeTimeoutMs,
    stallMs: limits.stallMs,
    maxBodyBytes: MAX_BODY_BYTES,
    trustProxy: limits.trustProxy,
  };
  const publicMetrics = options.metrics?.public ?? false;
  const reloads: ReloadCounts = { applied: 0, incomplete: 0, refused: 0 };
  let serving = STARTING;

  /** Everything in this thread. */
  const serveHere = async (): Promise<Serving> => {
    // Only now: an edge begins at the position that its hub has reached.
    const bus = createLocalBus(hub);
    let stopMetrics = (): void => {};
    const front = createFront({
      bus,
      authenticator,
      limits,
      clock,
      random,
      log,
      page,
      publicMetrics,
      transport: transport.kind,
      metrics(edge, eventLoop) {
        const about = { version: VERSION, transport: transport.kind };
        const metrics = createMetrics({ bus, edge, eventLoop, clock, reloads, ...about });
        stopMetrics = () => metrics.stop();
        return metrics;
      },
    });
    serving = front.handlers;
    return {
      limits: front.limits,
      prepare: (rules) => front.prepare(rules),
      drain: (how) => front.drain(how),
      close() {
        stopMetrics();
        return front.close();
      },
    };
  };
  const serveInThreads = (share: SharedPort): Promise<Serving> => {
    const { workerStarted: started } = options;
    const parts = { bus: createLocalBus(hub), share, listen, auth, limits, publicMetrics, dashboard, reloads };
    return startWorkers({
      count: workers,
      ...parts,
      clock,
      random,
      log,
      ...(started === undefined ? {} : { started }),
    });
  };

  const page = await readPage(dashboard, log);
  let listening: Listening | undefined;
  let front: Serving;
  try {
    listening = await transport.listen(listen, {
      upgrade: (request) => serving.upgrade(request),
      fetch: (request, peer) => serving.fetch(request, peer),
    });
    const { share } = listening;
    if (workers > 1 && share === undefined) throw cannotShare();
    await unlessAborted(hub.start(), options.signal);
    front = workers > 1 && share !== undefined ? await serveInThreads(share) : await serveHere();
  } catch (thrown) {
    await listening?.close();
    await hub.stop({ orders: 'leave' });
    throw thrown;
  }
  const drainTimeoutMs = options.drainTimeoutMs ?? DRAIN_TIMEOUT_MS;
  const { isEnding, ...relay } = running({ hub, front, workers, listening, transport, drainTimeoutMs });
  return {
    ...relay,
    reload: createReload({ hub, front, auth, venues, counts: reloads, isEnding }),
  };
}

/** Whatever serves subscribers: here, or in threads. */
interface Serving extends Changeable {
  drain(options: { readonly timeoutMs: number }): Promise<void>;
  close(): Promise<void>;
}

/** Throws where subscribers cannot be served by so many threads. */
function mustServe(workers: number, { kind }: Transport, { clock }: Pick<RelayOptions, 'clock'>): void {
  if (!Number.isInteger(workers) || workers < 1 || workers > MAX_WORKERS)
    throw new ConfigError([{ key: 'workers', message: `a whole number from 1 to ${MAX_WORKERS}` }]);
  if (workers === 1) return;
  if (kind !== 'uws') throw cannotShare();
  if (clock !== undefined && clock !== systemClock)
    throw new ConfigError([{ key: 'workers', message: 'more than 1 runs on the clock of the machine alone' }]);
}

function cannotShare(): ConfigError {
  return new ConfigError([
    { key: 'workers', message: 'more than 1 needs uWebSockets.js, which hands connections to threads: use 1 here' },
  ]);
}

/** A start that hangs must not outlive whoever wants it to end. */
function unlessAborted(task: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return task;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(new SessionRelayError('closed', 'the relay was stopped while it started'));
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
    task.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

function running(parts: {
  readonly hub: Hub;
  readonly front: Serving;
  readonly workers: number;
  readonly listening: Listening;
  readonly transport: Transport;
  readonly drainTimeoutMs: number;
}): Omit<Relay, 'reload'> & { readonly isEnding: () => boolean } {
  const { hub, front, workers, listening, transport, drainTimeoutMs } = parts;
  let closing: Promise<Ending> | undefined;
  const close = (how: EndOptions): Promise<Ending> => {
    closing ??= (async () => {
      const ending = hub.stop(how);
      try {
        if (workers === 1) return await ending;
        await within(systemClock, HUB_FIRST_MS, ending);
      } finally {
        await front.close();
        await listening.close();
      }
      return ending;
    })();
    return closing;
  };
  let draining: Promise<Ending> | undefined;
  return {
    url: listening.url,
    transport: transport.kind,
    hub,
    isEnding: () => closing !== undefined || draining !== undefined,
    close: ({ orders }) => close({ orders }),
    drain() {
      draining ??= (async () => {
        const how: EndOptions = { orders: 'leave', withinMs: drainTimeoutMs * HUB_SHARE };
        // Venues first, and before anything that can take long: whether orders stay is decided in this very turn.
        const left = hub.leave(how);
        const told = front.drain({ timeoutMs: drainTimeoutMs });
        await Promise.all([left, told]);
        return close(how);
      })();
      return draining;
    },
  };
}
