import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import WebSocket from 'ws';
import { z } from 'zod';
import { type Json, json } from '../../src/model/json.js';
import {
  startTradernetSimulator,
  type TradernetSimulator,
  type TradernetSimulatorOptions,
} from '../../src/simulators/tradernet.js';
import { until } from '../support/virtual-clock.js';

/** A plain client of the Tradernet simulator's raw WebSocket: it keeps every frame, and does nothing by itself. */
export interface RawClient {
  readonly socket: WebSocket;
  /** Every text frame, as it came. */
  readonly texts: readonly string[];
  /** Frames that are arrays. */
  readonly frames: readonly (readonly Json[])[];
  /** The close event's code and reason, once it came. */
  readonly ended: { readonly code: number; readonly reason: string } | undefined;
  send(frame: unknown): void;
  /** The data of every event of that name so far. */
  heard(event: string): readonly Json[];
  /** The ids of every list so far. */
  lists(): readonly (readonly number[])[];
  /** Waits for the n-th event of that name and gives its data; n counts from 1. */
  wait(event: string, count?: number): Promise<Json>;
  closed(): Promise<{ readonly code: number; readonly reason: string }>;
  /** Whatever was sent before has arrived then. */
  fence(): Promise<void>;
}

const frame = z.tuple([z.string()], json);
const rows = z.array(z.looseObject({ id: z.number() }));

export async function connectRaw(url: string): Promise<RawClient> {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  const texts: string[] = [];
  const frames: (readonly Json[])[] = [];
  let ended: RawClient['ended'];
  let pongs = 0;
  socket.on('message', (data) => {
    texts.push(String(data));
    try {
      frames.push(frame.parse(JSON.parse(String(data))));
    } catch {
      // no frame: `texts` has it
    }
  });
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
  const heard = (event: string): readonly Json[] =>
    frames.flatMap(([name, data]) => (name === event && data !== undefined ? [data] : []));
  return {
    socket,
    texts,
    frames,
    get ended() {
      return ended;
    },
    send: (value) => socket.send(typeof value === 'string' ? value : JSON.stringify(value)),
    heard,
    lists: () => heard('sessions').map((list) => rows.parse(list).map(({ id }) => id)),
    wait: (event, count = 1) => until(() => heard(event)[count - 1], `${event} #${count}`),
    closed: () => until(() => ended, 'the end of the connection'),
    async fence() {
      const before = pongs;
      socket.ping();
      await until(() => pongs > before, 'a pong');
    },
  };
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

const source = z.object({
  httpUrl: z.string(),
  credentials: z.object({ login: z.string(), password: z.string() }),
});
export const sourceOf = (simulator: TradernetSimulator): z.output<typeof source> => source.parse(simulator.source);

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** `null` where the answer is no JSON. */
  readonly body: Json;
}

export async function ask(simulator: TradernetSimulator, path: string, init: RequestInit = {}): Promise<HttpAnswer> {
  const response = await fetch(sourceOf(simulator).httpUrl + path, init);
  const text = await response.text();
  let body: Json = null;
  try {
    body = json.parse(JSON.parse(text));
  } catch {
    // no JSON: `text` has it
  }
  return { status: response.status, headers: response.headers, text, body };
}

export function form(fields: Readonly<Record<string, string>>, headers: Readonly<Record<string, string>> = {}) {
  return { method: 'POST', body: new URLSearchParams(fields), headers } satisfies RequestInit;
}

/** The login with the simulator's own credentials, or with others. */
export function logInWith(
  simulator: TradernetSimulator,
  changes: Readonly<Record<string, string>> = {},
): Promise<HttpAnswer> {
  const fields = { ...sourceOf(simulator).credentials, rememberMe: '1', ...changes };
  return ask(simulator, '/api/check-login-password', form(fields));
}

export async function sidOf(simulator: TradernetSimulator): Promise<string> {
  return z.object({ SID: z.string() }).parse((await logInWith(simulator)).body).SID;
}

/** A command of version 1, proved by a SID. */
export async function command(
  simulator: TradernetSimulator,
  cmd: string,
  SID?: string,
  params: Json = {},
): Promise<Json> {
  const query = encodeURIComponent(JSON.stringify({ cmd, SID, params }));
  return (await ask(simulator, `/api/?q=${query}`)).body;
}

export function hmac(secret: string, message: string): string {
  return createHmac('sha256', secret).update(message).digest('hex');
}

/** Headers of version 3: over the body and the time in seconds. */
export function signedV3(simulator: TradernetSimulator, body: string, nowMs: number): Record<string, string> {
  const { publicKey, secretKey } = simulator.apiKey;
  const timestamp = String(Math.floor(nowMs / 1_000));
  return {
    'X-NtApi-PublicKey': publicKey,
    'X-NtApi-Timestamp': timestamp,
    'X-NtApi-Sig': hmac(secretKey, body + timestamp),
  };
}

const counts = z.record(z.string(), z.number());
const stateShape = z.looseObject({
  connections: z.array(
    z.object({
      id: z.number(),
      carrier: z.enum(['websocket', 'socketio']),
      mode: z.enum(['prod', 'demo']),
      subscribed: z.boolean(),
      halfOpen: z.boolean(),
    }),
  ),
  logins: z.number(),
  sessions: z.array(z.looseObject({ id: z.number(), safetyTypeId: z.number(), expiresAt: z.string() })),
  requests: z.object({ http: counts, socket: counts, refusals: counts }),
  refusedUpgrades: counts,
  ended: z.array(z.object({ connection: z.number(), cause: z.string() })),
});
export const stateOf = (simulator: TradernetSimulator): z.output<typeof stateShape> =>
  stateShape.parse(simulator.state());

export const sessionIds = (simulator: TradernetSimulator): readonly number[] =>
  stateOf(simulator).sessions.map(({ id }) => id);

/** Simulators and raw clients of one test file; `closeAll` belongs into its `afterEach`. */
export function harness() {
  const simulators: TradernetSimulator[] = [];
  const clients: RawClient[] = [];
  return {
    async start(options: TradernetSimulatorOptions = {}): Promise<TradernetSimulator> {
      const simulator = await startTradernetSimulator(options);
      simulators.push(simulator);
      return simulator;
    },
    /** `query`: with its question mark. */
    async connect(simulator: TradernetSimulator, query = ''): Promise<RawClient> {
      const client = await connectRaw(simulator.url + query);
      clients.push(client);
      return client;
    },
    async closeAll(): Promise<void> {
      for (const client of clients.splice(0)) client.socket.terminate();
      await Promise.all(simulators.splice(0).map((simulator) => simulator.close()));
    },
  };
}
