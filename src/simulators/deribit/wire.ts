import { z } from 'zod';
import type { Json, JsonObject } from '../../model/json.js';

/**
 * The venue's error table, as far as the simulator answers with it (Deribit docs, "Complete RPC error codes"; where the
 * page contradicts itself, the recorded frames decide).
 */
const ERROR_CODES = {
  order_not_found: 10004,
  locked_by_admin: 10019,
  too_many_requests: 10028,
  must_be_websocket_request: 10030,
  cancel_on_disconnect_failed: 10049,
  bad_request: 11050,
  system_maintenance: 11051,
  unauthenticated_public_requests_temporarily_disabled: 11056,
  internal_server_error: 11094,
  account_locked: 11098,
  invalid_credentials: 13004,
  unauthorized: 13009,
  instrument_not_found: 13020,
  scope_exceeded: 13403,
  raw_subscriptions_not_available_for_unauthorized: 13778,
  'Method not found': -32601,
  'Invalid params': -32602,
} as const;

export type ErrorName = keyof typeof ERROR_CODES;

/** A request that the venue refuses: becomes the reply's `error`. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: number;
  readonly data: Json | undefined;

  constructor(error: ErrorName, data?: Json) {
    super(error);
    this.code = ERROR_CODES[error];
    this.data = data;
  }
}

/** -32602, as the wire words it: `data: {reason, param}`. */
export function invalidParams(reason: string, param: string): Refusal {
  return new Refusal('Invalid params', { reason, param });
}

/** When a request came in and its answer went out, in µs since the epoch: members of every reply. */
export interface Stamp {
  readonly usIn: number;
  readonly usOut: number;
}

/** A number or a string: both are echoed as they came. Absent in the answer to a request that had none. */
export type RequestId = string | number;

/** The members stand in the order of the recorded frames. */
export function resultText(id: RequestId | undefined, result: Json, stamp: Stamp): string {
  return JSON.stringify({ jsonrpc: '2.0', ...identified(id), result, ...extras(stamp) });
}

/** Without `id` it concerns the connection, not a request. */
export function errorText(id: RequestId | undefined, refusal: Refusal, stamp?: Stamp): string {
  const { code, data, message } = refusal;
  const error = { code, ...(data === undefined ? {} : { data }), message };
  return JSON.stringify({
    jsonrpc: '2.0',
    ...identified(id),
    error,
    ...(stamp === undefined ? {} : extras(stamp)),
  });
}

/** `label` is in `params` only where the subscription was made with one. */
export function subscriptionText(channel: string, data: Json, label?: string): string {
  const params = { channel, data, ...(label === undefined ? {} : { label }) };
  return JSON.stringify({ jsonrpc: '2.0', method: 'subscription', params });
}

/** Recorded frame: the members stand the other way round here. */
export function heartbeatText(type: string): string {
  return JSON.stringify({ params: { type }, method: 'heartbeat', jsonrpc: '2.0' });
}

function identified(id: RequestId | undefined): { readonly id?: RequestId } {
  return id === undefined ? {} : { id };
}

function extras({ usIn, usOut }: Stamp): { readonly [name: string]: Json } {
  return { usIn, usOut, usDiff: usOut - usIn, testnet: true };
}

export interface Request {
  readonly id: RequestId | undefined;
  readonly method: string;
  readonly params: JsonObject;
}

const identifier = z.union([z.string(), z.number()]);
const request = z.object({
  id: identifier.nullish(),
  method: z.string(),
  params: z.unknown().optional(),
});
const namedParams: z.ZodType<JsonObject> = z.record(z.string(), z.json());

/**
 * One inbound text. What is not JSON, a batch, or no request is 11050 (recorded frame for the first; batches and
 * positional parameters: Deribit docs, "JSON-RPC overview").
 */
export function parseRequest(
  text: string,
): Request | { readonly id: RequestId | undefined; readonly refusal: Refusal } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { id: undefined, refusal: new Refusal('bad_request', 'invalid json') };
  }
  const parsed = request.safeParse(value);
  if (!parsed.success) {
    const given = z.object({ id: identifier }).safeParse(value);
    return { id: given.data?.id, refusal: new Refusal('bad_request', 'invalid request') };
  }
  const id = parsed.data.id ?? undefined;
  const params = namedParams.safeParse(parsed.data.params ?? {});
  if (!params.success) return { id, refusal: invalidParams('an object is expected', 'params') };
  return { id, method: parsed.data.method, params: params.data };
}

/** Parses a method's parameters; those that it does not know are passed over, as the venue does. */
export function paramsOf<S extends z.ZodType>(schema: S, params: JsonObject): z.output<S> {
  const parsed = schema.safeParse(params);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw invalidParams(issue?.message ?? 'invalid format', issue?.path.join('.') ?? 'params');
}
