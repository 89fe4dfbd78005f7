import { describe, expect, test } from 'vitest';
import type { Json } from '../../../src/model/json.js';
import { startSource, type World } from './world.js';

const PROTECTED = { cancelOnDisconnect: 'enable' } as const;
/** What a drop of the protected named session says. */
const DROP = ['- link.down 1006 network', 'bot protection.triggered connection', '- link.retrying'];
const CONFIRMED = [
  '- venue.normal',
  '- account.unlocked all',
  'bot protection.armed connection',
  'bot protection.disarmed account',
];

async function started(...how: Parameters<typeof startSource>): Promise<World> {
  const world = await startSource(...how);
  world.told();
  world.asked();
  return world;
}

describe('a named session', () => {
  test('is restored by its sid, once this connection’s protection was read', async () => {
    const world = await started(PROTECTED);
    await world.drop();
    expect(world.told()).toEqual(DROP);
    await world.reopen();
    expect(world.told()).toEqual([
      '- link.up',
      'bot heartbeat.armed 10000',
      ...CONFIRMED,
      'bot session.restored',
      'bot session.renewed reauthenticate',
    ]);
  });

  test('is another one where the sid is: lost, then opened, before anything is read', async () => {
    const world = await started(PROTECTED);
    await world.drop();
    world.script.sid = 'SID-TWO';
    world.told();
    await world.reopen();
    expect(world.told()).toEqual([
      '- link.up',
      'bot heartbeat.armed 10000',
      'bot session.lost link_down',
      'bot session.opened api',
      ...CONFIRMED,
    ]);
  });

  test('waits for the protection to be read before it is the same', async () => {
    const world = await started(PROTECTED);
    await world.drop();
    world.script.answers.set('private/get_cancel_on_disconnect', () => 'silence');
    await world.reopen();
    world.told();
    await world.clock.advance(9_900);
    expect(world.told()).toEqual([]);
    world.script.answers.clear();
    await world.clock.advance(11_000);
    expect(world.told()).toEqual([
      'bot protection.unknown connection',
      'bot protection.unknown account',
      'bot protection.armed connection',
      'bot protection.disarmed account',
      'bot session.restored',
      'bot session.renewed reauthenticate',
    ]);
  });

  test('is not the same where the key may not read its protection', async () => {
    const world = await started({});
    await world.drop();
    world.script.answers.set('private/get_cancel_on_disconnect', () => ({
      error: { code: 13403, message: 'scope_exceeded' },
    }));
    world.told();
    await world.reopen();
    expect(world.told().slice(-4)).toEqual([
      'bot protection.unknown connection',
      'bot protection.unknown account',
      'bot session.lost link_down',
      'bot session.opened api',
    ]);
  });
});

test('a connection’s own session is another one after every drop', async () => {
  const world = await started(
    { ...PROTECTED, scope: 'connection' },
    { script: { sid: undefined, scope: 'connection' } },
  );
  await world.drop();
  await world.reopen();
  expect(world.told()).toEqual([
    '- link.down 1006 network',
    'connection protection.triggered connection',
    '- link.retrying',
    '- link.up',
    'connection heartbeat.armed 10000',
    'connection session.lost link_down',
    'connection session.opened api',
    '- venue.normal',
    '- account.unlocked all',
    'connection protection.armed connection',
    'connection protection.disarmed account',
  ]);
});

