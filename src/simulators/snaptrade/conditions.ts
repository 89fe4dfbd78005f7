import type { Clock } from '../../net/clock.js';
import { createSwitch, type Switch } from '../timers.js';
import type { Spelling } from './refusal.js';

/**
 * Which of the vendor's specs is served. `old`: under `/api/v1`, connections are removed with
 * `DELETE /authorizations/{id}`, and rows lack what came later. `new`: no prefix, `DELETE /connection/{id}`, and no
 * `/sessionEvents` (removed on 2026-08-10). `both`: whatever either has, as nobody has seen the server refuse one.
 */
export const ERAS = ['old', 'new', 'both'] as const;
export type Era = (typeof ERAS)[number];

/** What a list is answered with while it is incomplete. */
export const PARTIAL_LISTS = ['error_body', 'status_500', 'missing_row'] as const;
export type PartialList = (typeof PARTIAL_LISTS)[number];

/** Statuses that say that there is no such endpoint. */
export const GONE_STATUSES = [404, 405, 410, 501] as const;
export type GoneStatus = (typeof GONE_STATUSES)[number];

/** What faults have changed about the venue, until they change it back. */
export interface Conditions {
  era: Era;
  readonly silence: Switch;
  readonly httpDown: Switch;
  readonly slow: Switch;
  /** Every answer takes so long while `slow` is on. */
  delayMs: number;
  /** Every signature is refused. */
  readonly badSignature: Switch;
  readonly throttled: Switch;
  /** In ms of the monotonic clock. */
  throttledUntil: number;
  readonly sessionEventsGone: Switch;
  goneStatus: GoneStatus;
  readonly partialList: Switch;
  partialAs: PartialList;
  /** The connection that lists lack where `partialAs` is `missing_row`. */
  withheld: string | undefined;
  readonly oddRows: Switch;
  /** How errors are spelled; undefined: each as documented. */
  spelling: Spelling | undefined;
  /** What the next answers are instead of what they would be. */
  readonly instead: Instead[];
}

export type Instead =
  | { readonly kind: 'garbage'; readonly text: string }
  | { readonly kind: 'oversized'; readonly bytes: number }
  | { readonly kind: 'status'; readonly status: number };

export function createConditions(clock: Clock, era: Era): Conditions {
  return {
    era,
    silence: createSwitch(clock),
    httpDown: createSwitch(clock),
    slow: createSwitch(clock),
    delayMs: 0,
    badSignature: createSwitch(clock),
    throttled: createSwitch(clock),
    throttledUntil: 0,
    sessionEventsGone: createSwitch(clock),
    goneStatus: 404,
    partialList: createSwitch(clock),
    partialAs: 'error_body',
    withheld: undefined,
    oddRows: createSwitch(clock),
    spelling: undefined,
    instead: [],
  };
}
