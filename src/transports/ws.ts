import { createServer, type IncomingMessage, type Server, ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import type { UpgradeDecision } from '../edge/wire.js';
import { SessionRelayError } from '../errors.js';
import { originOf, peerAddress, portTaken } from './address.js';
import { createBodyBudget } from './body-budget.js';
import { FAULT, NOT_ACCEPTING, type Refusal } from './refusal.js';
import { createSlots } from './slots.js';
import type { Listening, ListenOptions, Transport, TransportHandlers } from './transport.js';
import { createTurns } from './turns.js';
import { createWsFanOut, type WsSeat } from './ws-fan-out.js';
import { flatHeaders, refuseRequest, serve } from './ws-http.js';
import { attachWsWire } from './ws-wire.js';

const MAX_HEADER_BYTES = 16 * 1024;
/**
 * Connections that may wait to be accepted; the kernel takes less where `net.core.somaxconn` says so. Node's own 511
 * overflows when thousands come back at once after a restart: a SYN that is dropped then is sent again after 1, 3, 7 … s.
 */
const BACKLOG = 4_096;
const STALL_MS = 30_000;
/** Sockets that are in their closing handshake get this long before they are torn down. */
const LINGER_MS = 1_000;

/** `ws` over node:http: everywhere where Node runs. */
export function createWsTransport(): Transport {
  return { kind: 'ws', listen };
}

async function listen(given: ListenOptions, handlers: TransportHandlers): Promise<Listening> {
  const options = { ...given, bodies: createBodyBudget() };
  const { host, port, handshakeTimeoutMs, maxBufferedBytes } = options;
  const slots = createSlots<WsSeat>();
  const fanOut = createWsFanOut(slots);
  const sockets = new Set<Socket>();
  const upgraded = new Map<WebSocket, Socket>();
  const decided = new WeakMap<IncomingMessage, string>();
  const server = createServer({
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: handshakeTimeoutMs,
    requestTimeout: handshakeTimeoutMs,
    connectionsCheckingInterval: Math.max(100, Math.min(1_000, handshakeTimeoutMs / 2)),
  });
  const webSockets = new WebSocketServer({
    noServer: true,
    maxPayload: options.maxPayloadBytes,
    perMessageDeflate: false,
    clientTracking: false,
    // The edge has decided; ws only has to echo it.
    handleProtocols: (_offered, request) => decided.get(request) ?? false,
  });
  const turns = createTurns();
  let accepting = true;

  const forget = function (this: Socket): void {
    sockets.delete(this);
  };
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', forget);
  });
  server.on('request', (request, response) => {
    turns.take(request.socket, response, () => {
      if (accepting) void serve(request, response, options, handlers);
      else refuseRequest(response, NOT_ACCEPTING);
    });
  });
  server.setTimeout(options.stallMs ?? STALL_MS, (socket) => {
    // Only what waits for its reader has stalled: others wait for us.
    if (socket.writableLength > 0) socket.destroy();
  });
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head) => {
    socket.on('error', destroy);
    if (!accepting) return refuseSocket(socket, NOT_ACCEPTING);
    if ((request.url ?? '/').split('?', 1)[0] !== options.path) return serveUpgradeElsewhere(request, socket);
    const remoteAddress = addressOf(request, options);
    const decide = async (): Promise<UpgradeDecision> =>
      handlers.upgrade({ url: request.url ?? '/', headers: flatHeaders(request), remoteAddress });
    decide().then(
      (decision) => {
        if (!decision.accept) return refuseSocket(socket, { headers: {}, ...decision });
        if (socket.destroyed) return decision.abandoned();
        socket.once('close', decision.abandoned);
        if (decision.protocol !== undefined) decided.set(request, decision.protocol);
        webSockets.handleUpgrade(request, socket, head, (webSocket) => {
          socket.off('close', decision.abandoned);
          opened(webSocket, socket, remoteAddress, decision.open);
        });
      },
      () => refuseSocket(socket, FAULT),
    );
  });

  // Apart, so that what listens to a socket for as long as it lives keeps nothing of its request.
  const opened = (
    webSocket: WebSocket,
    socket: Socket,
    remoteAddress: string,
    open: Extract<UpgradeDecision, { readonly accept: true }>['open'],
  ): void => {
    upgraded.set(webSocket, socket);
    webSocket.once('close', left);
    attachWsWire(webSocket, socket, open, { maxBufferedBytes, remoteAddress, slots, fanOut });
  };
  const left = function (this: WebSocket): void {
    upgraded.delete(this);
  };

  /** A request that asks for an upgrade where there is none is a request like any other. */
  const serveUpgradeElsewhere = (request: IncomingMessage, socket: Socket): void => {
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket);
    response.once('finish', () => socket.end());
    void serve(request, response, options, handlers);
  };

  const actual = await listenOn(server, host, port);
  let closed: Promise<void> | undefined;
  let stopped: Promise<void> | undefined;
  const stopAccepting = (): Promise<void> => {
    accepting = false;
    stopped ??= new Promise((resolve) => server.close(() => resolve()));
    return stopped;
  };
  return {
    url: originOf(host, actual),
    port: actual,
    stopAccepting() {
      void stopAccepting();
    },
    close() {
      closed ??= (async () => {
        const free = stopAccepting();
        for (const [{ readyState, OPEN }, socket] of upgraded) if (readyState === OPEN) socket.destroy();
        server.closeAllConnections();
        const ending = setTimeout(() => {
          for (const socket of sockets) socket.destroy();
        }, LINGER_MS);
        if (upgraded.size === 0) for (const socket of sockets) socket.destroy();
        await free;
        clearTimeout(ending);
      })();
      return closed;
    },
  };
}

function addressOf(request: IncomingMessage, { trustProxy }: ListenOptions): string {
  return peerAddress(request.socket.remoteAddress ?? '', request.headers['x-forwarded-for']?.toString(), trustProxy);
}

function destroy(this: Socket): void {
  this.destroy();
}

async function listenOn(server: Server, host: string, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      reject(
        cause.code === 'EADDRINUSE' ? new SessionRelayError('port_in_use', portTaken(host, port), { cause }) : cause,
      );
    });
    server.listen({ host, port, exclusive: true, backlog: BACKLOG }, resolve);
  });
  const bound = server.address();
  return typeof bound === 'object' && bound !== null ? bound.port : port;
}

function refuseSocket(socket: Socket, { status, body, headers }: Refusal): void {
  if (socket.destroyed) return;
  const all = {
    'content-type': 'text/plain',
    ...headers,
    'content-length': String(Buffer.byteLength(body)),
    connection: 'close',
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}\r\n${lines.join('')}\r\n${body}`);
}
