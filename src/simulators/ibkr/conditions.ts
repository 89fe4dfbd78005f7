import type { Clock } from '../../net/clock.js';
import { createSwitch, type Switch } from '../timers.js';

/** What a request over HTTP meets while it is down; `cut_answer` and `hang` carry it out. */
export type HttpDownAs = 'cut' | 'cut_answer' | 'hang';
export type RefusedInitAs = 'unavailable' | 'server_error' | 'access_denied' | 'not_passed';
export type FailedTickleAs = 'error' | 'no_session' | 'server_error' | 'no_answer';

/** What faults have changed about the gateway, until they change it back. */
export interface Conditions {
  /** Frames and answers take so long while `slow` is on. */
  delayMs: number;
  slowOf: 'ws' | 'http' | 'both';
  readonly slow: Switch;
  readonly maintenance: Switch;
  readonly httpDown: Switch;
  httpDownAs: HttpDownAs;
  /** Sockets are refused; HTTP is as before. */
  readonly socketsDown: Switch;
  /** `auth/status` says that there is no bridge, while tickle and socket say that all is well. */
  readonly drift: Switch;
  /** An init does not end the drift. */
  driftOutlastsInit: boolean;
  /** Fields that statuses lack. */
  readonly missing: Switch;
  missingFields: ReadonlySet<string>;
  /** Statuses have fields that no page knows. */
  readonly unknownFields: Switch;
  readonly reauthenticateGone: Switch;
  /** Inits that are refused from now on, and how. */
  refusedInits: number;
  refusedInitAs: RefusedInitAs;
  failedTickles: number;
  failedTickleAs: FailedTickleAs;
  /** What the next answers say instead of their own words. */
  readonly garbage: string[];
  /** How long a brokerage session is authenticated before it is established. */
  establishMs: number;
}

/** Assumed: a warm gateway; after a reset 60 to 90 s have been measured before data flows. */
export const DEFAULT_ESTABLISH_MS = 3_000;

export function createConditions(clock: Clock): Conditions {
  return {
    delayMs: 0,
    slowOf: 'both',
    slow: createSwitch(clock),
    maintenance: createSwitch(clock),
    httpDown: createSwitch(clock),
    httpDownAs: 'cut',
    socketsDown: createSwitch(clock),
    drift: createSwitch(clock),
    driftOutlastsInit: false,
    missing: createSwitch(clock),
    missingFields: new Set(),
    unknownFields: createSwitch(clock),
    reauthenticateGone: createSwitch(clock),
    refusedInits: 0,
    refusedInitAs: 'unavailable',
    failedTickles: 0,
    failedTickleAs: 'error',
    garbage: [],
    establishMs: DEFAULT_ESTABLISH_MS,
  };
}
