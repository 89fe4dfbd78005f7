import { afterEach, expect, test } from 'vitest';
import type { Fact } from '../../../src/model/event.js';
import { seededRandom } from '../../../src/net/timer.js';
import { startTradernetSimulator, type TradernetSimulator } from '../../../src/simulators/tradernet.js';
import { type TradernetOptions, tradernet } from '../../../src/venues/tradernet/index.js';
import type { Venue } from '../../../src/venues/venue.js';
import { settle, until, VirtualClock } from '../../support/virtual-clock.js';
import { lineOf } from './source.js';

/** The feed against the simulator over real sockets, both on one virtual clock: what each fault is told as. */
let simulator: TradernetSimulator | undefined;
let venue: Venue | undefined;
afterEach(async () => {
  await venue?.stop({ orders: 'leave' });
  await simulator?.close();
  venue = undefined;
  simulator = undefined;
});

interface Run {
  readonly clock: VirtualClock;
  readonly simulator: TradernetSimulator;
  readonly venue: Venue;
  /** Waits for a line, and returns all since the last call, pulses left out. */
  upTo(line: string): Promise<readonly string[]>;
  /** All since the last call, without waiting. */
  rest(): readonly string[];
  /** Lets virtual time pass, in steps that real sockets can follow. */
  pass(ms: number): Promise<void>;
  readonly facts: readonly Fact[];
}

async function run(options: Partial<TradernetOptions> = {}): Promise<Run> {
  const clock = new VirtualClock();
  const served = await startTradernetSimulator({ clock, seed: 7 });
  simulator = served;
  const { venue: _, ...source } = served.source;
  const live = tradernet({ ...source, pollSeconds: 60, ...options } as TradernetOptions, {
    clock,
    random: seededRandom(3),
  });
  venue = live;
  const facts: Fact[] = [];
  live.facts$.subscribe((batch) => facts.push(...batch.facts));
  let shown = 0;
  const rest = (): readonly string[] => {
    const lines = facts.slice(shown).map(lineOf);
    shown = facts.length;
    return lines.filter((line) => !line.includes('pulse'));
  };
  live.start();
  return {
    clock,
    simulator: served,
    venue: live,
    facts,
    async upTo(line) {
      await until(() => facts.slice(shown).some((fact) => lineOf(fact) === line), line);
      await settle(8);
      return rest();
    },
    rest,
    async pass(ms) {
      const end = clock.monotonic() + ms;
      while (clock.monotonic() < end) {
        await clock.advance(Math.min(1_000, end - clock.monotonic()));
        await settle(8);
      }
    },
  };
}

/** Sessions that the simulator begins with. */
const FIRST = '7165011';
const SECOND = '7165017';

/** Brought to where login and lists are told. */
async function live(options: Partial<TradernetOptions> = {}): Promise<Run> {
  const one = await run(options);
  await one.upTo(`${SECOND} session.opened`);
  await settle(30); // what HTTP has to say is under way yet
  one.rest();
  return one;
}

test.each(['websocket', 'socketio2', 'socketio4'] as const)('%s: from nothing to live', async (transport) => {
  const { upTo } = await run({ transport });
  expect(await upTo(`${SECOND} session.opened`)).toEqual([
    'login session.opening',
    '- link.up http#1',
    '- link.up ws#1',
    'login session.opened',
    `${FIRST} session.opened`,
    `${SECOND} session.opened`,
  ]);
});

test.each(['websocket', 'socketio2', 'socketio4'] as const)(
  '%s: sessions that open, live longer and close',
  async (transport) => {
    const { simulator: venueSide, upTo, facts } = await live({ transport });
    venueSide.fault('open_session', {});
    const opened = await until(
      () => facts.find(({ type, session }) => type === 'session.opened' && ![FIRST, SECOND, 'login'].includes(session)),
      'another',
    );
    expect(await upTo(`${opened.session} session.opened`)).toEqual([`${opened.session} session.opened`]);
    venueSide.fault('extend_session', {});
    const renewed = await until(() => facts.find(({ type }) => type === 'session.renewed'), 'the renewal');
    expect(await upTo(lineOf(renewed))).toEqual([lineOf(renewed)]);
    venueSide.fault('close_session', {});
    expect(await upTo(`${opened.session} session.closed venue`)).toEqual([`${opened.session} session.closed venue`]);
  },
);

