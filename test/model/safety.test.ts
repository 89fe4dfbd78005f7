import { describe, expect, test } from 'vitest';
import type { Role, SafetyLevel, VenueName } from '../../src/model/event.js';
import { defaultSafetyPolicy, PROTECTION_READ_MS, type SafetyPolicy } from '../../src/model/safety.js';
import { confirmDeribit, healthyStage, LINK_DOWN, type SafetyStage, safetyStage } from '../support/safety-stage.js';

/** The table of PROTOCOL.md §3, row by row and column by column. `–` is safe with the reason in the notes. */
type Cell = SafetyLevel | '–';

const ROLES: readonly Role[] = ['trading', 'watch'];

interface Row {
  readonly reason: string;
  readonly when: string;
  readonly trading: Cell;
  readonly watch: Cell;
  readonly venue?: VenueName;
  readonly policy?: Partial<SafetyPolicy>;
  readonly happens: (stage: SafetyStage) => void;
}

function verdictIs(stage: SafetyStage, reason: string, cell: Cell): void {
  const { level, reasons, notes } = stage.verdict();
  const expected = cell === '–' ? 'safe' : cell;
  expect({ level, reasons, notes }).toEqual({
    level: expected,
    reasons: cell === '–' ? [] : [reason],
    notes: cell === '–' ? [reason] : [],
  });
}

function rows(title: string, table: readonly Row[]): void {
  describe(title, () => {
    for (const { reason, when, venue = 'deribit', policy = {}, happens, ...cells } of table) {
      for (const role of ROLES) {
        test(`${venue}, ${role}: ${reason}, ${when}: ${cells[role]}`, () => {
          const stage = healthyStage({ venue, role, policy });
          expect(stage.verdict()).toMatchObject({ level: 'safe', reasons: [], notes: [] });
          happens(stage);
          verdictIs(stage, reason, cells[role]);
        });
      }
    }
  });
}

const stale =
  (reason: 'link_down' | 'parent' | 'relay_restarted' | 'throttled', ms = 0) =>
  (stage: SafetyStage): void => {
    stage.say('session.stale', { reason });
    stage.wait(ms);
  };
const throttled =
  (ms: number) =>
  (stage: SafetyStage): void => {
    stage.saySource('source.throttled', { untilAt: '2026-11-23T13:00:00.000Z' });
    stage.wait(ms);
  };

describe('with everything confirmed', () => {
  test.each(['deribit', 'tradernet', 'ibkr', 'snaptrade'] as const)(
    'a session of %s is safe in either role',
    (venue) => {
      for (const role of ROLES) {
        expect(healthyStage({ venue, role }).verdict()).toMatchObject({ level: 'safe', reasons: [], notes: [] });
      }
    },
  );
});

