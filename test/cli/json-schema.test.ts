import { describe, expect, test } from 'vitest';
import { configJsonSchema } from '../../src/cli/config/json-schema.js';
import { isRecord, record } from '../../src/cli/config/record.js';
import { venueModules } from '../../src/venues/registry.js';
import { cli } from '../support/cli-run.js';

/** Every key of a schema with its own schema, `sources[].credentials.clientId`. */
function keys(schema: unknown, prefix = ''): readonly (readonly [string, Readonly<Record<string, unknown>>])[] {
  if (!isRecord(schema)) return [];
  const own = Object.entries(record(schema.properties)).flatMap(([name, inner]) => {
    const key = prefix === '' ? name : `${prefix}.${name}`;
    return [[key, record(inner)] as const, ...keys(inner, key)];
  });
  const ways = [schema.anyOf, schema.oneOf, schema.allOf].flatMap((one) => (Array.isArray(one) ? one : []));
  return [...own, ...ways.flatMap((way) => keys(way, prefix)), ...keys(schema.items, `${prefix}[]`)];
}

describe('the JSON Schema of the configuration', () => {
  const schema = configJsonSchema();

  test('documents every key', () => {
    const found = keys(schema);
    expect(found.length).toBeGreaterThan(60);
    expect(
      found.filter(([, { description }]) => typeof description !== 'string' || description === '').map(([key]) => key),
    ).toEqual([]);
  });

  test('knows the keys of each venue, and no others', () => {
    const sources = record(record(record(schema).properties).sources);
    const { oneOf } = record(sources.items);
    expect(Array.isArray(oneOf) ? oneOf.map((one) => record(record(record(one).properties).venue).const) : []).toEqual(
      venueModules.map(({ venue }) => venue),
    );
    for (const one of Array.isArray(oneOf) ? oneOf : []) {
      expect(one).toMatchObject({ additionalProperties: false, required: expect.arrayContaining(['venue', 'id']) });
    }
  });

  test('says the defaults', () => {
    const found = new Map(keys(schema));
    expect(found.get('listen.port')).toMatchObject({ default: 8080 });
    expect(found.get('journal.engine')).toMatchObject({ default: 'lmdb', enum: ['lmdb', 'memory'] });
    expect(found.get('journal.path')).toMatchObject({ default: './data' });
    expect(found.get('journal.sync')).toMatchObject({ default: 'interval' });
    expect(found.get('drain.timeout')).toMatchObject({ default: 20_000 });
  });

  test('is what `check --json-schema` prints', async () => {
    const check = cli(['check', '--json-schema']);
    expect(await check.code).toBe(0);
    expect(JSON.parse(check.stdout())).toEqual(schema);
  });
});
