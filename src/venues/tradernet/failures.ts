import { SessionRelayError, VenueError, VenueTimeoutError } from '../../errors.js';
import type { Asked, Failure } from './api.js';

/** The venue's answer as whoever gave the command hears it. */
export function errorOf(failure: Failure): SessionRelayError {
  switch (failure.kind) {
    case 'refused':
      return new VenueError(failure.code, failure.message);
    case 'blocked':
      return new VenueError(403, failure.reason);
    case 'throttled':
    case 'limited':
      return limited(failure.waitMs);
    case 'failed':
      return failure.sent
        ? new VenueTimeoutError(`${failure.reason}; whether the venue acted is unknown`)
        : new SessionRelayError('source_unavailable', failure.reason);
  }
}

/** The value of an answer, or its failure thrown. */
export function unwrap<T>(answer: Asked<T>): T {
  if (answer.kind === 'ok') return answer.value;
  throw errorOf(answer);
}

/** Nothing may be sent to the venue now: its own limit, or the relay's. */
export function limited(waitMs: number): SessionRelayError {
  const retryAfterMs = Math.ceil(waitMs);
  return new SessionRelayError('rate_limited', `nothing may be sent to the venue for ${retryAfterMs} ms`, {
    data: { retryAfterMs },
  });
}
