import type {
  HttpRequest,
  HttpResponse,
  TemplatedApp,
  us_listen_socket,
  us_socket_context_t,
  WebSocket,
} from 'uWebSockets.js';
import { createServer } from 'node:net';
import { z } from 'zod';
import type { UpgradeDecision } from '../edge/wire.js';
import { messageOf, SessionRelayError } from '../errors.js';
import { originOf, peerAddress, portTaken } from './address.js';
import { createBodyBudget } from './body-budget.js';
import { FAULT, NOT_ACCEPTING } from './refusal.js';
import { createSlots } from './slots.js';
import type { Listening, ListenOptions, Receiver, Transport, TransportHandlers } from './transport.js';
import { createUwsFanOut } from './uws-fan-out.js';
import { type RequestHead, refuse, serve } from './uws-http.js';
import { createUwsWire, type UwsWire } from './uws-wire.js';

/** Headers that mean something once only: the first counts, as in node:http. Others are joined. */
const ONCE: ReadonlySet<string> = new Set(['host', 'authorization', 'content-type', 'content-length', 'user-agent']);
/** uWebSockets.js reads 4 KiB of headers unless told otherwise before it loads; tokens are longer than that. */
const MAX_HEADER_BYTES = 16 * 1024;
/**
 * A message over uWebSockets.js' own limit ends in a bare TCP close, which a subscriber sees as 1006. So its limit is
 * set above ours, and what lies between is answered with the close code that says why.
 */
const MIN_NATIVE_PAYLOAD_BYTES = 1024 * 1024 + 1;
/**
 * Seconds without a frame from the peer after which it is pinged, and given up without a pong. Subscribers may be quiet
 * for ever and every WebSocket library answers pings by itself, so this ends only peers that are gone, and sockets
 * whose peer never closes its half after our close frame.
 */
const IDLE_SECONDS = 960;
/** Close frames that were written just now get this long to leave before sockets are torn down. */
const LINGER_MS = 100;

const natives = z.object({ LIBUS_LISTEN_EXCLUSIVE_PORT: z.number() });
type Uws = typeof import('uWebSockets.js');
/** What the binary takes; the package's types leave out a host together with listen options. */
type ListenExclusively = (
  host: string,
  port: number,
  options: number,
  done: (socket: us_listen_socket | false) => void,
) => TemplatedApp;

/** The package's types leave these out. A descriptor is an address in memory: it is valid while its thread lives. */
interface ChildApps {
  getDescriptor(): number;
  addChildAppDescriptor(descriptor: number): unknown;
  removeChildAppDescriptor(descriptor: number): unknown;
}

/** What a socket keeps: a copy of what it was upgraded with. Nothing of the request, which would live as long. */
interface SocketData {
  readonly remoteAddress: string;
  wire: UwsWire | undefined;
}

/** Where an upgrade finds the socket that it opened: `open` comes within `response.upgrade`. */
interface Opened {
  socket: WebSocket<SocketData> | undefined;
}

/** uWebSockets.js. Rejects with `not_available` and the reason where its binary does not load. */
export async function createUwsTransport(): Promise<UwsTransport> {
  process.env.UWS_HTTP_MAX_HEADERS_SIZE ??= String(MAX_HEADER_BYTES);
  let uws: Uws;
  let exclusive: number;
  try {
    uws = await import('uWebSockets.js');
    exclusive = natives.parse(uws).LIBUS_LISTEN_EXCLUSIVE_PORT;
  } catch (cause) {
    const [why] = messageOf(cause).split('\n').slice(-1);
    throw new SessionRelayError('not_available', `uWebSockets.js does not load here: ${why ?? ''}`, { cause });
  }
  return {
    kind: 'uws',
    listen: (options, handlers) => listen(uws, exclusive, options, handlers),
    receive: (options, handlers) => receive(uws, options, handlers),
  };
}

export interface UwsTransport extends Transport {
  /** Serves what another thread listens for; `host` and `port` say nothing here. */
  receive(options: ListenOptions, handlers: TransportHandlers): Receiver;
}

