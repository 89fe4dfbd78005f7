import { once } from 'node:events';
import WebSocket from 'ws';
import { z } from 'zod';
import { type Json, json } from '../../src/model/json.js';
import { startDeribitSimulator } from '../../src/simulators/deribit.js';
import type { Simulator, SimulatorOptions } from '../../src/simulators/simulator.js';
import { until } from '../support/virtual-clock.js';

/** A plain client of the Deribit simulator: it keeps every frame, and does nothing by itself. */
export interface DeribitClient {
  readonly socket: WebSocket;
  /** Every text frame, as it came. */
  readonly texts: readonly string[];
  readonly frames: readonly Frame[];
  /** The close event's code and reason, once it came. */
  readonly ended: { readonly code: number; readonly reason: string } | undefined;
  send(frame: unknown): void;
  /** Sends a request and waits for its reply. */
  call(method: string, params?: Json): Promise<Frame>;
  /** As `call`, for what must succeed. */
  result(method: string, params?: Json): Promise<Json>;
  /** The data of every notification on a channel so far. */
  heard(channel: string): readonly Json[];
  /** The types of every heartbeat frame so far. */
  heartbeats(): readonly string[];
  /** Waits until it ended. */
  closed(): Promise<{ readonly code: number; readonly reason: string }>;
  /** Asks something and waits for the answer: whatever was sent before has arrived then. */
  fence(): Promise<void>;
}

const frame = z.looseObject({
  id: z.union([z.string(), z.number()]).optional(),
  result: json.optional(),
  error: z.object({ code: z.number(), message: z.string(), data: json.optional() }).optional(),
  method: z.string().optional(),
  params: z
    .looseObject({ channel: z.string().optional(), data: json.optional(), type: z.string().optional() })
    .optional(),
});
export type Frame = z.output<typeof frame>;

const source = z.object({
  credentials: z.object({ clientId: z.string(), clientSecret: z.string() }),
});

export async function connectClient(url: string): Promise<DeribitClient> {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  const texts: string[] = [];
  const frames: Frame[] = [];
  let ended: DeribitClient['ended'];
  let last = 0;
  socket.on('message', (data) => {
    texts.push(String(data));
    try {
      frames.push(frame.parse(JSON.parse(String(data))));
    } catch {
      // not JSON: `texts` has it
    }
  });
  socket.on('error', () => {});
  socket.on('close', (code, reason) => {
    ended = { code, reason: reason.toString() };
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  const client: DeribitClient = {
    socket,
    texts,
    frames,
    get ended() {
      return ended;
    },
    send: (value) => socket.send(typeof value === 'string' ? value : JSON.stringify(value)),
    async call(method, params = {}) {
      last += 1;
      const id = `client-${last}`;
      client.send({ jsonrpc: '2.0', id, method, params });
      return until(() => frames.find((one) => one.id === id), `the reply to ${method}`);
    },
    async result(method, params) {
      const { result, error } = await client.call(method, params);
      if (result === undefined) throw new Error(`${method}: ${JSON.stringify(error)}`);
      return result;
    },
    heard: (channel) =>
      frames.flatMap(({ method, params }) =>
        method === 'subscription' && params?.channel === channel && params.data !== undefined ? [params.data] : [],
      ),
    heartbeats: () =>
      frames.flatMap(({ method, params }) =>
        method === 'heartbeat' && params?.type !== undefined ? [params.type] : [],
      ),
    closed: () => until(() => ended, 'the end of the connection'),
    async fence() {
      await client.call('public/get_time');
    },
  };
  return client;
}

/** What refuses a socket at the upgrade. */
export async function refusedUpgrade(
  url: string,
): Promise<{ readonly status: number; readonly retryAfter: string | undefined }> {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  socket.on('error', () => {});
  const [, response] = await once(socket, 'unexpected-response');
  const answered = z
    .object({ statusCode: z.number(), headers: z.object({ 'retry-after': z.string().optional() }) })
    .parse(response);
  socket.terminate();
  return { status: answered.statusCode, retryAfter: answered.headers['retry-after'] };
}

/** The parameters of a login with the simulator's own credentials. */
export function loginOf(simulator: Simulator, scope?: string): { readonly [name: string]: Json } {
  const { credentials } = source.parse(simulator.source);
  return {
    grant_type: 'client_credentials',
    client_id: credentials.clientId,
    client_secret: credentials.clientSecret,
    ...(scope === undefined ? {} : { scope }),
  };
}

const tokens = z.object({
  access_token: z.string(),
  refresh_token: z.string(),
  expires_in: z.number(),
  scope: z.string(),
  sid: z.string().optional(),
  token_type: z.literal('bearer'),
});
export type TokenReply = z.output<typeof tokens>;

export async function logIn(client: DeribitClient, simulator: Simulator, scope?: string): Promise<TokenReply> {
  return tokens.parse(await client.result('public/auth', loginOf(simulator, scope)));
}

export const tokensFrom = (result: Json): TokenReply => tokens.parse(result);

const stateShape = z.looseObject({
  connections: z.array(
    z.object({
      id: z.number(),
      session: z.string(),
      heartbeatSeconds: z.number().nullable(),
      protected: z.boolean(),
      channels: z.array(z.string()),
    }),
  ),
  sessions: z.array(z.looseObject({ name: z.string() })),
  orders: z.array(z.looseObject({ orderId: z.string(), state: z.string(), cancelReason: z.string().nullable() })),
  requests: z.object({
    total: z.number(),
    methods: z.record(z.string(), z.number()),
    errors: z.record(z.string(), z.number()),
  }),
  refusedUpgrades: z.record(z.string(), z.number()),
  ended: z.array(z.object({ connection: z.number(), cause: z.string(), cancelledOrders: z.array(z.string()) })),
});

export const stateOf = (simulator: Simulator): z.output<typeof stateShape> => stateShape.parse(simulator.state());

/** Simulators and clients of one test file; `closeAll` belongs into its `afterEach`. */
export function harness() {
  const simulators: Simulator[] = [];
  const clients: DeribitClient[] = [];
  return {
    async start(options: SimulatorOptions = {}): Promise<Simulator> {
      const simulator = await startDeribitSimulator(options);
      simulators.push(simulator);
      return simulator;
    },
    async connect(simulator: Simulator): Promise<DeribitClient> {
      const client = await connectClient(simulator.url);
      clients.push(client);
      return client;
    },
    async closeAll(): Promise<void> {
      for (const client of clients.splice(0)) client.socket.terminate();
      await Promise.all(simulators.splice(0).map((simulator) => simulator.close()));
    },
  };
}
