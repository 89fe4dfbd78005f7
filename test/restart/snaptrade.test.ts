import { afterEach, describe, expect, test } from 'vitest';
import type { Json } from '../../src/model/json.js';
import { startSnaptradeSimulator } from '../../src/simulators/snaptrade.js';
import { type SnaptradeOptions, snaptrade } from '../../src/venues/snaptrade/index.js';
import type { WebhookReply } from '../../src/venues/venue.js';
import { allEvents, atEvent, expectOneStory } from '../support/lives.js';
import { createStage, describeEvent, type Stage } from '../support/stage.js';
import { sign } from '../venues/snaptrade/world.js';

/** What a relay says after `kill -9`, in order, the venue having gone on without it: no fact twice, and none missed. */
let stage: Stage | undefined;
afterEach(async () => {
  if (stage?.isAlive === true) await expectOneStory(stage);
  await stage?.close();
  stage = undefined;
});

const CUSTOMER = 'SIMULATOR-CUSTOMER-1';
const CONSUMER_KEY = 'SIMULATOR-CONSUMER-KEY';
/** A poll every 5 s: within this each list has been read. */
const POLLED_MS = 15_000;

interface Play {
  readonly stage: Stage;
  /** Lines since the last call, without those of safety; connections are `a`, `b`, and a later one `c`. */
  lines(): readonly string[];
  id(name: 'a' | 'b' | 'c'): string;
  /** The vendor sends a webhook about `a`, with an id of its own; it came so long ago. */
  hook(id: string, eventType: string, agoMs?: number): Promise<WebhookReply>;
}

/** One customer with two connections, of whom the relay has known for ten seconds. */
async function start(options: Partial<SnaptradeOptions> = {}): Promise<Play> {
  const made = await createStage({
    simulate: (how) => startSnaptradeSimulator({ ...how, users: 1, connections: 2 }),
    venue: (source, ports) => snaptrade({ ...source, ...options } as unknown as SnaptradeOptions, ports),
  });
  stage = made;
  const ids: string[] = [];
  const lines = (): readonly string[] =>
    made
      .take()
      .map((line) =>
        line.replace(/^[0-9a-f]{8}-[0-9a-f-]{27}/, (id) => {
          if (!ids.includes(id)) ids.push(id);
          return 'abc'[ids.indexOf(id)] ?? id;
        }),
      )
      .filter((line) => !line.includes('safety.changed'));
  await made.advance(10_000);
  lines();
  const id = (name: string): string => ids['abc'.indexOf(name)] ?? '';
  return {
    stage: made,
    lines,
    id,
    hook(webhookId, eventType, agoMs = 0) {
      const eventTimestamp = new Date(made.clock.now() - agoMs).toISOString().replace('Z', '000+00:00');
      const payload = { webhookId, eventTimestamp, userId: CUSTOMER, eventType, brokerageAuthorizationId: id('a') };
      const body = Buffer.from(JSON.stringify(payload));
      const reply = made.venue.webhook?.({ headers: { signature: sign(payload, CONSUMER_KEY) }, body });
      if (reply === undefined) throw new Error('SnapTrade takes webhooks');
      return reply;
    },
  };
}

const DARK = ['- link.down http 1006 relay', 'a session.stale relay_restarted', 'b session.stale relay_restarted'];
const UP = '- link.up http';
const BROKEN = ['a session.lost connection_broken', 'a session.attention relink'];

