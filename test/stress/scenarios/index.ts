import type { Scenario } from '../scenario.js';
import { clockJumps } from './clock-jumps.js';
import { crowd } from './crowd.js';
import { heartbeatSilence } from './heartbeat-silence.js';
import { journalTruncated } from './journal-truncated.js';
import { tokenExpiry } from './token-expiry.js';
import { tokenReplaced } from './token-replaced.js';
import { venueFlaps } from './venue-flaps.js';

/** In the order in which they are played. */
export const scenarios: readonly Scenario[] = [
  venueFlaps,
  heartbeatSilence,
  tokenExpiry,
  tokenReplaced,
  clockJumps,
  journalTruncated,
  crowd,
];
