import type { JsonObject } from '../../model/json.js';
import { componentSchemas, schemaRef } from './components.js';

/** The HTTP side as OpenAPI 3.1 (PROTOCOL.md §5). */
export function openApi({ version }: { readonly version: string }): JsonObject {
  return {
    openapi: '3.1.0',
    info: {
      title: 'session-relay',
      version,
      description: 'Normalized session events of trading venues. PROTOCOL.md is the text that goes with it.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [{ bearer: [] }, {}],
    paths: {
      '/v1/sessions': {
        get: {
          operationId: 'getSessions',
          summary: 'The present states in key order, page by page.',
          parameters: [
            query('channel', 'A pattern over session keys; all without it.'),
            query('limit', 'At most 1000.', { type: 'integer', minimum: 1, maximum: 1000 }),
            query('after', "A session's key: the page starts after it."),
            ifNoneMatch,
          ],
          responses: { 200: cached('SessionsPage'), 304: notModified, ...problems(400, 401, 403) },
        },
      },
      '/v1/sessions/{key}': {
        get: {
          operationId: 'getSession',
          summary: 'One state.',
          parameters: [
            { name: 'key', in: 'path', required: true, description: 'A session key.', schema: { type: 'string' } },
            ifNoneMatch,
          ],
          responses: {
            200: {
              description: 'The state.',
              headers: { ETag: etag },
              content: {
                'application/json': { schema: { oneOf: [schemaRef('SessionState'), schemaRef('SourceState')] } },
              },
            },
            304: notModified,
            ...problems(401, 403, 404),
          },
        },
      },
      '/v1/events': {
        get: {
          operationId: 'getEvents',
          summary:
            'Journaled events in order, page by page; a page ends at its limit, 128 KiB or 10,000 events scanned.',
          parameters: [
            query('channel', 'A pattern over addresses; all that the grant contains without it.'),
            query('since', 'A cursor: events after it.'),
            query('from', 'RFC 3339: events from then on.', { type: 'string', format: 'date-time' }),
            query('to', 'RFC 3339: events until then.', { type: 'string', format: 'date-time' }),
            query('limit', 'At most 1000.', { type: 'integer', minimum: 1, maximum: 1000 }),
          ],
          responses: {
            200: {
              description: 'A page; as NDJSON the headers say what the page says beside the events.',
              headers: {
                'session-relay-cursor': header('NDJSON: scanned so far.'),
                'session-relay-complete': header('NDJSON: `false` where the journal no longer holds all of the range.'),
                'session-relay-next': header('NDJSON: pass as `since` where there is more.'),
              },
              content: {
                'application/json': { schema: schemaRef('EventsPage') },
                'application/x-ndjson': { schema: { type: 'string', description: 'One event a line.' } },
              },
            },
            ...problems(400, 401, 403),
          },
        },
      },
      '/v1/stream': {
        get: {
          operationId: 'stream',
          summary: 'Server-Sent Events over the union of channels; AsyncAPI describes what comes.',
          parameters: [
            {
              name: 'channel',
              in: 'query',
              description: 'Patterns, each once or more.',
              schema: { type: 'array', items: { type: 'string' } },
              explode: true,
            },
            query('since', 'A cursor; Last-Event-ID wins.'),
            query('ticket', 'In place of credentials, for an EventSource.'),
            { name: 'Last-Event-ID', in: 'header', description: 'A cursor.', schema: { type: 'string' } },
          ],
          responses: {
            200: { description: 'The stream.', content: { 'text/event-stream': { schema: { type: 'string' } } } },
            ...problems(400, 401, 403, 429, 503),
          },
        },
      },
      '/v1/ticket': {
        post: {
          operationId: 'ticket',
          summary: 'A ticket for an EventSource, which cannot send credentials: redeemed within 30 s.',
          responses: { 200: { description: 'The ticket.', ...jsonOf('Ticket') }, ...problems(401, 403) },
        },
      },
      '/v1/commands': {
        post: {
          operationId: 'command',
          summary: "Runs a venue's command.",
          requestBody: { required: true, ...jsonOf('Command') },
          responses: {
            200: { description: 'Its result.', ...jsonOf('command_result') },
            ...problems(400, 401, 403, 404, 409, 415, 424, 429, 503, 504),
          },
        },
      },
      '/v1/hooks/{venue}/{source}': {
        post: {
          operationId: 'webhook',
          summary: "A venue's webhook, signed by the venue.",
          security: [{}],
          parameters: [
            { name: 'venue', in: 'path', required: true, schema: { type: 'string', enum: ['snaptrade'] } },
            { name: 'source', in: 'path', required: true, schema: { type: 'string' } },
          ],
          requestBody: { required: true, content: { 'application/json': { schema: {} } } },
          responses: {
            200: { description: 'Journaled.' },
            202: { description: 'Well signed but over-age: nothing is taken from its body.' },
            ...problems(400, 401, 404, 503),
          },
        },
      },
      '/livez': {
        get: {
          operationId: 'livez',
          summary: 'The process answers.',
          security: [{}],
          responses: { 200: { description: 'It lives.', ...jsonOf('Liveness') } },
        },
      },
      '/readyz': {
        get: {
          operationId: 'readyz',
          summary: 'Whether it serves: journal, event loop, draining, blind.',
          security: [{}],
          parameters: [query('sources', '`1`: the sources are part of the verdict.')],
          responses: {
            200: { description: 'Ready.', ...jsonOf('Readiness') },
            503: { description: 'Not ready.', ...jsonOf('Readiness') },
          },
        },
      },
      '/metrics': {
        get: {
          operationId: 'metrics',
          summary: 'Prometheus.',
          responses: {
            200: { description: 'Metrics.', content: { 'text/plain': { schema: { type: 'string' } } } },
            ...problems(401, 403),
          },
        },
      },
      '/': {
        get: {
          operationId: 'dashboard',
          summary: 'The dashboard: static, holds no secret.',
          security: [{}],
          parameters: [ifNoneMatch],
          responses: {
            200: { description: 'The page.', ...staticFile('text/html') },
            304: notModified,
            ...problems(403, 501),
          },
        },
      },
      '/assets/{file}': {
        get: {
          operationId: 'asset',
          summary: 'What the dashboard loads; named by its content, never changed.',
          security: [{}],
          parameters: [{ name: 'file', in: 'path', required: true, schema: { type: 'string' } }, ifNoneMatch],
          responses: {
            200: { description: 'The file.', ...staticFile('*/*') },
            304: notModified,
            ...problems(403, 404),
          },
        },
      },
      '/v1/asyncapi.json': described('asyncapi', 'The subscriber protocol, AsyncAPI 3.0.'),
      '/v1/openapi.json': described('openapi', 'This description.'),
    },
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } },
      schemas: componentSchemas(),
    },
  };
}

