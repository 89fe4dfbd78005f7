import { z } from 'zod';
import { type JsonObject, jsonObject } from '../../model/json.js';
import { venueModules } from '../../venues/registry.js';
import { relaySchema } from '../schema.js';
import type { Path } from './locate.js';
import { isRecord, record } from './record.js';

/** The configuration file as JSON Schema (draft 2020-12), generated from the schemas that it is checked with. */
export function configJsonSchema(): JsonObject {
  const { properties, ...rest } = generated(relaySchema);
  const sources = venueModules.map(({ venue, config }) => {
    const { $schema: _, properties: own, required, ...source } = generated(config);
    return {
      title: `A ${venue} source`,
      ...source,
      properties: { venue: { const: venue, description: 'The kind of venue.' }, ...record(own) },
      required: ['venue', ...(Array.isArray(required) ? required : [])],
    };
  });
  const known = record(properties);
  return jsonObject.parse({
    title: 'session-relay configuration',
    description:
      'YAML or JSON. A value may name an environment variable or a file (see the README) in place of a secret. Flags win over SESSION_RELAY_… variables, those over this file.',
    ...rest,
    properties: { ...known, sources: { ...record(known.sources), items: { oneOf: sources } } },
  });
}

/** The keys that are known at a path; `venue` says of which kind each source is. */
export function keysAt(path: Path, venueOf: (index: number) => unknown): readonly string[] {
  const [first, index, ...rest] = path;
  if (first === 'sources' && typeof index === 'number') {
    const module = venueModules.find(({ venue }) => venue === venueOf(index));
    return module === undefined ? [] : ['venue', ...keysOf(generated(module.config), rest)];
  }
  return keysOf(generated(relaySchema), path);
}

function keysOf(schema: unknown, [head, ...rest]: Path): readonly string[] {
  if (!isRecord(schema)) return [];
  const ways = [schema.anyOf, schema.oneOf, schema.allOf].flatMap((one) => (Array.isArray(one) ? one : []));
  const through = ways.flatMap((way) => keysOf(way, head === undefined ? [] : [head, ...rest]));
  const properties = record(schema.properties);
  if (head === undefined) return [...new Set([...Object.keys(properties), ...through])];
  return [...keysOf(typeof head === 'number' ? schema.items : properties[head], rest), ...through];
}

/**
 * What a person writes, not what it becomes: defaults may be left out, durations are text or ms. The library leaves out
 * the default of a value that is transformed; ours are such that they may be written as they are.
 */
function generated(schema: z.ZodType): JsonObject {
  const described = z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
    override({ zodSchema, jsonSchema }) {
      const { def } = zodSchema._zod;
      if (def.type === 'default') jsonSchema.default = def.defaultValue;
    },
  });
  return jsonObject.parse(JSON.parse(JSON.stringify(described)));
}
