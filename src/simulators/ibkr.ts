import { systemClock } from '../net/timer.js';
import { createFaultDesk, playScenario } from './faults.js';
import { CERTIFICATE, FINGERPRINT, KEY } from './ibkr/certificate.js';
import { sessionOfCookie } from './ibkr/credential.js';
import { createGateway, type Generation } from './ibkr/gateway.js';
import { API_PREFIX, serveApi } from './ibkr/http.js';
import { openSocket } from './ibkr/socket.js';
import { socketFaults } from './ibkr/socket-faults.js';
import { stateOf } from './ibkr/state.js';
import { createUsername, type Username } from './ibkr/username.js';
import { venueFaults } from './ibkr/venue-faults.js';
import { scenarioOf } from './scenarios/index.js';
import { refuseUpgrade, startServer } from './server.js';
import type { Simulator, SimulatorOptions } from './simulator.js';
import { ownClock } from './timers.js';

export { createUsername, type Username };

export interface IbkrSimulatorOptions extends SimulatorOptions {
  /** Which specification answers follow; default `current`. */
  readonly generation?: Generation;
  /** Default true: a paper account. */
  readonly paper?: boolean;
  /** Whether the brokerage session is open from the start; default true, as after a login in a browser. */
  readonly open?: boolean;
  /** Gateways that are given the same one take the brokerage session from each other; default: one of its own. */
  readonly username?: Username;
}

export interface IbkrSimulator extends Simulator {
  /** The gateway's self-signed certificate, PEM: for sources that verify it by `tls.ca`. */
  readonly ca: string;
}

const SOCKET_PATH = `${API_PREFIX}/ws`;
const DEFAULT_SEED = 1;
/** The demo asks this often: what a gateway does not push shows soon. */
const TICKLE_SECONDS = 10;
/** And it tries again this soon: incidents of the day lie closer together than those of a year. */
const INIT_RETRY = { from: '15s', to: '60s' };

/**
 * A Client Portal gateway of its own on one port: the API over https at `/v1/api`, its socket at `/v1/api/ws`, with a
 * certificate that it signed itself. What it does is what the vendor's pages and recorded answers say; where nobody has
 * seen it, the comment at the place says so. A person has logged in when it starts.
 *
 * Rejects with `port_in_use` where the port is taken, and with `invalid_params` for an unknown scenario.
 */
export async function startIbkrSimulator(options: IbkrSimulatorOptions = {}): Promise<IbkrSimulator> {
  const { seed = DEFAULT_SEED, username = createUsername(), generation = 'current', paper = true } = options;
  const scenario = options.scenario === undefined ? undefined : scenarioOf(options.scenario, 'ibkr');
  const clock = ownClock(options.clock ?? systemClock);
  const gateway = createGateway({ clock, seed, username, generation, paper });
  const { conditions, pacing, traffic } = gateway;
  const desk = createFaultDesk({ ...socketFaults(gateway), ...venueFaults(gateway) });

  /** Why a socket is not accepted now; undefined where it is. */
  const refusal = (path: string | undefined): number | undefined => {
    if (path === undefined) return 400;
    if (path !== SOCKET_PATH) return 404;
    if (conditions.maintenance.isOn || conditions.socketsDown.isOn) return 503;
    return pacing.isPenalised ? 429 : undefined;
  };

  const server = await startServer({
    host: options.host,
    port: options.port,
    tls: { key: KEY, cert: CERTIFICATE },
    simulator: () => simulator,
    request: (request, response, url) => serveApi(request, response, gateway, url),
    upgrade(request, tcp, head, requested) {
      const refused = refusal(requested?.pathname);
      if (refused !== undefined) {
        traffic.upgradeRefused(refused);
        refuseUpgrade(tcp, refused);
        return;
      }
      server.webSockets.handleUpgrade(request, tcp, head, (socket) =>
        openSocket(gateway, { socket, tcp, cookie: sessionOfCookie(request.headers.cookie), reset: server.reset }),
      );
    },
  });
  const url = `https://${server.authority}${API_PREFIX}`;
  let closed: Promise<void> | undefined;

  const simulator: IbkrSimulator = {
    venue: 'ibkr',
    url,
    source: {
      venue: 'ibkr',
      id: 'gateway',
      url,
      tls: { fingerprint: FINGERPRINT },
      tickleSeconds: TICKLE_SECONDS,
      initRetry: INIT_RETRY,
      environment: paper ? 'paper' : 'live',
    },
    ca: CERTIFICATE,
    faults: desk.faults,
    fault: (name, params) => desk.trigger(name, params),
    state: () => stateOf(gateway),
    close() {
      playing?.stop();
      gateway.leave();
      clock.stop();
      closed ??= server.close();
      return closed;
    },
  };
  gateway.start({ open: options.open ?? true });
  const playing = scenario === undefined ? undefined : playScenario(simulator, scenario, clock);
  return simulator;
}
