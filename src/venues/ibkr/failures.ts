import { SessionRelayError, VenueError, VenueTimeoutError } from '../../errors.js';
import type { Asked, Failure } from './api.js';

/** The venue's answer as whoever gave the command hears it. */
function errorOf(failure: Failure): SessionRelayError {
  switch (failure.kind) {
    case 'redirected':
      return new VenueError(302, 'the gateway is not logged in: log in at its page in a browser');
    case 'refused':
      return new VenueError(failure.status, failure.message);
    case 'throttled':
    case 'limited': {
      const retryAfterMs = Math.ceil(failure.waitMs);
      return new SessionRelayError('rate_limited', `the venue may not be asked this for ${retryAfterMs} ms`, {
        data: { retryAfterMs },
      });
    }
    case 'failed':
      if (failure.status !== undefined) return new VenueError(failure.status, failure.reason);
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
