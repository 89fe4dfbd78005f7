import type { JsonObject } from '../../model/json.js';
import type { Random } from '../../net/clock.js';
import { drawText } from '../draw.js';
import { PHONE_CODE } from './account.js';

/**
 * The second step of a login. That it goes on with `mode: "sms"`, `auth_code_id` and `sms` is documented; how the venue
 * asks for it is not, so the answer carries an error and the documented names.
 */
export interface TwoFactor {
  /** The answer to the first step. */
  ask(): JsonObject;
  /** Whether the second step has the right code; a code is good for once. */
  check(authCodeId: string, code: string): boolean;
}

const ID_LENGTH = 16;
/** First steps that wait for their second; the oldest is forgotten. */
const MAX_WAITING = 100;

export function createTwoFactor(random: Random): TwoFactor {
  const waiting = new Set<string>();
  return {
    ask() {
      const id = drawText(random, ID_LENGTH);
      waiting.add(id);
      const [oldest] = waiting;
      if (waiting.size > MAX_WAITING && oldest !== undefined) waiting.delete(oldest);
      return { error: 'Enter the code from the SMS', mode: 'sms', auth_code_id: id };
    },
    check: (authCodeId, code) => code === PHONE_CODE && waiting.delete(authCodeId),
  };
}
