import { afterEach, describe, expect, test } from 'vitest';
import { startTradernetSimulator } from '../../src/simulators/tradernet.js';
import { type TradernetOptions, tradernet } from '../../src/venues/tradernet/index.js';
import { allEvents, atEvent, expectOneStory } from '../support/lives.js';
import { createStage, describeEvent, type Stage } from '../support/stage.js';

/** What a relay says after `kill -9`, in order, the venue having gone on without it: no fact twice, and none missed. */
let stage: Stage | undefined;
afterEach(async () => {
  if (stage?.isAlive === true) await expectOneStory(stage);
  await stage?.close();
  stage = undefined;
});

/** The venue's row ids, in the order in which they were told first, become these. */
const NAMES = ['first', 'second', 'third'];

interface Play {
  readonly stage: Stage;
  /** Lines since the last call. */
  lines(): readonly string[];
  /** The same without those of safety. */
  facts(): readonly string[];
  /** The venue's id of a row. */
  id(name: string): number;
}

/** A source that has lived for ten seconds, with two security sessions. */
async function start(options: Partial<TradernetOptions> = {}): Promise<Play> {
  const made = await createStage({
    simulate: startTradernetSimulator,
    venue: (source, ports) => tradernet({ ...source, pollSeconds: 60, ...options } as TradernetOptions, ports),
  });
  stage = made;
  const ids: string[] = [];
  const lines = (): readonly string[] =>
    made.take().map((line) =>
      line.replace(/^\d+/, (id) => {
        if (!ids.includes(id)) ids.push(id);
        return NAMES[ids.indexOf(id)] ?? id;
      }),
    );
  await made.advance(10_000);
  lines();
  return {
    stage: made,
    lines,
    facts: () => lines().filter((line) => !line.includes('safety.changed')),
    id: (name) => Number(ids[NAMES.indexOf(name)]),
  };
}

const LINKS_DOWN = ['- link.down ws 1006 relay', '- link.down http 1006 relay'];
const DARK = [
  ...LINKS_DOWN,
  'login session.stale relay_restarted',
  'login safety.changed unknown unconfirmed stale',
  'first session.stale relay_restarted',
  'first safety.changed unknown unconfirmed',
  'second session.stale relay_restarted',
  'second safety.changed unknown unconfirmed',
];
const DARK_FACTS = DARK.filter((line) => !line.includes('safety.changed'));
const LOGGED_IN = ['- link.up http', '- link.up ws', 'login session.opened login'];
const RESTORED = ['first session.restored', 'second session.restored'];
const SAFE = ['login safety.changed safe', 'first safety.changed safe', 'second safety.changed safe'];

describe('after a kill', () => {
  test('while nothing happened all is stale, and confirmed by the first list', async () => {
    const { stage, lines } = await start();
    await stage.kill();
    await stage.restart();
    expect(lines()).toEqual([...DARK, ...LOGGED_IN, ...RESTORED]);
    await stage.advance(10_000);
    expect(lines()).toEqual(SAFE);
    await stage.advance(120_000);
    expect(lines()).toEqual([]);
  });

  test('a session that closed, one that opened and one that was extended meanwhile are told, and once', async () => {
    const { stage, lines, facts, id } = await start();
    await stage.kill();
    await stage.fault('close_session', { id: id('first') });
    await stage.fault('extend_session', { id: id('second') });
    await stage.fault('open_session');
    await stage.restart();
    expect(lines()).toEqual([
      ...DARK,
      ...LOGGED_IN,
      'first session.closed by:venue',
      'first safety.changed unknown closed',
      'second session.restored',
      'second session.renewed observed',
      'third session.opened security',
    ]);
    await stage.kill();
    await stage.restart();
    expect(facts()).toEqual([
      ...LINKS_DOWN,
      'login session.stale relay_restarted',
      'second session.stale relay_restarted',
      'third session.stale relay_restarted',
      ...LOGGED_IN,
      'second session.restored',
      'third session.restored',
    ]);
  });

  test('sessions that ended by time meanwhile have expired', async () => {
    const { stage, facts } = await start();
    await stage.kill();
    await stage.advance(86_400_000);
    await stage.restart();
    expect(facts()).toEqual([...DARK_FACTS, ...LOGGED_IN, 'first session.expired', 'second session.expired']);
  });

  test('a session that left the list, and came back meanwhile, goes on', async () => {
    const { stage, facts, id } = await start();
    await stage.fault('missing_row', { id: id('first'), forMs: 30_000 });
    expect(facts()).toEqual(['first session.closed by:venue']);
    await stage.kill();
    await stage.advance(60_000);
    await stage.restart();
    expect(facts()).toEqual([
      ...DARK_FACTS.filter((line) => !line.startsWith('first')),
      ...LOGGED_IN,
      'first session.opened security',
      'second session.restored',
    ]);
    const keys = (await allEvents(stage)).flatMap(({ type, key, subject }) =>
      type === 'session.opened' && subject.endsWith(String(id('first'))) ? [key.split(':').at(-1)] : [],
    );
    expect(keys.map((key) => key?.split('#')[1])).toEqual([undefined, '1']);
  });

  test.each(['before', 'after'] as const)('%s a list is journaled: what it says is told once', async (when) => {
    const { stage, id } = await start();
    stage.fate = atEvent(when, 'session.closed');
    await stage.fault('close_session', { id: id('first') });
    await stage.advance(1_000);
    expect(stage.isAlive).toBe(false);
    await stage.restart();
    await stage.advance(120_000);
    const told = (await allEvents(stage)).map(describeEvent).filter((line) => line.includes('session.closed'));
    expect(told).toEqual([`${id('first')} session.closed by:venue`]);
    expect(stage.live.state(`tradernet.desk.${id('first')}`)).toMatchObject({ status: 'closed' });
  });

  test.each(['session.opening', 'session.opened'] as const)(
    'in the midst of the first login, right after %s, all is told',
    async (type) => {
      const made = await createStage({
        simulate: startTradernetSimulator,
        venue: (source, ports) => tradernet(source as TradernetOptions, ports),
      });
      stage = made;
      made.fate = atEvent('after', type);
      await made.advance(5_000);
      expect(made.isAlive).toBe(false);
      made.take();
      await made.restart();
      await made.advance(1_000);
      const facts = made.take().filter((line) => /session\./.test(line) && !line.includes('stale'));
      expect(facts.map((line) => line.replace(/^\d+/, 'row'))).toEqual([
        'login session.opened login',
        'row session.opened security',
        'row session.opened security',
      ]);
    },
  );
});

