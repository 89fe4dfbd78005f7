import { z } from 'zod';
import { isJsonObject, type Json, json, readJson } from '../model/json.js';

const rpcError = z.object({ code: z.number(), message: z.string().catch('no message'), data: json.optional() });
const identifier = z.union([z.string(), z.number()]);
const reply = z.looseObject({ id: identifier.nullish(), result: json.optional(), error: rpcError.nullish() });
const notification = z.object({ method: z.string(), params: json.optional() });

export type ReadError = z.infer<typeof rpcError>;

/** What one inbound text is: somebody calls, somebody answers, or why it is neither. */
export type ReadFrame =
  | { readonly called: z.infer<typeof notification> }
  | { readonly answered: z.infer<typeof reply> }
  | { readonly why: string };

/** Never throws. */
export function readFrame(text: string): ReadFrame {
  const parsed = readJson(text);
  if (!parsed.ok) return { why: parsed.why };
  const known = parsed.plain === undefined ? undefined : readPlain(parsed.plain);
  return known ?? readBySchema(parsed.value);
}

/** The same of what is parsed already, and whatever it is. */
export function readBySchema(value: unknown): ReadFrame {
  if (Array.isArray(value)) return { why: 'a batch' };
  const called = notification.safeParse(value);
  if (called.success) return { called: called.data };
  const answered = reply.safeParse(value);
  return answered.success ? { answered: answered.data } : { why: 'neither a reply nor a notification' };
}

/** Nearly all frames, without the cost of a schema: what is read here the schemas read in the same way. */
function readPlain(frame: Json): ReadFrame | undefined {
  if (!isJsonObject(frame)) return undefined;
  const { method, params, id, result, error } = frame;
  if (typeof method === 'string') return { called: { method, params } };
  const isAnswered = (typeof id === 'number' || typeof id === 'string') && result !== undefined && error === undefined;
  return isAnswered ? { answered: { ...frame, id, result, error } } : undefined;
}
