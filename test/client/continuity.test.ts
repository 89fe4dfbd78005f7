import { afterEach, describe, expect, test } from 'vitest';
import type { Message } from './model-relay.js';
import { HEARTBEAT_MS } from './model-relay.js';
import { closeStages, ids, OPENED, type Stage, stage } from './stage.js';

afterEach(closeStages);

const CHANNEL = 'deribit.>';
const update = (on: Stage, n: number) => on.relay.happen('session.updated', { changed: { n } });

/** A stage with a live channel that has delivered `1-1` and `1-2`. */
async function live() {
  const on = await stage();
  const heard = on.events(CHANNEL);
  await on.settle();
  on.relay.happen('session.opened', OPENED);
  update(on, 1);
  expect(ids(heard.values)).toEqual(['1-1', '1-2']);
  return { on, heard };
}

const resumed = (on: Stage) => on.relay.asked('subscribe').at(-1)?.params.channels;

describe('a frame that does not follow the last one is a loss: subscribed again with the last good cursor', () => {
  test.each<[string, (message: Message) => readonly Message[]]>([
    ['a frame that was dropped shows by the next one', () => []],
    ['a frame that comes twice is told once', (message) => [message, message]],
    ['a `previous` from nowhere', (message) => [{ ...message, params: { ...message.params, previous: '1-77' } }]],
  ])('%s', async (_, mangle) => {
    const { on, heard } = await live();
    let mangled = false;
    on.relay.mangle = (message) => {
      if (mangled || message.method !== 'subscription') return [message];
      mangled = true;
      return mangle(message);
    };
    update(on, 2);
    update(on, 3);
    await on.advance(100);
    expect(ids(heard.values)).toEqual(['1-1', '1-2', '1-3', '1-4']);
    expect(resumed(on)).toEqual([{ channel: CHANNEL, since: expect.stringMatching(/^1-[23]$/) }]);
    expect(on.notices).toMatchObject([{ kind: 'resubscribed', channel: CHANNEL }]);
    expect(on.status).toMatchObject({ state: 'open', resubscribed: 1, gaps: 0 });
  });

  test('two frames in the wrong order', async () => {
    const { on, heard } = await live();
    const kept: Message[] = [];
    on.relay.mangle = (message) => {
      if (message.method !== 'subscription' || kept.length > 1) return [message];
      kept.push(message);
      return kept.length === 2 ? [...kept].reverse() : [];
    };
    update(on, 2);
    update(on, 3);
    await on.advance(100);
    expect(ids(heard.values)).toEqual(['1-1', '1-2', '1-3', '1-4']);
  });

  test('a last frame that is lost shows at the next heartbeat', async () => {
    const { on, heard } = await live();
    on.relay.mangle = (message) => (message.method === 'subscription' ? [] : [message]);
    update(on, 2);
    on.relay.mangle = (message) => [message];
    await on.advance(HEARTBEAT_MS + 100);
    expect(resumed(on)).toEqual([{ channel: CHANNEL, since: '1-2' }]);
    expect(ids(heard.values)).toEqual(['1-1', '1-2', '1-3']);
  });

  test('what came behind the loss is not told before what was lost', async () => {
    const { on, heard } = await live();
    let dropped = false;
    on.relay.mangle = (message) => {
      if (message.method !== 'subscription' || dropped) return [message];
      dropped = true;
      return [];
    };
    for (let n = 2; n < 8; n++) update(on, n);
    expect(ids(heard.values)).toEqual(['1-1', '1-2']);
    await on.advance(100);
    expect(ids(heard.values)).toEqual(['1-1', '1-2', '1-3', '1-4', '1-5', '1-6', '1-7', '1-8']);
  });

  test('a replay that lost its end is asked for again', async () => {
    const { on, heard } = await live();
    on.relay.mangle = (message) => (message.method === 'caught_up' ? [] : [message]);
    on.relay.hangUp(1006);
    await on.advance(2_000);
    expect(on.status.state).toBe('replaying');
    on.relay.mangle = (message) => [message];
    await on.advance(HEARTBEAT_MS * 4);
    expect(on.status.state).toBe('open');
    update(on, 2);
    expect(ids(heard.values)).toEqual(['1-1', '1-2', '1-3']);
  });

  test('a connection that loses frames again and again is given up, and the next one resumes', async () => {
    const { on, heard } = await live();
    on.relay.mangle = (message) =>
      message.method === 'subscription' ? [{ ...message, params: { ...message.params, previous: '1-0' } }] : [message];
    for (let n = 2; n < 12; n++) {
      update(on, n);
      await on.settle();
    }
    expect(on.status.state).toBe('unreachable');
    on.relay.mangle = (message) => [message];
    await on.advance(5_000);
    expect(ids(heard.values)).toHaveLength(12);
    expect(new Set(ids(heard.values)).size).toBe(12);
  });

  test('a lag that tells of more than came is a loss; one that tells of less repeats nothing', async () => {
    const { on, heard } = await live();
    on.relay.lag(true);
    await on.advance(100);
    expect(ids(heard.values)).toEqual(['1-1', '1-2']);
    expect(on.status).toMatchObject({ state: 'open', resubscribed: 0 });
    on.relay.announce('lag', { since: { [CHANNEL]: '1-9' } });
    await on.advance(100);
    expect(on.status).toMatchObject({ state: 'open', resubscribed: 1 });
  });

  test('while it lags the channel is replaying', async () => {
    const { on } = await live();
    const safety = on.safety();
    await on.advance(100);
    const channel = 'deribit.main.relay.>';
    on.relay.announce('lag', { since: { [channel]: '1-2' } });
    expect(safety.last).toMatchObject({ level: 'unknown', reasons: ['replaying'] });
    expect(on.status).toMatchObject({ state: 'replaying', channels: [channel] });
    on.relay.announce('caught_up', { channel, cursor: '1-2' });
    expect(safety.last).toMatchObject({ level: 'unknown', reasons: ['unconfirmed'] });
    expect(on.status.state).toBe('open');
  });
});