describe('unconfirmed', () => {
  const INPUTS = {
    heartbeat: (stage: SafetyStage) => stage.say('heartbeat.armed', { intervalMs: 10_000 }),
    protection: (stage: SafetyStage) => stage.read('armed'),
    venue: (stage: SafetyStage) => stage.saySource('venue.normal', {}),
    account: (stage: SafetyStage) => stage.saySource('account.unlocked', { what: 'all' }),
    session: (stage: SafetyStage) => stage.say('session.opened', { kind: 'api', role: stage.role }),
  };
  const NEEDED = {
    trading: ['session', 'heartbeat', 'protection', 'venue', 'account'],
    watch: ['session', 'venue', 'account'],
  };

  for (const role of ROLES) {
    for (const missing of Object.keys(INPUTS) as (keyof typeof INPUTS)[]) {
      const needed = NEEDED[role].includes(missing);
      test(`deribit, ${role}: without ${missing} it is ${needed ? 'unknown' : 'safe'}`, () => {
        const stage = safetyStage({ role });
        stage.saySource('link.up', { carrier: 'ws', generation: 1, url: 'wss://venue.example' });
        stage.say('session.opening', {});
        for (const [name, confirm] of Object.entries(INPUTS)) if (name !== missing) confirm(stage);
        if (needed) verdictIs(stage, 'unconfirmed', 'unknown');
        else expect(stage.verdict().level).toBe('safe');
      });
    }

    test(`deribit, ${role}: a new connect leaves nothing confirmed until it is said again`, () => {
      const stage = healthyStage({ role });
      stage.saySource('link.down', LINK_DOWN);
      stage.say('session.stale', { reason: 'link_down' });
      stage.saySource('link.up', { carrier: 'ws', generation: 2, url: 'wss://venue.example' });
      expect(stage.verdict().level).toBe('unknown');
      stage.say('session.restored', {});
      verdictIs(stage, 'unconfirmed', 'unknown');
      confirmDeribit(stage);
      expect(stage.verdict()).toMatchObject({ level: 'safe', reasons: [] });
    });

    test(`deribit, ${role}: what the venue refuses to tell is a note, not a need, and stays one over a reconnect`, () => {
      const stage = safetyStage({ role });
      for (const generation of [1, 2]) {
        stage.saySource('link.up', { carrier: 'ws', generation, url: 'wss://venue.example' });
        stage.say('session.opened', { kind: 'api', role });
        stage.say('heartbeat.armed', { intervalMs: 10_000 });
        stage.read('armed');
        stage.saySource('venue.normal', {});
        if (generation === 1) {
          verdictIs(stage, 'unconfirmed', 'unknown');
          stage.saySource('source.fault', { what: 'channel_refused', sample: 'user.lock' });
        }
        verdictIs(stage, 'unconfirmed', '–');
      }
      stage.saySource('account.locked', { what: 'all' });
      verdictIs(stage, 'account_locked', 'unsafe');
    });

    test(`deribit, ${role}: another fault, or another channel refused, excuses nothing`, () => {
      const stage = safetyStage({ role });
      stage.say('session.opened', { kind: 'api', role });
      stage.say('heartbeat.armed', { intervalMs: 10_000 });
      stage.read('armed');
      stage.saySource('venue.normal', {});
      stage.saySource('source.fault', { what: 'bad_frame', sample: 'user.lock' });
      stage.saySource('source.fault', { what: 'channel_refused', sample: 'user.access_log' });
      verdictIs(stage, 'unconfirmed', 'unknown');
    });

    test.each(['tradernet', 'ibkr', 'snaptrade'] as const)(
      `%s, ${role}: a session that only opens is unknown`,
      (venue) => {
        const stage = safetyStage({ venue, role });
        stage.say('session.opening', {});
        verdictIs(stage, 'unconfirmed', 'unknown');
      },
    );
  }

  test('deribit without credentials needs the venue alone', () => {
    const stage = safetyStage({ role: 'watch' });
    stage.say('session.opened', { kind: 'public', role: 'watch' });
    verdictIs(stage, 'unconfirmed', 'unknown');
    stage.saySource('venue.normal', {});
    expect(stage.verdict()).toMatchObject({ level: 'safe', reasons: [], notes: [] });
  });

  test('the relay’s own clock confirms nothing: a coming end said of a session out of sight leaves it unknown', () => {
    const stage = healthyStage({ venue: 'tradernet' });
    stage.say('session.stale', { reason: 'link_down' });
    stage.say('session.expiring', { expiresAt: '2026-11-23T13:00:00.000Z', inMs: 60_000, renewable: true });
    expect(stage.verdict()).toMatchObject({ level: 'unknown', reasons: ['unconfirmed'] });
  });

  test('a restart of the observer forgets every confirmation: a state from before it is unknown', () => {
    const before = healthyStage();
    expect(before.verdict().level).toBe('safe');
    const after = safetyStage();
    after.say('session.updated', { changed: {} });
    expect(after.verdict().level).toBe('unknown');
  });
});

