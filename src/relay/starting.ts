import { PROBLEM_TYPE, problemBody } from '../edge/errors.js';
import { startingHealth } from '../http/health.js';
import { problem } from '../http/problem.js';
import type { TransportHandlers } from '../transports/transport.js';
import { VERSION } from '../version.js';

/** Nothing is served before the states are rebuilt, nor while there is no thread that could. */
export const STARTING: TransportHandlers = {
  upgrade: () => ({
    accept: false,
    status: 503,
    body: problemBody(503, 'the relay is starting'),
    headers: { 'content-type': PROBLEM_TYPE, 'retry-after': '1' },
  }),
  fetch: (request) =>
    Promise.resolve(
      startingHealth(request, VERSION) ?? problem(503, 'the relay is starting', { headers: { 'retry-after': '1' } }),
    ),
};
