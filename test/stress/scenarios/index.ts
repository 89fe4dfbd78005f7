import type { Scenario } from '../scenario.js';
import { churn } from './churn.js';
import { clockJumps } from './clock-jumps.js';
import { crowd } from './crowd.js';
import { drain } from './drain.js';
import { heartbeatSilence } from './heartbeat-silence.js';
import { journalTruncated } from './journal-truncated.js';
import { kill9 } from './kill-9.js';
import { reconnectStorm } from './reconnect-storm.js';
import { tokenExpiry } from './token-expiry.js';
import { tokenReplaced } from './token-replaced.js';
import { venueFlaps } from './venue-flaps.js';

/** In the order in which they are played. */
export const scenarios: readonly Scenario[] = [
  venueFlaps,
  heartbeatSilence,
  tokenExpiry,
  tokenReplaced,
  kill9,
  crowd,
  reconnectStorm,
  clockJumps,
  journalTruncated,
  drain,
  churn,
];