test.each(['websocket', 'socketio2', 'socketio4'] as const)(
  '%s, drop: the link is told, nothing else ends',
  async (transport) => {
    const { simulator: venueSide, upTo, pass } = await live({ transport });
    venueSide.fault('drop');
    expect(await upTo('- link.retrying ws#1')).toEqual(['- link.down ws#1 1006 network', '- link.retrying ws#1']);
    await pass(3_000);
    expect(await upTo('- link.up ws#2')).toEqual(['- link.up ws#2']);
  },
);

test.each(['silence', 'half_open'])('%s: asked, missed, ended, connected again, resumed', async (fault) => {
  const { simulator: venueSide, upTo, pass } = await live();
  venueSide.fault(fault);
  await pass(45_000);
  expect(await upTo('- link.up ws#2')).toEqual([
    'login heartbeat.missed',
    '- link.down ws#1 1006 relay',
    '- link.retrying ws#1',
    '- link.up ws#2',
    'login heartbeat.resumed',
  ]);
});

test('slow: late frames are no silence', async () => {
  const { simulator: venueSide, upTo, facts, pass } = await live();
  venueSide.fault('slow', { delayMs: 3_000, forMs: 60_000 });
  const before = facts.length;
  venueSide.fault('open_session', {});
  await settle(10);
  expect(facts).toHaveLength(before);
  await pass(3_100);
  const opened = await until(() => facts.slice(before).find(({ type }) => type === 'session.opened'), 'the row');
  expect(await upTo(lineOf(opened))).toEqual([lineOf(opened)]);
});

test('garbage and unknown values: one fault a kind, and the stream goes on', async () => {
  const { simulator: venueSide, upTo, facts } = await live();
  venueSide.fault('garbage', {});
  expect(await upTo('- source.fault bad_frame')).toEqual(['- source.fault bad_frame']);
  venueSide.fault('garbage', {});
  venueSide.fault('unknown_value', {});
  const opened = await until(
    () => facts.find(({ type, data }) => type === 'session.opened' && JSON.stringify(data).includes('unknown')),
    'the row',
  );
  expect(await upTo(lineOf(opened))).toEqual([
    '- source.fault unknown_frame',
    '- source.fault unknown_value',
    lineOf(opened),
  ]);
});

