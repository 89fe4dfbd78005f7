import { afterEach, describe, expect, test } from 'vitest';
import { startTradernetSimulator } from '../../src/simulators/tradernet.js';
import { type TradernetOptions, tradernet } from '../../src/venues/tradernet/index.js';
import { type FaultRow, play } from '../support/fault-row.js';
import { createStage, type Stage } from '../support/stage.js';

/** What each fault of the venue becomes as events, in order: the feed, the hub and the simulator on one virtual clock. */
let stage: Stage | undefined;
afterEach(async () => {
  await stage?.close();
  stage = undefined;
});

/** A source that is live, with what it said until then. The venue's row ids become `first`, `second`, `another`. */
async function start(options: Partial<TradernetOptions> = {}): Promise<Stage & { lines(): readonly string[] }> {
  const made = await createStage({
    simulate: startTradernetSimulator,
    venue: (source, ports) => tradernet({ ...source, pollSeconds: 60, ...options } as TradernetOptions, ports),
  });
  stage = made;
  const names = new Map<string, string>();
  return {
    ...made,
    lines: () =>
      made.take().map((line) =>
        line.replace(/^\d+/, (id) => {
          const name = names.get(id) ?? ['first', 'second', 'another'][names.size] ?? id;
          names.set(id, name);
          return name;
        }),
      ),
  };
}

const LIVE = [
  'login session.opening',
  '- link.up http',
  '- link.up ws',
  'login session.opened login',
  'first session.opened security',
  'second session.opened security',
  'login safety.changed safe',
  'first safety.changed safe',
  'second safety.changed safe',
];
const RECONNECTED = ['- link.retrying ws #1', '- link.up ws'];
/** The login is lost; what lives in it cannot be seen, and that is said before anything else of it. */
const lost = (reason: string): readonly string[] => [
  `login session.lost ${reason}`,
  'login safety.changed unsafe lost',
  'first session.stale parent',
  'first safety.changed safe',
  'second session.stale parent',
  'second safety.changed safe',
];
const LOGGED_IN_AGAIN = [
  '- link.down ws 1000 relay',
  '- link.up ws',
  'login session.opened login',
  'first safety.changed unknown unconfirmed',
  'second safety.changed unknown unconfirmed',
  'first session.restored',
  'second session.restored',
  'login safety.changed safe',
  'first safety.changed safe',
  'second safety.changed safe',
];
const SILENT = [
  'login heartbeat.missed',
  'login safety.changed at_risk heartbeat_missed',
  '- link.down ws 1006 relay',
  ...RECONNECTED,
  'login heartbeat.resumed',
  'login safety.changed safe',
];

const rows: readonly FaultRow[] = [
  { fault: 'silence', says: 'asked, then ended and connected again', ms: 120_000, events: SILENT },
  { fault: 'half_open', says: 'the same as silence', ms: 120_000, events: SILENT },
  {
    fault: 'drop',
    says: 'a link is not a session: nothing else ends',
    ms: 20_000,
    events: ['- link.down ws 1006 network', ...RECONNECTED],
  },
  {
    fault: 'close',
    params: { code: 1001, reason: 'going away' },
    says: 'by the venue',
    ms: 20_000,
    events: ['- link.down ws 1001 venue', ...RECONNECTED],
  },
  {
    fault: 'slow',
    params: { delayMs: 3_000, forMs: 60_000 },
    says: 'late frames are no silence',
    ms: 90_000,
    events: [],
  },
  { fault: 'garbage', says: 'told once, the stream goes on', ms: 10_000, events: ['- source.fault bad_frame'] },
  {
    fault: 'oversized',
    says: 'the socket ends, and why is told',
    ms: 20_000,
    events: ['- link.down ws 1009 network', '- source.fault bad_frame', ...RECONNECTED],
  },
  {
    fault: 'unknown_value',
    says: 'an unknown kind of session is a session all the same',
    ms: 10_000,
    events: [
      '- source.fault unknown_frame',
      '- source.fault unknown_value',
      'another session.opened security',
      'another safety.changed safe',
    ],
  },
  {
    fault: 'token_expiry',
    says: 'the poll finds the dead SID, and the relay logs in anew',
    ms: 90_000,
    events: [...lost('sid_refused'), ...LOGGED_IN_AGAIN],
  },
  {
    fault: 'eviction',
    says: 'the socket turns demo: the login is lost and had anew',
    ms: 60_000,
    events: [...lost('demo'), ...LOGGED_IN_AGAIN],
  },
  {
    fault: 'demo_user_data',
    says: 'demo is a lost login, never a live one',
    ms: 60_000,
    events: [...lost('demo'), ...LOGGED_IN_AGAIN],
  },
  {
    fault: 'too_many_requests',
    params: { forMs: 60_000 },
    says: 'nothing is sent until the venue says so',
    ms: 150_000,
    events: [
      '- source.throttled',
      'login safety.changed at_risk throttled',
      'first safety.changed safe',
      'second safety.changed safe',
      '- source.unthrottled',
      'first safety.changed safe',
      'second safety.changed safe',
      'login safety.changed safe',
    ],
  },
  {
    fault: 'missing_row',
    says: 'a session that is listed again is a new fact',
    ms: 120_000,
    events: [
      'second session.closed by:venue',
      'second safety.changed unknown closed',
      'second session.opened security',
      'second safety.changed safe',
    ],
  },
  { fault: 'duplicate_frame', says: 'nothing is told twice', ms: 10_000, events: [] },
  { fault: 'reordered_reply', says: 'an older list changes nothing', ms: 10_000, events: [] },
  {
    fault: 'http_down',
    params: { forMs: 60_000 },
    says: 'the socket still shows everything',
    ms: 120_000,
    events: ['- link.down http 1006 network', '- link.up http'],
  },
];

