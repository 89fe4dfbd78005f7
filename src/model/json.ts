import { z } from 'zod';

/** Anything that JSON can say. What crosses a border or goes into the journal is of this type. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export const json: z.ZodType<Json> = z.json() as unknown as z.ZodType<Json>;

export type JsonObject = { readonly [key: string]: Json };

export const jsonObject: z.ZodType<JsonObject> = z.record(z.string(), json);

export function isJsonObject(value: Json): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Deeper nesting is refused at every border: nothing that means anything comes near it, and a stack has an end. */
export const MAX_JSON_DEPTH = 64;

export type ReadJson =
  /** `plain`: the value, where {@link json} takes it and leaves it as it is, which is so of nearly all. */
  | { readonly ok: true; readonly value: unknown; readonly plain?: Json }
  | { readonly ok: false; readonly why: 'not JSON' | 'nested too deeply' };

/** What a text says, or why it is not read. Never throws. */
export function readJson(text: string): ReadJson {
  let value: Json;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, why: 'not JSON' };
  }
  switch (look(value, MAX_JSON_DEPTH)) {
    case 'plain':
      return { ok: true, value, plain: value };
    case 'odd':
      return { ok: true, value };
    case 'deep':
      return { ok: false, why: 'nested too deeply' };
  }
}

/** `undefined` where the text is no JSON, or nested deeper than {@link MAX_JSON_DEPTH}. Never throws. */
export function parseJson(text: string): unknown {
  const read = readJson(text);
  return read.ok ? read.value : undefined;
}

/** Odd is what {@link json} refuses or changes: a number beyond all bounds (`1e999`), and what is named `__proto__`. */
function look(value: Json, levels: number): 'plain' | 'odd' | 'deep' {
  if (typeof value === 'number') return Number.isFinite(value) ? 'plain' : 'odd';
  if (typeof value !== 'object' || value === null) return 'plain';
  if (levels === 0) return 'deep';
  let found: 'plain' | 'odd' = 'plain';
  if (isJsonObject(value) && Object.hasOwn(value, '__proto__')) found = 'odd';
  for (const inner of Object.values(value)) {
    const one = look(inner, levels - 1);
    if (one === 'deep') return 'deep';
    if (one === 'odd') found = 'odd';
  }
  return found;
}
