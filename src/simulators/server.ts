import { createServer, type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Socket } from 'node:net';
import { WebSocketServer } from 'ws';
import { SessionRelayError } from '../errors.js';
import { serveControl } from './faults.js';
import type { Simulator } from './simulator.js';

/** A larger message of a client's ends its socket. */
const MAX_MESSAGE_BYTES = 1024 * 1024;

/** What simulators share of being a server: one port for sockets, an API over HTTP, and `/_sim`. */
export interface SimulatorServer {
  /** `host:port`, as URLs have it. */
  readonly authority: string;
  /** Accepts WebSockets; upgrades are handed to it by whoever decides on them. */
  readonly webSockets: WebSocketServer;
  /** Ends one connection by a TCP reset, under TLS too. */
  reset(tcp: Socket): void;
  /** Ends everything; resolves when the port is free. */
  close(): Promise<void>;
}

export interface SimulatorServerOptions {
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  /** PEM texts; default: without TLS. */
  readonly tls?: { readonly key: string; readonly cert: string } | undefined;
  /** What `/_sim` steers. */
  readonly simulator: () => Pick<Simulator, 'venue' | 'faults' | 'fault' | 'state'>;
  /** One request that is not for `/_sim`; `false`: there is nothing at this URL. */
  readonly request: (request: IncomingMessage, response: ServerResponse, url: URL) => boolean;
  /** One upgrade; see {@link refuseUpgrade} for saying no. `url` is undefined for a request line that is none. */
  readonly upgrade: (request: IncomingMessage, tcp: Socket, head: Buffer, url: URL | undefined) => void;
}

/** Rejects with `port_in_use` where the port is taken. */
export async function startServer(options: SimulatorServerOptions): Promise<SimulatorServer> {
  const { host = '127.0.0.1', port = 0, tls } = options;
  const sockets = new Set<Socket>();
  const webSockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE_BYTES,
    perMessageDeflate: false,
    clientTracking: false,
    autoPong: false,
  });
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const url = urlOf(request);
    if (url !== undefined && serveControl(request, response, options.simulator())) return;
    if (url !== undefined && options.request(request, response, url)) return;
    response.writeHead(404).end();
  };
  const server = tls === undefined ? createServer(answer) : createTlsServer({ ...tls }, answer);
  // Under TLS too these are the connections below it.
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('upgrade', (request, tcp: Socket, head) => {
    tcp.on('error', () => tcp.destroy());
    options.upgrade(request, tcp, head, urlOf(request));
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
  return {
    authority: `${host.includes(':') ? `[${host}]` : host}:${actual}`,
    webSockets,
    reset(tcp) {
      const below = [...sockets].find(
        ({ remotePort, remoteAddress }) => remotePort === tcp.remotePort && remoteAddress === tcp.remoteAddress,
      );
      below?.resetAndDestroy();
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
        for (const socket of sockets) socket.destroy();
      }),
  };
}

/** Answers an upgrade with something other than 101, and ends the connection. */
export function refuseUpgrade(tcp: Socket, status: number, retryAfterSeconds?: number): void {
  const wait = retryAfterSeconds === undefined ? '' : `Retry-After: ${retryAfterSeconds}\r\n`;
  tcp.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${wait}Content-Length: 0\r\nConnection: close\r\n\r\n`);
}

function urlOf(request: IncomingMessage): URL | undefined {
  const given = request.url ?? '/';
  return URL.canParse(given, 'http://simulator') ? new URL(given, 'http://simulator') : undefined;
}