describe('a login', () => {
  test('that is refused after a restart is tried again only after 5 minutes', async () => {
    const { stage, lines } = await start();
    await stage.kill();
    await stage.fault('bad_credentials');
    await stage.restart();
    expect(lines()).toEqual([
      ...DARK,
      '- link.up http',
      'login session.attention check_credentials',
      'login safety.changed unsafe attention',
    ]);
    stage.simulator.fault('bad_credentials', { forMs: 0 });
    await stage.advance(299_000);
    expect(lines().filter((line) => line.includes('session.'))).toEqual([]);
    await stage.advance(2_000);
    expect(lines().filter((line) => line.includes('session.'))).toEqual(['login session.opened login', ...RESTORED]);
  });

  test('is sent five times a minute at most, however often the relay is started', async () => {
    const { stage, facts } = await start();
    const logins = (): unknown => JSON.parse(JSON.stringify(stage.simulator.state())).logins;
    for (let lives = 0; lives < 8; lives++) {
      await stage.kill();
      await stage.restart();
      await stage.advance(1_000);
    }
    expect(logins()).toBe(5);
    facts();
    await stage.advance(60_000);
    expect(logins()).toBe(6);
    expect(facts()).toEqual([...LOGGED_IN, ...RESTORED]);
  });

  test('that a person asked for, and that the kill cut off, is unknown and not repeated', async () => {
    const { stage, facts } = await start();
    const call = ['tradernet.desk', 'login', {}, { requestId: 'r-1' }] as const;
    stage.fate = atEvent('before', 'command.succeeded');
    void stage.live.command(...call);
    await stage.advance(1_000);
    expect(stage.isAlive).toBe(false);
    facts();
    await stage.restart();
    expect(facts()).toEqual([...DARK_FACTS, '- command.unknown login', ...LOGGED_IN, ...RESTORED]);
    expect(await stage.live.command(...call)).toMatchObject({ replayed: true, outcome: 'unknown', requestId: 'r-1' });
    await stage.advance(60_000);
    expect(facts()).toEqual([]);
  });
});

describe('a penalty', () => {
  test('is waited for to its end, without a login, a socket or a poll, and told once', async () => {
    const { stage, facts } = await start();
    await stage.fault('too_many_requests', { forMs: 120_000 });
    await stage.advance(60_000);
    expect(facts()).toEqual(['- source.throttled']);
    const asked = (): string => JSON.stringify(JSON.parse(JSON.stringify(stage.simulator.state())).requests);
    const before = asked();
    await stage.kill();
    await stage.restart();
    await stage.advance(10_000);
    expect(facts()).toEqual(DARK_FACTS);
    expect(asked()).toBe(before);
    await stage.advance(120_000);
    expect(facts()).toEqual(['- source.unthrottled', ...LOGGED_IN, ...RESTORED]);
  });

  test('that ended while the relay was dead is over at once', async () => {
    const { stage, facts } = await start();
    await stage.fault('too_many_requests', { forMs: 60_000 });
    await stage.advance(55_000);
    facts();
    await stage.kill();
    await stage.advance(120_000);
    await stage.restart();
    expect(facts()).toEqual([...DARK_FACTS, '- source.unthrottled', ...LOGGED_IN, ...RESTORED]);
  });
});

test('a venue in maintenance at the kill and at the start, and back later', async () => {
  const { stage, facts } = await start();
  await stage.fault('maintenance', { forMs: 60_000 });
  await stage.advance(10_000);
  facts();
  await stage.kill();
  await stage.restart();
  await stage.advance(100_000);
  expect(facts().filter((line) => !line.includes('retrying'))).toEqual([
    '- link.down ws 0 relay',
    '- link.down http 1006 relay',
    ...DARK_FACTS.slice(2),
    '- link.down http 0 venue',
    ...LOGGED_IN,
    ...RESTORED,
  ]);
});
