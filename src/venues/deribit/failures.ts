import { SessionRelayError, VenueError, VenueTimeoutError } from '../../errors.js';

/** Codes that the feed acts upon; the whole table is in Deribit's docs, "Complete RPC error codes". */
export const CODE = {
  authorizationRequired: 10000,
  tooManyRequests: 10028,
  maintenance: 11051,
  publicMethodsOff: 11056,
  loginOverLimit: 12003,
  securityKeyOverLimit: 12998,
  invalidCredentials: 13004,
  userNotFound: 13007,
  unauthorized: 13009,
  forbidden: 13021,
  switchedOff: 13025,
  scopeExceeded: 13403,
  unavailable: 13503,
  securityKeyError: 13668,
  invalidParams: -32602,
} as const;

/**
 * Retry, settlement, queue full, cancel-on-disconnect failed, too many concurrent requests, internal error, temporarily
 * unavailable, timed out.
 */
const TRANSIENT: ReadonlySet<number> = new Set([10040, 10041, 10047, 10049, 10066, 11094, 13028, 13888]);

/** What a failed request means to whoever sent it. */
export type Failure =
  /** The key is wrong, unknown, or not allowed this. */
  | 'credentials'
  | 'two_factor'
  /** The token is: a full authentication mends it. */
  | 'unauthorized'
  /** The venue's penalty: nothing is sent until it is over. */
  | 'throttled'
  | 'maintenance'
  /** No answer, or one that says to ask again. */
  | 'transient'
  /** The connection is gone, or was stopped: its end is told elsewhere. */
  | 'gone'
  /** The venue does not do this. */
  | 'refused';

/** Of any request but public/auth. */
export function failureOf(thrown: unknown): Failure {
  if (thrown instanceof VenueTimeoutError) return 'transient';
  if (!(thrown instanceof VenueError)) return thrown instanceof SessionRelayError ? 'gone' : 'refused';
  const code = Number(thrown.venueCode);
  if (TRANSIENT.has(code)) return 'transient';
  switch (code) {
    case CODE.tooManyRequests:
    case CODE.loginOverLimit:
    case CODE.securityKeyOverLimit:
      return 'throttled';
    case CODE.maintenance:
      return 'maintenance';
    case CODE.publicMethodsOff:
      return 'transient';
    case CODE.authorizationRequired:
    case CODE.unauthorized:
      return 'unauthorized';
    default:
      return 'refused';
  }
}

const CREDENTIALS: ReadonlySet<number> = new Set([
  CODE.authorizationRequired,
  CODE.invalidCredentials,
  CODE.userNotFound,
  CODE.unauthorized,
  CODE.forbidden,
  CODE.switchedOff,
  CODE.scopeExceeded,
  CODE.unavailable,
  CODE.invalidParams,
]);

/** Of a full authentication: what elsewhere is a dead token is a bad key here. */
export function loginFailureOf(thrown: unknown): Failure {
  if (thrown instanceof VenueError) {
    const code = Number(thrown.venueCode);
    if (CREDENTIALS.has(code)) return 'credentials';
    if (code === CODE.securityKeyError) return 'two_factor';
  }
  const failure = failureOf(thrown);
  return failure === 'refused' ? 'transient' : failure;
}
