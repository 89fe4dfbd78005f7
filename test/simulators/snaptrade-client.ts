import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import { z } from 'zod';
import { type Json, json } from '../../src/model/json.js';
import {
  type SnaptradeSimulator,
  type SnaptradeSimulatorOptions,
  startSnaptradeSimulator,
} from '../../src/simulators/snaptrade.js';
import { until } from '../support/virtual-clock.js';

/** A client of the SnapTrade simulator that signs by itself, by the vendor's docs (request-signatures). */
export const CLIENT_ID = 'SIMULATOR-CLIENT';
export const CONSUMER_KEY = 'SIMULATOR-CONSUMER-KEY';

export function hmac(key: string, text: string): string {
  return createHmac('sha256', key).update(text).digest('base64');
}

/** The signature of a request without a body. */
export function signed(path: string, query: string, key = CONSUMER_KEY): string {
  return hmac(key, `{"content":null,"path":${JSON.stringify(path)},"query":${JSON.stringify(query)}}`);
}

const user = z.strictObject({ alias: z.string(), userId: z.string(), userSecret: z.string() });
export type TestUser = z.output<typeof user>;
const source = z.looseObject({ url: z.string(), users: z.array(user).default([]), pollSeconds: z.number() });
export const sourceOf = (simulator: SnaptradeSimulator): z.output<typeof source> => source.parse(simulator.source);

/** One customer by number, from 1. */
export function userOf(simulator: SnaptradeSimulator, number = 1): TestUser {
  const found = sourceOf(simulator).users[number - 1];
  if (found === undefined) throw new Error(`there is no customer ${number}`);
  return found;
}

export interface Asked {
  readonly method?: string;
  readonly base?: '' | '/api/v1';
  /** Default: the first customer. `null`: none is named. */
  readonly user?: TestUser | null;
  readonly nowMs?: number;
  readonly more?: Readonly<Record<string, string>>;
  /** Replaces what is sent, after it was signed. */
  readonly change?: {
    readonly signature?: string | null;
    readonly query?: (query: string) => string;
    readonly path?: (path: string) => string;
  };
  readonly signal?: AbortSignal;
}

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** `undefined` where the answer is no JSON. */
  readonly body: Json | undefined;
}

/** One signed request. */
export async function ask(simulator: SnaptradeSimulator, operation: string, asked: Asked = {}): Promise<Answered> {
  const { method = 'GET', base = '', nowMs = Date.now(), more = {}, change = {} } = asked;
  const customer = asked.user === undefined ? userOf(simulator) : asked.user;
  const path = base + operation;
  const query = new URLSearchParams({
    clientId: CLIENT_ID,
    timestamp: String(Math.floor(nowMs / 1_000)),
    ...(customer === null ? {} : { userId: customer.userId, userSecret: customer.userSecret }),
    ...more,
  }).toString();
  const signature = change.signature === undefined ? signed(path, query) : change.signature;
  const { origin } = new URL(simulator.url);
  const response = await fetch(`${origin}${change.path?.(path) ?? path}?${change.query?.(query) ?? query}`, {
    method,
    headers: signature === null ? {} : { Signature: signature },
    ...(asked.signal === undefined ? {} : { signal: asked.signal }),
  });
  const text = await response.text();
  let body: Json | undefined;
  try {
    body = json.parse(JSON.parse(text));
  } catch {
    // no JSON: `text` has it
  }
  return { status: response.status, headers: response.headers, text, body };
}

const row = z.looseObject({
  id: z.string(),
  name: z.string(),
  type: z.string(),
  disabled: z.boolean(),
  disabled_date: z.string().nullable(),
  created_date: z.string(),
  brokerage: z.looseObject({ slug: z.string(), maintenance_mode: z.boolean(), is_degraded: z.boolean().optional() }),
});
export type Row = z.output<typeof row>;

export async function list(simulator: SnaptradeSimulator, asked: Asked = {}): Promise<readonly Row[]> {
  return z.array(row).parse((await ask(simulator, '/authorizations', asked)).body);
}

const counts = z.record(z.string(), z.number());
const state = z.looseObject({
  users: z.number(),
  connections: z.object({
    total: z.number(),
    disabled: z.number(),
    rows: z.array(
      z.object({ id: z.string(), user: z.string(), brokerage: z.string(), type: z.string(), disabled: z.boolean() }),
    ),
  }),
  requests: z.looseObject({ asked: counts, refusals: counts, unanswered: z.number(), remaining: z.number() }),
  webhooks: z.looseObject({
    sent: z.number(),
    taken: z.number(),
    refused: z.number(),
    failed: z.number(),
    repeated: z.number(),
    givenUp: z.number(),
    lost: z.number(),
    waiting: z.number(),
    byType: counts,
  }),
  conditions: z.looseObject({}),
});
export const stateOf = (simulator: SnaptradeSimulator): z.output<typeof state> => state.parse(simulator.state());

/** One webhook, as it came. */
export interface Hook {
  readonly text: string;
  readonly signature: string | undefined;
  /** Empty where the text is no JSON object. */
  readonly payload: { readonly [key: string]: Json };
}

export interface Receiver {
  readonly url: string;
  readonly hooks: readonly Hook[];
  /** What it answers from now on; 0: it hangs up. */
  status: number;
  /** Waits until so many have come. */
  wait(count: number): Promise<readonly Hook[]>;
  close(): Promise<void>;
}

const payload = z.record(z.string(), json);

export async function receiver(): Promise<Receiver> {
  const hooks: Hook[] = [];
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(Buffer.from(part));
    const text = Buffer.concat(parts).toString('utf8');
    const { signature } = request.headers;
    hooks.push({ text, signature: typeof signature === 'string' ? signature : undefined, payload: payloadOf(text) });
    if (heard.status === 0) request.socket.destroy();
    else response.writeHead(heard.status).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const bound = z.object({ port: z.number() }).parse(server.address());
  const heard: Receiver = {
    url: `http://127.0.0.1:${bound.port}/v1/hooks/snaptrade/partner`,
    hooks,
    status: 200,
    async wait(count) {
      await until(() => hooks.length >= count, `${count} webhooks`);
      return hooks;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return heard;
}

function payloadOf(text: string): Hook['payload'] {
  try {
    return payload.parse(JSON.parse(text));
  } catch {
    return {};
  }
}

/** The signature of a webhook of ASCII and integers, where JavaScript and Python write the same. */
export function plainSignature(value: Json): string {
  return hmac(CONSUMER_KEY, JSON.stringify(sorted(value)));
}

function sorted(value: Json): Json {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(sorted);
  const entries = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  return Object.fromEntries(entries.map(([key, entry]) => [key, sorted(entry)]));
}

/** Simulators and receivers of one test file; `closeAll` belongs into its `afterEach`. */
export function harness() {
  const open: { close(): Promise<void> }[] = [];
  return {
    async start(options: SnaptradeSimulatorOptions = {}): Promise<SnaptradeSimulator> {
      const simulator = await startSnaptradeSimulator(options);
      open.push(simulator);
      return simulator;
    },
    async receive(): Promise<Receiver> {
      const heard = await receiver();
      open.push(heard);
      return heard;
    },
    async closeAll(): Promise<void> {
      await Promise.all(open.splice(0).map((each) => each.close()));
    },
  };
}
