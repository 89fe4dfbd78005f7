import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { z } from 'zod';

/** A peer that speaks a relay's protocol just as a test tells it to, also wrongly: for what no right relay does. */
export interface PuppetRelay {
  readonly url: string;
  /** The next connection, once it said what it wants first. */
  next(): Promise<PuppetConnection>;
  /** Upgrades from now on are refused with this status; `undefined` accepts them. */
  refuse(status: number | undefined): void;
  /** Upgrades so far, refused ones too. */
  readonly attempts: () => number;
  close(): Promise<void>;
}

export interface PuppetConnection {
  readonly headers: IncomingMessage['headers'];
  /** The next request that was not taken yet. */
  request(): Promise<PuppetRequest>;
  notify(method: string, params: object): void;
  /** An event on a channel, as a relay frames it. */
  event(channel: string, previous: string, event: { readonly id: string }): void;
  close(code: number, reason?: string): void;
}

export interface PuppetRequest {
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
  answer(result: unknown): void;
  fail(code: number, message: string): void;
}

const message = z.object({ id: z.number(), method: z.string(), params: z.record(z.string(), z.unknown()) });

export async function startPuppetRelay({ heartbeatMs = 15_000 } = {}): Promise<PuppetRelay> {
  const server = createServer((_request, response) => void response.writeHead(404).end());
  const webSockets = new WebSocketServer({ noServer: true });
  const connections = queue<PuppetConnection>();
  const sockets = new Set<WebSocket>();
  let refused: number | undefined;
  let attempts = 0;
  server.on('upgrade', (request, socket: Socket, head) => {
    attempts++;
    if (refused !== undefined) {
      socket.end(`HTTP/1.1 ${refused} Refused\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
      return;
    }
    webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      sockets.add(webSocket);
      const requests = queue<PuppetRequest>();
      const send = (body: object): void => webSocket.send(JSON.stringify({ jsonrpc: '2.0', ...body }));
      webSocket.on('message', (bytes) => {
        const { id, method, params } = message.parse(JSON.parse(String(bytes)));
        requests.put({
          method,
          params,
          answer: (result) => send({ id, result }),
          fail: (code, text) => send({ id, error: { code, message: text } }),
        });
      });
      send({ method: 'welcome', params: { server: 'session-relay/puppet', protocol: 1, heartbeatMs } });
      connections.put({
        headers: request.headers,
        request: requests.take,
        notify: (method, params) => send({ method, params }),
        event: (channel, previous, data) => send({ method: 'subscription', params: { channel, previous, data } }),
        close: (code, reason) => webSocket.close(code, reason),
      });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    next: connections.take,
    refuse(status) {
      refused = status;
    },
    attempts: () => attempts,
    async close() {
      for (const socket of sockets) socket.terminate();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** A line to a relay that a test can cut: TCP, byte for byte. */
export interface Line {
  readonly url: string;
  /** Ends every connection and refuses new ones until `mend`. */
  cut(): void;
  mend(): void;
  /** Where new connections go from now on. */
  reroute(url: string): void;
  close(): Promise<void>;
}

export async function startLine(to: string): Promise<Line> {
  const open = new Set<Socket>();
  let target = new URL(to);
  let isCut = false;
  const server = createTcpServer((near) => {
    if (isCut) {
      near.destroy();
      return;
    }
    const far = connect(Number(target.port), target.hostname);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(one);
      one.pipe(other);
      one.on('error', () => undefined);
      one.on('close', () => {
        open.delete(one);
        other.destroy();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const drop = (): void => {
    for (const socket of open) socket.destroy();
  };
  return {
    url: `http://127.0.0.1:${port}`,
    cut() {
      isCut = true;
      drop();
    },
    mend() {
      isCut = false;
    },
    reroute(url) {
      target = new URL(url);
    },
    async close() {
      drop();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Items that are taken in the order in which they were put, now or later. */
function queue<T>(): { put(item: T): void; take(): Promise<T> } {
  const items: T[] = [];
  const takers: ((item: T) => void)[] = [];
  return {
    put(item) {
      const taker = takers.shift();
      if (taker === undefined) items.push(item);
      else taker(item);
    },
    take() {
      const item = items.shift();
      return item === undefined ? new Promise((resolve) => takers.push(resolve)) : Promise.resolve(item);
    },
  };
}