for (const [venue, graceMs] of [
  ['deribit', 30_000],
  ['tradernet', 150_000],
  ['ibkr', 180_000],
  ['snaptrade', 900_000],
] as const) {
  const sight = { venue, trading: 'at_risk', watch: '–' } as const;
  const beyond = { venue, trading: 'unsafe', watch: 'unknown' } as const;
  const keepRead = (happens: (stage: SafetyStage) => void) => (stage: SafetyStage) => {
    happens(stage);
    if (venue === 'deribit') stage.read('armed');
  };
  rows(`out of sight at ${venue}`, [
    { ...sight, reason: 'link_down', when: 'within the grace', happens: stale('link_down', graceMs - 1) },
    { ...beyond, reason: 'link_down', when: 'beyond the grace', happens: stale('link_down', graceMs) },
    { ...sight, reason: 'stale', when: 'the parent is gone, within the grace', happens: stale('parent', graceMs - 1) },
    { ...beyond, reason: 'stale', when: 'the parent is gone, beyond the grace', happens: stale('parent', graceMs) },
    { ...sight, reason: 'stale', when: 'the relay has restarted', happens: stale('relay_restarted') },
    { ...sight, reason: 'throttled', when: 'within the grace', happens: throttled(graceMs - 1) },
    { ...beyond, reason: 'throttled', when: 'beyond the grace', happens: keepRead(throttled(graceMs)) },
    { ...sight, reason: 'throttled', when: 'as the reason of staleness', happens: stale('throttled') },
  ]);
}

rows('out of sight with a grace of one’s own', [
  {
    reason: 'link_down',
    when: 'within it',
    policy: { graceMs: 5_000 },
    trading: 'at_risk',
    watch: '–',
    happens: stale('link_down', 4_999),
  },
  {
    reason: 'link_down',
    when: 'beyond it',
    policy: { graceMs: 5_000 },
    trading: 'unsafe',
    watch: 'unknown',
    happens: stale('link_down', 5_000),
  },
]);

const missed = (stage: SafetyStage): void =>
  stage.say('heartbeat.missed', { missed: 1, silentMs: 17_003, intervalMs: 10_000 });

rows('the heartbeat', [
  { reason: 'heartbeat_missed', when: 'once', trading: 'at_risk', watch: '–', happens: missed },
  {
    reason: 'heartbeat_missed',
    when: 'elsewhere',
    venue: 'tradernet',
    trading: 'at_risk',
    watch: '–',
    happens: missed,
  },
  {
    reason: 'heartbeat_off',
    when: 'protection preferred',
    trading: 'at_risk',
    watch: '–',
    happens: (stage) => stage.say('heartbeat.disarmed', {}),
  },
  {
    reason: 'heartbeat_off',
    when: 'protection required',
    policy: { protection: 'required' },
    trading: 'at_risk',
    watch: '–',
    happens: (stage) => stage.say('heartbeat.disarmed', {}),
  },
  {
    reason: 'heartbeat_off',
    when: 'protection ignored',
    policy: { protection: 'ignored' },
    trading: '–',
    watch: '–',
    happens: (stage) => stage.say('heartbeat.disarmed', {}),
  },
]);

describe('the heartbeat of another venue', () => {
  test('may be off: only Deribit’s matters', () => {
    const stage = healthyStage({ venue: 'tradernet' });
    stage.say('heartbeat.disarmed', {});
    expect(stage.verdict()).toMatchObject({ level: 'safe', notes: [] });
  });
});

for (const [protection, trading] of [
  ['required', 'unsafe'],
  ['preferred', 'at_risk'],
  ['ignored', '–'],
] as const) {
  const cells = { policy: { protection }, trading, watch: '–' } as const;
  rows(`protection ${protection}`, [
    { ...cells, reason: 'protection_off', when: 'read as off', happens: (stage) => stage.read('disarmed') },
    { ...cells, reason: 'protection_unknown', when: 'it could not be read', happens: (stage) => stage.read('unknown') },
    {
      ...cells,
      reason: 'protection_unknown',
      when: 'last read 120 s ago',
      happens: (stage) => stage.wait(PROTECTION_READ_MS),
    },
  ]);
}

