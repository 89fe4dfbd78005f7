import { afterEach, describe, expect, test } from 'vitest';
import type { Json } from '../../src/model/json.js';
import { startDeribitSimulator } from '../../src/simulators/deribit.js';
import { type DeribitOptions, deribit } from '../../src/venues/deribit/index.js';
import { type FaultRow, play } from '../support/fault-row.js';
import { createStage, type Stage } from '../support/stage.js';

/** What each fault of the venue becomes as events, in order: the feed, the hub and the simulator on one virtual clock. */
let stage: Stage | undefined;
afterEach(async () => {
  await stage?.close();
  stage = undefined;
});

/** A named session whose orders are protected, in the role `trading`. */
async function start(options: Partial<DeribitOptions> = {}): Promise<Stage> {
  stage = await createStage({
    simulate: startDeribitSimulator,
    venue: (source, ports) => deribit({ ...source, ...options } as DeribitOptions, ports),
  });
  return stage;
}

const LIVE = [
  'relay session.opening',
  '- link.up ws',
  'relay heartbeat.armed 10000',
  'relay session.opened api',
  '- venue.normal',
  '- account.unlocked all',
  'relay protection.armed connection',
  'relay protection.disarmed account',
  'relay safety.changed safe',
];
/** A protected connection that ended without a logout: what it had in the book is being cancelled. */
const ended = (by: string): readonly string[] => [
  `- link.down ws ${by}`,
  'relay session.stale link_down',
  'relay safety.changed at_risk link_down',
  'relay protection.triggered connection',
  'relay safety.changed at_risk link_down protection_pending',
];
const CONFIRMED = [
  '- venue.normal',
  '- account.unlocked all',
  'relay protection.armed connection',
  'relay protection.disarmed account',
];
/** The same `sid`, and this generation's protection was read: only then restored. */
const RESTORED = [
  '- link.up ws',
  'relay safety.changed unknown unconfirmed link_down protection_pending',
  'relay heartbeat.armed 10000',
  ...CONFIRMED,
  'relay session.restored',
  'relay session.renewed reauthenticate',
  'relay safety.changed at_risk protection_pending',
  'relay safety.changed safe',
];
const READ_BACK = ['relay protection.armed connection', 'relay protection.disarmed account'];
const DEAD = [
  'relay heartbeat.missed',
  'relay safety.changed at_risk heartbeat_missed',
  '- link.down ws 1006 relay',
  'relay session.stale link_down',
  'relay safety.changed at_risk link_down heartbeat_missed',
  'relay protection.triggered connection',
  'relay safety.changed at_risk link_down heartbeat_missed protection_pending',
  '- link.retrying ws #1',
  '- link.up ws',
  'relay safety.changed unknown unconfirmed link_down heartbeat_missed protection_pending',
  'relay heartbeat.armed 10000',
  'relay safety.changed unknown unconfirmed link_down protection_pending',
  ...CONFIRMED,
  'relay session.restored',
  'relay session.renewed reauthenticate',
  'relay safety.changed at_risk protection_pending',
  'relay safety.changed safe',
];

