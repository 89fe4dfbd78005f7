import { once } from 'node:events';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { WebSocket, WebSocketServer } from 'ws';
import { z } from 'zod';
import { type Json, json } from '../../src/model/json.js';

/**
 * The line between a relay and a venue, with somebody on it who notes what passes: `log` is one list for all lines of a
 * test, so that the order in which things happened at several venues can be told.
 */
export interface DeribitLine {
  readonly url: string;
  /** The relay's requests so far, with their parameters. */
  readonly asked: readonly { readonly method: string; readonly params: unknown }[];
  /** Asks the venue over the relay's own connection, as whoever trades through it would. */
  inject(method: string, params: { readonly [name: string]: Json }): Promise<Json>;
  /** From now on nothing that the venue says reaches the relay, not even the end of its connection. */
  deafen(): void;
  close(): Promise<void>;
}

const request = z.looseObject({ id: z.unknown().optional(), method: z.string(), params: z.unknown().optional() });
const answer = z.looseObject({
  id: z.unknown().optional(),
  result: json.optional(),
  error: z.looseObject({ message: z.string() }).optional(),
});

export async function deribitLine(target: string, log: string[]): Promise<DeribitLine> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false });
  await once(server, 'listening');
  const asked: { method: string; params: unknown }[] = [];
  const waiting = new Map<unknown, (said: z.output<typeof answer>) => void>();
  const sockets = new Set<WebSocket>();
  let upstream: WebSocket | undefined;
  let injected = 0;
  let isDeaf = false;

  server.on('connection', (relay) => {
    const venue = new WebSocket(target, { perMessageDeflate: false });
    upstream = venue;
    sockets.add(relay).add(venue);
    const opened = once(venue, 'open');
    relay.on('message', (bytes) => {
      const text = String(bytes);
      const { method, params } = request.parse(JSON.parse(text));
      asked.push({ method, params });
      log.push(`deribit asked ${method}`);
      void opened.then(() => venue.send(text));
    });
    venue.on('message', (bytes) => {
      const text = String(bytes);
      const said = answer.safeParse(JSON.parse(text));
      const settle = said.success ? waiting.get(said.data.id) : undefined;
      if (said.success && settle !== undefined) settle(said.data);
      else if (!isDeaf) relay.send(text);
    });
    venue.on('close', (code, reason) => {
      log.push('deribit ended');
      if (!isDeaf) relay.close(code === 1006 ? 1011 : code, String(reason));
    });
    relay.on('close', () => venue.terminate());
    venue.on('error', () => {});
    relay.on('error', () => {});
  });

  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws/api/v2`,
    asked,
    inject(method, params) {
      const id = `injected-${++injected}`;
      return new Promise((resolve, reject) => {
        waiting.set(id, ({ result, error }) => {
          waiting.delete(id);
          if (error === undefined) resolve(result ?? null);
          else reject(new Error(`${method}: ${error.message}`));
        });
        upstream?.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
      });
    },
    deafen() {
      isDeaf = true;
    },
    async close() {
      for (const socket of sockets) socket.terminate();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** A line that passes on bytes, and notes when a connection ends. */
export async function plainLine(
  name: string,
  target: URL,
  log: string[],
): Promise<{ readonly authority: string; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((relay) => {
    const venue = connect(Number(target.port), target.hostname);
    sockets.add(relay).add(venue);
    relay.pipe(venue);
    venue.pipe(relay);
    relay.once('close', () => log.push(`${name} ended`));
    for (const socket of [relay, venue]) {
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        relay.destroy();
        venue.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    authority: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