describe('protection', () => {
  test('read less than 120 s ago still holds, and is looked at again when it does not', () => {
    const stage = healthyStage();
    stage.wait(119_999);
    expect(stage.verdict()).toEqual({ level: 'safe', reasons: [], notes: [], recheckInMs: 1 });
    stage.read('armed');
    stage.wait(119_999);
    expect(stage.verdict().level).toBe('safe');
  });

  test('that is off and was read long ago is both off and unknown', () => {
    const stage = healthyStage({ policy: { protection: 'required' } });
    stage.read('disarmed');
    stage.wait(PROTECTION_READ_MS);
    expect(stage.verdict()).toMatchObject({ level: 'unsafe', reasons: ['protection_off', 'protection_unknown'] });
  });

  test('of the account neither protects this connection nor endangers it', () => {
    const stage = healthyStage();
    stage.read('disarmed', 'account');
    expect(stage.verdict()).toMatchObject({ level: 'safe', notes: [] });
    stage.read('unknown', 'account');
    expect(stage.verdict()).toMatchObject({ level: 'safe', notes: ['protection_unknown'] });
    stage.read('armed', 'account');
    stage.read('disarmed');
    expect(stage.verdict()).toMatchObject({ level: 'at_risk', reasons: ['protection_off'] });
  });

  test('of the account alone confirms nothing', () => {
    const stage = safetyStage();
    stage.say('session.opened', { kind: 'api', role: 'trading' });
    stage.say('heartbeat.armed', { intervalMs: 10_000 });
    stage.saySource('venue.normal', {});
    stage.saySource('account.unlocked', { what: 'all' });
    stage.read('armed', 'account');
    expect(stage.verdict()).toMatchObject({ level: 'unknown', reasons: ['unconfirmed'] });
  });

  test.each(['tradernet', 'ibkr', 'snaptrade'] as const)('required of %s, which has none, is no reason', (venue) => {
    const stage = healthyStage({ venue, policy: { protection: 'required' } });
    stage.wait(PROTECTION_READ_MS * 2);
    expect(stage.verdict()).toMatchObject({ level: 'safe', reasons: [], notes: [] });
  });
});

const triggered = (stage: SafetyStage, scope: 'connection' | 'account' = 'connection'): void =>
  stage.say('protection.triggered', { mechanism: 'cancel_on_disconnect', scope, certain: false });

rows('protection pending', [
  { reason: 'protection_pending', when: 'just triggered', trading: 'at_risk', watch: '–', happens: triggered },
  {
    reason: 'protection_pending',
    when: 'under 2.5 intervals of 10 s',
    trading: 'at_risk',
    watch: '–',
    happens: (stage) => {
      triggered(stage);
      stage.wait(24_999);
    },
  },
]);