describe('after a kill', () => {
  test('while nothing happened: each connection is confirmed by the first list', async () => {
    const { stage, lines } = await start();
    await stage.kill();
    await stage.restart();
    expect(lines()).toEqual(DARK);
    await stage.advance(POLLED_MS);
    expect(lines()).toEqual([UP, 'a session.restored', 'b session.restored']);
    await stage.advance(60_000);
    expect(lines()).toEqual([]);
  });

  test('a connection that broke, one that was deleted, one that was made meanwhile', async () => {
    const { stage, lines, id } = await start();
    await stage.kill();
    await stage.fault('disable_connection', { connection: id('a') });
    await stage.fault('delete_connection', { connection: id('b'), webhook: false });
    await stage.fault('add_connection', { webhook: false });
    await stage.restart();
    await stage.advance(POLLED_MS);
    expect(lines()).toEqual([...DARK, UP, 'b session.closed by:unknown', ...BROKEN, 'c session.opened connection']);
    await stage.kill();
    await stage.restart();
    await stage.advance(POLLED_MS);
    expect(lines()).toEqual([
      '- link.down http 1006 relay',
      'a session.stale relay_restarted',
      'c session.stale relay_restarted',
      UP,
      'a session.attention relink',
      'c session.restored',
    ]);
  });

  test('a connection that was mended meanwhile, and one that broke again', async () => {
    const { stage, lines, id } = await start();
    await stage.fault('disable_connection', { connection: id('a') });
    await stage.advance(POLLED_MS);
    expect(lines()).toEqual(BROKEN);
    await stage.kill();
    await stage.fault('fix_connection', { connection: id('a'), webhook: false });
    await stage.restart();
    await stage.advance(POLLED_MS);
    expect(lines()).toEqual([...DARK, UP, 'a session.restored', 'b session.restored']);
    await stage.fault('disable_connection', { connection: id('a') });
    await stage.advance(POLLED_MS);
    expect(lines()).toEqual(BROKEN);
    const keys = (await allEvents(stage)).filter(({ type }) => type === 'session.lost').map(({ key }) => key);
    expect(keys.map((key) => key.split(':').at(-1))).toEqual(['0.1', '0.2']);
  });

  test('a broker that is degraded and still is, and one that is well again', async () => {
    const { stage, lines } = await start();
    await stage.fault('brokerage_degraded');
    await stage.advance(POLLED_MS);
    expect(lines()).toHaveLength(1);
    await stage.kill();
    await stage.restart();
    await stage.advance(POLLED_MS);
    expect(lines().filter((line) => line.includes('venue.'))).toEqual([]);
    await stage.kill();
    await stage.fault('brokerage_degraded', { forMs: 0 });
    await stage.restart();
    await stage.advance(POLLED_MS);
    expect(lines().filter((line) => line.includes('venue.'))).toEqual(['- venue.normal EXAMPLE-DIRECT']);
  });

  test.each(['before', 'after'] as const)('%s a list is journaled: what it says is told once', async (when) => {
    const { stage, lines, id } = await start();
    stage.fate = atEvent(when, 'session.lost');
    await stage.fault('disable_connection', { connection: id('a') });
    await stage.advance(POLLED_MS);
    expect(stage.isAlive).toBe(false);
    expect(lines()).toEqual([]);
    await stage.restart();
    await stage.advance(POLLED_MS);
    const told = (await allEvents(stage)).map(describeEvent).filter((line) => /session\.(lost|attention)/.test(line));
    expect(told.map((line) => line.split(' ')[1])).toEqual([
      'session.lost',
      'session.attention',
      ...(when === 'after' ? ['session.attention'] : []),
    ]);
  });

  test('in the midst of the first list, all is told', async () => {
    const made = await createStage({
      simulate: (how) => startSnaptradeSimulator({ ...how, users: 2, connections: 4 }),
      venue: (source, ports) => snaptrade(source as unknown as SnaptradeOptions, ports),
    });
    stage = made;
    made.fate = atEvent('after', 'session.opened');
    await made.advance(POLLED_MS);
    expect(made.isAlive).toBe(false);
    await made.restart();
    await made.advance(POLLED_MS);
    const opened = (await allEvents(made)).filter(({ type }) => type === 'session.opened');
    expect(opened).toHaveLength(4);
    expect([...made.live.states().values()].filter((state) => 'status' in state && state.stale)).toEqual([]);
  });
});

describe('a webhook', () => {
  test('that was answered is told once, whatever is sent again, and before a list says the same', async () => {
    const { stage, lines, id, hook } = await start();
    await stage.fault('disable_connection', { connection: id('a') });
    expect(await hook('h-1', 'CONNECTION_BROKEN')).toEqual({ status: 200 });
    expect(lines()).toEqual(['- link.up hook', ...BROKEN]);
    await stage.kill();
    await stage.restart();
    expect(lines()).toEqual(['- link.down http 1006 relay', '- link.down hook 1006 relay', ...DARK.slice(1)]);
    expect(await hook('h-1', 'CONNECTION_BROKEN')).toEqual({ status: 200 });
    expect(lines()).toEqual([]);
    await stage.advance(POLLED_MS);
    expect(lines()).toEqual([UP, 'a session.attention relink', 'b session.restored']);
  });

  test.each(['before', 'after'] as const)('that the kill cut off %s it was journaled is told once', async (when) => {
    const { stage, lines, id, hook } = await start();
    await stage.fault('disable_connection', { connection: id('a') });
    stage.fate = atEvent(when, 'session.lost');
    void hook('h-1', 'CONNECTION_BROKEN');
    await stage.advance(0);
    expect(stage.isAlive).toBe(false);
    lines();
    await stage.restart();
    lines();
    expect(await hook('h-1', 'CONNECTION_BROKEN')).toEqual({ status: 200 });
    expect(lines()).toEqual(when === 'before' ? ['- link.up hook', ...BROKEN] : []);
    await stage.advance(POLLED_MS);
    const attention = when === 'after' ? ['a session.attention relink'] : [];
    expect(lines()).toEqual([UP, ...attention, 'b session.restored']);
  });

  test('that is repeated when it is too old is no event, and the list says what it would have said', async () => {
    const { stage, lines, id, hook } = await start();
    await stage.kill();
    await stage.fault('disable_connection', { connection: id('a') });
    await stage.advance(1_800_000);
    await stage.restart();
    expect(lines()).toEqual(DARK);
    expect(await hook('h-1', 'CONNECTION_BROKEN', 1_800_000)).toMatchObject({ status: 202 });
    await stage.advance(POLLED_MS);
    expect(lines()).toEqual([UP, ...BROKEN, 'b session.restored']);
  });

  test('about a step is told once, whatever lies between its repetitions', async () => {
    const { stage, lines, hook } = await start();
    await hook('h-2', 'TRADE_UPDATE');
    expect(lines()).toEqual(['- link.up hook', 'a session.step']);
    for (let lives = 0; lives < 3; lives++) {
      await stage.kill();
      await stage.restart();
      await hook('h-2', 'TRADE_UPDATE');
    }
    expect(lines().filter((line) => line.includes('session.step'))).toEqual([]);
  });
});

