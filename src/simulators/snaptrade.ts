import { z } from 'zod';
import { SessionRelayError } from '../errors.js';
import { systemClock } from '../net/timer.js';
import { createFaultDesk, playScenario } from './faults.js';
import { scenarioOf } from './scenarios/index.js';
import { refuseUpgrade, startServer } from './server.js';
import type { Simulator, SimulatorOptions } from './simulator.js';
import { ERAS, type Era } from './snaptrade/conditions.js';
import { connectionFaults } from './snaptrade/connection-faults.js';
import { MAX_CONNECTIONS } from './snaptrade/connections.js';
import { serveApi } from './snaptrade/http.js';
import { PARTNER } from './snaptrade/partner.js';
import { createPlatform } from './snaptrade/platform.js';
import { REQUESTS_PER_MINUTE } from './snaptrade/rate.js';
import { stateOf } from './snaptrade/state.js';
import { skippingMissing } from './snaptrade/targets.js';
import { venueFaults } from './snaptrade/venue-faults.js';
import { webhookFaults } from './snaptrade/webhook-faults.js';
import { ownClock } from './timers.js';

export interface SnaptradeSimulatorOptions extends SimulatorOptions {
  /** Where webhooks are sent; absent: nowhere, until {@link SnaptradeSimulator.sendWebhooksTo} says. */
  readonly webhookUrl?: string;
  /** The partner's customers; 1 to 10 000, default 2. */
  readonly users?: number;
  /** 0 to 10 000, default 4; dealt out to the customers in turn. */
  readonly connections?: number;
  /** Which of the vendor's specs is served; default both at once. */
  readonly era?: Era;
  /** A personal key: one customer, whom no request names. Default false. */
  readonly personal?: boolean;
  /** Default 250, as the vendor's docs say; contracts raise it. */
  readonly requestsPerMinute?: number;
}

export interface SnaptradeSimulator extends Simulator {
  /** Webhooks go to this URL from now on: the relay's `/v1/hooks/snaptrade/partner`. `undefined`: nowhere. */
  sendWebhooksTo(url: string | undefined): void;
}

const DEFAULT_SEED = 1;
const DEFAULT_USERS = 2;
const DEFAULT_CONNECTIONS = 4;
const MAX_USERS = 10_000;
/** The demo polls this often: what no webhook tells shows soon. */
const LEAST_POLL_SECONDS = 5;
/** A customer's list and the portals' events: so many requests a round. */
const REQUESTS_PER_POLL = 2;

const size = z.object({
  users: z.number().int().min(1).max(MAX_USERS).default(DEFAULT_USERS),
  connections: z.number().int().min(0).max(MAX_CONNECTIONS).default(DEFAULT_CONNECTIONS),
  era: z.enum(ERAS).default('both'),
  requestsPerMinute: z.number().int().min(1).default(REQUESTS_PER_MINUTE),
});

/**
 * A SnapTrade of its own on one port: a partner with its customers and their connections, over HTTP with and without
 * `/api/v1`, and webhooks that are signed and repeated. What it does is what the vendor's spec and docs say; where they
 * do not, the comment at the place says so. A request is taken only with the right signature over its path and query
 * as they came, and a `timestamp` within five minutes.
 *
 * Rejects with `port_in_use` where the port is taken, and with `invalid_params` for an unknown scenario or an option
 * out of its range.
 */
export async function startSnaptradeSimulator(options: SnaptradeSimulatorOptions = {}): Promise<SnaptradeSimulator> {
  const { seed = DEFAULT_SEED, personal = false, webhookUrl } = options;
  const sized = size.safeParse(options);
  if (!sized.success) {
    const [issue] = sized.error.issues;
    throw new SessionRelayError(
      'invalid_params',
      `${issue?.path.join('.') ?? 'options'}: ${issue?.message ?? 'do not fit'}`,
    );
  }
  const scenario = options.scenario === undefined ? undefined : scenarioOf(options.scenario, 'snaptrade');
  const clock = ownClock(options.clock ?? systemClock);
  const platform = createPlatform({ ...sized.data, clock, seed, personal, webhookUrl });
  const desk = createFaultDesk({
    ...connectionFaults(platform),
    ...venueFaults(platform),
    ...webhookFaults(platform),
  });
  const server = await startServer({
    host: options.host,
    port: options.port,
    simulator: () => simulator,
    request(request, response) {
      serveApi(request, response, platform);
      return true;
    },
    upgrade: (_request, tcp) => refuseUpgrade(tcp, 404),
  });
  const url = `http://${server.authority}${sized.data.era === 'old' ? '/api/v1' : ''}`;
  const pollSeconds = Math.ceil((platform.users.length * REQUESTS_PER_POLL * 60) / sized.data.requestsPerMinute);
  let closed: Promise<void> | undefined;

  const simulator: SnaptradeSimulator = {
    venue: 'snaptrade',
    url,
    source: {
      venue: 'snaptrade',
      id: 'partner',
      url,
      credentials: { clientId: PARTNER.clientId, consumerKey: PARTNER.consumerKey },
      ...(personal
        ? { personal: true }
        : { users: platform.users.map(({ alias, userId, userSecret }) => ({ alias, userId, userSecret })) }),
      pollSeconds: Math.max(LEAST_POLL_SECONDS, pollSeconds),
    },
    faults: desk.faults,
    fault: (name, params) => desk.trigger(name, params),
    state: () => stateOf(platform),
    sendWebhooksTo(to) {
      platform.outbox.url = to;
    },
    close() {
      playing?.stop();
      clock.stop();
      closed ??= Promise.all([server.close(), platform.outbox.close()]).then(() => undefined);
      return closed;
    },
  };
  const playing = scenario === undefined ? undefined : playScenario(skippingMissing(simulator), scenario, clock);
  return simulator;
}
