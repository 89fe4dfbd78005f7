import { STATUS_CODES } from 'node:http';
import { asSessionRelayError, type ErrorCode, SessionRelayError } from '../errors.js';
import { type Grant, redactJson, sampleOf, withoutCredentials } from '../model/grant.js';
import { jsonObject } from '../model/json.js';

/** What an error is on the wire (PROTOCOL.md §4, Errors). */
export interface WireError {
  readonly code: number;
  readonly message: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

export const PARSE_ERROR = -32_700;
export const INVALID_REQUEST = -32_600;
export const METHOD_NOT_FOUND = -32_601;
export const INVALID_PARAMS = -32_602;
const INTERNAL_ERROR = -32_603;

const CODES: Readonly<Record<ErrorCode, number>> = {
  config_invalid: INTERNAL_ERROR,
  port_in_use: INTERNAL_ERROR,
  invalid_params: INVALID_PARAMS,
  unauthenticated: 4401,
  forbidden: 4403,
  not_found: 4404,
  conflict: 4409,
  venue_error: 4424,
  rate_limited: 4429,
  source_unavailable: 4503,
  venue_timeout: 4504,
  journal_failed: 4503,
  not_available: 4503,
  closed: 4503,
  relay_unreachable: 4503,
  events_lost: INTERNAL_ERROR,
  internal: INTERNAL_ERROR,
};

/** An error of the family as the wire says it. What went wrong inside the relay is not told to subscribers. */
export function wireError(thrown: unknown, fields: Grant['fields'] = 'redacted'): WireError {
  const error = asSessionRelayError(thrown);
  const code = CODES[error.code];
  if (code === INTERNAL_ERROR) return { code, message: 'a fault in the relay; its log says more' };
  if (error.code !== 'venue_error')
    return { code, message: error.message, ...(error.data === undefined ? {} : { data: cleaned(error.data, fields) }) };
  const { message, ...data } = cleaned(error.data ?? {}, fields);
  return {
    code,
    message: sampleOf(error.message),
    data: { ...data, ...(typeof message === 'string' ? { message: sampleOf(message) } : {}) },
  };
}

/** What a venue says may repeat what it was told: no credential goes on, and nothing personal to a redacted grant. */
function cleaned(data: Readonly<Record<string, unknown>>, fields: Grant['fields']): Readonly<Record<string, unknown>> {
  const parsed = jsonObject.safeParse(data);
  if (!parsed.success) return {};
  return { ...(redactJson(withoutCredentials(parsed.data), fields) as Readonly<Record<string, unknown>>) };
}

/** Close codes (PROTOCOL.md §4). */
export const CLOSE = {
  goingAway: 1001,
  binary: 1003,
  protocol: 4400,
  unauthenticated: 4401,
  forbidden: 4403,
  tooSlow: 4408,
  overRate: 4429,
  fault: 4500,
} as const;

/** Errors over HTTP: RFC 9457. */
export function problemBody(status: number, detail: string, extra: object = {}): string {
  return JSON.stringify({ title: STATUS_CODES[status] ?? 'Error', status, detail, ...extra });
}

export const PROBLEM_TYPE = 'application/problem+json';

export function invalidParams(message: string): SessionRelayError {
  return new SessionRelayError('invalid_params', message);
}
