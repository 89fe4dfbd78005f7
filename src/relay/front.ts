import type { Bus } from '../bus/bus.js';
import { type AuthOptions, createAuthenticator } from '../edge/auth.js';
import { createEdge, type Edge } from '../edge/edge.js';
import type { Limits } from '../edge/limits.js';
import type { LiveAuthenticator } from '../edge/live-auth.js';
import type { Places } from '../edge/places.js';
import { createEventLoopWatch, type EventLoopWatch } from '../http/event-loop.js';
import type { HealthOptions } from '../http/health.js';
import type { Metrics } from '../http/metrics.js';
import type { Page } from '../http/page.js';
import { limitRequests } from '../http/requests.js';
import { createRoutes } from '../http/routes.js';
import type { TicketDesk } from '../http/tickets.js';
import type { Clock, Random } from '../net/clock.js';
import type { Log } from '../net/log.js';
import { systemClock } from '../net/timer.js';
import { within } from '../net/within.js';
import type { Changeable } from '../reload.js';
import type { TransportHandlers } from '../transports/transport.js';
import { VERSION } from '../version.js';

/** What serves subscribers in one thread: an edge and HTTP over a bus, and nothing of a hub or a socket. */
export interface Front extends Changeable {
  readonly edge: Edge;
  readonly eventLoop: EventLoopWatch;
  readonly handlers: TransportHandlers;
  drain(options: { readonly timeoutMs: number }): Promise<void>;
  /** Sends everybody away, and resolves once the answers that are under way were given, or had the time for it. Idempotent. */
  close(): Promise<void>;
}

export interface FrontOptions {
  readonly bus: Bus;
  readonly authenticator: LiveAuthenticator;
  readonly limits: Limits;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly page: Page;
  readonly publicMetrics: boolean;
  readonly transport: 'uws' | 'ws';
  readonly metrics: (edge: Edge, eventLoop: EventLoopWatch) => Pick<Metrics, 'render'>;
  /** What is one for all threads of a relay; by default the thread's own. */
  readonly places?: Places;
  readonly tickets?: TicketDesk;
  readonly threads?: NonNullable<HealthOptions['threads']>;
  readonly requestsAtOnce?: number;
}

/** Answers that are under way at the end get this long to be given. */
const LAST_ANSWERS_MS = 500;

/** To be called in the turn in which the bus begins: the edge starts at its position. */
export function createFront(options: FrontOptions): Front {
  const { bus, authenticator, limits, clock, random, log, page, publicMetrics, transport } = options;
  const edge = createEdge({
    bus,
    authenticator,
    limits,
    clock,
    random,
    log,
    version: VERSION,
    ...(options.places === undefined ? {} : { places: options.places }),
  });
  const eventLoop = createEventLoopWatch(clock);
  const routes = createRoutes({
    bus,
    edge,
    authenticator,
    eventLoop,
    metrics: options.metrics(edge, eventLoop),
    publicMetrics,
    page,
    clock,
    log,
    version: VERSION,
    transport,
    ...(options.tickets === undefined ? {} : { tickets: options.tickets }),
    ...(options.threads === undefined ? {} : { threads: options.threads }),
  });
  // Answers leave by real sockets, whatever the relay's own clock.
  const requests = limitRequests(routes, systemClock, options.requestsAtOnce);
  let closed: Promise<void> | undefined;
  return {
    edge,
    eventLoop,
    handlers: { upgrade: (request) => edge.upgrade(request), fetch: requests.fetch },
    limits: edge.limits,
    async prepare(auth: AuthOptions | undefined) {
      const rules = auth === undefined ? undefined : await createAuthenticator(auth, clock);
      const renewal = rules === undefined ? undefined : await authenticator.prepare(rules, edge.grants());
      return (next) => {
        edge.limit(next);
        return edge.renew(renewal);
      };
    },
    drain: (how) => edge.drain(how),
    close() {
      closed ??= (async () => {
        edge.close();
        eventLoop.stop();
        await within(systemClock, LAST_ANSWERS_MS, requests.idle());
      })();
      return closed;
    },
  };
}