async function listen(
  uws: Uws,
  exclusive: number,
  options: ListenOptions,
  handlers: TransportHandlers,
): Promise<Listening> {
  const served = serveApp(uws, options, handlers);
  const { app } = served;
  const token = await listenOn(app, exclusive, options);
  const port = uws.us_socket_local_port(token);
  const stopAccepting = (): void => {
    if (served.refuse()) uws.us_listen_socket_close(token);
  };
  return {
    url: originOf(options.host, port),
    port,
    stopAccepting,
    close() {
      stopAccepting();
      return served.close();
    },
    share: {
      add: (descriptor) => void app.addChildAppDescriptor(descriptor),
      remove: (descriptor) => void app.removeChildAppDescriptor(descriptor),
    },
  };
}

function receive(uws: Uws, options: ListenOptions, handlers: TransportHandlers): Receiver {
  const served = serveApp(uws, options, handlers);
  return {
    descriptor: served.app.getDescriptor(),
    close() {
      served.refuse();
      return served.close();
    },
  };
}

interface ServedApp {
  readonly app: TemplatedApp & ChildApps;
  /** Answers 503 from now on; whether that is news. */
  refuse(): boolean;
  /** Ends everything that is open. Idempotent. */
  close(): Promise<void>;
}

function serveApp(uws: Uws, given: ListenOptions, handlers: TransportHandlers): ServedApp {
  const options = { ...given, bodies: createBodyBudget(given.maxBodiesBytes) };
  const { maxPayloadBytes, maxBufferedBytes } = options;
  const app = uws.App() as TemplatedApp & ChildApps;
  const slots = createSlots<WebSocket<unknown>>();
  const fanOut = createUwsFanOut({ slots, publish: (topic, message) => app.publish(topic, message, false, false) });
  const opened: Opened = { socket: undefined };
  let accepting = true;
  let lastEndAt = Number.NEGATIVE_INFINITY;

  const open = (socket: WebSocket<SocketData> | undefined): void => {
    // Not a byte more is asked for: see `upgrade`.
    opened.socket = socket;
  };
  // Its first call asks for memory to compile it: that is this one.
  open(undefined);
  /** The wire of what an upgrade has just opened, unless it is closed already. */
  const openedWire = (): UwsWire | undefined => {
    const { socket } = opened;
    opened.socket = undefined;
    if (socket === undefined) return undefined;
    const data = socket.getUserData();
    data.wire = createUwsWire(socket, { maxBufferedBytes, remoteAddress: data.remoteAddress, slots, fanOut });
    return data.wire;
  };

  app.ws<SocketData>(options.path, {
    maxPayloadLength: Math.max(maxPayloadBytes + 1, MIN_NATIVE_PAYLOAD_BYTES),
    // The wire refuses above `maxBufferedBytes` itself and looks at every outcome, so nothing of ours is ever skipped
    // here: there is no `dropped` handler, which could not tell a message from a pong.
    maxBackpressure: maxBufferedBytes,
    closeOnBackpressureLimit: false,
    idleTimeout: IDLE_SECONDS,
    sendPingsAutomatically: true,
    upgrade(response, request, context) {
      if (!accepting) return refuse(response, NOT_ACCEPTING, true);
      return upgrade(response, request, context, options, handlers, openedWire);
    },
    open,
    message(socket, bytes, isBinary) {
      const { wire } = socket.getUserData();
      if (bytes.byteLength > maxPayloadBytes) wire?.close(1009, `a message has at most ${maxPayloadBytes} bytes`);
      else wire?.received(isBinary ? undefined : Buffer.from(bytes).toString('utf8'), bytes.byteLength);
    },
    drain(socket) {
      socket.getUserData().wire?.drained();
    },
    close(socket, code, reason) {
      lastEndAt = performance.now();
      if (opened.socket === socket) opened.socket = undefined;
      socket.getUserData().wire?.ended(code, Buffer.from(reason).toString('utf8'));
    },
  });
  app.any('/*', (response, request) => {
    if (!accepting) return refuse(response, NOT_ACCEPTING, true);
    const head = headOf(response, request, options);
    // What any other coding comes to is a matter of opinion, and two opinions are how a request is smuggled (RFC 9112).
    // Without an answer: behind one uWebSockets.js would go on with what it takes for the next request.
    const coding = head.headers['transfer-encoding'];
    if (coding !== undefined && coding.toLowerCase() !== 'chunked') return void response.close();
    return serve(response, head, options, handlers);
  });

  let closed: Promise<void> | undefined;
  return {
    app,
    refuse() {
      const isNews = accepting;
      accepting = false;
      return isNews;
    },
    close() {
      closed ??= (async () => {
        const lingerMs = lastEndAt + LINGER_MS - performance.now();
        if (lingerMs > 0) await new Promise<void>((resolve) => setTimeout(resolve, lingerMs));
        app.close();
      })();
      return closed;
    },
  };
}

