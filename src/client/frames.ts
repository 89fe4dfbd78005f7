import type { Pulse } from '../model/event.js';
import { cursor, type Envelope, isEnvelope, isPulse } from './event-shape.js';
import { anything, boolean, dictionary, type Guard, list, number, record, shape, string } from './shape.js';

/**
 * What the relay says (PROTOCOL.md §4), checked for the shape that is used. `unreadable` is a frame that this version
 * should know and cannot use: whatever it said is lost. Methods that it does not know are passed over.
 */
export type Frame =
  | { readonly kind: 'reply'; readonly id: number; readonly reply: Reply }
  | { readonly kind: 'notice'; readonly notice: Notice }
  | { readonly kind: 'ignored' }
  | { readonly kind: 'unreadable'; readonly what: string };

export type Reply = { readonly ok: true; readonly result: unknown } | { readonly ok: false; readonly error: RpcError };

export interface RpcError {
  readonly code: number;
  readonly message: string;
  readonly data: { readonly [name: string]: unknown };
}

/** What a guard grants. */
type Of<G> = G extends Guard<infer T> ? T : never;

const params = {
  welcome: shape(
    { protocol: number, now: string, cursor, authRequired: boolean, heartbeatMs: number },
    { limits: shape({}, { maxPayloadBytes: number, maxChannels: number, maxRequestsPerSecond: number }) },
  ),
  snapshot: shape({ channel: string, states: list(anything), last: boolean, cursor }),
  lag: shape({ since: dictionary(cursor) }),
  caught_up: shape({ channel: string, cursor }),
  gap: shape({ channel: string, from: cursor, to: cursor }),
  unsubscribed: shape({ channel: string }, { reason: string }),
  heartbeat: shape({ cursor, last: dictionary(cursor) }, { now: string }),
  blind: shape({}, { source: string }),
  sighted: shape({}, { source: string }),
  token_expiring: shape({}),
  draining: shape({ retryAfterMs: number }),
} as const;

type Params = typeof params;
type Plain = { [M in keyof Params]: { readonly method: M; readonly params: Of<Params[M]> } }[keyof Params];
export type Welcome = Of<Params['welcome']>;

export type Notice =
  | Plain
  /** One event of a channel. Its `data` is not checked yet. */
  | {
      readonly method: 'event';
      readonly params: { readonly channel: string; readonly previous: string; readonly event: Envelope };
    }
  | { readonly method: 'pulse'; readonly params: { readonly channel: string; readonly pulse: Pulse } }
  /** States mode. Each state is not checked yet; `removed` are the keys of sessions that are gone. */
  | {
      readonly method: 'states';
      readonly params: {
        readonly channel: string;
        readonly previous: string;
        readonly cursor: string;
        readonly states: readonly unknown[];
        readonly removed: readonly string[];
      };
    };

/** A notice about one channel. */
export type ChannelNotice<M extends Notice['method'] = Notice['method']> = Extract<
  Notice,
  { readonly method: M; readonly params: { readonly channel: string } }
>;

const isReply = shape({ id: number });
const isRefusal = shape({ error: shape({ code: number, message: string }, { data: record }) });
const isNotification = shape({ method: string });
const isEventFrame = shape({ channel: string, previous: cursor, data: isEnvelope });
const isPulseFrame = shape({ channel: string, data: isPulse });
const isStatesFrame = shape(
  { channel: string, previous: cursor, cursor, states: list(anything) },
  { removed: list(string) },
);

export function readFrame(text: string): Frame {
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch {
    return unreadable('a frame that is no JSON');
  }
  if (isNotification(message)) return readNotification(message.method, 'params' in message ? message.params : {});
  if (isReply(message)) {
    const { id } = message;
    if (isRefusal(message)) {
      const { code, message: text, data = {} } = message.error;
      return { kind: 'reply', id, reply: { ok: false, error: { code, message: text, data } } };
    }
    if ('result' in message) return { kind: 'reply', id, reply: { ok: true, result: message.result } };
  }
  // The relay could not read what we sent: no request of ours can be told by it.
  if (isRefusal(message)) return unreadable(`the relay could not read a request: ${message.error.message}`);
  return unreadable('a frame that is neither reply nor notification');
}

function readNotification(method: string, value: unknown): Frame {
  if (method === 'subscription') return readSubscription(value);
  const notice = { method, params: value };
  if (isPlain(notice)) return { kind: 'notice', notice };
  return isMethod(method) ? unreadable(`a ${method} that cannot be used`) : { kind: 'ignored' };
}

function isMethod(method: string): method is keyof Params {
  return Object.hasOwn(params, method);
}

function isPlain(notice: { readonly method: string; readonly params: unknown }): notice is Plain {
  return isMethod(notice.method) && params[notice.method](notice.params);
}

function readSubscription(value: unknown): Frame {
  if (record(value) && value.pulse === true) {
    // A pulse may be dropped: one that cannot be read is.
    if (!isPulseFrame(value)) return { kind: 'ignored' };
    return { kind: 'notice', notice: { method: 'pulse', params: { channel: value.channel, pulse: value.data } } };
  }
  if (isEventFrame(value)) {
    const { channel, previous, data } = value;
    return { kind: 'notice', notice: { method: 'event', params: { channel, previous, event: data } } };
  }
  if (isStatesFrame(value)) {
    const { channel, previous, cursor: at, states, removed = [] } = value;
    return { kind: 'notice', notice: { method: 'states', params: { channel, previous, cursor: at, states, removed } } };
  }
  return unreadable('a subscription frame that cannot be used');
}

function unreadable(what: string): Frame {
  return { kind: 'unreadable', what };
}