test('steps in a portal are told once, by whichever life', async () => {
  const { stage } = await start();
  const steps = async (): Promise<number> =>
    (await allEvents(stage)).filter(({ subject }) => subject.includes('.portal-')).length;
  await stage.fault('session_event');
  await stage.advance(POLLED_MS);
  expect(await steps()).toBe(1);
  await stage.kill();
  await stage.fault('session_event');
  await stage.restart();
  await stage.advance(POLLED_MS);
  expect(await steps()).toBe(2);
  stage.fate = atEvent('before', 'session.step');
  await stage.fault('session_event');
  await stage.advance(POLLED_MS);
  expect(stage.isAlive).toBe(false);
  await stage.restart();
  await stage.advance(POLLED_MS);
  expect(await steps()).toBe(3);
});

describe('a penalty', () => {
  test('is waited for to its end, nothing being asked, and told once', async () => {
    const { stage, lines } = await start();
    await stage.fault('too_many_requests', { forMs: 120_000 });
    await stage.advance(POLLED_MS);
    expect(lines()).toEqual(['- source.throttled']);
    const asked = (): Json => JSON.parse(JSON.stringify(stage.simulator.state())).requests.asked;
    const before = asked();
    await stage.kill();
    await stage.restart();
    await stage.advance(90_000);
    expect(lines()).toEqual(DARK);
    expect(asked()).toEqual(before);
    await stage.advance(30_000);
    expect(lines()).toEqual(['- source.unthrottled', UP, 'a session.restored', 'b session.restored']);
  });

  test('that ended while the relay was dead is over at once', async () => {
    const { stage, lines } = await start();
    await stage.fault('too_many_requests', { forMs: 60_000 });
    await stage.advance(POLLED_MS);
    lines();
    await stage.kill();
    await stage.advance(120_000);
    await stage.restart();
    expect(lines()).toEqual([...DARK, '- source.unthrottled']);
  });
});

test('credentials that are refused are asked about once, and what was mended while the relay was dead is told', async () => {
  const { stage, lines } = await start();
  await stage.fault('bad_signature');
  await stage.advance(POLLED_MS);
  expect(lines()).toEqual([
    '- session.attention check_credentials',
    'a session.stale link_down',
    'b session.stale link_down',
  ]);
  await stage.kill();
  await stage.restart();
  await stage.advance(POLLED_MS);
  expect(lines()).toEqual(['- link.down http 1006 relay', UP]);
  await stage.kill();
  await stage.fault('bad_signature', { forMs: 0 });
  await stage.restart();
  await stage.advance(POLLED_MS);
  expect(lines()).toEqual([
    '- link.down http 1006 relay',
    UP,
    '- session.restored',
    'a session.restored',
    'b session.restored',
  ]);
});

test('a removal that the kill cut off is unknown, and not repeated', async () => {
  const { stage, lines, id } = await start();
  const call = [
    'snaptrade.partner~customer-1',
    'remove_connection',
    {},
    { session: id('a'), requestId: 'r-1' },
  ] as const;
  stage.fate = atEvent('after', 'command.accepted');
  void stage.live.command(...call);
  await stage.advance(1_000);
  expect(stage.isAlive).toBe(false);
  await stage.restart();
  await stage.advance(POLLED_MS);
  expect(lines()).toEqual([
    ...DARK,
    'a command.unknown remove_connection',
    UP,
    'a session.restored',
    'b session.restored',
  ]);
  expect(await stage.live.command(...call)).toMatchObject({ replayed: true, outcome: 'unknown', requestId: 'r-1' });
  await stage.advance(60_000);
  expect(lines()).toEqual([]);
});