describe('a drop', () => {
  test('triggers each scope that was armed, as an inference', async () => {
    const world = await started(PROTECTED, { script: { accountEnabled: true } });
    await world.drop();
    const triggered = world.facts.filter(({ type }) => type === 'protection.triggered');
    expect(triggered.map(({ data }) => data)).toEqual([
      { mechanism: 'cancel_on_disconnect', scope: 'connection', certain: false },
      { mechanism: 'cancel_on_disconnect', scope: 'account', certain: false },
    ]);
  });

  test('of an unprotected connection triggers nothing', async () => {
    const world = await started();
    await world.drop();
    expect(world.told()).toEqual(['- link.down 1006 network', '- link.retrying']);
  });

  test('between enabling and reading back triggers what may have been armed', async () => {
    const world = await startSource(PROTECTED, {
      script: { answers: new Map([['private/get_cancel_on_disconnect', () => 'silence']]) },
    });
    world.told();
    await world.drop();
    expect(world.told()).toEqual(DROP);
  });

  test('is told once, however many attempts fail after it', async () => {
    const world = await started(PROTECTED);
    await world.drop();
    world.told();
    await world.clock.advance(1_000);
    world.network.last.end();
    expect(world.told()).toEqual(['- link.down 0 network', '- link.retrying']);
  });

  test('by a close frame is the venue’s, and its code is told', async () => {
    const world = await started();
    world.network.last.end({ code: 4000, reason: 'heartbeat close' });
    expect(world.told()[0]).toBe('- link.down 4000 heartbeat close venue');
  });

  test('backs off longer each time, and never holds two sockets', async () => {
    const world = await started();
    const delays: number[] = [];
    for (let round = 0; round < 6; round++) {
      await world.drop();
      expect(world.network.live).toBe(0);
      const retrying = world.facts.findLast(({ type }) => type === 'link.retrying');
      if (retrying?.type === 'link.retrying') delays.push(retrying.data.delayMs);
      await world.reopen();
      expect(world.network.live).toBe(1);
    }
    expect(delays).toEqual([500, 1_000, 2_000, 4_000, 8_000, 15_000]);
  });
});

test('the heartbeat is armed anew on every connection, and what an old socket says late is dropped', async () => {
  const world = await started();
  const [old] = world.network.sockets;
  for (let round = 0; round < 3; round++) {
    await world.drop();
    await world.reopen();
    expect(world.asked().slice(0, 2)).toEqual(['public/hello', 'public/set_heartbeat 10']);
  }
  const before = world.facts.length;
  old?.receive(
    '{"jsonrpc":"2.0","method":"subscription","params":{"channel":"user.lock","data":{"locked":true,"currency":"ALL"}}}',
  );
  expect(world.facts).toHaveLength(before);
  expect(new Set(world.facts.flatMap(({ type, generation }) => (type === 'link.up' ? [generation] : [])))).toEqual(
    new Set([1, 2, 3, 4]),
  );
});

describe('a restart of the relay', () => {
  test('restores a named session of the same sid without opening it', async () => {
    const first = await started();
    const world = await startSource({}, { memory: first.memory });
    expect(world.told()).toEqual([
      '- link.up',
      'bot heartbeat.armed 10000',
      '- venue.normal',
      '- account.unlocked all',
      'bot protection.disarmed connection',
      'bot protection.disarmed account',
      'bot session.restored',
      'bot session.renewed reauthenticate',
    ]);
  });

  test('says at once that what was armed when the relay died may have been cancelled, and says it once', async () => {
    const first = await started(PROTECTED);
    const world = await startSource(PROTECTED, { memory: first.memory, open: false });
    expect(world.told()).toEqual(['bot protection.triggered connection']);
    const third = await startSource({}, { memory: world.memory, open: false });
    expect(third.told()).toEqual([]);
  });

  test('with another scope in its configuration is another session', async () => {
    const first = await started();
    const world = await startSource({ scope: 'session:other' }, { memory: first.memory, open: false });
    expect(world.told()).toEqual(['other session.opening']);
  });

  test('takes a memory that does not fit for none', async () => {
    const memory = new Map<string, Json>([
      ['session', 7],
      ['wishes', { heartbeatSeconds: 'soon' }],
      ['login', []],
      ['armed', ['everything']],
    ]);
    const world = await startSource({}, { memory, open: false });
    expect(world.told()).toEqual(['bot session.opening']);
  });
});