describe('protection pending', () => {
  test('is over after 2.5 heartbeat intervals, of the connection that ended', () => {
    const stage = healthyStage();
    triggered(stage);
    stage.saySource('link.up', { carrier: 'ws', generation: 2, url: 'wss://venue.example' });
    stage.say('session.opened', { kind: 'api', role: 'trading' });
    confirmDeribit(stage);
    stage.wait(24_999);
    expect(stage.verdict()).toMatchObject({ level: 'at_risk', reasons: ['protection_pending'], recheckInMs: 1 });
    stage.wait(1);
    expect(stage.verdict()).toMatchObject({ level: 'safe', reasons: [] });
  });

  test('lasts 10 minutes where the heartbeat was off', () => {
    const stage = healthyStage();
    stage.say('heartbeat.disarmed', {});
    triggered(stage);
    stage.say('heartbeat.armed', { intervalMs: 10_000 });
    stage.wait(599_999);
    stage.read('armed');
    expect(stage.verdict()).toMatchObject({ level: 'at_risk', reasons: ['protection_pending'] });
    stage.wait(1);
    expect(stage.verdict().level).toBe('safe');
  });

  test('lasts 10 minutes where the new connection ended before its heartbeat was armed', () => {
    const stage = healthyStage();
    stage.saySource('link.up', { carrier: 'ws', generation: 2, url: 'wss://venue.example' });
    triggered(stage);
    confirmDeribit(stage);
    stage.wait(60_000);
    expect(stage.verdict()).toMatchObject({ level: 'at_risk', reasons: ['protection_pending'] });
  });

  test('of two scopes, or of two drops, lasts as long as the longer', () => {
    const stage = healthyStage();
    triggered(stage, 'connection');
    stage.wait(10_000);
    triggered(stage, 'account');
    stage.wait(24_999);
    expect(stage.verdict().reasons).toEqual(['protection_pending']);
    stage.wait(1);
    expect(stage.verdict().reasons).toEqual([]);
  });
});

const end = { expiresAt: '2026-11-23T12:01:00.000Z', inMs: 60_000 };

rows('expiring', [
  {
    reason: 'expiring',
    when: 'only a person can renew',
    trading: 'at_risk',
    watch: 'at_risk',
    happens: (stage) => stage.say('session.expiring', { ...end, renewable: false }),
  },
  {
    reason: 'expiring',
    when: 'the relay will renew',
    trading: '–',
    watch: '–',
    happens: (stage) => stage.say('session.expiring', { ...end, renewable: true }),
  },
  {
    reason: 'expiring',
    when: 'a renewal failed',
    trading: 'at_risk',
    watch: 'at_risk',
    happens: (stage) => {
      stage.say('session.expiring', { ...end, renewable: true });
      stage.say('session.expiring', { ...end, renewable: true, reason: 'renewal_failed' });
    },
  },
  {
    reason: 'expiring',
    when: 'half of the time went by without a renewal',
    trading: 'at_risk',
    watch: 'at_risk',
    happens: (stage) => {
      stage.say('session.expiring', { ...end, renewable: true });
      stage.wait(30_000);
    },
  },
]);

describe('expiring', () => {
  test('is looked at again when half of the time is gone', () => {
    const stage = healthyStage({ venue: 'tradernet' });
    stage.say('session.expiring', { ...end, renewable: true });
    expect(stage.verdict().recheckInMs).toBe(30_000);
  });

  test('is not taken back by being said again', () => {
    const stage = healthyStage();
    stage.say('session.expiring', { ...end, renewable: true, reason: 'renewal_failed' });
    stage.say('session.expiring', { ...end, renewable: true });
    expect(stage.verdict().reasons).toEqual(['expiring']);
  });

  test.each([
    ['session.renewed', { how: 'refresh', expiresAt: '2026-11-23T13:00:00.000Z' }],
    ['session.renewed', { how: 'observed' }],
    ['session.opened', { kind: 'api', role: 'trading' }],
  ] as const)('is over after %s %j', (type, data) => {
    const stage = healthyStage();
    stage.say('session.expiring', { ...end, renewable: false });
    stage.say(type, data);
    expect(stage.verdict().reasons).toEqual([]);
  });

  test('is not over when the end moved nearer', () => {
    const stage = healthyStage();
    stage.say('session.expiring', { ...end, renewable: false });
    stage.say('session.renewed', { how: 'observed', expiresAt: '2026-11-23T12:00:30.000Z' });
    expect(stage.verdict().reasons).toEqual(['expiring']);
  });
});

