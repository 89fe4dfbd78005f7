import { z } from 'zod';
import { readJson } from '../model/json.js';
import { INVALID_REQUEST, invalidParams, METHOD_NOT_FOUND, PARSE_ERROR } from './errors.js';

/** What a subscriber's frame says: a request, or why it is none (PROTOCOL.md §4, Errors). */
export type Id = string | number | null;

export const METHODS = [
  'auth',
  'subscribe',
  'unsubscribe',
  'get_sessions',
  'get_events',
  'get_sources',
  'command',
  'ping',
] as const;
export type Method = (typeof METHODS)[number];

export type Frame =
  | { readonly ok: true; readonly id: Id; readonly method: Method; readonly params: unknown }
  | { readonly ok: false; readonly id: Id; readonly code: number; readonly message: string };

const MAX_ID_CHARACTERS = 128;
const id = z.union([z.string().max(MAX_ID_CHARACTERS), z.number()]);
const request = z.strictObject({
  jsonrpc: z.literal('2.0'),
  id,
  method: z.string(),
  params: z.unknown().optional(),
});
const identified = z.looseObject({ id });
const method = z.enum(METHODS);

export function readFrame(text: string): Frame {
  const read = readJson(text);
  if (!read.ok) {
    const code = read.why === 'not JSON' ? PARSE_ERROR : INVALID_REQUEST;
    return { ok: false, id: null, code, message: read.why };
  }
  const raw = read.value;
  if (Array.isArray(raw)) {
    const message = 'batches are not served: one message a frame';
    return { ok: false, id: null, code: INVALID_REQUEST, message };
  }
  const parsed = request.safeParse(raw);
  if (!parsed.success) {
    const known = identified.safeParse(raw);
    const [issue] = parsed.error.issues;
    const where = issue?.code === 'unrecognized_keys' ? issue.keys.join(', ') : (issue?.path.join('.') ?? '');
    const message = `no JSON-RPC 2.0 request${where === '' ? '' : `: ${where.slice(0, 64)}`}`;
    return { ok: false, id: known.success ? known.data.id : null, code: INVALID_REQUEST, message };
  }
  const named = method.safeParse(parsed.data.method);
  if (named.success) return { ok: true, id: parsed.data.id, method: named.data, params: parsed.data.params };
  const message = `there is no method ${parsed.data.method.slice(0, 64)}`;
  return { ok: false, id: parsed.data.id, code: METHOD_NOT_FOUND, message };
}

/** Parameters by their schema; what is wrong is named by its key. Throws `invalid_params`. */
export function parseParams<T extends z.ZodType>(schema: T, params: unknown): z.output<T> {
  const parsed = schema.safeParse(params ?? {});
  if (parsed.success) return parsed.data;
  throw invalidParams(describeIssue(parsed.error));
}

/** The first problem, with the path of its key. */
function describeIssue(error: z.ZodError): string {
  const [issue] = error.issues;
  if (issue === undefined) return 'params do not fit';
  if (issue.code === 'unrecognized_keys') return `params: unknown ${issue.keys.join(', ').slice(0, 64)}`;
  const inner = issue.code === 'invalid_union' ? issue.errors.flat().find(({ code }) => code === 'custom') : undefined;
  const path = ['params', ...issue.path, ...(inner?.path ?? [])].join('.');
  return `${path}: ${inner?.message ?? issue.message}`;
}
