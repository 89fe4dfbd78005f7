import { afterEach, describe, expect, test } from 'vitest';
import { startDeribitSimulator } from '../../src/simulators/deribit.js';
import { type DeribitOptions, deribit } from '../../src/venues/deribit/index.js';
import { allEvents, atEvent, expectOneStory } from '../support/lives.js';
import { createStage, describeEvent, type Stage } from '../support/stage.js';

/** What a relay says after `kill -9`, in order, the venue having gone on without it: no fact twice, and none missed. */
let stage: Stage | undefined;
afterEach(async () => {
  if (stage?.isAlive === true) await expectOneStory(stage);
  await stage?.close();
  stage = undefined;
});

const KEY = 'deribit.main.relay';
/** What {@link start} tells. */
const LIVE_EVENTS = 9;

/** A named session whose orders are protected, in the role `trading`, that has lived for ten seconds. */
async function start(options: Partial<DeribitOptions> = {}): Promise<Stage> {
  stage = await createStage({
    simulate: startDeribitSimulator,
    venue: (source, ports) => deribit({ ...source, ...options } as DeribitOptions, ports),
  });
  await stage.advance(10_000);
  stage.take();
  return stage;
}

/** What a start says before it asks the venue anything. */
const DARK = ['- link.down ws 1006 relay', 'relay session.stale relay_restarted'];
const DARK_PROTECTED = [
  ...DARK,
  'relay safety.changed unknown unconfirmed stale protection_unknown',
  'relay protection.triggered connection',
  'relay safety.changed unknown unconfirmed stale protection_pending protection_unknown',
];
const CONNECTED = ['- link.up ws', 'relay heartbeat.armed 10000'];
const CONFIRMED = ['- venue.normal', '- account.unlocked all'];
const READ = ['relay protection.armed connection', 'relay protection.disarmed account'];
const READ_FIRST = [
  'relay protection.armed connection',
  'relay safety.changed unknown unconfirmed stale protection_pending',
  'relay protection.disarmed account',
];
const RESTORED = ['relay session.restored', 'relay session.renewed reauthenticate'];
const BACK = [...CONNECTED, ...CONFIRMED, ...READ_FIRST, ...RESTORED];
/** Its orders may be being cancelled for 2.5 intervals yet. */
const SAFE_AGAIN = ['relay safety.changed at_risk protection_pending', 'relay safety.changed safe'];

describe('after a start with another role', () => {
  test('a named session is opened anew under it: what is traded through is not judged as what is watched', async () => {
    let role: 'watch' | 'trading' = 'watch';
    stage = await createStage({
      simulate: startDeribitSimulator,
      venue: (source, ports) => deribit({ ...source, safety: { role } } as DeribitOptions, ports),
    });
    await stage.advance(10_000);
    expect(stage.live.state(KEY)).toMatchObject({ role: 'watch' });
    role = 'trading';
    await stage.kill();
    await stage.restart();
    expect(stage.live.state(KEY)).toMatchObject({ role: 'trading', status: 'active' });
    stage.take();
    await stage.kill();
    await stage.restart();
    expect(stage.take()).toContain('relay session.restored');
  });
});

describe('after a kill while nothing happened', () => {
  test('a named session is confirmed, its protection is told to have been triggered, and it is safe in time', async () => {
    const { kill, restart, advance, take } = await start();
    await kill();
    await restart();
    expect(take()).toEqual([...DARK_PROTECTED, ...BACK]);
    expect(stage?.live.state(KEY)).toMatchObject({ status: 'active', stale: false });
    await advance(40_000);
    expect(take()).toEqual(SAFE_AGAIN);
  });

  test('a session of the connection ended with it', async () => {
    const { kill, restart, take } = await start({ scope: 'connection' });
    await kill();
    await restart();
    const lines = take().filter((line) => !line.includes('safety.changed'));
    expect(lines.map((line) => line.replace(/^connection/, 'relay'))).toEqual([
      ...DARK,
      'relay protection.triggered connection',
      ...CONNECTED,
      'relay session.lost link_down',
      'relay session.opened api',
      ...CONFIRMED,
      ...READ,
    ]);
  });

  test('a session that nothing protected tells of no cancelled orders', async () => {
    const { kill, restart, take } = await start({ cancelOnDisconnect: 'disable' });
    await kill();
    await restart();
    expect(take().filter((line) => line.includes('protection.'))).toEqual([
      'relay protection.disarmed connection',
      'relay protection.disarmed account',
    ]);
  });

  test('many kills in a row, each in the midst of a start, tell each end once', async () => {
    const stage = await start();
    await stage.kill();
    for (const type of ['session.stale', 'protection.triggered'] as const) {
      for (const when of ['before', 'after'] as const) {
        stage.fate = atEvent(when, type);
        await stage.restart();
        expect(stage.isAlive).toBe(false);
      }
    }
    await stage.restart();
    const told = (await allEvents(stage)).slice(LIVE_EVENTS).map(describeEvent);
    expect(told.filter((line) => !line.includes('safety.changed'))).toEqual([
      ...DARK,
      'relay protection.triggered connection',
      ...CONNECTED,
      ...CONFIRMED,
      ...READ,
      ...RESTORED,
    ]);
  });
});