test('oversized: the socket cannot take it; told as a fault and a link, and connected again', async () => {
  const { simulator: venueSide, upTo, pass } = await live();
  venueSide.fault('oversized', {});
  const lines = await upTo('- link.retrying ws#1');
  expect(lines).toEqual([
    expect.stringMatching(/^- link\.down ws#1 10(06|09) /),
    '- source.fault bad_frame',
    '- link.retrying ws#1',
  ]);
  await pass(3_000);
  expect(await upTo('- link.up ws#2')).toEqual(['- link.up ws#2']);
});

test.each(['demo_user_data', 'eviction'])('%s: the login is lost and had anew', async (fault) => {
  const { simulator: venueSide, upTo } = await live();
  venueSide.fault(fault);
  expect(await upTo(`${SECOND} session.restored`)).toEqual([
    'login session.lost demo',
    '- link.down ws#1 1000 relay',
    '- link.up ws#2',
    'login session.opened',
    `${FIRST} session.restored`,
    `${SECOND} session.restored`,
  ]);
});

test('token_expiry: found by the poll, and the login is had anew', async () => {
  const { simulator: venueSide, upTo, pass } = await live();
  venueSide.fault('token_expiry');
  await pass(70_000);
  expect(await upTo(`${SECOND} session.restored`)).toEqual([
    'login session.lost sid_refused',
    '- link.down ws#1 1000 relay',
    '- link.up ws#2',
    'login session.opened',
    `${FIRST} session.restored`,
    `${SECOND} session.restored`,
  ]);
});

test('bad_credentials from the start: a person is asked, and nothing is tried again', async () => {
  const clock = new VirtualClock();
  simulator = await startTradernetSimulator({ clock });
  simulator.fault('bad_credentials', {});
  const { venue: _, ...source } = simulator.source;
  venue = tradernet(source as TradernetOptions, { clock, random: seededRandom(3) });
  const lines: string[] = [];
  venue.facts$.subscribe(({ facts }) => lines.push(...facts.map(lineOf)));
  venue.start();
  await until(() => lines.some((line) => line.includes('attention')), 'the attention');
  await clock.advance(7_200_000);
  expect(lines).toEqual(['login session.opening', '- link.up http#1', 'login session.attention check_credentials']);
});

test('two_factor: a person is asked, and no second code is sent', async () => {
  const { simulator: venueSide, upTo, facts, venue: source } = await live();
  venueSide.fault('two_factor', {});
  venueSide.fault('eviction');
  await until(() => facts.some(({ type }) => type === 'link.down'), 'the end of the socket');
  // The answer over HTTP and the end of the socket race.
  expect((await upTo('login session.attention two_factor')).toSorted()).toEqual([
    '- link.down ws#1 1000 relay',
    'login session.attention two_factor',
    'login session.lost demo',
  ]);
  await expect(source.command({ source: 'desk', command: 'refresh_sessions', params: {} })).rejects.toMatchObject({
    code: 'source_unavailable',
  });
});

test('too_many_requests: told with its end, and its end is told', async () => {
  const { simulator: venueSide, upTo, pass, venue: source } = await live();
  venueSide.fault('too_many_requests', { forMs: 15_000 });
  await expect(source.command({ source: 'desk', command: 'refresh_sessions', params: {} })).rejects.toMatchObject({
    code: 'rate_limited',
  });
  expect(await upTo('- source.throttled')).toEqual(['- source.throttled']);
  await pass(16_000);
  expect(await upTo('- source.unthrottled')).toEqual(['- source.unthrottled']);
});

test('refuse_upgrade with 429: the socket waits what the venue says', async () => {
  const { simulator: venueSide, upTo, pass } = await live();
  venueSide.fault('refuse_upgrade', { retryAfterSeconds: 20 });
  venueSide.fault('drop');
  await upTo('- link.retrying ws#1');
  await pass(3_000);
  expect(await upTo('- link.retrying ws#2')).toEqual([
    '- link.down ws#2 0 venue',
    '- source.throttled',
    '- link.retrying ws#2',
  ]);
  await pass(15_000);
  await pass(10_000);
  expect(await upTo('- link.up ws#3')).toEqual(['- source.unthrottled', '- link.up ws#3']);
});

test('refuse_upgrade with 403: the login is proved over HTTP, and the socket waits a minute', async () => {
  const { simulator: venueSide, upTo, pass } = await live();
  venueSide.fault('refuse_upgrade', { status: 403 });
  venueSide.fault('drop');
  await upTo('- link.retrying ws#1');
  await pass(3_000);
  expect(await upTo('- link.retrying ws#2')).toEqual(['- link.down ws#2 0 venue', '- link.retrying ws#2']);
  await pass(62_000);
  expect(await upTo('- link.up ws#3')).toEqual(['- link.up ws#3']);
});

test('maintenance: both links are down, and everything is said again after it', async () => {
  const { simulator: venueSide, upTo, pass } = await live();
  venueSide.fault('maintenance', { forMs: 40_000 });
  await pass(90_000);
  const lines = await upTo(`${SECOND} session.restored`);
  expect(lines.filter((line) => !/retrying|link\.down ws#[2-9]/.test(line))).toEqual([
    '- link.down ws#1 1006 network',
    '- link.down http#1 1006 venue',
    expect.stringMatching(/^- link\.up/),
    'login session.restored',
    `${FIRST} session.restored`,
    `${SECOND} session.restored`,
    expect.stringMatching(/^- link\.up/),
  ]);
});

test('missing_row: closed when it leaves the list, opened again under another key when it comes back', async () => {
  const { simulator: venueSide, upTo, pass, facts } = await live();
  venueSide.fault('missing_row', { forMs: 5_000 });
  expect(await upTo(`${SECOND} session.closed venue`)).toEqual([`${SECOND} session.closed venue`]);
  await pass(6_000);
  expect(await upTo(`${SECOND} session.opened`)).toEqual([`${SECOND} session.opened`]);
  expect(facts.at(-1)?.data).toMatchObject({ reason: 'listed_again' });
});

test('duplicate_frame says nothing; an older list after a newer one changes nothing, and is told once', async () => {
  const { simulator: venueSide, upTo, facts, pass } = await live();
  venueSide.fault('duplicate_frame');
  venueSide.fault('reordered_reply', {});
  await pass(1_000);
  venueSide.fault('open_session', {});
  expect(await upTo('- source.fault inconsistent')).toEqual([
    expect.stringMatching(/session\.opened$/),
    '- source.fault inconsistent',
  ]);
  expect(facts.some(({ type }) => type === 'session.closed')).toBe(false);
});

test('inconsistent_expire: the datetime counts, and the difference is told once', async () => {
  const { simulator: venueSide, upTo, facts } = await live();
  venueSide.fault('inconsistent_expire', {});
  expect(await upTo('- source.fault inconsistent')).toEqual(['- source.fault inconsistent']);
  expect(facts.some(({ type }) => type === 'session.renewed')).toBe(false);
});

test('http_down: one carrier is enough', async () => {
  const { simulator: venueSide, upTo, pass } = await live();
  venueSide.fault('http_down', { forMs: 100_000 });
  await pass(95_000);
  expect(await upTo('- link.down http#1 1006 network')).toEqual(['- link.down http#1 1006 network']);
  await pass(60_000);
  expect(await upTo('- link.up http#2')).toEqual(['- link.up http#2']);
});

test('sessions_command: the word that the venue takes is found', async () => {
  const clock = new VirtualClock();
  simulator = await startTradernetSimulator({ clock, sessionsCommand: 'session' });
  const { venue: _, ...source } = simulator.source;
  venue = tradernet({ ...source, pollSeconds: 3_600 } as TradernetOptions, { clock, random: seededRandom(3) });
  const lines: string[] = [];
  venue.facts$.subscribe(({ facts }) => lines.push(...facts.map(lineOf)));
  venue.start();
  await until(() => lines.includes('login session.opened'), 'the login');
  await clock.advance(10_001);
  await settle(20);
  simulator.fault('open_session', {});
  await until(() => lines.filter((line) => line.endsWith('session.opened')).length >= 3, 'the row over the socket');
  expect(lines.some((line) => line.includes('fault'))).toBe(false);
});

test('an API key works over the socket and over HTTP', async () => {
  const clock = new VirtualClock(Date.now());
  simulator = await startTradernetSimulator({ clock });
  const { venue: _, credentials: __, ...source } = simulator.source;
  venue = tradernet({ ...source, credentials: simulator.apiKey } as TradernetOptions, {
    clock,
    random: seededRandom(3),
  });
  const lines: string[] = [];
  venue.facts$.subscribe(({ facts }) => lines.push(...facts.map(lineOf)));
  venue.start();
  await until(() => lines.includes('login session.opened') && lines.includes('- link.up http#1'), 'both carriers');
  expect(lines.some((line) => /lost|attention|fault/.test(line))).toBe(false);
});

test('commands against the venue', async () => {
  const { venue: source, upTo, pass } = await live();
  const ask = (command: string) => source.command({ source: 'desk', command, params: {} });
  await expect(ask('sid_info')).resolves.toMatchObject({ alive: true });
  await expect(ask('refresh_sessions')).resolves.toMatchObject({ sessions: [{ id: FIRST }, { id: SECOND }] });
  await expect(ask('reconnect')).resolves.toEqual({ generation: 2 });
  expect(await upTo('- link.up ws#2')).toEqual(['- link.down ws#1 1000 relay', '- link.up ws#2']);
  await pass(5_000); // what the relay's own budget needs
  await expect(ask('login')).resolves.toEqual({ generation: 3 });
  expect(await upTo('login session.renewed reauthenticate')).toEqual([
    '- link.down ws#2 1000 relay',
    '- link.up ws#3',
    'login session.renewed reauthenticate',
  ]);
});
