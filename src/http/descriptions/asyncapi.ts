import { NOTIFICATIONS, type NotificationMethod } from '../../edge/messages.js';
import { METHODS } from '../../edge/request.js';
import type { JsonObject } from '../../model/json.js';
import { componentSchemas, schemaRef } from './components.js';

/** What each method is for, in one sentence (PROTOCOL.md §4, Methods). */
const METHOD_SUMMARIES: Readonly<Record<(typeof METHODS)[number], string>> = {
  auth: 'Shows a token, or replaces the one before it expires.',
  subscribe: 'Subscribes to channels; the reply is a fence.',
  unsubscribe: 'Ends subscriptions; the reply is a fence.',
  get_sessions: 'The present states, page by page.',
  get_events: 'Journaled events, page by page.',
  get_sources: 'The sources with the commands that the grant allows.',
  command: "Runs a venue's command.",
  ping: 'Answers with what it was given.',
};

const NOTIFICATION_SUMMARIES: Readonly<Record<NotificationMethod, string>> = {
  welcome: 'The first frame.',
  subscription: 'An event, a pulse, or in states mode the newest states, of one channel.',
  snapshot: 'The present states of a channel, at most 200 a frame.',
  lag: 'This connection fell behind: what is missing is replayed at its own pace.',
  caught_up: 'A replay of one channel ended.',
  gap: 'The journal no longer holds what is missing of one channel.',
  unsubscribed: 'The relay ended a subscription.',
  heartbeat: 'The relay lives, and which event each channel delivered last.',
  blind: 'The relay itself cannot follow: take every level for unknown.',
  sighted: 'The relay follows again.',
  token_expiring: 'The token ends soon: show a new one with `auth`.',
  draining: 'The relay shuts down: reconnect after about so long.',
};

/** The subscriber protocol as AsyncAPI 3.0: the WebSocket and the event stream, as the relay sees them. */
export function asyncApi({ version }: { readonly version: string }): JsonObject {
  const requests = METHODS.map((method) => [requestName(method), requestMessage(method)] as const);
  const replies = METHODS.map((method) => [replyName(method), replyMessage(method)] as const);
  const notifications = Object.keys(NOTIFICATIONS).map((method) => [method, notificationMessage(method)] as const);
  const socketMessages = [...requests, ...replies, ...notifications].map(([name]) => name);
  const streamed = ['event', 'relay.snapshot', 'relay.gap', 'relay.caught_up', 'relay.blind'] as const;
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'session-relay',
      version,
      description: 'Normalized session events of trading venues. PROTOCOL.md is the text that goes with it.',
      license: { name: 'Apache-2.0' },
    },
    defaultContentType: 'application/json',
    channels: {
      socket: {
        address: '/v1/ws',
        title: 'WebSocket, subprotocol session-relay.v1',
        description:
          'JSON-RPC 2.0, one message a text frame. Credentials: `Authorization: Bearer`, `bearer.<T>` or `auth`.',
        messages: Object.fromEntries(socketMessages.map((name) => [name, messageRef(name)])),
      },
      stream: {
        address: '/v1/stream',
        title: 'Server-Sent Events',
        description: 'One composite channel: journal order over the union, each event once; resumes by Last-Event-ID.',
        messages: Object.fromEntries(streamed.map((name) => [streamName(name), messageRef(streamName(name))])),
      },
    },
    operations: {
      ...Object.fromEntries(
        METHODS.map((method) => [
          method,
          {
            action: 'receive',
            summary: METHOD_SUMMARIES[method],
            channel: { $ref: '#/channels/socket' },
            messages: [{ $ref: `#/channels/socket/messages/${requestName(method)}` }],
            reply: {
              channel: { $ref: '#/channels/socket' },
              messages: [{ $ref: `#/channels/socket/messages/${replyName(method)}` }],
            },
          },
        ]),
      ),
      ...Object.fromEntries(
        (Object.keys(NOTIFICATIONS) as NotificationMethod[]).map((method) => [
          `notify_${method}`,
          {
            action: 'send',
            summary: NOTIFICATION_SUMMARIES[method],
            channel: { $ref: '#/channels/socket' },
            messages: [{ $ref: `#/channels/socket/messages/${method}` }],
          },
        ]),
      ),
      stream: {
        action: 'send',
        summary: 'Events as Server-Sent Events.',
        channel: { $ref: '#/channels/stream' },
      },
    },
    components: {
      messages: {
        ...Object.fromEntries([...requests, ...replies, ...notifications]),
        [streamName('event')]: {
          title: 'An event: `id:` its cursor, `event:` its type, `data:` the event',
          payload: schemaRef('Event'),
        },
        ...Object.fromEntries(
          (['snapshot', 'gap', 'caught_up', 'blind'] as const).map((method) => [
            streamName(`relay.${method}`),
            { title: `event: relay.${method}`, payload: schemaRef(`${method}_params`) },
          ]),
        ),
      },
      schemas: componentSchemas(),
    },
  };
}

function requestName(method: string): string {
  return `${method}_request`;
}

function replyName(method: string): string {
  return `${method}_reply`;
}

/** A key of AsyncAPI's components has no dot of its own here, so that a reference to it needs no escape. */
function streamName(event: string): string {
  return `stream_${event.replace('.', '_')}`;
}

function messageRef(name: string): { readonly $ref: string } {
  return { $ref: `#/components/messages/${name}` };
}

const ID = { oneOf: [{ type: 'string', maxLength: 128 }, { type: 'number' }] };
const VERSION = { type: 'string', const: '2.0' };

function requestMessage(method: string): JsonObject {
  return {
    title: `Request: ${method}`,
    payload: {
      type: 'object',
      properties: {
        jsonrpc: VERSION,
        id: ID,
        method: { type: 'string', const: method },
        params: schemaRef(`${method}_params`),
      },
      required: ['jsonrpc', 'id', 'method'],
      additionalProperties: false,
    },
  };
}

function replyMessage(method: string): JsonObject {
  const base = { jsonrpc: VERSION, id: { oneOf: [...ID.oneOf, { type: 'null' }] } };
  return {
    title: `Reply: ${method}`,
    payload: {
      oneOf: [
        {
          type: 'object',
          properties: { ...base, result: schemaRef(`${method}_result`) },
          required: ['jsonrpc', 'id', 'result'],
        },
        {
          type: 'object',
          properties: { ...base, error: schemaRef('Error') },
          required: ['jsonrpc', 'id', 'error'],
        },
      ],
    },
  };
}

function notificationMessage(method: string): JsonObject {
  return {
    title: `Notification: ${method}`,
    payload: {
      type: 'object',
      properties: {
        jsonrpc: VERSION,
        method: { type: 'string', const: method },
        params: schemaRef(`${method}_params`),
      },
      required: ['jsonrpc', 'method', 'params'],
    },
  };
}