describe('what ended while the relay was dead', () => {
  test('an evicted session: it is another one now', async () => {
    const { kill, restart, fault, take } = await start();
    await kill();
    await fault('eviction');
    await restart();
    expect(take()).toEqual([
      ...DARK_PROTECTED,
      ...CONNECTED,
      'relay session.lost link_down',
      'relay safety.changed unsafe lost unconfirmed protection_pending protection_unknown',
      'relay session.opened api',
      ...CONFIRMED,
      ...READ,
    ]);
  });

  test('credentials that are taken no more: a person is asked, and they are tried again only after 5 minutes', async () => {
    const { kill, restart, fault, take, advance, simulator } = await start();
    await kill();
    await fault('bad_credentials');
    await restart();
    expect(take()).toEqual([
      ...DARK_PROTECTED,
      ...CONNECTED,
      'relay session.attention check_credentials',
      'relay safety.changed unsafe attention unconfirmed protection_pending protection_unknown',
      '- venue.normal',
    ]);
    simulator.fault('bad_credentials', { forMs: 0 });
    await advance(299_000);
    expect(take().filter((line) => line.includes('session.'))).toEqual([]);
    await advance(2_000);
    expect(take().filter((line) => line.includes('session.'))).toEqual(RESTORED);
  });

  test('a venue that was locked and still is was never normal', async () => {
    const { kill, restart, fault, advance, take } = await start();
    await fault('lock_platform');
    await advance(2_000);
    expect(take()).toContain('relay safety.changed unsafe venue_locked');
    await kill();
    await restart();
    const lines = take();
    expect(lines).not.toContain('- venue.normal');
    expect(lines).toContain('- venue.locked');
    expect(lines.filter((line) => line.includes('safety.changed') && !line.includes('venue_locked'))).toEqual([]);
  });

  test.each([
    ['a lock of an index', 'lock_index', 'unlock_index', '- venue.degraded btc_usd'],
    ['a lock of the account', 'lock_account', 'unlock_account', '- account.locked all'],
  ])('%s: still there, or gone', async (_, lock, unlock, told) => {
    const { kill, restart, fault, take } = await start();
    await fault(lock);
    expect(take()).toContain(told);
    await kill();
    await restart();
    const confirmed = (lines: readonly string[]): readonly string[] =>
      lines.filter((line) => /^- (venue|account)/.test(line));
    const other = told.includes('account') ? '- venue.normal' : '- account.unlocked all';
    expect(confirmed(take()).toSorted()).toEqual([told, other].toSorted());
    await kill();
    await fault(unlock);
    await restart();
    expect(confirmed(take())).toEqual(told.includes('account') ? CONFIRMED : ['- venue.normal btc_usd', ...CONFIRMED]);
  });

  test('a maintenance that was announced, came and went', async () => {
    const { kill, restart, fault, advance, take } = await start();
    await fault('maintenance', { afterMs: 20_000, forMs: 30_000 });
    expect(take()).toContain('- venue.maintenance announced');
    await kill();
    await advance(60_000);
    await restart();
    expect(take().filter((line) => line.startsWith('- venue'))).toEqual(['- venue.normal']);
    expect(stage?.live.state('deribit.main.-')).toMatchObject({ attributes: { venueLevel: 'normal' } });
  });

  test('a maintenance that is still announced, and one that has begun', async () => {
    const { kill, restart, fault, advance, take } = await start();
    await fault('maintenance', { afterMs: 20_000, forMs: 30_000 });
    await kill();
    await restart();
    expect(take().filter((line) => line.startsWith('- venue'))).toEqual([
      '- venue.maintenance announced',
      '- venue.maintenance announced',
    ]);
    await advance(25_000);
    expect(take()).toContain('- venue.maintenance begun');
    await kill();
    await restart();
    expect(take().filter((line) => !line.includes('retrying'))).toEqual([
      '- link.down ws 0 relay',
      'relay safety.changed unsafe link_down venue_maintenance unconfirmed protection_pending protection_unknown',
      '- link.down ws 0 venue',
    ]);
    await advance(60_000);
    expect(take().filter((line) => line.startsWith('- venue'))).toEqual(['- venue.normal']);
  });

  test('a log entry that was told is told no more, by whomever', async () => {
    const { kill, restart, fault, take } = await start();
    await fault('access_log');
    expect(take()).toContain('relay access.logged success');
    await kill();
    await restart();
    await fault('duplicate_frame');
    expect(take().filter((line) => line.includes('access.logged'))).toEqual([]);
  });
});

