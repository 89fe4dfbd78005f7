import { afterEach, describe, expect, test } from 'vitest';
import { startIbkrSimulator } from '../../src/simulators/index.js';
import { type IbkrOptions, ibkr } from '../../src/venues/ibkr/index.js';
import { allEvents, atEvent, expectOneStory } from '../support/lives.js';
import { createStage, describeEvent, type Stage } from '../support/stage.js';

/** What a relay says after `kill -9`, in order, the gateway having gone on without it: no fact twice, and none missed. */
let stage: Stage | undefined;
afterEach(async () => {
  if (stage?.isAlive === true) await expectOneStory(stage);
  await stage?.close();
  stage = undefined;
});

/** A source that has lived for ten seconds. */
async function start(options: Partial<IbkrOptions> = {}): Promise<Stage> {
  stage = await createStage({
    simulate: startIbkrSimulator,
    venue: (source, ports) => ibkr({ ...source, ...options } as unknown as IbkrOptions, ports),
  });
  await stage.advance(10_000);
  stage.take();
  return stage;
}

const LINKS_DOWN = ['- link.down ws 1006 relay', '- link.down http 1006 relay'];
const DARK = [
  ...LINKS_DOWN,
  'sso session.stale relay_restarted',
  'sso safety.changed unknown unconfirmed',
  'brokerage session.stale relay_restarted',
  'brokerage safety.changed unknown unconfirmed stale',
];
const FOUND = ['- link.up http', 'sso session.restored'];
const SOCKET = '- link.up ws';
/** What was said since the last call, but the socket: whether it or an answer comes first is the machine's to say. */
const lines = (one: Stage): readonly string[] => one.take().filter((line) => line !== SOCKET);
const facts = (one: Stage): readonly string[] => lines(one).filter((line) => !/safety|retrying/.test(line));
const requests = (one: Stage): { readonly [name: string]: number } =>
  JSON.parse(JSON.stringify(one.simulator.state())).requests.http;

describe('after a kill', () => {
  test('while nothing happened: both sessions are confirmed by HTTP', async () => {
    const one = await start();
    await one.kill();
    await one.restart();
    await one.advance(2_000);
    expect(lines(one)).toEqual([...DARK, ...FOUND, 'brokerage session.restored']);
    await one.advance(10_000);
    expect(lines(one)).toEqual(['sso safety.changed safe', 'brokerage safety.changed safe']);
    await one.advance(120_000);
    expect(lines(one)).toEqual([]);
  });

  test('and another, at once: nothing is asked sooner than the venue allows', async () => {
    const one = await start();
    for (let lives = 0; lives < 5; lives++) {
      await one.kill();
      await one.restart();
      await one.advance(lives * 400);
    }
    await one.advance(10_000);
    expect(one.take()).not.toContain('- source.throttled');
    expect(one.live.state('ibkr.gateway.brokerage')).toMatchObject({ status: 'active', stale: false });
  });

  test('the limit of one validation a minute outlasts it', async () => {
    const one = await start();
    const before = requests(one).validate_sso;
    await one.kill();
    await one.restart();
    await one.advance(30_000);
    expect(requests(one).validate_sso).toBe(before);
  });

  test('a login that ended meanwhile asks for a person', async () => {
    const one = await start();
    await one.kill();
    await one.fault('session_expiry');
    await one.restart();
    await one.advance(70_000);
    expect(lines(one)).toEqual([
      ...DARK,
      '- link.up http',
      'sso session.attention login',
      'sso safety.changed unsafe attention',
    ]);
    await one.kill();
    await one.restart();
    await one.advance(70_000);
    expect(facts(one)).toEqual([
      '- link.down http 1006 relay',
      'sso session.stale relay_restarted',
      '- link.up http',
      'sso session.attention login',
    ]);
  });

  test('a bridge that was lost and still is, and one that is back', async () => {
    const one = await start();
    await one.fault('bridge_drift', { forMs: 300_000 });
    await one.advance(20_000);
    expect(lines(one)).toEqual(['brokerage session.lost no_bridge', 'brokerage safety.changed at_risk lost']);
    await one.kill();
    await one.restart();
    await one.advance(2_000);
    const dark = [...DARK.slice(0, -1), 'brokerage safety.changed unsafe lost stale'];
    expect(lines(one)).toEqual([...dark, ...FOUND, 'brokerage session.lost no_bridge']);
    await one.kill();
    await one.fault('bridge_drift', { forMs: 0 });
    await one.restart();
    await one.advance(2_000);
    expect(facts(one)).toEqual([
      ...LINKS_DOWN,
      'sso session.stale relay_restarted',
      'brokerage session.stale relay_restarted',
      ...FOUND,
      'brokerage session.restored',
    ]);
  });

  test('a gateway that is not there is told, and found again', async () => {
    const one = await start();
    await one.kill();
    await one.fault('http_down', { forMs: 60_000 });
    await one.restart();
    await one.advance(120_000);
    expect(facts(one)).toEqual([
      ...LINKS_DOWN,
      'sso session.stale relay_restarted',
      'brokerage session.stale relay_restarted',
      '- link.down http 0 network',
      ...FOUND,
      'brokerage session.restored',
    ]);
  });

  test.each(['before', 'after'] as const)('%s a loss is journaled: it is told once', async (when) => {
    const one = await start();
    one.fate = atEvent(when, 'session.contested');
    await one.fault('competing', { forMs: 600_000 });
    await one.advance(30_000);
    expect(one.isAlive).toBe(false);
    await one.restart();
    await one.advance(60_000);
    const told = (await allEvents(one)).map(describeEvent).filter((line) => /brokerage session/.test(line));
    const stale = 'brokerage session.stale relay_restarted';
    expect(told.slice(1)).toEqual([
      ...(when === 'after' ? ['brokerage session.contested'] : []),
      stale,
      'brokerage session.contested',
    ]);
  });
});