const etag = header('Weak, over cursor, grant and fields.');
const notModified = { description: 'The client has it already.' };
const ifNoneMatch = { name: 'If-None-Match', in: 'header', schema: { type: 'string' } };

function header(description: string): JsonObject {
  return { description, schema: { type: 'string' } };
}

function query(name: string, description: string, schema: JsonObject = { type: 'string' }): JsonObject {
  return { name, in: 'query', description, schema };
}

function jsonOf(schema: string): { readonly content: JsonObject } {
  return { content: { 'application/json': { schema: schemaRef(schema) } } };
}

function cached(schema: string): JsonObject {
  return { description: 'A page.', headers: { ETag: etag }, ...jsonOf(schema) };
}

function staticFile(type: string): { readonly headers: JsonObject; readonly content: JsonObject } {
  return { headers: { ETag: header('Strong, over the bytes.') }, content: { [type]: { schema: { type: 'string' } } } };
}

function described(operationId: string, summary: string): JsonObject {
  return {
    get: {
      operationId,
      summary,
      security: [{}],
      responses: { 200: { description: summary, content: { 'application/json': { schema: { type: 'object' } } } } },
    },
  };
}

const REASONS: Readonly<Record<number, string>> = {
  400: 'Parameters that do not fit.',
  401: 'No, wrong or expired credentials.',
  403: 'Not in the grant, or a foreign origin or host.',
  404: 'No such thing, or not shown to this grant.',
  409: 'Not in this state.',
  415: 'Not application/json.',
  424: 'The venue answered with an error.',
  429: "A limit of the relay's or the venue's.",
  501: 'Not built.',
  503: 'Draining, full, blind, or the source is not connected.',
  504: 'The venue did not answer: the outcome is unknown.',
};

function problems(...statuses: readonly number[]): JsonObject {
  return Object.fromEntries(
    statuses.map((status) => [
      String(status),
      {
        description: REASONS[status] ?? 'An error.',
        content: { 'application/problem+json': { schema: schemaRef('Problem') } },
      },
    ]),
  );
}
