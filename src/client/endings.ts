import { type ErrorCode, SessionRelayError } from '../errors.js';
import type { RpcError } from './frames.js';

/** What follows from the end of a connection (PROTOCOL.md §4, Close codes). */
export type Ending =
  /** Connect again and resume, not before `atLeastMs`. */
  | { readonly how: 'retry'; readonly atLeastMs: number }
  /** With a new token, or not at all. */
  | { readonly how: 'token' }
  /** Trying again cannot help. */
  | { readonly how: 'stop'; readonly error: SessionRelayError };

/** The relay is at fault or overrun: come back no sooner than after half of this, by chance up to all of it. */
const BACK_OFF_MS = 5_000;
const WRONG_FRAMES: ReadonlySet<number> = new Set([1003, 1007, 1009, 4400]);

/** `chance`: in [0, 1). 1006 also stands for every refusal at the upgrade: browsers do not tell its HTTP status. */
export function endingOf(code: number, reason: string, chance: number): Ending {
  const said = reason === '' ? `the relay closed with ${code}` : `the relay closed with ${code}: ${reason}`;
  if (code === 4401) return { how: 'token' };
  if (code === 4403) return { how: 'stop', error: new SessionRelayError('forbidden', said) };
  if (WRONG_FRAMES.has(code)) return { how: 'stop', error: new SessionRelayError('internal', said) };
  if (code === 4429 || code === 4500) return { how: 'retry', atLeastMs: BACK_OFF_MS * (0.5 + chance / 2) };
  return { how: 'retry', atLeastMs: 0 };
}

const CODES: { readonly [code: number]: ErrorCode } = {
  [-32_602]: 'invalid_params',
  4401: 'unauthenticated',
  4403: 'forbidden',
  4404: 'not_found',
  4409: 'conflict',
  4424: 'venue_error',
  4429: 'rate_limited',
  4503: 'source_unavailable',
  4504: 'venue_timeout',
};

/**
 * The relay's answer as one of the family, with its code on the wire as `data.rpcCode` (PROTOCOL.md §4, Errors). Codes
 * of other versions become `internal`.
 */
export function errorOf({ code, message, data }: RpcError, more: object = {}): SessionRelayError {
  return new SessionRelayError(CODES[code] ?? 'internal', message, { data: { ...data, ...more, rpcCode: code } });
}

/** What the relay says to wait before the same is asked again. */
export function retryAfterOf({ data }: RpcError, defaultMs: number): number {
  const { retryAfterMs } = data;
  return typeof retryAfterMs === 'number' && retryAfterMs >= 0 ? retryAfterMs : defaultMs;
}