const rows: readonly FaultRow[] = [
  {
    fault: 'silence',
    params: { forMs: 60_000 },
    says: 'asked after 17 s, ended 10 s later and not before, and restored',
    ms: 50_000,
    events: DEAD,
  },
  { fault: 'half_open', says: 'the same as silence', ms: 50_000, events: DEAD },
  {
    fault: 'silence',
    params: { forMs: 12_000 },
    says: 'a short one costs nothing but a warning',
    ms: 45_000,
    events: [
      'relay heartbeat.missed',
      'relay safety.changed at_risk heartbeat_missed',
      'relay heartbeat.resumed',
      'relay safety.changed safe',
    ],
  },
  {
    fault: 'drop',
    says: 'protection triggers, and the named session is restored',
    ms: 45_000,
    events: [...ended('1006 network'), '- link.retrying ws #1', ...RESTORED],
  },
  {
    fault: 'close',
    params: { code: 4000, reason: 'heartbeat close' },
    says: 'by the venue',
    ms: 45_000,
    events: [...ended('4000 venue'), '- link.retrying ws #1', ...RESTORED],
  },
  {
    fault: 'slow',
    params: { delayMs: 3_000, forMs: 40_000 },
    says: 'late frames are no silence',
    ms: 45_000,
    events: [],
  },
  { fault: 'garbage', says: 'told once, the stream goes on', ms: 10_000, events: ['- source.fault bad_frame'] },
  {
    fault: 'oversized',
    says: 'the frame is told, the socket replaced',
    ms: 45_000,
    events: ['- source.fault bad_frame', ...ended('1009 relay'), '- link.retrying ws #1', ...RESTORED],
  },
  {
    fault: 'unknown_value',
    says: 'told, and passed over',
    ms: 10_000,
    events: ['- source.fault unknown_value', '- source.fault unknown_value', '- source.fault unknown_frame'],
  },
  {
    fault: 'token_expiry',
    says: 'found when protection is read back; a full login, and the session lives on',
    ms: 60_000,
    events: ['relay session.renewed reauthenticate', ...READ_BACK],
  },
  {
    fault: 'eviction',
    says: 'another sid is another session',
    ms: 45_000,
    events: [
      ...ended('1006 network'),
      '- link.retrying ws #1',
      '- link.up ws',
      'relay safety.changed unknown unconfirmed link_down protection_pending',
      'relay heartbeat.armed 10000',
      'relay session.lost link_down',
      'relay safety.changed unsafe lost unconfirmed protection_pending',
      'relay session.opened api',
      ...CONFIRMED,
      'relay safety.changed at_risk protection_pending',
      'relay safety.changed safe',
    ],
  },
  {
    fault: 'too_many_requests',
    params: { forMs: 10_000 },
    says: '10028 ends the session: nothing is sent until the credits are back',
    ms: 55_000,
    events: [
      '- source.throttled',
      'relay safety.changed at_risk throttled',
      '- link.down ws 1006 venue',
      'relay session.stale link_down',
      'relay safety.changed at_risk link_down throttled',
      'relay protection.triggered connection',
      'relay safety.changed at_risk link_down throttled protection_pending',
      '- link.retrying ws #1',
      '- source.unthrottled',
      'relay safety.changed at_risk link_down protection_pending',
      ...RESTORED,
    ],
  },
  {
    fault: 'lock_index',
    params: { index: 'btc_usd' },
    says: 'one index is a part, not the venue',
    ms: 5_000,
    events: ['- venue.degraded btc_usd', 'relay safety.changed safe'],
  },
  {
    fault: 'lock_account',
    params: { currency: 'BTC' },
    says: 'one currency is a part of the account',
    ms: 5_000,
    events: ['- account.locked BTC', 'relay safety.changed safe'],
  },
  {
    fault: 'lock_account',
    says: 'the whole account may not trade',
    ms: 5_000,
    events: ['- account.locked all', 'relay safety.changed unsafe account_locked'],
  },
  {
    fault: 'access_log',
    params: { log: 'new_api_key' },
    says: "the venue's own security log",
    ms: 5_000,
    events: ['relay access.logged new_api_key'],
  },
  { fault: 'duplicate_frame', says: 'nothing is told twice', ms: 10_000, events: [] },
  { fault: 'reordered_reply', says: 'replies find their requests', ms: 60_000, events: READ_BACK },
  {
    fault: 'bad_protection',
    params: { forMs: 100_000 },
    says: 'what cannot be read is unknown, never as before',
    ms: 150_000,
    events: [
      'relay protection.unknown connection',
      'relay safety.changed at_risk protection_unknown',
      'relay protection.unknown account',
      ...READ_BACK,
      'relay safety.changed safe',
    ],
  },
  {
    fault: 'clock_skew',
    params: { ms: 8_000 },
    says: 'clocks that differ are told',
    ms: 40_000,
    events: ['relay safety.changed at_risk clock_skew'],
  },
  {
    fault: 'cod_drift',
    says: 'what another connection changed is read back within a minute',
    ms: 60_000,
    events: ['relay protection.armed connection', 'relay protection.armed account'],
  },
];

