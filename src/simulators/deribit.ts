import { seededRandom, systemClock } from '../net/timer.js';
import { openConnection } from './deribit/connection.js';
import { createExchange } from './deribit/exchange.js';
import { connectionFaults, venueFaults } from './deribit/faults.js';
import { API_KEY } from './deribit/login.js';
import { serveRest } from './deribit/rest.js';
import { stateOf } from './deribit/state.js';
import { createFaultDesk, playScenario } from './faults.js';
import { scenarioOf } from './scenarios/index.js';
import { refuseUpgrade, startServer } from './server.js';
import type { Simulator, SimulatorOptions } from './simulator.js';
import { ownClock } from './timers.js';

const SOCKET_PATH = '/ws/api/v2';
/** Deribit docs, "Connection management": simultaneous connections per address; one more is refused with 429. */
const MAX_CONNECTIONS_PER_ADDRESS = 32;
const DEFAULT_SEED = 1;
/** The streams of random numbers of the venue and of each connection lie this far apart. */
const SEED_STRIDE = 7_919;

/**
 * A Deribit of its own: `ws://host:port/ws/api/v2` and the API over HTTP at `/api/v2`. What it does is what the
 * vendor's pages and recorded frames say; where nobody has seen it, the comment at the place says so. One customer with
 * one key, a main account and a subaccount.
 *
 * Rejects with `port_in_use` where the port is taken, and with `invalid_params` for an unknown scenario.
 */
export async function startDeribitSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const { seed = DEFAULT_SEED } = options;
  const scenario = options.scenario === undefined ? undefined : scenarioOf(options.scenario, 'deribit');
  const clock = ownClock(options.clock ?? systemClock);
  const exchange = createExchange(clock, seededRandom(seed));
  const { conditions, connections, traffic } = exchange;
  const desk = createFaultDesk({ ...connectionFaults(exchange), ...venueFaults(exchange) });
  let opened = 0;

  /** Why a socket is not accepted now; undefined where it is. */
  const refusal = (
    path: string,
    address: string,
  ): { readonly status: number; readonly retryAfter?: number } | undefined => {
    if (path !== SOCKET_PATH) return { status: 404 };
    if (conditions.maintenance.isOn) return { status: 503 };
    if (conditions.refusedUpgrades > 0) {
      conditions.refusedUpgrades -= 1;
      const { retryAfterSeconds } = conditions;
      return { status: 429, ...(retryAfterSeconds === undefined ? {} : { retryAfter: retryAfterSeconds }) };
    }
    const held = [...connections.values()].filter((connection) => connection.address === address).length;
    return held >= MAX_CONNECTIONS_PER_ADDRESS ? { status: 429 } : undefined;
  };

  const server = await startServer({
    host: options.host,
    port: options.port,
    simulator: () => simulator,
    request: (request, response, url) => serveRest(request, response, exchange, url),
    upgrade(request, tcp, head, requested) {
      const address = tcp.remoteAddress ?? '';
      const refused = refusal(requested?.pathname ?? '', address);
      if (refused !== undefined) {
        traffic.upgradeRefused(refused.status);
        refuseUpgrade(tcp, refused.status, refused.retryAfter);
        return;
      }
      server.webSockets.handleUpgrade(request, tcp, head, (socket) => {
        opened += 1;
        const random = seededRandom(seed + opened * SEED_STRIDE);
        openConnection(exchange, { id: opened, address, random, socket, tcp });
      });
    },
  });
  const url = `ws://${server.authority}${SOCKET_PATH}`;
  let closed: Promise<void> | undefined;

  const simulator: Simulator = {
    venue: 'deribit',
    url,
    source: {
      venue: 'deribit',
      id: 'main',
      url,
      credentials: { ...API_KEY, grant: 'client_credentials' },
      scope: 'session:relay',
      heartbeatSeconds: 10,
      cancelOnDisconnect: 'enable',
      environment: 'test',
    },
    faults: desk.faults,
    fault: (name, params) => desk.trigger(name, params),
    state: () => stateOf(exchange),
    close() {
      playing?.stop();
      clock.stop();
      closed ??= server.close();
      return closed;
    },
  };
  const playing = scenario === undefined ? undefined : playScenario(simulator, scenario, clock);
  return simulator;
}
