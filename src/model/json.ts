import { z } from 'zod';

/** Anything that JSON can say. What crosses a border or goes into the journal is of this type. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export const json: z.ZodType<Json> = z.json() as unknown as z.ZodType<Json>;

export type JsonObject = { readonly [key: string]: Json };

export const jsonObject: z.ZodType<JsonObject> = z.record(z.string(), json);

/** Deeper nesting is refused at every border: nothing that means anything comes near it, and a stack has an end. */
export const MAX_JSON_DEPTH = 64;

export type ReadJson =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly why: 'not JSON' | 'nested too deeply' };

/** What a text says, or why it is not read. Never throws. */
export function readJson(text: string): ReadJson {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, why: 'not JSON' };
  }
  return isDeeper(value, MAX_JSON_DEPTH) ? { ok: false, why: 'nested too deeply' } : { ok: true, value };
}

/** `undefined` where the text is no JSON, or nested deeper than {@link MAX_JSON_DEPTH}. Never throws. */
export function parseJson(text: string): unknown {
  const read = readJson(text);
  return read.ok ? read.value : undefined;
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (levels === 0) return true;
  return Object.values(value).some((inner) => isDeeper(inner, levels - 1));
}
