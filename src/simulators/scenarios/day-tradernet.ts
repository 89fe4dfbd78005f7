import type { Scenario } from '../simulator.js';

/**
 * Tradernet's part of the demo's day: one incident after the other, each with time to recover. The first comes after 8 s.
 *
 * A relay repeats a lost login by itself three times in 15 minutes and no more: two are lost in a round, so far apart
 * and so long before the next ones that this is never used up.
 */
export const tradernetDay: Scenario = {
  name: 'day',
  summary:
    'Sessions open, are extended, run out and close; a drop, a dead SID, a row that is missing, 429, maintenance, HTTP without an answer, a demo socket.',
  steps: [
    { atMs: 8_000, fault: 'open_session', params: { safetyTypeId: 3, lifeSeconds: 1_800 } },
    { atMs: 22_000, fault: 'extend_session', params: { bySeconds: 1_800 } },
    // Its end is announced 60 s ahead, and the venue itself does not say when it comes.
    { atMs: 35_000, fault: 'open_session', params: { safetyTypeId: 17, lifeSeconds: 80 } },
    { atMs: 65_000, fault: 'drop' },
    // The relay finds the dead SID when it next reads the list over HTTP, and may wait a minute before it logs in anew.
    { atMs: 90_000, fault: 'token_expiry' },
    { atMs: 185_000, fault: 'missing_row', params: { forMs: 8_000 } },
    { atMs: 215_000, fault: 'too_many_requests', params: { forMs: 15_000 } },
    { atMs: 260_000, fault: 'maintenance', params: { forMs: 20_000 } },
    { atMs: 330_000, fault: 'unknown_value', params: { what: 'event' } },
    { atMs: 350_000, fault: 'close_session' },
    { atMs: 375_000, fault: 'http_down', params: { forMs: 35_000 } },
    { atMs: 440_000, fault: 'demo_user_data' },
    { atMs: 550_000, fault: 'refuse_upgrade', params: { count: 1, retryAfterSeconds: 5 } },
    { atMs: 551_000, fault: 'drop' },
  ],
  repeatMs: 720_000,
};