describe('a fault of Tradernet', () => {
  test.each(rows)('$fault: $says', async (row) => {
    await play(await start(), row, { events: LIVE, afterMs: 10_000 });
  });

  test('bad_credentials that have worked: a person is asked for, then one late try', async () => {
    const { lines, advance, fault } = await start();
    await advance(10_000);
    lines();
    await fault('bad_credentials', { forMs: 60_000 });
    await fault('token_expiry');
    await advance(70_000);
    expect(lines()).toEqual([
      ...lost('sid_refused'),
      'login session.attention check_credentials',
      'login safety.changed unsafe attention',
      '- link.down ws 1000 relay',
    ]);
    await advance(300_000);
    expect(lines()).toEqual([
      'first safety.changed unknown stale',
      'second safety.changed unknown stale',
      '- link.up ws',
      'login session.opened login',
      'first safety.changed unknown unconfirmed stale',
      'second safety.changed unknown unconfirmed stale',
      'first session.restored',
      'second session.restored',
      'login safety.changed safe',
      'first safety.changed safe',
      'second safety.changed safe',
    ]);
  });

  test('refuse_upgrade with 429: the venue says how long, and nothing is tried before', async () => {
    const { lines, advance, fault } = await start();
    await advance(10_000);
    lines();
    await fault('refuse_upgrade', { status: 429, retryAfterSeconds: 30, count: 1 });
    await fault('drop');
    await advance(25_000);
    expect(lines()).toEqual([
      '- link.down ws 1006 network',
      '- link.retrying ws #1',
      '- link.down ws 0 venue',
      '- source.throttled',
      '- link.retrying ws #2',
      'login safety.changed at_risk throttled',
      'first safety.changed safe',
      'second safety.changed safe',
    ]);
    await advance(20_000);
    expect(lines()).toEqual([
      '- source.unthrottled',
      'first safety.changed safe',
      'second safety.changed safe',
      '- link.up ws',
      'login safety.changed safe',
    ]);
  });

  test('maintenance: both carriers go, everything is stale until it was proved again', async () => {
    const { lines, advance, fault } = await start();
    await advance(10_000);
    lines();
    await fault('maintenance', { forMs: 60_000 });
    await advance(180_000);
    const tried = (...attempts: readonly number[]) =>
      attempts.flatMap((attempt) => [`- link.retrying ws #${attempt}`, '- link.down ws 0 venue']);
    expect(lines()).toEqual([
      '- link.down ws 1006 network',
      ...tried(1, 2, 3, 4),
      '- link.retrying ws #5',
      '- link.down http 1006 venue',
      'login session.stale link_down',
      'login safety.changed at_risk link_down',
      'first session.stale link_down',
      'first safety.changed safe',
      'second session.stale link_down',
      'second safety.changed safe',
      '- link.down ws 0 venue',
      ...tried(6, 7),
      '- link.retrying ws #8',
      '- link.up http',
      'login safety.changed unknown unconfirmed link_down',
      'first safety.changed unknown unconfirmed',
      'second safety.changed unknown unconfirmed',
      'login session.restored',
      'first session.restored',
      'second session.restored',
      'login safety.changed safe',
      'first safety.changed safe',
      'second safety.changed safe',
      '- link.up ws',
    ]);
  });

  test('a session ends by time: told beforehand, and on the second', async () => {
    const { lines, advance, fault } = await start();
    await advance(10_000);
    lines();
    await fault('open_session', { safetyTypeId: 14, lifeSeconds: 120 });
    await advance(130_000);
    const told = lines();
    expect(told.filter((line) => line.startsWith('another'))).toEqual([
      'another session.opened security',
      'another safety.changed safe',
      'another session.expiring',
      'another safety.changed at_risk expiring',
      'another session.expired',
      'another safety.changed unsafe expired',
    ]);
  });

  test.each(['socketio2', 'socketio4'] as const)('over %s the same faults are the same events', async (transport) => {
    const { lines, advance, arrived, fault } = await start({ transport });
    await arrived('session.opened security');
    await advance(10_000);
    expect(lines()).toEqual(LIVE);
    await fault('drop');
    await arrived('link.retrying');
    await advance(2_000);
    await arrived('link.up');
    expect(lines()).toEqual(['- link.down ws 1006 network', ...RECONNECTED]);
    await advance(10_000);
    await fault('close_session');
    await arrived('session.closed');
    expect(lines()).toEqual(['second session.closed by:venue', 'second safety.changed unknown closed']);
  });

  test('no fault makes a credential leave the feed', async () => {
    const { logged, events, advance, fault, simulator } = await start();
    await advance(10_000);
    for (const { fault: name, params } of rows) {
      await fault(name, params);
      await advance(60_000);
    }
    const { password } = simulator.source.credentials as { readonly password: string };
    const said = `${JSON.stringify(events)}\n${logged.join('\n')}`;
    expect(said).not.toContain(password);
    expect(said).not.toMatch(/SID=/);
  });
});