/** uWebSockets.js says only that it could not listen: why is asked of Node. */
function listenOn(app: TemplatedApp, exclusive: number, { host, port }: ListenOptions): Promise<us_listen_socket> {
  return new Promise((resolve, reject) => {
    (app.listen as unknown as ListenExclusively).call(app, host, port, exclusive, (token) => {
      if (token !== false) return resolve(token);
      app.close();
      const probe = createServer();
      const taken = (cause?: unknown): void => {
        reject(new SessionRelayError('port_in_use', portTaken(host, port), { cause }));
      };
      probe.once('error', (cause: NodeJS.ErrnoException) => {
        if (cause.code === 'EADDRINUSE') taken(cause);
        else reject(cause);
      });
      probe.listen({ host, port, exclusive: true }, () => probe.close(() => taken()));
      return undefined;
    });
  });
}

/** The decision may take its time; what it needs of the request is read before, as the request is gone after this call. */
function upgrade(
  response: HttpResponse,
  request: HttpRequest,
  context: us_socket_context_t,
  options: ListenOptions,
  handlers: TransportHandlers,
  openedWire: () => UwsWire | undefined,
): void {
  const { url, headers, remoteAddress } = headOf(response, request, options);
  const key = request.getHeader('sec-websocket-key');
  const extensions = request.getHeader('sec-websocket-extensions');
  let gone = false;
  response.onAborted(() => {
    gone = true;
  });
  const decided = async (): Promise<UpgradeDecision> => handlers.upgrade({ url, headers, remoteAddress });
  void decided().then(
    (decision) => {
      if (gone) {
        if (decision.accept) decision.abandoned();
        return;
      }
      if (!decision.accept) return refuse(response, { headers: {}, ...decision }, true);
      const data: SocketData = { remoteAddress, wire: undefined };
      response.cork(() => response.upgrade(data, key, decision.protocol ?? '', extensions, context));
      // Behind the cork: at its end uWebSockets.js looks once more at what the HTTP response was, whose memory the
      // upgrade has given back. Used for something else by then, it can say "close": threads have closed all their
      // sockets by it (1006 without a `welcome`, one process in four). So in between nothing asks for memory.
      const wire = openedWire();
      if (wire === undefined) return decision.abandoned();
      return wire.cork(() => wire.attach(decision.open(wire)));
    },
    () => {
      if (!gone) refuse(response, FAULT, true);
    },
  );
}

function headOf(response: HttpResponse, request: HttpRequest, { trustProxy }: ListenOptions): RequestHead {
  const headers: Record<string, string> = {};
  request.forEach((name, value) => {
    const before = headers[name];
    if (before === undefined) headers[name] = value;
    else if (!ONCE.has(name)) headers[name] = `${before}, ${value}`;
  });
  // Without a question mark it is undefined, whatever the types say.
  const query: string | undefined = request.getQuery();
  return {
    method: request.getCaseSensitiveMethod(),
    url: `${request.getUrl()}${query === undefined || query === '' ? '' : `?${query}`}`,
    headers,
    remoteAddress: peerAddress(
      Buffer.from(response.getRemoteAddressAsText()).toString('latin1'),
      headers['x-forwarded-for'],
      trustProxy,
    ),
  };
}
