import { once } from 'node:events';
import { Agent, request } from 'undici';
import WebSocket from 'ws';
import { z } from 'zod';
import { type Json, json } from '../../src/model/json.js';
import { type IbkrSimulator, type IbkrSimulatorOptions, startIbkrSimulator } from '../../src/simulators/ibkr.js';
import { until } from '../support/virtual-clock.js';

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
  /** `null` where the answer is no JSON. */
  readonly body: Json;
}

/** A plain client of the gateway's API: it verifies the certificate by the simulator's CA, and follows nothing. */
export interface ApiClient {
  /** `path` below `/v1/api`. Rejects where the connection ends without an answer. */
  ask(method: 'GET' | 'POST', path: string, body?: Json): Promise<HttpAnswer>;
  tickle(): Promise<HttpAnswer>;
  status(): Promise<HttpAnswer>;
  init(compete: boolean): Promise<HttpAnswer>;
  validate(): Promise<HttpAnswer>;
  /** The session that a tickle tells. */
  session(): Promise<string>;
  /** A path of the origin itself. */
  origin(method: 'GET' | 'POST', path: string, body?: string): Promise<HttpAnswer>;
}

function apiOf(simulator: IbkrSimulator, dispatcher: Agent): ApiClient {
  const send = async (method: 'GET' | 'POST', url: string | URL, body?: string): Promise<HttpAnswer> => {
    const answer = await request(url, {
      method,
      dispatcher,
      ...(body === undefined ? {} : { body, headers: { 'content-type': 'application/json' } }),
    });
    const text = await answer.body.text();
    let said: Json = null;
    try {
      said = json.parse(JSON.parse(text));
    } catch {
      // no JSON: `text` has it
    }
    return { status: answer.statusCode, headers: answer.headers, text, body: said };
  };
  const api: ApiClient = {
    ask: (method, path, body) =>
      send(method, simulator.url + path, body === undefined ? undefined : JSON.stringify(body)),
    tickle: () => api.ask('POST', '/tickle'),
    status: () => api.ask('POST', '/iserver/auth/status'),
    init: (compete) => api.ask('POST', '/iserver/auth/ssodh/init', { publish: true, compete }),
    validate: () => api.ask('GET', '/sso/validate'),
    session: async () => z.object({ session: z.string() }).parse((await api.tickle()).body).session,
    origin: (method, path, body) => send(method, new URL(path, simulator.url), body),
  };
  return api;
}

/** A plain client of the gateway's socket: it keeps every frame, and does nothing by itself. */
export interface RawClient {
  readonly socket: WebSocket;
  /** Every text frame, as it came. */
  readonly texts: readonly string[];
  readonly ended: { readonly code: number; readonly reason: string } | undefined;
  send(text: string): void;
  /** Every frame of a topic so far. */
  heard(topic: string): readonly Json[];
  /** The `args` of every `sts` so far. */
  statuses(): readonly Json[];
  /** Waits for the n-th frame of a topic; n counts from 1. */
  wait(topic: string, count?: number): Promise<Json>;
  closed(): Promise<{ readonly code: number; readonly reason: string }>;
  /** Whatever was sent before has arrived then. */
  fence(): Promise<void>;
}

const frame = z.looseObject({ topic: z.string(), args: json.optional() });

function socketTo(simulator: IbkrSimulator, headers: Readonly<Record<string, string>>): WebSocket {
  const url = `${simulator.url.replace('https:', 'wss:')}/ws`;
  return new WebSocket(url, { perMessageDeflate: false, ca: simulator.ca, headers });
}

async function connectRaw(simulator: IbkrSimulator, cookie?: string): Promise<RawClient> {
  const socket = socketTo(simulator, cookie === undefined ? {} : { cookie });
  const texts: string[] = [];
  let ended: RawClient['ended'];
  let pongs = 0;
  socket.on('message', (data) => texts.push(String(data)));
  socket.on('pong', () => {
    pongs += 1;
  });
  socket.on('error', () => {});
  socket.on('close', (code, reason) => {
    ended = { code, reason: reason.toString() };
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  const framesOf = (topic: string): readonly z.output<typeof frame>[] =>
    texts.flatMap((text) => {
      try {
        const { data } = frame.safeParse(JSON.parse(text));
        return data?.topic === topic ? [data] : [];
      } catch {
        return [];
      }
    });
  const heard = (topic: string): readonly Json[] => framesOf(topic).map((said) => json.parse(said));
  return {
    socket,
    texts,
    get ended() {
      return ended;
    },
    send: (text) => socket.send(text),
    heard,
    statuses: () => framesOf('sts').map(({ args = null }) => args),
    wait: (topic, count = 1) => until(() => heard(topic)[count - 1], `${topic} #${count}`),
    closed: () => until(() => ended, 'the end of the socket'),
    async fence() {
      const before = pongs;
      socket.ping();
      await until(() => pongs > before, 'a pong');
    },
  };
}

const counts = z.record(z.string(), z.number());
const stateShape = z.looseObject({
  sso: z.object({ valid: z.boolean(), absence: z.string().optional() }),
  brokerage: z.object({ phase: z.string(), heldByOther: z.boolean() }),
  connections: z.array(z.object({ id: z.number(), authenticated: z.boolean(), halfOpen: z.boolean() })),
  conditions: z.looseObject({ penalised: z.boolean() }),
  requests: z.object({ http: counts, socket: counts, answers: counts }),
  refusedUpgrades: counts,
  ended: z.array(z.object({ connection: z.number(), cause: z.string() })),
});
export const stateOf = (simulator: IbkrSimulator): z.output<typeof stateShape> => stateShape.parse(simulator.state());

/** Simulators and clients of one test file; `closeAll` belongs into its `afterEach`. */
export function harness() {
  const simulators: IbkrSimulator[] = [];
  const clients: RawClient[] = [];
  const agents: Agent[] = [];
  return {
    async start(options: IbkrSimulatorOptions = {}): Promise<IbkrSimulator> {
      const simulator = await startIbkrSimulator(options);
      simulators.push(simulator);
      return simulator;
    },
    api(simulator: IbkrSimulator): ApiClient {
      const agent = new Agent({ connect: { ca: simulator.ca } });
      agents.push(agent);
      return apiOf(simulator, agent);
    },
    /** A socket, with the `Cookie` header that is given. */
    async connect(simulator: IbkrSimulator, cookie?: string): Promise<RawClient> {
      const client = await connectRaw(simulator, cookie);
      clients.push(client);
      return client;
    },
    /** What refuses a socket at the upgrade. */
    async refused(simulator: IbkrSimulator): Promise<number> {
      const socket = socketTo(simulator, {});
      socket.on('error', () => {});
      const [, response] = await once(socket, 'unexpected-response');
      socket.terminate();
      return z.object({ statusCode: z.number() }).parse(response).statusCode;
    },
    async closeAll(): Promise<void> {
      for (const client of clients.splice(0)) client.socket.terminate();
      await Promise.all(simulators.splice(0).map((simulator) => simulator.close()));
      await Promise.all(agents.splice(0).map((agent) => agent.destroy()));
    },
  };
}

/** A status in which everything is well, and what differs from it. */
export const flags = (changes: Readonly<Record<string, Json>> = {}) => ({
  authenticated: true,
  established: true,
  competing: false,
  connected: true,
  ...changes,
});
