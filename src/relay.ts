import { hostname } from 'node:os';
import { createLocalBus } from './bus/local.js';
import { type AuthOptions, createAuthenticator } from './edge/auth.js';
import { createEdge, type Edge } from './edge/edge.js';
import { PROBLEM_TYPE, problemBody } from './edge/errors.js';
import { DEFAULT_LIMITS, type Limits } from './edge/limits.js';
import { createEventLoopWatch, type EventLoopWatch } from './http/event-loop.js';
import { problem } from './http/problem.js';
import { createRoutes, SOCKET_PATH } from './http/routes.js';
import { createHub, type Hub } from './hub/hub.js';
import type { Journal } from './hub/journal/journal.js';
import { createMemoryJournal } from './hub/journal/memory.js';
import type { Clock, Random } from './net/clock.js';
import { type Log, silentLog } from './net/log.js';
import { systemClock } from './net/timer.js';
import { chooseTransport } from './transports/choose.js';
import type { Listening, Transport, TransportHandlers } from './transports/transport.js';
import type { Venue } from './venues/venue.js';
import { VERSION } from './version.js';

export type { AuthOptions } from './edge/auth.js';
export type { Limits } from './edge/limits.js';
export type { Listening, Transport } from './transports/transport.js';

/** A relay put together in one process: venues → hub → bus → edge and HTTP → transport. */
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
  /** How long `drain` may take; default 20 000. */
  readonly drainTimeoutMs?: number;
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
   * Ends it as a server should end: newcomers are refused, Deribit is logged out within a second so that orders stay,
   * subscribers are told and sent away over the time there is. Idempotent; resolves when everything is closed.
   */
  drain(): Promise<void>;
  /** Ends it now. `orders` as in {@link Venue.stop}. Idempotent. */
  close(options: { readonly orders: 'leave' | 'cancel' }): Promise<void>;
}

/** What one HTTP request's body may have; a command is far smaller. */
const MAX_BODY_BYTES = 1024 * 1024;
const DRAIN_TIMEOUT_MS = 20_000;

/**
 * Starts a relay: takes the port, opens the journal, rebuilds the states, connects the venues, serves. The port comes
 * first, so that a relay that cannot listen never takes a venue's session from the one that does. Rejects with
 * `port_in_use`, `journal_failed`, `config_invalid` or `not_available`; nothing is left running then.
 */
export async function startRelay(options: RelayOptions): Promise<Relay> {
  const { venues, log = silentLog, clock = systemClock, random = Math.random } = options;
  const authenticator = await createAuthenticator(options.auth ?? { mode: 'none' }, clock);
  const transport =
    typeof options.transport === 'object' ? options.transport : await chooseTransport(log, options.transport);
  const journal = options.journal ?? createMemoryJournal();
  const hub = createHub({ venues, journal, clock, random, log, node: hostname() });
  const limits: Limits = { ...DEFAULT_LIMITS, ...options.limits };
  let serving = STARTING;
  let listening: Listening | undefined;
  try {
    listening = await transport.listen(
      {
        host: options.listen?.host ?? '127.0.0.1',
        port: options.listen?.port ?? 8080,
        path: SOCKET_PATH,
        maxPayloadBytes: limits.maxPayloadBytes,
        maxBufferedBytes: limits.maxBufferedBytes,
        handshakeTimeoutMs: limits.handshakeTimeoutMs,
        stallMs: limits.stallMs,
        maxBodyBytes: MAX_BODY_BYTES,
        trustProxy: limits.trustProxy,
      },
      { upgrade: (request) => serving.upgrade(request), fetch: (request, peer) => serving.fetch(request, peer) },
    );
    await hub.start();
  } catch (thrown) {
    await listening?.close();
    await hub.stop({ orders: 'leave' });
    throw thrown;
  }
  // Only now: an edge begins at the position that its hub has reached.
  const bus = createLocalBus(hub);
  const edge = createEdge({ bus, authenticator, limits, clock, random, log, version: VERSION });
  const eventLoop = createEventLoopWatch(systemClock);
  const fetch = createRoutes({ bus, edge, authenticator, eventLoop, log, version: VERSION, transport: transport.kind });
  serving = { upgrade: (request) => edge.upgrade(request), fetch };
  const drainTimeoutMs = options.drainTimeoutMs ?? DRAIN_TIMEOUT_MS;
  return running({ hub, edge, eventLoop, listening, transport, drainTimeoutMs });
}

/** Nothing is served before the states are rebuilt. */
const STARTING: TransportHandlers = {
  upgrade: () => ({
    accept: false,
    status: 503,
    body: problemBody(503, 'the relay is starting'),
    headers: { 'content-type': PROBLEM_TYPE, 'retry-after': '1' },
  }),
  fetch: () => Promise.resolve(problem(503, 'the relay is starting', { headers: { 'retry-after': '1' } })),
};

function running(parts: {
  readonly hub: Hub;
  readonly edge: Edge;
  readonly eventLoop: EventLoopWatch;
  readonly listening: Listening;
  readonly transport: Transport;
  readonly drainTimeoutMs: number;
}): Relay {
  const { hub, edge, eventLoop, listening, transport } = parts;
  let closing: Promise<void> | undefined;
  const close = (orders: 'leave' | 'cancel'): Promise<void> => {
    closing ??= (async () => {
      try {
        await hub.stop({ orders });
      } finally {
        edge.close();
        eventLoop.stop();
        await listening.close();
      }
    })();
    return closing;
  };
  let draining: Promise<void> | undefined;
  return {
    url: listening.url,
    transport: transport.kind,
    hub,
    close: ({ orders }) => close(orders),
    drain() {
      draining ??= (async () => {
        // Venues first: orders must be safe before anything that can take long. What they say on their way out still
        // reaches the subscribers, who are sent away only then.
        const told = edge.drain({ timeoutMs: parts.drainTimeoutMs });
        // A venue that cannot stop is told of by `close`, after everybody was sent away.
        await hub.stop({ orders: 'leave' }).catch(() => undefined);
        await told;
        await close('leave');
      })();
      return draining;
    },
  };
}
