import type { ClientRequest, IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import { z } from 'zod';
import { compareCursors } from '../../src/model/cursor.js';
import type { SessionEvent } from '../../src/model/event.js';

const message = z.looseObject({
  id: z.union([z.string(), z.number(), z.null()]).optional(),
  method: z.string().optional(),
  params: z.record(z.string(), z.unknown()).optional(),
  result: z.unknown().optional(),
  error: z
    .object({ code: z.number(), message: z.string(), data: z.record(z.string(), z.unknown()).optional() })
    .optional(),
});
export type Message = z.output<typeof message>;
export type Params = Readonly<Record<string, unknown>>;

const frame = z.object({
  channel: z.string(),
  previous: z.string(),
  data: z.looseObject({ id: z.string(), subject: z.string(), type: z.string() }),
});
/** A frame of states mode: `removed` only where sessions are gone. */
const changed = z.object({
  channel: z.string(),
  previous: z.string(),
  cursor: z.string(),
  states: z.array(z.looseObject({ key: z.string() })),
  removed: z.array(z.string()).optional(),
});
const subscribed = z.object({
  channels: z.array(z.object({ channel: z.string(), cursor: z.string(), recovered: z.boolean() })),
});
const asked = z.looseObject({
  channels: z.array(z.union([z.string(), z.object({ channel: z.string(), since: z.string() })])),
  since: z.string().optional(),
});
const marked = z.object({ channel: z.string(), cursor: z.string() });
const snapshotted = z.looseObject({ channel: z.string(), cursor: z.string(), last: z.boolean() });
const lagging = z.object({ since: z.record(z.string(), z.string()) });
const beaten = z.object({ cursor: z.string(), last: z.record(z.string(), z.string()) });

/** An error that the relay answered with. */
export class Refusal extends Error {
  readonly code: number;
  readonly data: Params | undefined;

  constructor(error: NonNullable<Message['error']>) {
    super(`${error.code}: ${error.message}`);
    this.code = error.code;
    this.data = error.data;
  }
}

/** The relay did not let the socket in. */
export class UpgradeRefused extends Error {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;

  constructor(status: number, headers: IncomingMessage['headers'], body: string) {
    super(`refused with ${status}: ${body}`);
    this.status = status;
    this.headers = headers;
    this.body = body;
  }
}

/**
 * A subscriber on a real socket that queues every message and checks the continuity of every frame as PROTOCOL.md §4
 * says: `previous`, `caught_up`, `snapshot`, `lag`, `heartbeat.last`, and nothing of a channel behind its fence.
 */
export interface Subscriber {
  readonly socket: WebSocket;
  /** Every message so far, in order. */
  readonly messages: readonly Message[];
  /** Breaks of continuity: empty where nothing is missing. */
  readonly losses: readonly string[];
  /** The events of one channel so far. */
  events(channel: string): readonly SessionEvent[];
  /** What was said last of each channel: what to resume with. */
  cursor(channel: string): string | undefined;
  /** Resolves with the result; rejects with a {@link Refusal}. */
  request(method: string, params?: unknown): Promise<never>;
  /** The next notification of this method that was not taken yet. */
  next(method: string, accept?: (params: Params) => boolean): Promise<Params>;
  /** Resolves once the condition holds; looked at after each message. */
  until(condition: () => boolean): Promise<void>;
  send(text: string | Buffer): void;
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  close(): Promise<void>;
}

interface Chain {
  /** What the next `previous` must be; `undefined` where anything goes until it is said. */
  expected: string | undefined;
  readonly events: SessionEvent[];
}

export async function connectSubscriber(
  url: string,
  options: { readonly headers?: Readonly<Record<string, string>>; readonly protocols?: readonly string[] } = {},
): Promise<Subscriber> {
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/v1/ws`, [...(options.protocols ?? [])], {
    headers: options.headers ?? {},
    perMessageDeflate: false,
  });
  const messages: Message[] = [];
  const taken = new Set<Message>();
  const losses: string[] = [];
  const chains = new Map<string, Chain>();
  const history = new Map<string, SessionEvent[]>();
  const pending = new Map<unknown, { readonly method: string; readonly params: unknown }>();
  const waiting = new Set<() => void>();
  let requests = 0;
  let over: { readonly code: number; readonly reason: string } | undefined;

  const chainOf = (channel: string): Chain | undefined => {
    const chain = chains.get(channel);
    if (chain === undefined) losses.push(`a message of ${channel}, which is not subscribed`);
    return chain;
  };
  const answered = ({ id, result, error }: Message): void => {
    const request = pending.get(id);
    if (request === undefined || error !== undefined) return;
    if (request.method === 'subscribe') {
      const { channels, since } = asked.parse(request.params);
      const sinces = new Map(
        channels.map((one) => (typeof one === 'string' ? [one, since] : [one.channel, one.since])),
      );
      for (const { channel, cursor, recovered } of subscribed.parse(result).channels) {
        const events = history.get(channel) ?? [];
        history.set(channel, events);
        chains.set(channel, { expected: recovered ? (sinces.get(channel) ?? cursor) : undefined, events });
      }
    }
    if (request.method === 'unsubscribe') {
      for (const channel of asked.parse(request.params).channels) chains.delete(String(channel));
    }
  };
  const notified = (method: string, params: Params): void => {
    if (method === 'subscription' && 'states' in params) {
      const { channel, previous, cursor } = changed.parse(params);
      const chain = chainOf(channel);
      if (chain === undefined) return;
      if (previous !== chain.expected) losses.push(`${channel}: previous is ${previous}, not ${chain.expected}`);
      if (compareCursors(cursor, previous) < 0) losses.push(`${channel}: ${cursor} after ${previous}`);
      chain.expected = cursor;
    } else if (method === 'subscription' && params.pulse !== true) {
      const { channel, previous, data } = frame.parse(params);
      const chain = chainOf(channel);
      if (chain === undefined) return;
      if (previous !== chain.expected) losses.push(`${channel}: previous is ${previous}, not ${chain.expected}`);
      const before = chain.events.at(-1);
      if (chain.expected !== undefined && compareCursors(data.id, chain.expected) <= 0)
        losses.push(`${channel}: ${data.id} after ${before?.id}`);
      chain.expected = data.id;
      chain.events.push(data as unknown as SessionEvent);
    } else if (method === 'snapshot') {
      const { channel, cursor, last } = snapshotted.parse(params);
      const chain = chainOf(channel);
      if (last && chain !== undefined) chain.expected = cursor;
    } else if (method === 'caught_up') {
      const { channel, cursor } = marked.parse(params);
      const chain = chainOf(channel);
      if (chain !== undefined) chain.expected = cursor;
    } else if (method === 'lag') {
      for (const [channel, since] of Object.entries(lagging.parse(params).since)) {
        const expected = chainOf(channel)?.expected;
        if (expected !== since) losses.push(`${channel}: lag since ${since}, not ${expected}`);
      }
    } else if (method === 'unsubscribed') {
      chains.delete(marked.loose().parse(params).channel);
    } else if (method === 'heartbeat') {
      for (const [channel, last] of Object.entries(beaten.loose().parse(params).last)) {
        const expected = chainOf(channel)?.expected;
        if (expected !== last) losses.push(`${channel}: the heartbeat says ${last}, not ${expected}`);
      }
    }
  };
  const look = (): void => {
    for (const check of [...waiting]) check();
  };
  socket.on('message', (bytes) => {
    globalThis.__secretSweep?.look('a frame to a subscriber', String(bytes));
    const parsed = message.parse(JSON.parse(String(bytes)));
    messages.push(parsed);
    if (parsed.method === undefined) answered(parsed);
    else notified(parsed.method, parsed.params ?? {});
    look();
  });
  const closed = new Promise<{ readonly code: number; readonly reason: string }>((resolve) => {
    socket.on('close', (code, reason) => {
      over = { code, reason: String(reason) };
      resolve(over);
      look();
    });
  });
  await new Promise<void>((resolve, reject) => {
    socket.on('unexpected-response', (_request: ClientRequest, response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => {
        reject(new UpgradeRefused(response.statusCode ?? 0, response.headers, String(Buffer.concat(parts))));
      });
    });
    socket.on('error', reject);
    socket.on('open', () => resolve());
  });

  /** Resolves with what `probe` finds, now or after a message; rejects where the connection ends before. */
  const find = <T>(probe: () => T | undefined, what: string): Promise<T> =>
    new Promise((resolve, reject) => {
      const check = (): void => {
        const found = probe();
        if (found !== undefined) resolve(found);
        else if (over !== undefined) reject(new Error(`closed with ${over.code} ${over.reason} before ${what}`));
        else return;
        waiting.delete(check);
      };
      waiting.add(check);
      check();
    });

  return {
    socket,
    messages,
    losses,
    events: (channel) => history.get(channel) ?? [],
    cursor: (channel) => chains.get(channel)?.expected,
    async request(method, params) {
      const id = ++requests;
      pending.set(id, { method, params });
      socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, ...(params === undefined ? {} : { params }) }));
      const reply = await find(
        () => messages.find((one) => one.id === id && one.method === undefined),
        `the reply to ${method}`,
      );
      if (reply.error !== undefined) throw new Refusal(reply.error);
      return reply.result as never;
    },
    next: (method, accept = () => true) =>
      find(() => {
        const found = messages.find((one) => one.method === method && !taken.has(one) && accept(one.params ?? {}));
        if (found !== undefined) taken.add(found);
        return found?.params;
      }, method),
    until: (condition) => find(() => (condition() ? true : undefined), 'the condition held').then(() => undefined),
    send: (text) => socket.send(text),
    closed,
    async close() {
      socket.close();
      await closed;
    },
  };
}