rows('the status', [
  {
    reason: 'lost',
    when: 'evicted',
    trading: 'unsafe',
    watch: 'unsafe',
    happens: (s) => s.say('session.lost', { reason: 'evicted' }),
  },
  {
    reason: 'expired',
    when: 'by time',
    trading: 'unsafe',
    watch: 'unsafe',
    happens: (s) => s.say('session.expired', { expiresAt: s.now }),
  },
  {
    reason: 'contested',
    when: 'by another login',
    trading: 'unsafe',
    watch: 'unsafe',
    happens: (s) => s.say('session.contested', {}),
  },
  {
    reason: 'attention',
    when: 'a person is needed',
    trading: 'unsafe',
    watch: 'unsafe',
    happens: (s) => s.say('session.attention', { action: 'login', instructions: 'Log in.' }),
  },
  {
    reason: 'closed',
    when: 'on purpose',
    trading: 'at_risk',
    watch: 'unknown',
    happens: (s) => s.say('session.closed', { by: 'user' }),
  },
]);

const noBridge = (ms: number) => (stage: SafetyStage) => {
  stage.say('session.lost', { reason: 'no_bridge' });
  stage.wait(ms);
};
const ibkr = { venue: 'ibkr', reason: 'lost' } as const;
const sameLevel = (level: SafetyLevel) => ({ trading: level, watch: level });

rows('a lost bridge', [
  { ...ibkr, ...sameLevel('at_risk'), when: 'for less than 120 s', happens: noBridge(119_999) },
  { ...ibkr, ...sameLevel('unsafe'), when: 'for 120 s', happens: noBridge(120_000) },
  {
    ...ibkr,
    ...sameLevel('at_risk'),
    when: 'for long, in a quiet window',
    policy: { quiet: ['05:00-06:00', '11:30-12:30'] },
    happens: noBridge(600_000),
  },
  {
    ...ibkr,
    ...sameLevel('unsafe'),
    when: 'for long, as the quiet window ends',
    policy: { quiet: ['11:30-12:30'] },
    happens: noBridge(1_800_000),
  },
  {
    ...ibkr,
    ...sameLevel('at_risk'),
    when: 'for long, in a quiet window over midnight, before it',
    policy: { quiet: ['23:45-00:45'] },
    happens: (stage) => {
      noBridge(600_000)(stage);
      stage.setWall('23:59');
    },
  },
  {
    ...ibkr,
    ...sameLevel('at_risk'),
    when: 'for long, in a quiet window over midnight, after it',
    policy: { quiet: ['23:45-00:45'] },
    happens: (stage) => {
      noBridge(600_000)(stage);
      stage.setWall('00:44');
    },
  },
  {
    ...ibkr,
    ...sameLevel('unsafe'),
    when: 'for long, beside a quiet window over midnight',
    policy: { quiet: ['23:45-00:45'] },
    happens: (stage) => {
      noBridge(600_000)(stage);
      stage.setWall('00:45');
    },
  },
  {
    ...ibkr,
    ...sameLevel('unsafe'),
    when: 'for long, beside a window of no length',
    policy: { quiet: ['12:00-12:00'] },
    happens: noBridge(120_000),
  },
]);