/** Rounds are a minute apart: half an hour is not a thousand of them. */
const COMPETING = { compete: 'oncePerCooldown', cooldown: '30m', tickleSeconds: 60 } as unknown as Partial<IbkrOptions>;

describe('another login that takes the brokerage session', () => {
  test('meanwhile is not fought for', async () => {
    const one = await start();
    await one.kill();
    await one.fault('competing');
    await one.restart();
    await one.advance(2_000);
    expect(lines(one)).toEqual([
      ...DARK,
      ...FOUND,
      'brokerage session.contested',
      'brokerage safety.changed unsafe contested',
    ]);
    await one.advance(600_000);
    expect(lines(one)).toEqual(['sso safety.changed safe']);
  });

  test('is waited for a whole cooldown from where it was found, though the last taking was in a life before', async () => {
    const one = await start(COMPETING);
    await one.fault('competing', { retakesAfterMs: 600_000 });
    await one.advance(70_000);
    expect(one.take().filter((line) => line.includes('session.'))).toEqual([
      'brokerage session.contested',
      'brokerage session.opening',
      'brokerage session.restored',
    ]);
    await one.kill();
    await one.advance(900_000);
    await one.restart();
    await one.advance(60_000);
    expect(one.take().filter((line) => /brokerage session/.test(line))).toEqual([
      'brokerage session.stale relay_restarted',
      'brokerage session.lost no_bridge',
      'brokerage session.contested',
    ]);
    // 30 minutes after the first taking, and not after the loss.
    await one.advance(1_500_000);
    expect(facts(one)).toEqual([]);
    await one.advance(300_000);
    expect(one.take().filter((line) => line.includes('session.'))).toEqual([
      'brokerage session.opening',
      'brokerage session.restored',
    ]);
  });

  test('the cooldown goes on over a restart', async () => {
    const one = await start(COMPETING);
    await one.fault('competing', { retakesAfterMs: 60_000 });
    await one.advance(120_000);
    expect(one.take().filter((line) => /brokerage session/.test(line))).toEqual([
      'brokerage session.contested',
      'brokerage session.opening',
      'brokerage session.restored',
      'brokerage session.contested',
    ]);
    await one.kill();
    await one.restart();
    await one.advance(1_500_000);
    expect(one.take().filter((line) => /brokerage session/.test(line))).toEqual([
      'brokerage session.stale relay_restarted',
      'brokerage session.contested',
    ]);
  });
});