describe('what cannot be read', () => {
  test.each([
    ['no JSON', '{'],
    ['no message', '[]'],
    [
      'an event without id',
      { method: 'subscription', params: { channel: CHANNEL, previous: '1-2', data: { type: 'x.y' } } },
    ],
    ['a cursor that is none', { method: 'heartbeat', params: { cursor: 'x', last: {} } }],
    ['a caught_up without cursor', { method: 'caught_up', params: { channel: CHANNEL } }],
    ['a binary frame', undefined],
  ])('%s: told as a fault, never trusted; a new connection resumes, and nothing is lost', async (_, frame) => {
    const { on, heard } = await live();
    const socket = on.relay.network.last;
    if (frame === undefined) socket.deliver(new Uint8Array(1) as never);
    else socket.deliver(typeof frame === 'string' ? frame : JSON.stringify({ jsonrpc: '2.0', ...frame }));
    expect(on.notices).toMatchObject([{ kind: 'fault' }]);
    expect(on.status.state).toBe('unreachable');
    update(on, 2);
    await on.advance(2_000);
    expect(ids(heard.values)).toEqual(['1-1', '1-2', '1-3']);
    expect(on.status).toMatchObject({ state: 'open', faults: 1 });
  });

  test.each([
    ['a method of a later version', { method: 'moon', params: { phase: 'full' } }],
    ['a pulse that is none', { method: 'subscription', params: { channel: CHANNEL, pulse: true, data: 7 } }],
    ['a reply that nobody waits for', { id: 9_999, result: {} }],
  ])('%s is passed over', async (_, frame) => {
    const { on } = await live();
    on.relay.network.last.deliver(JSON.stringify({ jsonrpc: '2.0', ...frame }));
    expect(on.status).toMatchObject({ state: 'open', faults: 0 });
  });

  test('an event of a type that this version does not know is passed over, and the chain goes on', async () => {
    const { on, heard } = await live();
    on.relay.publish({ ...on.relay.make('session.restored', {}), type: 'session.teleported' } as never);
    update(on, 2);
    expect(ids(heard.values)).toEqual(['1-1', '1-2', '1-4']);
    expect(on.status).toMatchObject({ resubscribed: 0, gaps: 0, faults: 0 });
  });

  test('an event that is not as its type says is a loss, and its session is unknown until a snapshot', async () => {
    const on = await stage();
    const gaps: unknown[] = [];
    const heard = on.events(CHANNEL, { onGap: (gap) => gaps.push(gap) });
    const strict = on.events(CHANNEL);
    const safety = on.safety();
    const states = on.states(CHANNEL);
    await on.settle();
    on.relay.happen('session.opened', OPENED);
    on.relay.happen('safety.changed', { level: 'safe', reasons: [], notes: [], previous: 'unknown' });
    expect(safety.last?.level).toBe('safe');
    on.relay.publish({
      ...on.relay.make('session.restored', {}),
      type: 'safety.changed',
      data: { level: 'fine' },
    } as never);
    expect(safety.last).toEqual({ level: 'unknown', reasons: ['unreadable'], notes: [] });
    await on.settle();
    expect(states.last?.states.get('deribit.main.relay')).toMatchObject({ safety: { reasons: ['unreadable'] } });
    expect(gaps).toEqual([{ channel: CHANNEL, from: '1-2', to: '1-3', why: 'unreadable' }]);
    expect(strict.error).toMatchObject({ code: 'events_lost' });
    update(on, 1);
    expect(ids(heard.values)).toEqual(['1-1', '1-2', '1-4']);
    expect(safety.last?.level).toBe('unknown');
  });
});

describe('a gap', () => {
  test('without `onGap` it is an error of the stream, which goes on live when it is subscribed again', async () => {
    const { on, heard } = await live();
    on.relay.restart(false);
    on.relay.happen('session.opened', OPENED);
    await on.advance(2_000);
    expect(heard.error).toMatchObject({
      code: 'events_lost',
      data: { channel: CHANNEL, from: '1-2', to: '2-1', why: 'not_held' },
    });
    const again = on.events(CHANNEL);
    await on.settle();
    update(on, 5);
    expect(ids(again.values)).toEqual(['2-2']);
  });

  test('is told once, though reply and notification both say it, and again where it grew', async () => {
    const on = await stage();
    const gaps: unknown[] = [];
    on.events('*.*.*.session.*', { onGap: (gap) => gaps.push(gap) });
    await on.settle();
    on.relay.happen('session.opened', OPENED);
    on.relay.restart(false);
    await on.advance(2_000);
    expect(gaps).toEqual([{ channel: '*.*.*.session.*', from: '1-1', to: '2-0', why: 'not_held' }]);
    update(on, 1);
    update(on, 2);
    on.relay.announce('gap', { channel: '*.*.*.session.*', from: '2-1', to: '2-9' });
    expect(gaps).toMatchObject([{}, { from: '2-2', to: '2-9' }]);
    expect(on.status).toMatchObject({ gaps: 2 });
  });

  test('an `onGap` that throws ends its own stream, and nobody else’s', async () => {
    const on = await stage();
    const bad = on.events(CHANNEL, {
      onGap() {
        throw new Error('mine');
      },
    });
    const good = on.events(CHANNEL, { onGap: () => undefined });
    await on.settle();
    on.relay.restart(false);
    await on.advance(2_000);
    update(on, 1);
    expect(bad.error).toMatchObject({ message: 'mine' });
    expect(ids(good.values)).toEqual(['2-1']);
  });
});
