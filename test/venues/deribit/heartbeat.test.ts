import { describe, expect, test } from 'vitest';
import { settle } from '../../support/virtual-clock.js';
import { HEARTBEAT, startSource, TEST_REQUEST } from './world.js';

describe('the heartbeat', () => {
  test('a test_request is answered in the turn in which it is read', async () => {
    const world = await startSource();
    world.asked();
    world.network.last.receive(TEST_REQUEST);
    expect(world.asked()).toEqual(['public/test']);
  });

  test('is answered even where nothing else may be sent', async () => {
    const world = await startSource();
    await world.receive({ jsonrpc: '2.0', error: { code: 10028, message: 'too_many_requests' } });
    world.asked();
    world.network.last.receive(TEST_REQUEST);
    expect(world.asked()).toEqual(['public/test']);
  });

  test('the venue’s own heartbeat frames ask for nothing', async () => {
    const world = await startSource();
    world.asked();
    world.network.last.receive(HEARTBEAT);
    expect(world.asked()).toEqual([]);
  });

  test('each answer is a pulse with its round trip and the venue’s time', async () => {
    const world = await startSource();
    await world.clock.advance(10_600);
    expect(world.pulses.map(({ data, session }) => ({ session, ...data }))).toEqual([
      { session: 'bot', rttMs: 0, venueTime: '2026-11-23T08:00:10.600Z' },
    ]);
  });

  test('asks before it ends: missed after 1.5 intervals and 2 s, and the socket only 10 s later', async () => {
    const world = await startSource({ cancelOnDisconnect: 'enable' });
    world.told();
    world.script.mute = true;
    await world.clock.advance(16_900);
    expect(world.told()).toEqual([]);
    world.asked();
    await world.clock.advance(200);
    expect(world.told()).toEqual(['bot heartbeat.missed 10000']);
    expect(world.asked()).toEqual(['public/test']);
    await world.clock.advance(9_700);
    expect(world.network.last.closedBy).toBeUndefined();
    await world.clock.advance(300);
    await settle();
    expect(world.network.sockets[0]?.closedBy).toBe('terminate');
    expect(world.told()).toEqual([
      '- link.down 1006 silent for 27 s, and no answer when asked relay',
      'bot protection.triggered connection',
      '- link.retrying',
    ]);
  });

  test('any frame resumes it, one that is not understood too', async () => {
    const world = await startSource();
    world.script.mute = true;
    await world.clock.advance(18_000);
    world.told();
    world.network.last.receive('not JSON');
    expect(world.told()).toEqual(['bot heartbeat.resumed', '- source.fault bad_frame']);
  });

  test('is asked for again where the venue does not answer', async () => {
    const world = await startSource({}, { script: { answers: new Map([['public/set_heartbeat', () => 'silence']]) } });
    world.script.answers.clear();
    world.told();
    await world.clock.advance(15_500);
    expect(world.told()).toEqual(['bot heartbeat.armed 10000']);
  });

  test('that the venue refuses is off, and said to be', async () => {
    const world = await startSource(
      { heartbeatSeconds: 3_600 },
      {
        script: {
          answers: new Map([['public/set_heartbeat', () => ({ error: { code: -32602, message: 'Invalid params' } })]]),
        },
      },
    );
    expect(world.told()).toEqual(expect.arrayContaining(['- source.fault inconsistent', 'bot heartbeat.disarmed']));
  });
});

describe('set_heartbeat and disable_heartbeat', () => {
  test('change what is watched, are shown as wishes, and hold for later connections', async () => {
    const world = await startSource();
    world.told();
    expect(await world.command('set_heartbeat', { interval: 20 })).toEqual({ interval: 20 });
    expect(world.told()).toEqual(['bot heartbeat.armed 20000', 'bot session.updated']);
    expect(world.memory.get('wishes')).toEqual({ heartbeatSeconds: 20 });
    await world.drop();
    world.asked();
    await world.reopen();
    expect(world.asked()).toContain('public/set_heartbeat 20');

    expect(await world.command('disable_heartbeat')).toEqual({ interval: null });
    expect(world.told().slice(-2)).toEqual(['bot heartbeat.disarmed', 'bot session.updated']);
    const restarted = await startSource({}, { memory: world.memory });
    expect(restarted.told()).toContain('bot heartbeat.disarmed');
  });

  test('that the venue refuses change nothing', async () => {
    const world = await startSource();
    world.script.answers.set('public/set_heartbeat', () => ({ error: { code: -32602, message: 'Invalid params' } }));
    world.told();
    await expect(world.command('set_heartbeat', { interval: 3_600 })).rejects.toMatchObject({ code: 'venue_error' });
    expect(world.told()).toEqual([]);
    expect(world.memory.get('wishes')).toBeUndefined();
  });

  test('below the venue’s least are refused before anything is sent', async () => {
    const world = await startSource();
    world.asked();
    await expect(world.command('set_heartbeat', { interval: 5 })).rejects.toMatchObject({ code: 'invalid_params' });
    expect(world.asked()).toEqual([]);
  });
});