describe('a penalty', () => {
  test('is waited for to its end, and told once', async () => {
    const { kill, restart, fault, advance, take } = await start();
    await fault('too_many_requests', { forMs: 60_000 });
    await advance(5_000);
    expect(take()).toContain('- source.throttled');
    await kill();
    await restart();
    expect(take()).toEqual([
      '- link.down ws 0 relay',
      'relay safety.changed unsafe link_down throttled unconfirmed protection_pending protection_unknown',
    ]);
    await advance(4_000);
    expect(take()).toEqual([]);
    await advance(4_000);
    expect(take().slice(0, 2)).toEqual([
      '- source.unthrottled',
      'relay safety.changed unsafe link_down unconfirmed protection_pending protection_unknown',
    ]);
  });

  test('that ended while the relay was dead is over at once', async () => {
    const { kill, restart, fault, advance, take } = await start();
    await fault('too_many_requests');
    await advance(5_000);
    take();
    await kill();
    await advance(20_000);
    await restart();
    expect(take().filter((line) => line.startsWith('-'))).toEqual([
      '- link.down ws 0 relay',
      '- source.unthrottled',
      '- link.up ws',
      ...CONFIRMED,
    ]);
  });
});

describe('what a person has asked for', () => {
  test('wishes are applied again, and shown', async () => {
    const { kill, restart, advance, take, live } = await start({ cancelOnDisconnect: 'leave' });
    await live.command('deribit.main', 'set_heartbeat', { interval: 30 });
    await live.command('deribit.main', 'enable_cancel_on_disconnect', {});
    await advance(1_000);
    take();
    await kill();
    await restart();
    expect(take()).toEqual([
      ...DARK_PROTECTED,
      '- link.up ws',
      'relay heartbeat.armed 30000',
      ...CONFIRMED,
      ...READ_FIRST,
      ...RESTORED,
    ]);
    expect(stage?.live.state(KEY)).toMatchObject({
      attributes: { wishes: { heartbeatSeconds: 30, protection: { connection: true } } },
      heartbeat: { intervalMs: 30_000 },
      protection: { connection: 'armed' },
    });
  });

  test('after a logout nothing logs in', async () => {
    const { kill, restart, advance, take, live } = await start();
    await live.command('deribit.main', 'logout', {});
    await advance(1_000);
    take();
    await kill();
    await restart();
    await advance(600_000);
    expect(take()).toEqual(['relay safety.changed unknown unconfirmed closed protection_unknown']);
    await stage?.live.command('deribit.main', 'reconnect', {});
    expect(take().filter((line) => line.includes('session.'))).toEqual([
      'relay session.opening',
      'relay session.opened api',
    ]);
  });
});

