import type { Scenario } from '../simulator.js';

/**
 * IBKR's part of the demo's day: one incident after the other, each with time to recover. The first comes after 12 s.
 * Times fit a relay that tickles every 10 s, never competes, and waits up to a minute between inits.
 */
export const ibkrDay: Scenario = {
  name: 'day',
  summary:
    'A contested session, bridge drift, a failed tickle, a socket that is down alone, a bulletin, the nightly reset, maintenance, and a login that is lost.',
  steps: [
    { atMs: 12_000, fault: 'competing', params: { forMs: 25_000 } },
    // Seen by auth/status alone, within a tickle.
    { atMs: 110_000, fault: 'bridge_drift', params: { forMs: 20_000 } },
    { atMs: 190_000, fault: 'tickle_failure', params: { count: 1 } },
    { atMs: 220_000, fault: 'ws_only_down', params: { forMs: 20_000 } },
    { atMs: 270_000, fault: 'notice', params: { topic: 'blt' } },
    { atMs: 285_000, fault: 'established_lag', params: { ms: 15_000 } },
    { atMs: 290_000, fault: 'nightly_reset', params: { forMs: 30_000 } },
    { atMs: 450_000, fault: 'established_lag' },
    { atMs: 460_000, fault: 'maintenance', params: { forMs: 30_000 } },
    { atMs: 650_000, fault: 'session_expiry', params: { as: 'redirect', forMs: 45_000 } },
  ],
  repeatMs: 900_000,
};
