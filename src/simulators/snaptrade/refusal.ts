import type { Json } from '../../model/json.js';

/**
 * How an error body is spelled; the vendor's spec and recordings have each of them. `default` is what the spec writes for
 * 400, 401, 403 and 404; `number` has the code as a number, `text` is no JSON.
 */
export const SPELLINGS = ['default', 'detail', 'status', 'error', 'number', 'text'] as const;
export type Spelling = (typeof SPELLINGS)[number];

/** A request that the venue refuses. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly status: number;
  readonly code: string | undefined;
  readonly spelling: Spelling;

  constructor(status: number, detail: string, code: string | undefined, spelling: Spelling) {
    super(detail);
    this.status = status;
    this.code = code;
    this.spelling = spelling;
  }
}

export function refusalBody({ status, message, code, spelling }: Refusal, as: Spelling = spelling): Json {
  const withCode = (name: string): { readonly [name: string]: Json } => (code === undefined ? {} : { [name]: code });
  switch (as) {
    case 'default':
      return { default_detail: message, ...withCode('default_code') };
    case 'detail':
      return { detail: message, ...withCode('code') };
    case 'status':
      return { detail: message, status_code: status, ...withCode('code') };
    case 'error':
      return { error: message };
    case 'number':
      return { detail: message, ...(code === undefined ? {} : { code: Number(code) }) };
    case 'text':
      return message;
  }
}

/** Words and codes of the vendor's spec; where it has none, the comment says so. */
export const refusals = {
  /** Neither words nor a code are documented. */
  badRequest: (what: string) => new Refusal(400, what, undefined, 'default'),
  badSignature: () => new Refusal(401, 'Unable to verify signature sent', '1076', 'default'),
  /** Words and code are not documented for this operation; integrators report them. */
  badClient: () => new Refusal(401, 'Invalid clientId provided', undefined, 'status'),
  badUser: () => new Refusal(401, 'Invalid userID or userSecret provided', '1083', 'status'),
  disabled: () =>
    new Refusal(402, 'Unable to sync with brokerage account because the connection is disabled.', '3003', 'detail'),
  alreadyDisabled: () => new Refusal(402, 'The connection is already disabled.', '3011', 'detail'),
  forbidden: () => new Refusal(403, 'You do not have permission to perform this action.', '1066', 'default'),
  noFeature: () => new Refusal(403, 'Customer does not have access to this feature', '1141', 'detail'),
  notFound: () => new Refusal(404, 'The requested resource does not exist.', '1011', 'default'),
  /** There is nothing at the path: the framework's own words, without a code. */
  noPath: () => new Refusal(404, 'Not found.', undefined, 'detail'),
  notAllowed: (method: string) => new Refusal(405, `Method "${method}" not allowed.`, undefined, 'detail'),
  gone: () => new Refusal(410, 'This endpoint has been removed.', undefined, 'detail'),
  tooEarly: () => new Refusal(425, 'The connection is still syncing.', '3012', 'detail'),
  throttled: (seconds: number) =>
    new Refusal(429, `Request was throttled. Expected available in ${seconds} seconds.`, '0000', 'status'),
  refreshedTooRecently: () =>
    new Refusal(429, 'Connection refreshed too recently, please try again later.', 'throttled', 'status'),
  broken: () => new Refusal(500, 'An unexpected error occurred.', '1000', 'status'),
  notImplemented: () => new Refusal(501, 'Not implemented', undefined, 'error'),
  brokerageDown: () => new Refusal(503, 'The brokerage is not available.', '3002', 'detail'),
} as const;