describe('a lost bridge', () => {
  test('is looked at again after 120 s, at the end of a quiet window, and at the beginning of the next', () => {
    const stage = healthyStage({ venue: 'ibkr', policy: { quiet: ['12:01-12:05', '23:00-01:00'] } });
    noBridge(0)(stage);
    expect(stage.verdict().recheckInMs).toBe(120_000);
    stage.wait(120_000);
    expect(stage.verdict()).toMatchObject({ level: 'at_risk', recheckInMs: 180_000 });
    stage.wait(180_000);
    expect(stage.verdict()).toMatchObject({ level: 'unsafe', recheckInMs: (10 * 60 + 55) * 60_000 });
    stage.wait((10 * 60 + 55) * 60_000);
    expect(stage.verdict()).toMatchObject({ level: 'at_risk', recheckInMs: 2 * 3_600_000 });
  });

  test('is not younger because it is said again, or because it tries to come back', () => {
    const stage = healthyStage({ venue: 'ibkr' });
    noBridge(60_000)(stage);
    noBridge(30_000)(stage);
    stage.say('session.opening', {});
    noBridge(29_999)(stage);
    expect(stage.verdict().level).toBe('at_risk');
    stage.wait(1);
    expect(stage.verdict().level).toBe('unsafe');
  });

  test('begins anew after the session worked', () => {
    const stage = healthyStage({ venue: 'ibkr' });
    noBridge(200_000)(stage);
    stage.say('session.restored', {});
    expect(stage.verdict().level).toBe('safe');
    noBridge(1_000)(stage);
    expect(stage.verdict().level).toBe('at_risk');
  });

  test('gets no patience for another loss', () => {
    const stage = healthyStage({ venue: 'ibkr', policy: { quiet: ['00:00-23:59'] } });
    stage.say('session.lost', { reason: 'evicted' });
    expect(stage.verdict()).toMatchObject({ level: 'unsafe', reasons: ['lost'] });
  });
});

rows('the venue and the account', [
  {
    reason: 'venue_locked',
    when: 'as a whole',
    trading: 'unsafe',
    watch: 'unsafe',
    happens: (s) => s.saySource('venue.locked', {}),
  },
  {
    reason: 'account_locked',
    when: 'all',
    trading: 'unsafe',
    watch: 'unsafe',
    happens: (s) => s.saySource('account.locked', { what: 'all' }),
  },
  {
    reason: 'account_locked',
    when: 'ALL, as Deribit spells it',
    trading: 'unsafe',
    watch: 'unsafe',
    happens: (s) => s.saySource('account.locked', { what: 'ALL' }),
  },
  {
    reason: 'venue_maintenance',
    when: 'announced',
    trading: 'at_risk',
    watch: 'at_risk',
    happens: (s) => s.saySource('venue.maintenance', { announced: true }),
  },
  {
    reason: 'venue_maintenance',
    when: 'begun',
    trading: 'unsafe',
    watch: 'at_risk',
    happens: (s) => s.saySource('venue.maintenance', { announced: false }),
  },
  {
    reason: 'venue_degraded',
    when: 'as a whole',
    trading: 'at_risk',
    watch: 'at_risk',
    happens: (s) => s.saySource('venue.degraded', {}),
  },
  {
    reason: 'venue_degraded',
    when: 'a part, without only',
    trading: '–',
    watch: '–',
    happens: (s) => s.saySource('venue.degraded', { what: 'sol_usdc' }),
  },
  {
    reason: 'venue_degraded',
    when: 'a part that is not in only',
    policy: { only: ['btc_usd'] },
    trading: '–',
    watch: '–',
    happens: (s) => s.saySource('venue.degraded', { what: 'sol_usdc' }),
  },
  {
    reason: 'venue_degraded',
    when: 'a part in only',
    policy: { only: ['eth_usd', 'BTC_USD'] },
    trading: 'at_risk',
    watch: 'at_risk',
    happens: (s) => {
      s.saySource('venue.degraded', { what: 'sol_usdc' });
      s.saySource('venue.degraded', { what: 'btc_usd' });
    },
  },
  {
    reason: 'account_locked',
    when: 'a currency, without only',
    trading: '–',
    watch: '–',
    happens: (s) => s.saySource('account.locked', { what: 'SOL' }),
  },
  {
    reason: 'account_locked',
    when: 'a currency in only',
    policy: { only: ['btc'] },
    trading: 'at_risk',
    watch: 'at_risk',
    happens: (s) => s.saySource('account.locked', { what: 'BTC' }),
  },
]);

