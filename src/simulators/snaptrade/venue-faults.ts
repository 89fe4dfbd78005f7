import { z } from 'zod';
import { type Fault, faultWith, forMs, MAX_FRAME_BYTES, milliseconds, OVERSIZED_BYTES } from '../faults.js';
import { ERAS, GONE_STATUSES, type Instead, PARTIAL_LISTS } from './conditions.js';
import type { Platform } from './platform.js';
import { SPELLINGS } from './refusal.js';
import { connectionNamed, target, youngest } from './targets.js';

const DEFAULT_SILENCE_MS = 30_000;
const DEFAULT_DOWN_MS = 30_000;
const DEFAULT_THROTTLED_MS = 10_000;
const DEFAULT_PARTIAL_MS = 10_000;
const DEFAULT_DELAY_MS = 3_000;
const MAX_COUNT = 1_000;
/** As what stands before the venue answers. */
const GARBAGE = '<html><body><h1>Server Error (500)</h1></body></html>';
const STATUSES = [400, 401, 402, 403, 404, 425, 500, 501, 503] as const;

const count = z.number().int().min(1).max(MAX_COUNT).default(1);

/** What can go wrong with the API. */
export function venueFaults(platform: Platform): { readonly [name: string]: Fault } {
  const { clock, conditions } = platform;
  const next = (instead: Instead, times: number): void => {
    for (let time = 0; time < times; time++) conditions.instead.push(instead);
  };
  return {
    silence: faultWith(
      'Requests that come within `forMs` are never answered, and their connections stay open.',
      z.strictObject({ forMs: milliseconds.default(DEFAULT_SILENCE_MS) }),
      (params) => conditions.silence.on(params.forMs),
    ),
    http_down: faultWith(
      'Connections end without an answer for `forMs`.',
      z.strictObject({ forMs: milliseconds.default(DEFAULT_DOWN_MS) }),
      (params) => conditions.httpDown.on(params.forMs),
    ),
    slow: faultWith(
      'Every answer takes `delayMs` (0 ends it); what was asked for has been done meanwhile.',
      z.strictObject({ delayMs: milliseconds.default(DEFAULT_DELAY_MS), forMs }),
      (params) => {
        conditions.delayMs = params.delayMs;
        conditions.slow.on(params.delayMs === 0 ? 0 : params.forMs);
      },
    ),
    garbage: faultWith(
      'The next answers are no JSON.',
      z.strictObject({ text: z.string().default(GARBAGE), count }),
      (params) => next({ kind: 'garbage', text: params.text }, params.count),
    ),
    oversized: faultWith(
      'The next answers are as long as `bytes` says.',
      z.strictObject({ bytes: z.number().int().min(0).max(MAX_FRAME_BYTES).default(OVERSIZED_BYTES), count }),
      (params) => next({ kind: 'oversized', bytes: params.bytes }, params.count),
    ),
    venue_error: faultWith(
      'The next requests are refused with a status, and with the code and words that the venue has for it.',
      z.strictObject({ status: z.literal(STATUSES).default(503), count }),
      (params) => next({ kind: 'status', status: params.status }, params.count),
    ),
    error_spelling: faultWith(
      'Every error body is spelled in one way; without `as`, each again as documented.',
      z.strictObject({ as: z.enum(SPELLINGS).optional() }),
      (params) => {
        conditions.spelling = params.as;
      },
    ),
    bad_signature: faultWith(
      'Every signature is refused with 401 and 1076; for ever, unless `forMs` says how long (0 ends it).',
      z.strictObject({ forMs }),
      (params) => conditions.badSignature.on(params.forMs),
    ),
    too_many_requests: faultWith(
      'Every request is answered with 429 for `forMs`, and the text says how long to wait.',
      z.strictObject({ forMs: milliseconds.default(DEFAULT_THROTTLED_MS) }),
      (params) => {
        conditions.throttledUntil = clock.monotonic() + params.forMs;
        conditions.throttled.on(params.forMs);
      },
    ),
    session_events_gone: faultWith(
      '/sessionEvents answers that there is no such endpoint; for ever, unless `forMs` says how long (0 ends it).',
      z.strictObject({ status: z.literal(GONE_STATUSES).default(404), forMs }),
      (params) => {
        conditions.goneStatus = params.status;
        conditions.sessionEventsGone.on(params.forMs);
      },
    ),
    partial_list: faultWith(
      'For `forMs`, lists are an error with status 200, a 500, or lack a connection that exists (the youngest, where none is named).',
      z.strictObject({
        ...target,
        as: z.enum(PARTIAL_LISTS).default('missing_row'),
        forMs: milliseconds.default(DEFAULT_PARTIAL_MS),
      }),
      (params) => {
        conditions.partialAs = params.as;
        if (params.as === 'missing_row') conditions.withheld = connectionNamed(platform, params, youngest).id;
        conditions.partialList.on(params.forMs);
      },
    ),
    api_era: faultWith(
      'The API is the old one (`/api/v1`), the new one (no prefix, no /sessionEvents), or both.',
      z.strictObject({ era: z.enum(ERAS) }),
      (params) => {
        conditions.era = params.era;
      },
    ),
  };
}
