import { createServer, type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { WebSocketServer } from 'ws';
import { SessionRelayError } from '../errors.js';
import { seededRandom, systemClock } from '../net/timer.js';
import { openConnection } from './deribit/connection.js';
import { createExchange } from './deribit/exchange.js';
import { connectionFaults, venueFaults } from './deribit/faults.js';
import { API_KEY } from './deribit/login.js';
import { serveRest } from './deribit/rest.js';
import { stateOf } from './deribit/state.js';
import { createFaultDesk, playScenario, serveControl } from './faults.js';
import { scenarioOf } from './scenarios/index.js';
import type { Simulator, SimulatorOptions } from './simulator.js';
import { ownClock } from './timers.js';

const SOCKET_PATH = '/ws/api/v2';
/** Deribit docs, "Connection management": simultaneous connections per address; one more is refused with 429. */
const MAX_CONNECTIONS_PER_ADDRESS = 32;
const MAX_REQUEST_BYTES = 1024 * 1024;
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
  const { host = '127.0.0.1', port = 0, seed = DEFAULT_SEED } = options;
  const scenario = options.scenario === undefined ? undefined : scenarioOf(options.scenario, 'deribit');
  const clock = ownClock(options.clock ?? systemClock);
  const exchange = createExchange(clock, seededRandom(seed));
  const { conditions, connections, traffic } = exchange;
  const desk = createFaultDesk({ ...connectionFaults(exchange), ...venueFaults(exchange) });
  const sockets = new Set<Socket>();
  const webSockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_REQUEST_BYTES,
    perMessageDeflate: false,
    clientTracking: false,
    autoPong: false,
  });
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

  const server = createServer((request, response) => {
    const url = urlOf(request);
    if (url !== undefined && serveControl(request, response, simulator)) return;
    if (url !== undefined && serveRest(request, response, exchange, url)) return;
    response.writeHead(404).end();
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('upgrade', (request, tcp: Socket, head) => {
    tcp.on('error', () => tcp.destroy());
    const address = tcp.remoteAddress ?? '';
    const refused = refusal(urlOf(request)?.pathname ?? '', address);
    if (refused !== undefined) {
      traffic.upgradeRefused(refused.status);
      const retryAfter = refused.retryAfter === undefined ? '' : `Retry-After: ${refused.retryAfter}\r\n`;
      tcp.end(
        `HTTP/1.1 ${refused.status} ${STATUS_CODES[refused.status]}\r\n${retryAfter}Content-Length: 0\r\nConnection: close\r\n\r\n`,
      );
      return;
    }
    webSockets.handleUpgrade(request, tcp, head, (socket) => {
      opened += 1;
      const random = seededRandom(seed + opened * SEED_STRIDE);
      openConnection(exchange, { id: opened, address, random, socket, tcp });
    });
  });

  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const taken = `${host}:${port} is taken by another process: choose another port, or 0 for a free one`;
      reject(cause.code === 'EADDRINUSE' ? new SessionRelayError('port_in_use', taken, { cause }) : cause);
    });
    server.listen({ host, port, exclusive: true }, resolve);
  });
  const bound = server.address();
  const actual = typeof bound === 'object' && bound !== null ? bound.port : port;
  const url = `ws://${host.includes(':') ? `[${host}]` : host}:${actual}${SOCKET_PATH}`;
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
      closed ??= new Promise((resolve) => {
        playing?.stop();
        clock.stop();
        server.close(() => resolve());
        server.closeAllConnections();
        for (const socket of sockets) socket.destroy();
      });
      return closed;
    },
  };
  const playing = scenario === undefined ? undefined : playScenario(simulator, scenario, clock);
  return simulator;
}

/** Undefined for a request line that is no URL. */
function urlOf(request: IncomingMessage): URL | undefined {
  const given = request.url ?? '/';
  return URL.canParse(given, 'http://simulator') ? new URL(given, 'http://simulator') : undefined;
}