describe('the penalty box', () => {
  test('is waited for to its end, nothing being asked, and told once', async () => {
    const one = await start();
    await one.fault('too_many_requests', { forMs: 60_000 });
    await one.advance(65_000);
    expect(one.take()).toContain('- source.throttled');
    const before = requests(one);
    await one.kill();
    await one.restart();
    expect(lines(one)).toEqual([
      ...LINKS_DOWN,
      'sso safety.changed unknown unconfirmed throttled',
      'brokerage safety.changed unsafe throttled unconfirmed',
    ]);
    await one.advance(500_000);
    expect(lines(one)).toEqual([]);
    expect(requests(one)).toEqual(before);
    await one.advance(100_000);
    expect(one.take().slice(0, 3)).toEqual(['- source.unthrottled', ...FOUND]);
  });

  test('that ended while the relay was dead is over at once', async () => {
    const one = await start();
    await one.fault('too_many_requests', { forMs: 60_000 });
    await one.advance(65_000);
    one.take();
    await one.kill();
    await one.advance(600_000);
    await one.restart();
    expect(lines(one).filter((line) => line.startsWith('-'))).toEqual([
      ...LINKS_DOWN,
      '- source.unthrottled',
      '- link.up http',
    ]);
  });
});

describe('a command that the kill cut off', () => {
  test('a logout that the gateway carried out: it is unknown, and nothing logs in', async () => {
    const one = await start();
    const call = ['ibkr.gateway', 'logout', {}, { requestId: 'r-1' }] as const;
    one.fate = atEvent('before', 'command.succeeded');
    void one.live.command(...call);
    await one.advance(1_000);
    expect(one.isAlive).toBe(false);
    expect(facts(one)).toEqual([
      '- command.accepted logout',
      'brokerage session.closed by:user',
      'sso session.closed by:user',
    ]);
    await one.restart();
    expect(await one.live.command(...call)).toMatchObject({ replayed: true, outcome: 'unknown', requestId: 'r-1' });
    await one.advance(600_000);
    expect(lines(one)).toEqual([...LINKS_DOWN, '- command.unknown logout', '- link.up http']);
    expect(requests(one).ssodh_init ?? 0).toBe(0);
  });

  test('an init that was accepted, and not sent: it is unknown, and not sent later', async () => {
    const one = await start();
    const before = requests(one);
    one.fate = atEvent('after', 'command.accepted');
    void one.live.command('ibkr.gateway', 'init', { compete: true }, { requestId: 'r-2' });
    await one.advance(1_000);
    expect(one.isAlive).toBe(false);
    await one.restart();
    await one.advance(60_000);
    expect(facts(one)).toEqual([
      ...LINKS_DOWN,
      'sso session.stale relay_restarted',
      'brokerage session.stale relay_restarted',
      '- command.unknown init',
      ...FOUND,
      'brokerage session.restored',
    ]);
    expect(requests(one).ssodh_init).toBe(before.ssodh_init);
  });
});

test.each(['session.opening', 'session.opened', 'link.up'] as const)(
  'a kill in the midst of the first round, right after %s, misses nothing',
  async (type) => {
    stage = await createStage({
      simulate: startIbkrSimulator,
      venue: (source, ports) => ibkr(source as unknown as IbkrOptions, ports),
    });
    stage.fate = atEvent('after', type);
    await stage.advance(5_000);
    expect(stage.isAlive).toBe(false);
    await stage.restart();
    await stage.advance(90_000);
    for (const session of ['sso', 'brokerage']) {
      expect(stage.live.state(`ibkr.gateway.${session}`)).toMatchObject({
        status: 'active',
        stale: false,
        role: session === 'sso' ? 'watch' : 'trading',
        safety: { level: 'safe' },
      });
    }
    const told = (await allEvents(stage)).map(describeEvent).filter((line) => line.includes('session.opened'));
    expect(told).toEqual(['sso session.opened sso', 'brokerage session.opened brokerage']);
  },
);
