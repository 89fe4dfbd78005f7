import { PROBLEM_TYPE, problemBody, wireError } from '../edge/errors.js';
import type { Grant } from '../model/grant.js';

const INTERNAL_ERROR = -32_603;
/** When to ask again where nothing more is known of how long it takes. */
const RETRY_AFTER_SECONDS = '5';

/** Errors over HTTP: RFC 9457. The status is the relay's code less 4000 (PROTOCOL.md §5). */
export function problemOf(thrown: unknown, fields?: Grant['fields']): Response {
  const { code, message, data } = wireError(thrown, fields);
  const status = code >= 4_000 ? code - 4_000 : code === INTERNAL_ERROR ? 500 : 400;
  const retryAfterMs = typeof data?.retryAfterMs === 'number' ? data.retryAfterMs : undefined;
  return problem(status, message, {
    extra: { code, ...(data === undefined ? {} : { data }) },
    headers: {
      ...(status === 401 ? { 'www-authenticate': 'Bearer' } : {}),
      ...(retryAfterMs === undefined ? {} : { 'retry-after': String(Math.max(1, Math.ceil(retryAfterMs / 1_000))) }),
    },
  });
}

export function problem(
  status: number,
  detail: string,
  options: { readonly extra?: object; readonly headers?: Readonly<Record<string, string>> } = {},
): Response {
  const body = problemBody(status, detail, options.extra);
  return new Response(body, {
    status,
    headers: {
      'content-type': PROBLEM_TYPE,
      'content-length': String(Buffer.byteLength(body)),
      'cache-control': 'no-store',
      ...(status === 503 ? { 'retry-after': RETRY_AFTER_SECONDS } : {}),
      ...options.headers,
    },
  });
}