describe('the venue', () => {
  test('that is locked while a maintenance is announced is locked: one does not hide the other', () => {
    const stage = healthyStage();
    stage.saySource('venue.locked', {});
    stage.saySource('venue.maintenance', { announced: true });
    expect(stage.verdict()).toMatchObject({ level: 'unsafe', reasons: ['venue_locked', 'venue_maintenance'] });
    stage.saySource('venue.normal', {});
    expect(stage.verdict().level).toBe('safe');
  });

  test('that is degraded as a whole stays so when a part that does not count is degraded and recovers', () => {
    const stage = healthyStage();
    stage.saySource('venue.degraded', {});
    stage.saySource('venue.degraded', { what: 'sol_usdc' });
    expect(stage.verdict().level).toBe('at_risk');
    stage.saySource('venue.normal', { what: 'sol_usdc' });
    expect(stage.verdict().level).toBe('at_risk');
  });
});

const beat = (aheadMs: number) => (stage: SafetyStage) => {
  const venueTime = new Date(Date.parse(stage.now) + aheadMs).toISOString();
  stage.read('armed', 'connection', venueTime);
};

rows('the clocks', [
  { reason: 'clock_skew', when: 'the venue’s is 5.001 s ahead', trading: 'at_risk', watch: '–', happens: beat(5_001) },
  {
    reason: 'clock_skew',
    when: 'the venue’s is 5.001 s behind',
    trading: 'at_risk',
    watch: '–',
    happens: beat(-5_001),
  },
]);

describe('the clocks', () => {
  test('may differ by 5 s, and agree again with the next reading', () => {
    const stage = healthyStage();
    beat(5_000)(stage);
    expect(stage.verdict()).toMatchObject({ level: 'safe', notes: [] });
    beat(60_000)(stage);
    expect(stage.verdict().reasons).toEqual(['clock_skew']);
    beat(20)(stage);
    expect(stage.verdict()).toMatchObject({ level: 'safe', notes: [] });
  });

  test('are not compared by what the venue dates back: an old fact is no skew', () => {
    const stage = healthyStage();
    stage.say('session.updated', { changed: {}, venueTime: '2026-01-01T00:00:00.000Z' });
    stage.saySource('venue.normal', { venueTime: '2026-01-01T00:00:00.000Z' });
    expect(stage.verdict()).toMatchObject({ level: 'safe', notes: [] });
  });
});

describe('the level', () => {
  test('is the worst of unsafe, unknown, at_risk and safe, and the reasons stand worst first', () => {
    const stage = healthyStage();
    missed(stage);
    expect(stage.verdict()).toMatchObject({ level: 'at_risk', reasons: ['heartbeat_missed'] });
    stage.saySource('link.up', { carrier: 'ws', generation: 2, url: 'wss://venue.example' });
    expect(stage.verdict()).toMatchObject({ level: 'unknown', reasons: ['unconfirmed', 'heartbeat_missed'] });
    stage.saySource('venue.locked', {});
    expect(stage.verdict()).toMatchObject({
      level: 'unsafe',
      reasons: ['venue_locked', 'unconfirmed', 'heartbeat_missed'],
    });
  });

  test('is not lowered by what stands in the notes, and no reason stands in both', () => {
    const stage = healthyStage({ role: 'watch' });
    missed(stage);
    stage.read('disarmed');
    stage.saySource('venue.degraded', { what: 'sol_usdc' });
    const { level, reasons, notes } = stage.verdict();
    expect({ level, reasons, notes: notes.toSorted() }).toEqual({
      level: 'safe',
      reasons: [],
      notes: ['heartbeat_missed', 'protection_off', 'venue_degraded'],
    });
  });

  test('without a source state is judged by the session alone', () => {
    const stage = safetyStage({ venue: 'tradernet' });
    stage.say('session.opened', { kind: 'login', role: 'trading' });
    expect(stage.verdict()).toMatchObject({ level: 'safe', reasons: [] });
  });
});

test('the default policy prefers protection and counts no part', () => {
  expect(defaultSafetyPolicy('deribit')).toEqual({ protection: 'preferred', graceMs: 30_000, only: [], quiet: [] });
});
