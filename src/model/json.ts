import { z } from 'zod';

/** Anything that JSON can say. What crosses a border or goes into the journal is of this type. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export const json: z.ZodType<Json> = z.json() as unknown as z.ZodType<Json>;

export type JsonObject = { readonly [key: string]: Json };

export const jsonObject: z.ZodType<JsonObject> = z.record(z.string(), json);
