import { z } from 'zod';
import { type Fault, faultWith, forMs, milliseconds } from '../faults.js';
import type { Broker } from './broker.js';
import { SMS_TYPE } from './sessions.js';

const DEFAULT_THROTTLED_MS = 10_000;
const DEFAULT_MAINTENANCE_MS = 10_000;
const DEFAULT_HTTP_DOWN_MS = 30_000;
const DEFAULT_MISSING_MS = 5_000;
const DEFAULT_LIFE_SECONDS = 3_600;
/** Ten years: a datetime stays one of four digits. */
const MAX_LIFE_SECONDS = 315_360_000;

const id = z.number().int().optional();
const seconds = z.number().int().min(1).max(MAX_LIFE_SECONDS);

/** What can go wrong with the venue, the login or the security sessions. Where a session is not named it is the youngest. */
export function venueFaults(broker: Broker): { readonly [name: string]: Fault } {
  const { clock, conditions, logins, peers, sessions } = broker;
  return {
    token_expiry: {
      summary:
        'Every SID dies: HTTP says that the user is not found, and the next socket is a demo one. Live sockets stay as they are.',
      run: () => logins.kill(),
    },
    eviction: {
      summary: 'Another login takes it: every SID dies, and live sockets are told that they are demo ones.',
      run() {
        logins.kill();
        for (const peer of [...peers.values()]) peer.demote();
      },
    },
    bad_credentials: faultWith(
      'Neither the password nor the API key is taken; for ever, unless `forMs` says how long (0 ends it).',
      z.strictObject({ forMs }),
      (params) => conditions.badCredentials.on(params.forMs),
    ),
    two_factor: faultWith(
      'A login asks for a code from the phone; for ever, unless `forMs` says how long (0 ends it).',
      z.strictObject({ forMs }),
      (params) => conditions.twoFactor.on(params.forMs),
    ),
    refuse_upgrade: faultWith(
      'The next sockets are refused at the upgrade: 429, or 403 as by what stands before the venue.',
      z.strictObject({
        status: z.union([z.literal(429), z.literal(403)]).default(429),
        retryAfterSeconds: z.number().int().min(0).optional(),
        count: z.number().int().min(0).default(1),
      }),
      (params) => {
        conditions.refusedUpgrades = params.count;
        conditions.refusedStatus = params.status;
        conditions.retryAfterSeconds = params.retryAfterSeconds;
      },
    ),
    too_many_requests: faultWith(
      'Every request over HTTP is answered with 429 and Retry-After for `forMs`.',
      z.strictObject({ forMs: milliseconds.default(DEFAULT_THROTTLED_MS) }),
      (params) => {
        conditions.throttledUntil = clock.monotonic() + params.forMs;
        conditions.throttled.on(params.forMs);
      },
    ),
    maintenance: faultWith(
      'Sockets end without a close frame, and for `forMs` HTTP and upgrades are answered with 503.',
      z.strictObject({ forMs: milliseconds.default(DEFAULT_MAINTENANCE_MS) }),
      (params) => {
        conditions.maintenance.on(params.forMs);
        for (const peer of [...peers.values()]) peer.drop('maintenance', 'end');
      },
    ),
    http_down: faultWith(
      'Requests over HTTP end without an answer for `forMs`; sockets live.',
      z.strictObject({ forMs: milliseconds.default(DEFAULT_HTTP_DOWN_MS) }),
      (params) => conditions.httpDown.on(params.forMs),
    ),
    missing_row: faultWith(
      'The list lacks a session that lives, for `forMs` and then no longer, or `permanently`; both times it is sent.',
      z.strictObject({
        id,
        forMs: milliseconds.min(1).default(DEFAULT_MISSING_MS),
        permanently: z.boolean().default(false),
      }),
      (params) => {
        const session = sessions.find(params.id);
        sessions.withhold(session, true);
        if (!params.permanently) clock.setTimer(() => sessions.withhold(session, false), params.forMs);
      },
    ),
    open_session: faultWith(
      'A security session is opened; the list says so.',
      z.strictObject({
        safetyTypeId: z.number().int().min(0).default(SMS_TYPE),
        lifeSeconds: seconds.default(DEFAULT_LIFE_SECONDS),
      }),
      (params) => void sessions.open({ safetyTypeId: params.safetyTypeId, lifeMs: params.lifeSeconds * 1_000 }),
    ),
    extend_session: faultWith(
      'A security session lives longer; the list says so.',
      z.strictObject({ id, bySeconds: seconds.default(DEFAULT_LIFE_SECONDS) }),
      (params) => sessions.prolong(sessions.find(params.id), params.bySeconds * 1_000),
    ),
    close_session: faultWith('A security session is closed; the list says so.', z.strictObject({ id }), (params) =>
      sessions.close(sessions.find(params.id)),
    ),
    inconsistent_expire: faultWith(
      '`expire` of every row contradicts its expire_datetime; for ever, unless `forMs` says how long (0 ends it).',
      z.strictObject({ as: z.enum(['milliseconds', 'zero', 'negative']).default('milliseconds'), forMs }),
      (params) => {
        if (params.forMs !== 0) conditions.expireAs = params.as;
        conditions.inconsistentExpire.on(params.forMs);
        if (params.forMs !== 0) broker.publish();
      },
    ),
  };
}
