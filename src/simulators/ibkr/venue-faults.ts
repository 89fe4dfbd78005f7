import { z } from 'zod';
import { SessionRelayError } from '../../errors.js';
import { type Fault, faultWith, forMs, milliseconds } from '../faults.js';
import { DEFAULT_ESTABLISH_MS } from './conditions.js';
import type { Gateway } from './gateway.js';
import { PENALTY_MS } from './pacing.js';

const DEFAULT_RESET_MS = 60_000;
const DEFAULT_MAINTENANCE_MS = 10_000;
const DEFAULT_HTTP_DOWN_MS = 30_000;

const STATUS_FIELDS = ['authenticated', 'established', 'competing', 'connected', 'fail', 'message', 'RESULT'] as const;
const count = z.number().int().min(0).default(1);

/** What can go wrong with the two tiers and the API over HTTP. */
export function venueFaults(gateway: Gateway): { readonly [name: string]: Fault } {
  const { brokerage, clock, conditions, other, pacing, sockets, sso } = gateway;
  const logInUnlessIn = (): void => {
    if (sso.session === undefined) gateway.logIn();
  };
  return {
    session_expiry: faultWith(
      'The login at the gateway is gone, and the brokerage session with it: 401, a redirect to the login page, or `no session`; a person logs in after `forMs`, or not.',
      z.strictObject({ as: z.enum(['access_denied', 'redirect', 'no_session']).default('access_denied'), forMs }),
      (params) => {
        gateway.logOut(params.as);
        if (params.forMs !== undefined) clock.setTimer(logInUnlessIn, params.forMs);
      },
    ),
    log_in: {
      summary:
        'A person logs in at the gateway: a new session, and the brokerage session is taken from whoever has it.',
      run: () => gateway.logIn(),
    },
    competing: faultWith(
      'Another login takes the brokerage session and logs out after `forMs` (0: now), or keeps it; evicted, it takes it back after `retakesAfterMs`, or not. `byUs`: this gateway takes it from the other.',
      z.strictObject({ forMs, retakesAfterMs: milliseconds.min(1).optional(), byUs: z.boolean().default(false) }),
      ({ byUs, ...params }) => {
        if (byUs) {
          if (brokerage.phase === 'closed')
            throw new SessionRelayError('invalid_params', 'nobody is logged in: see log_in');
          brokerage.open(true);
        } else if (params.forMs === 0) other.logOut();
        else other.take(params);
      },
    ),
    bridge_drift: faultWith(
      'auth/status says that there is no bridge, while tickle and sockets say that all is well: until an init or reauthenticate; with `forMs` so long, whatever is done (0 ends it).',
      z.strictObject({ forMs }),
      (params) => {
        conditions.driftOutlastsInit = params.forMs !== undefined;
        conditions.drift.on(params.forMs);
      },
    ),
    nightly_reset: faultWith(
      'The broker restarts its side for `forMs`: no bridge, and init is answered with 503; afterwards an init is needed.',
      z.strictObject({ forMs: milliseconds.default(DEFAULT_RESET_MS) }),
      (params) => brokerage.reset(params.forMs),
    ),
    established_lag: faultWith(
      'From now on a brokerage session is authenticated for so long before it is established.',
      z.strictObject({ ms: milliseconds.default(DEFAULT_ESTABLISH_MS) }),
      ({ ms }) => {
        conditions.establishMs = ms;
      },
    ),
    too_many_requests: faultWith(
      'The penalty box: every request and every upgrade is answered with 429 for `forMs`, ten minutes by default.',
      z.strictObject({ forMs: milliseconds.default(PENALTY_MS) }),
      (params) => pacing.penalise(params.forMs),
    ),
    maintenance: faultWith(
      'Sockets end without a close frame, for `forMs` HTTP and upgrades are answered with 503, and the brokerage session is lost; with `loginLost` the login too.',
      z.strictObject({ forMs: milliseconds.default(DEFAULT_MAINTENANCE_MS), loginLost: z.boolean().default(false) }),
      (params) => {
        conditions.maintenance.on(params.forMs);
        if (params.forMs === 0) return;
        for (const socket of [...sockets.values()]) socket.drop('maintenance', 'end');
        if (params.loginLost) gateway.logOut('redirect');
        else brokerage.timeOut();
      },
    ),
    http_down: faultWith(
      'For `forMs` requests over HTTP end without an answer: not carried out (`cut`), carried out (`cut_answer`), or carried out and never answered (`hang`); sockets live.',
      z.strictObject({
        forMs: milliseconds.default(DEFAULT_HTTP_DOWN_MS),
        as: z.enum(['cut', 'cut_answer', 'hang']).default('cut'),
      }),
      (params) => {
        conditions.httpDownAs = params.as;
        conditions.httpDown.on(params.forMs);
      },
    ),
    tickle_failure: faultWith(
      'The next tickles fail: 200 with an error, 200 with `no session`, 500, or no answer.',
      z.strictObject({
        count,
        as: z.enum(['error', 'no_session', 'server_error', 'no_answer']).default('error'),
      }),
      (params) => {
        conditions.failedTickles = params.count;
        conditions.failedTickleAs = params.as;
      },
    ),
    missing_fields: faultWith(
      'Statuses lack these fields, over HTTP and on sockets; for ever, unless `forMs` says how long (0 ends it).',
      z.strictObject({
        fields: z
          .array(z.enum(STATUS_FIELDS))
          .min(1)
          .default(['authenticated', 'established', 'competing', 'connected']),
        forMs,
      }),
      (params) => {
        conditions.missingFields = new Set(params.fields);
        conditions.missing.on(params.forMs);
      },
    ),
    refuse_init: faultWith(
      'The next inits are refused: 503, 500, 401, or 200 with `passed` false.',
      z.strictObject({
        count,
        as: z.enum(['unavailable', 'server_error', 'access_denied', 'not_passed']).default('unavailable'),
      }),
      (params) => {
        conditions.refusedInits = params.count;
        conditions.refusedInitAs = params.as;
      },
    ),
    reauthenticate_gone: faultWith(
      '/iserver/reauthenticate is answered with 404, as by newer gateways; for ever, unless `forMs` says how long (0 ends it).',
      z.strictObject({ forMs }),
      (params) => conditions.reauthenticateGone.on(params.forMs),
    ),
  };
}
