import type { JsonObject } from '../../model/json.js';
import type { Clock } from '../../net/clock.js';
import { PHONE_CODE } from './account.js';

/** The code that a security session is opened with: sent to a phone, and typed in by a person. */
export interface Codes {
  /** `getSecuritySessionCode`: sends one, unless the last was sent too shortly before. */
  request(): JsonObject;
  /** Whether it is the code that was sent; a code is good for once, and for three attempts. */
  check(code: string): boolean;
  readonly attemptsLeft: number;
}

/** Vendor's page, open-security-session: `delay`, in seconds. */
const DELAY_SECONDS = 60;
const ATTEMPTS = 3;
const FOOTER = 'No code? Ask support.';

export function createCodes(clock: Pick<Clock, 'monotonic'>): Codes {
  let sentAt: number | undefined;
  let attemptsLeft = 0;
  return {
    request() {
      const waited = sentAt === undefined || clock.monotonic() - sentAt >= DELAY_SECONDS * 1_000;
      if (waited) {
        sentAt = clock.monotonic();
        attemptsLeft = ATTEMPTS;
      }
      return {
        channel: 'sms',
        delay: DELAY_SECONDS,
        isRepeatAvailable: true,
        isInputAvailable: attemptsLeft > 0,
        isSent: waited,
        texts: {
          sent: waited ? 'The code has been sent to your phone' : null,
          error: waited ? null : `Wait ${DELAY_SECONDS} s before you ask again`,
          repeat: 'Resending',
          footer: FOOTER,
          link: null,
        },
      };
    },
    check(code) {
      if (attemptsLeft === 0) return false;
      attemptsLeft -= 1;
      if (code !== PHONE_CODE) return false;
      attemptsLeft = 0;
      return true;
    },
    get attemptsLeft() {
      return attemptsLeft;
    },
  };
}
