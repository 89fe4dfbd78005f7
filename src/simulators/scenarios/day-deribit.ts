import type { Scenario } from '../simulator.js';

/**
 * Deribit's part of the demo's day: one incident after the other, each with time to recover. The first comes after 6 s.
 * Times fit a relay that asks for a heartbeat every 10 s: the silence begins after a `test_request` that follows the
 * drop, and lasts longer than the relay's patience (1.5 intervals + 2 s) and not as long as to end the socket.
 */
export const deribitDay: Scenario = {
  name: 'day',
  summary: 'An index lock, a drop, a missed heartbeat, maintenance, dead tokens, an account lock and an eviction.',
  steps: [
    { atMs: 6_000, fault: 'lock_index', params: { index: 'btc_usd', reasons: ['price_deviation'] } },
    { atMs: 16_000, fault: 'unlock_index', params: { index: 'btc_usd' } },
    { atMs: 25_000, fault: 'drop' },
    { atMs: 50_000, fault: 'silence', params: { forMs: 20_000 } },
    { atMs: 80_000, fault: 'access_log', params: { log: 'new_api_key', ip: '203.0.113.20', data: 'SIMULATOR-2' } },
    { atMs: 90_000, fault: 'lock_account', params: { currency: 'BTC' } },
    { atMs: 105_000, fault: 'unlock_account', params: { currency: 'BTC' } },
    { atMs: 115_000, fault: 'maintenance', params: { afterMs: 5_000, forMs: 10_000 } },
    { atMs: 170_000, fault: 'token_expiry' },
    // The relay finds the dead tokens when it next reads its protection back, within a minute.
    { atMs: 240_000, fault: 'access_log', params: { log: 'failure', ip: '203.0.113.66' } },
    { atMs: 250_000, fault: 'eviction' },
    { atMs: 275_000, fault: 'access_log', params: { log: 'success' } },
  ],
  repeatMs: 290_000,
};
