import { z } from 'zod';
import { eventsResult, NOTIFICATIONS, pulse, RESULTS, sessionsResult, wireErrorShape } from '../../edge/messages.js';
import { METHOD_PARAMS } from '../../edge/params.js';
import { commandParams } from '../../edge/queries.js';
import { sessionEvent } from '../../model/event.js';
import { type JsonObject, json, jsonObject } from '../../model/json.js';
import { sessionState, sourceState } from '../../model/state-schema.js';

/** Errors over HTTP (RFC 9457), as `problem.ts` makes them. */
const problem = z
  .object({
    title: z.string(),
    status: z.number().int(),
    detail: z.string(),
    code: z.number().int().optional().describe("The relay's code, PROTOCOL.md §4; the status is the code less 4000."),
    data: z.record(z.string(), z.unknown()).optional(),
  })
  .describe('RFC 9457');

const health = z
  .object({
    status: z.enum(['ready', 'not_ready']),
    version: z.string(),
    transport: z.enum(['uws', 'ws']),
    checks: z.record(z.string(), z.string()).describe('`ok`, or what is wrong.'),
    sources: z.array(z.looseObject({ source: z.string(), up: z.boolean() })),
  })
  .catchall(z.unknown());

const liveness = z.object({ status: z.literal('live'), version: z.string() });

const ticket = z.object({ ticket: z.string(), redeemWithinMs: z.number() });

/** What the relay sends, by the name that it has in the descriptions. */
const SENT = {
  Json: json,
  Event: sessionEvent,
  Pulse: pulse,
  SessionState: sessionState,
  SourceState: sourceState,
  SessionsPage: sessionsResult,
  EventsPage: eventsResult,
  Problem: problem,
  Readiness: health,
  Liveness: liveness,
  Ticket: ticket,
  Error: wireErrorShape,
} as const;

/** What it takes. */
const TAKEN = { Json: json, Command: commandParams } as const;

const ROOT = '#/components/schemas/';

/**
 * Every schema by name, as JSON Schema (draft 2020-12): the vocabulary, `<method>_params` and `<method>_result` of each
 * method, `<notification>_params` of each notification. They are made of the very schemas that requests are validated
 * with, and that the tests hold the relay's own frames against.
 */
export function componentSchemas(): JsonObject {
  return {
    ...generate(
      {
        ...SENT,
        ...suffixed(NOTIFICATIONS, '_params'),
        ...suffixed(RESULTS, '_result'),
      },
      'output',
    ),
    ...generate({ ...TAKEN, ...suffixed(METHOD_PARAMS, '_params') }, 'input'),
  };
}

export function schemaRef(name: string): { readonly $ref: string } {
  return { $ref: `${ROOT}${name}` };
}

function suffixed<T extends Readonly<Record<string, z.ZodType>>>(
  schemas: T,
  suffix: string,
): Readonly<Record<string, z.ZodType>> {
  return Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [`${name}${suffix}`, schema]));
}

/** One schema may have two names (a result that is also a page of HTTP): the second one refers to the first. */
function generate(schemas: Readonly<Record<string, z.ZodType>>, io: 'input' | 'output'): JsonObject {
  const registry = z.registry<{ id: string }>();
  const aliases: Record<string, JsonObject> = {};
  for (const [id, schema] of Object.entries(schemas)) {
    const known = registry.get(schema)?.id;
    if (known === undefined) registry.add(schema, { id });
    else aliases[id] = schemaRef(known);
  }
  const { schemas: generated } = z.toJSONSchema(registry, {
    io,
    uri: (id) => `${ROOT}${id}`,
    unrepresentable: 'any',
  });
  const cleaned = Object.entries(generated).map(([id, schema]) => {
    const { $schema: _, $id: __, ...rest } = jsonObject.parse(JSON.parse(JSON.stringify(schema)));
    return [id, rest] as const;
  });
  return { ...Object.fromEntries(cleaned), ...aliases };
}
