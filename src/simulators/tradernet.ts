import { createServer } from 'node:http';
import { Server as SocketIo } from 'socket.io';
import { systemClock } from '../net/timer.js';
import { createFaultDesk, playScenario } from './faults.js';
import { scenarioOf } from './scenarios/index.js';
import { refuseUpgrade, startServer } from './server.js';
import type { Simulator, SimulatorOptions } from './simulator.js';
import { ownClock } from './timers.js';
import { ACCOUNT, API_KEY, PHONE_CODE } from './tradernet/account.js';
import { createBroker } from './tradernet/broker.js';
import { connectionFaults } from './tradernet/connection-faults.js';
import { serveApi } from './tradernet/http.js';
import { openRawSocket } from './tradernet/raw-socket.js';
import { attachSocketIo, type SocketIoServer } from './tradernet/socketio.js';
import { stateOf } from './tradernet/state.js';
import { venueFaults } from './tradernet/venue-faults.js';

export interface TradernetSimulatorOptions extends SimulatorOptions {
  /** Which word asks for the list on the raw WebSocket; default both, as the vendor's pages contradict each other. */
  readonly sessionsCommand?: 'sessions' | 'session' | 'both';
}

export interface TradernetSimulator extends Simulator {
  /** The customer's API key, for sources without a password. */
  readonly apiKey: { readonly publicKey: string; readonly secretKey: string };
  /** The code that the venue sends to the customer's phone: for a login and for a security session. */
  readonly phoneCode: string;
  /**
   * Serves the older endpoint on a socket.io server of the caller's own as well, of generation 2 or 4. Faults reach its
   * connections; refused upgrades and maintenance at the upgrade are its owner's.
   */
  attachSocketIo(server: SocketIoServer): void;
}

const SOCKET_IO_PATH = '/socket.io/';
const DEFAULT_SEED = 1;
/** The demo polls this often: what the venue does not push shows soon. */
const POLL_SECONDS = 10;

/**
 * A Tradernet of its own on one port: the raw WebSocket at `/`, socket.io at `/socket.io/` for clients of generations 2
 * to 4, and the HTTP API at `/api`. What it does is what the vendor's pages and recorded frames say; where nobody has
 * seen it, the comment at the place says so. One customer with a password and an API key.
 *
 * Rejects with `port_in_use` where the port is taken, and with `invalid_params` for an unknown scenario.
 */
export async function startTradernetSimulator(options: TradernetSimulatorOptions = {}): Promise<TradernetSimulator> {
  const { seed = DEFAULT_SEED } = options;
  const scenario = options.scenario === undefined ? undefined : scenarioOf(options.scenario, 'tradernet');
  const clock = ownClock(options.clock ?? systemClock);
  const broker = createBroker(clock, seed, options.sessionsCommand ?? 'both');
  const { conditions, traffic } = broker;
  const desk = createFaultDesk({ ...connectionFaults(broker), ...venueFaults(broker) });
  // A server that never listens: socket.io attaches to it, and is handed what is its.
  const socketIoHost = createServer();
  const socketIo = new SocketIo({ allowEIO3: true, serveClient: false, destroyUpgrade: false });
  socketIo.attach(socketIoHost);
  attachSocketIo(broker, socketIo);

  /** Why a socket is not accepted now; undefined where it is. */
  const refusal = (path: string): { readonly status: number; readonly retryAfter?: number } | undefined => {
    if (path !== '/' && path !== SOCKET_IO_PATH) return { status: 404 };
    if (conditions.maintenance.isOn) return { status: 503 };
    if (conditions.refusedUpgrades === 0) return undefined;
    conditions.refusedUpgrades -= 1;
    const { refusedStatus: status, retryAfterSeconds } = conditions;
    return { status, ...(retryAfterSeconds === undefined ? {} : { retryAfter: retryAfterSeconds }) };
  };

  const server = await startServer({
    host: options.host,
    port: options.port,
    simulator: () => simulator,
    request(request, response, requested) {
      if (requested.pathname !== SOCKET_IO_PATH) return serveApi(request, response, broker, requested);
      if (conditions.maintenance.isOn) response.writeHead(503).end();
      else socketIoHost.emit('request', request, response);
      return true;
    },
    upgrade(request, tcp, head, requested) {
      const refused = refusal(requested?.pathname ?? '');
      if (requested === undefined || refused !== undefined) {
        const { status, retryAfter } = refused ?? { status: 400 };
        traffic.upgradeRefused(status);
        refuseUpgrade(tcp, status, retryAfter);
      } else if (requested.pathname === SOCKET_IO_PATH) socketIoHost.emit('upgrade', request, tcp, head);
      else {
        server.webSockets.handleUpgrade(request, tcp, head, (socket) =>
          openRawSocket(broker, { socket, tcp, query: requested.searchParams }),
        );
      }
    },
  });
  const url = `ws://${server.authority}/`;
  let closed: Promise<void> | undefined;

  const simulator: TradernetSimulator = {
    venue: 'tradernet',
    url,
    source: {
      venue: 'tradernet',
      id: 'desk',
      transport: 'websocket',
      url,
      httpUrl: `http://${server.authority}`,
      credentials: { login: ACCOUNT.login, password: ACCOUNT.password },
      pollSeconds: POLL_SECONDS,
    },
    apiKey: API_KEY,
    phoneCode: PHONE_CODE,
    attachSocketIo: (other) => attachSocketIo(broker, other),
    faults: desk.faults,
    fault: (name, params) => desk.trigger(name, params),
    state: () => stateOf(broker),
    close() {
      playing?.stop();
      clock.stop();
      closed ??= Promise.all([server.close(), socketIo.close()]).then(() => undefined);
      return closed;
    },
  };
  const playing = scenario === undefined ? undefined : playScenario(simulator, scenario, clock);
  return simulator;
}