describe('a command that the kill cut off', () => {
  const SAME = ['deribit.main', 'set_heartbeat', { interval: 30 }, { requestId: 'r-1' }] as const;

  test('before the venue answered: it is unknown, is not run again, and asked again says so', async () => {
    const { kill, restart, fault, advance, take, live, simulator } = await start();
    await fault('slow', { delayMs: 5_000 });
    void live.command(...SAME);
    await advance(1_000);
    expect(take()).toEqual(['- command.accepted set_heartbeat']);
    await kill();
    simulator.fault('slow', { delayMs: 0 });
    await restart();
    expect(take()).toEqual([
      ...DARK,
      'relay safety.changed unknown unconfirmed stale protection_unknown',
      '- command.unknown set_heartbeat',
      ...DARK_PROTECTED.slice(3),
      ...BACK,
    ]);
    const again = await stage?.live.command(...SAME);
    expect(again).toMatchObject({ replayed: true, outcome: 'unknown', requestId: 'r-1' });
    await expect(
      stage?.live.command('deribit.main', 'set_heartbeat', { interval: 60 }, { requestId: 'r-1' }),
    ).rejects.toMatchObject({ code: 'conflict' });
    await advance(40_000);
    expect(take().filter((line) => line.includes('command') || line.includes('heartbeat'))).toEqual([]);
    expect(stage?.live.state(KEY)).toMatchObject({ heartbeat: { intervalMs: 10_000 } });
  });

  test.each([
    ['before its outcome was journaled', 'before'],
    ['after', 'after'],
  ] as const)('that the venue carried out, %s', async (_, when) => {
    const { live, restart, advance, take } = await start();
    const call = ['deribit.main', 'enable_cancel_on_disconnect', { scope: 'account' }, { requestId: 'r-2' }] as const;
    if (stage !== undefined) stage.fate = atEvent(when, 'command.succeeded');
    void live.command(...call);
    await advance(1_000);
    expect(stage?.isAlive).toBe(false);
    expect(take()).toEqual([
      '- command.accepted enable_cancel_on_disconnect',
      'relay session.updated wishes',
      'relay protection.armed connection',
      'relay protection.armed account',
    ]);
    await restart();
    const unknown = when === 'before' ? ['- command.unknown enable_cancel_on_disconnect'] : [];
    expect(take().filter((line) => !line.includes('safety.changed'))).toEqual([
      ...DARK,
      ...unknown,
      'relay protection.triggered connection',
      'relay protection.triggered account',
      ...CONNECTED,
      ...CONFIRMED,
      'relay protection.armed connection',
      'relay protection.armed account',
      ...RESTORED,
    ]);
    const outcome = when === 'before' ? 'unknown' : 'succeeded';
    expect(await stage?.live.command(...call)).toMatchObject({ replayed: true, outcome });
  });

  test('while protection was being armed: that it may have been is not forgotten', async () => {
    const { kill, restart, fault, advance, take, live, simulator } = await start({ cancelOnDisconnect: 'leave' });
    await fault('slow', { delayMs: 5_000 });
    void live.command('deribit.main', 'enable_cancel_on_disconnect', {});
    await advance(1_000);
    await kill();
    simulator.fault('slow', { delayMs: 0 });
    take();
    await restart();
    expect(take().filter((line) => line.includes('protection.'))).toEqual([
      'relay protection.triggered connection',
      'relay protection.disarmed connection',
      'relay protection.disarmed account',
    ]);
  });
});

test.each([
  ['session.opening', ['relay session.opening', 'relay session.opened api', ...CONFIRMED, ...READ]],
  ['session.opened', [...CONFIRMED, ...READ, ...RESTORED]],
  ['venue.normal', [...CONFIRMED, ...READ, ...RESTORED]],
  ['account.unlocked', [...CONFIRMED, ...READ, ...RESTORED]],
  ['protection.armed', [...CONFIRMED, ...READ, ...RESTORED]],
] as const)('a kill in the midst of the first connect, right after %s, misses nothing', async (type, rest) => {
  stage = await createStage({
    simulate: startDeribitSimulator,
    venue: (source, ports) => deribit(source as DeribitOptions, ports),
  });
  stage.fate = atEvent('after', type);
  await stage.advance(5_000);
  expect(stage.isAlive).toBe(false);
  stage.take();
  await stage.restart();
  const lines = stage.take().filter((line) => !/safety\.changed|triggered|link\.|heartbeat/.test(line));
  expect(lines.filter((line) => !line.includes('relay_restarted'))).toEqual(rest);
});
