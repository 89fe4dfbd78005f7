import { z } from 'zod';
import { METHOD_AT } from './chain.js';
import { type Dialect, type Meaning, NOTHING, upgradeRequest } from './dialect.js';
import { clientFrame, OPCODE, payloadStart, webSocketFraming } from './framing.js';

const S = 0x73;
const B = 0x62;

export interface SubscribeOptions {
  readonly port: number;
  readonly channel: string;
  readonly token?: string | undefined;
  readonly since?: string | undefined;
  /** It listens to nothing. */
  readonly isIdle?: boolean;
}

const reply = z.object({
  id: z.literal(1),
  result: z.object({ channels: z.array(z.object({ cursor: z.string(), recovered: z.boolean() })) }),
});
const notification = z.object({
  method: z.string(),
  params: z.looseObject({ cursor: z.string().optional(), last: z.unknown().optional() }),
});

/** The relay's own protocol. */
export function relayDialect({ port, channel, token, since, isIdle = false }: SubscribeOptions): Dialect {
  const subscribe = Buffer.from(
    JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'subscribe',
      params: { channels: [channel], snapshot: false, ...(since === undefined ? {} : { since }) },
    }),
  );
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return {
    framing: webSocketFraming,
    hello: upgradeRequest('/v1/ws', port, headers),
    upgrades: true,
    isOpenSubscribed: false,
    tailBytes: 0,
    eventAt(bytes, at) {
      const start = payloadStart(bytes, at);
      // `subscription`; neither `snapshot` nor the `result` of a reply, which has its letters s and u just there.
      return bytes[start + METHOD_AT] === S && bytes[start + METHOD_AT + 2] === B ? start : -1;
    },
    other(bytes, at, size, send): Meaning {
      const opcode = (bytes[at] ?? 0) & 0x0f;
      if (opcode === OPCODE.ping) {
        send(clientFrame(new Uint8Array(), OPCODE.pong));
        return NOTHING;
      }
      const text = bytes.toString('utf8', payloadStart(bytes, at), at + size);
      if (opcode === OPCODE.close) return { what: 'closed' };
      const value: unknown = JSON.parse(text);
      const said = notification.safeParse(value);
      if (said.success)
        return notified(said.data, () => {
          if (!isIdle) send(clientFrame(subscribe));
        });
      const answer = reply.safeParse(value);
      const first = answer.data?.result.channels[0];
      if (first === undefined) return { what: 'fault', why: text.slice(0, 300) };
      if (since !== undefined && !first.recovered) return { what: 'fault', why: `not recovered: ${text}` };
      return { what: 'subscribed', cursor: since ?? first.cursor };
    },
  };
}

function notified({ method, params }: z.output<typeof notification>, subscribe: () => void): Meaning {
  switch (method) {
    case 'welcome':
      subscribe();
      return { what: 'connected' };
    case 'caught_up':
      return { what: 'caught_up', ...(params.cursor === undefined ? {} : { cursor: params.cursor }) };
    case 'lag':
      return { what: 'lag' };
    case 'gap':
    case 'unsubscribed':
    case 'blind':
      return { what: 'fault', why: `${method} was said` };
    default:
      return NOTHING;
  }
}

/** A WebSocket that is told everything from the moment on that it is open. */
export function plainDialect({ port, path }: { readonly port: number; readonly path: string }): Dialect {
  return {
    framing: webSocketFraming,
    hello: upgradeRequest(path, port),
    upgrades: true,
    isOpenSubscribed: true,
    tailBytes: 0,
    eventAt: (bytes, at) => (((bytes[at] ?? 0) & 0x0f) === OPCODE.text ? payloadStart(bytes, at) : -1),
    other(bytes, at, _size, send) {
      const opcode = (bytes[at] ?? 0) & 0x0f;
      if (opcode === OPCODE.ping) send(clientFrame(new Uint8Array(), OPCODE.pong));
      return opcode === OPCODE.close ? { what: 'closed' } : NOTHING;
    },
  };
}

/** `42["m",` before the relay's text, and `]` behind it. */
const SOCKET_IO_HEAD = '42["m",';
const FOUR = 0x34;
const TWO = 0x32;

/** socket.io 4 over a WebSocket alone: Engine.IO 4's packets, one a frame. */
export function socketIoDialect({ port }: { readonly port: number }): Dialect {
  return {
    framing: webSocketFraming,
    hello: upgradeRequest('/socket.io/?EIO=4&transport=websocket', port),
    upgrades: true,
    isOpenSubscribed: false,
    tailBytes: 1,
    eventAt(bytes, at) {
      const start = payloadStart(bytes, at);
      return bytes[start] === FOUR && bytes[start + 1] === TWO ? start + SOCKET_IO_HEAD.length : -1;
    },
    other(bytes, at, size, send) {
      const opcode = (bytes[at] ?? 0) & 0x0f;
      if (opcode === OPCODE.close) return { what: 'closed' };
      const text = bytes.toString('latin1', payloadStart(bytes, at), at + size);
      if (text.startsWith('0')) send(clientFrame(Buffer.from('40')));
      else if (text === '2') send(clientFrame(Buffer.from('3')));
      else if (text.startsWith('40')) return { what: 'subscribed' };
      return NOTHING;
    },
  };
}
