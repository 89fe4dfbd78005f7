import type { Scenario } from '../simulator.js';

/**
 * SnapTrade's part of the demo's day: one incident after the other, each with time to recover. The first comes after
 * 10 s. Times fit a relay that polls every 5 s and takes webhooks: what one tells first, the other tells again.
 */
export const snaptradeDay: Scenario = {
  name: 'day',
  summary:
    'Connections break and are fixed, told by webhook, by poll, and by both; portals, brokers in trouble, lists that lack a row, 429, no answers, webhooks twice, late and forged.',
  steps: [
    // By webhook: the poll that follows tells the same.
    { atMs: 10_000, fault: 'break_connection', params: { user: 'customer-1' } },
    { atMs: 14_000, fault: 'session_event', params: { user: 'customer-1' } },
    { atMs: 17_000, fault: 'session_event', params: { user: 'customer-1', type: 'BROKERAGE_RECONNECT_INITIATED' } },
    { atMs: 22_000, fault: 'session_event', params: { user: 'customer-1', type: 'BROKERAGE_AUTHENTICATION' } },
    { atMs: 27_000, fault: 'session_event', params: { user: 'customer-1', type: 'CONNECTION_SUCCESSFUL' } },
    { atMs: 28_000, fault: 'fix_connection' },
    // By poll alone.
    { atMs: 45_000, fault: 'disable_connection', params: { user: 'customer-2' } },
    { atMs: 65_000, fault: 'fix_connection', params: { webhook: false } },
    // By poll first, and by a webhook that is late.
    { atMs: 85_000, fault: 'break_connection', params: { user: 'customer-1', webhookAfterMs: 12_000 } },
    { atMs: 110_000, fault: 'fix_connection', params: { webhookAfterMs: 12_000 } },
    { atMs: 130_000, fault: 'duplicate_webhook' },
    { atMs: 145_000, fault: 'brokerage_degraded', params: { forMs: 20_000 } },
    { atMs: 180_000, fault: 'brokerage_maintenance', params: { forMs: 20_000 } },
    { atMs: 215_000, fault: 'partial_list', params: { as: 'missing_row', forMs: 8_000 } },
    { atMs: 240_000, fault: 'partial_list', params: { as: 'error_body', forMs: 8_000 } },
    { atMs: 265_000, fault: 'too_many_requests', params: { forMs: 15_000 } },
    { atMs: 300_000, fault: 'add_connection', params: { user: 'customer-2', brokerage: 'SANDBOX' } },
    { atMs: 330_000, fault: 'delete_connection', params: { user: 'customer-2' } },
    // Signed rightly and over age: a reason to look, and no news.
    { atMs: 350_000, fault: 'late_webhook' },
    { atMs: 351_000, fault: 'webhook', params: { user: 'customer-1', type: 'CONNECTION_BROKEN' } },
    { atMs: 365_000, fault: 'bad_webhook' },
    { atMs: 366_000, fault: 'webhook', params: { user: 'customer-1', type: 'CONNECTION_BROKEN' } },
    { atMs: 380_000, fault: 'unknown_value', params: { what: 'webhook' } },
    { atMs: 395_000, fault: 'http_down', params: { forMs: 25_000 } },
    { atMs: 440_000, fault: 'silence', params: { forMs: 15_000 } },
  ],
  repeatMs: 500_000,
};