describe('a fault of Deribit', () => {
  test.each(rows)('$fault: $says', async (row) => {
    await play(await start(), row, { events: LIVE, afterMs: 10_000 });
  });

  test('bad_credentials that have worked: a person is asked for, then one late try', async () => {
    const { take, advance, fault } = await start();
    await advance(10_000);
    take();
    await fault('bad_credentials', { forMs: 60_000 });
    await fault('drop');
    await advance(5_000);
    expect(take()).toEqual([
      ...ended('1006 network'),
      '- link.retrying ws #1',
      '- link.up ws',
      'relay safety.changed unknown unconfirmed link_down protection_pending',
      'relay heartbeat.armed 10000',
      'relay session.attention check_credentials',
      'relay safety.changed unsafe attention unconfirmed protection_pending',
      '- venue.normal',
    ]);
    await advance(310_000);
    expect(take()).toEqual([
      'relay safety.changed unsafe attention unconfirmed',
      'relay safety.changed unsafe attention unconfirmed protection_unknown',
      '- account.unlocked all',
      'relay protection.armed connection',
      'relay safety.changed unsafe attention',
      'relay protection.disarmed account',
      'relay session.restored',
      'relay session.renewed reauthenticate',
      'relay safety.changed safe',
      ...READ_BACK,
    ]);
  });

  test('bad_credentials that never worked: a person is asked for, and nothing is tried again', async () => {
    const { take, advance, simulator } = await start({ credentials: { clientId: 'NOBODY', clientSecret: 'WRONG' } });
    await advance(10_000);
    expect(take().filter((line) => line.includes('session.'))).toEqual([
      'relay session.opening',
      'relay session.attention check_credentials',
      'relay session.stale link_down',
    ]);
    const before = authentications(simulator.state());
    await advance(7_200_000);
    expect(authentications(simulator.state())).toBe(before);
  });

  test('refuse_upgrade with 429: the venue says how long, and nothing is tried before', async () => {
    const { take, advance, fault } = await start();
    await advance(10_000);
    take();
    await fault('refuse_upgrade', { retryAfterSeconds: 25, count: 1 });
    await fault('drop');
    await advance(22_000);
    expect(take()).toEqual([
      ...ended('1006 network'),
      '- link.retrying ws #1',
      '- link.down ws 0 venue',
      '- source.throttled',
      '- link.retrying ws #2',
      'relay safety.changed at_risk link_down throttled protection_pending',
    ]);
    await advance(20_000);
    expect(take()).toEqual([
      'relay safety.changed at_risk link_down throttled',
      '- source.unthrottled',
      'relay safety.changed at_risk link_down',
      '- link.up ws',
      'relay safety.changed unknown unconfirmed link_down',
      'relay heartbeat.armed 10000',
      ...CONFIRMED,
      'relay session.restored',
      'relay session.renewed reauthenticate',
      'relay safety.changed safe',
    ]);
  });

  test('maintenance: announced, begun, and over only once the venue answers again', async () => {
    const { take, advance, fault } = await start();
    await advance(10_000);
    take();
    await fault('maintenance', { afterMs: 5_000, forMs: 20_000 });
    await advance(85_000);
    expect(take()).toEqual([
      '- venue.maintenance announced',
      'relay safety.changed at_risk venue_maintenance',
      '- venue.maintenance begun',
      'relay safety.changed unsafe venue_maintenance',
      '- link.down ws 1006 venue',
      'relay session.stale link_down',
      'relay safety.changed unsafe venue_maintenance link_down',
      'relay protection.triggered connection',
      'relay safety.changed unsafe venue_maintenance link_down protection_pending',
      ...[1, 2, 3, 4, 5].flatMap((attempt) => [`- link.retrying ws #${attempt}`, '- link.down ws 0 venue']),
      '- link.retrying ws #6',
      'relay safety.changed unsafe venue_maintenance link_down',
      'relay safety.changed unsafe link_down venue_maintenance',
      '- link.up ws',
      'relay safety.changed unsafe link_down venue_maintenance unconfirmed',
      'relay heartbeat.armed 10000',
      '- venue.normal',
      '- account.unlocked all',
      'relay safety.changed unsafe link_down unconfirmed',
      'relay protection.armed connection',
      'relay protection.disarmed account',
      'relay session.restored',
      'relay session.renewed reauthenticate',
      'relay safety.changed safe',
    ]);
  });

  test('missing_channel: a channel that was silently left out is told after the connect that lacks it', async () => {
    const { take, advance, fault } = await start();
    await advance(10_000);
    take();
    await fault('missing_channel', { channel: 'user.lock' });
    await fault('drop');
    await advance(45_000);
    const [up, unknown, armed, ...confirmed] = RESTORED;
    expect(take()).toEqual([
      ...ended('1006 network'),
      '- link.retrying ws #1',
      ...[up, unknown, armed],
      '- source.fault channel_refused',
      ...confirmed,
    ]);
  });

  test('in connection scope a drop ends the session: lost, then opened', async () => {
    const { take, advance, fault } = await start({ scope: 'connection' });
    await advance(10_000);
    take();
    await fault('drop');
    await advance(20_000);
    expect(take().filter((line) => line.includes('session.'))).toEqual([
      'connection session.stale link_down',
      'connection session.lost link_down',
      'connection session.opened api',
    ]);
  });

  test('without credentials: the public session alone, restored after a drop', async () => {
    const { take, advance, fault } = await start({
      credentials: undefined,
      scope: undefined,
      cancelOnDisconnect: 'leave',
    } as Partial<DeribitOptions>);
    await advance(10_000);
    expect(take().filter((line) => /session\.|protection|account/.test(line))).toEqual([
      'public session.opening',
      'public session.opened public',
    ]);
    await fault('drop');
    await advance(20_000);
    const told = take();
    expect(told.filter((line) => line.includes('protection'))).toEqual([]);
    expect(told.at(-1)).toBe('public safety.changed safe');
  });

  test('stop({orders: leave}) logs out first, so that no order is cancelled; cancel closes, so that they are', async () => {
    for (const orders of ['leave', 'cancel'] as const) {
      const { venue, advance, live, simulator, close } = await start();
      await advance(10_000);
      await venue.call?.('private/buy', {
        instrument_name: 'BTC-PERPETUAL',
        amount: 10,
        type: 'limit',
        price: 10_000,
      });
      const stopping = live.stop({ orders });
      await advance(2_000);
      await stopping;
      const { ended: ends } = simulator.state() as { readonly ended: readonly { readonly cause: string }[] };
      const [last] = ends.slice(-1);
      expect(last).toMatchObject(
        orders === 'leave' ? { cause: 'logout', cancelledOrders: [] } : { cause: 'client_close' },
      );
      if (orders === 'cancel') expect(last).toMatchObject({ cancelledOrders: [expect.any(String)] });
      await close();
    }
  });

  test('no fault makes a credential leave the feed', async () => {
    const { logged, events, advance, fault, simulator } = await start();
    await advance(10_000);
    for (const { fault: name, params } of rows) {
      await fault(name, params);
      await advance(60_000);
    }
    const { clientSecret } = simulator.source.credentials as { readonly clientSecret: string };
    const said = `${JSON.stringify(events)}\n${logged.join('\n')}`;
    expect(said).not.toContain(clientSecret);
    expect(said).not.toMatch(/access_token|refresh_token/);
  });
});

function authentications(state: Json): number {
  const { requests } = state as { readonly requests: { readonly methods: { readonly [name: string]: number } } };
  return requests.methods['public/auth'] ?? 0;
}
