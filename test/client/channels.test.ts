import { afterEach, describe, expect, test } from 'vitest';
import { closeStages, expectNothingLeft, ids, OPENED, stage } from './stage.js';

afterEach(closeStages);

const channelsOf = (params: Readonly<Record<string, unknown>>) => params.channels;

describe('a channel', () => {
  test('is subscribed once however many listen, and ended at the relay when the last one leaves', async () => {
    const on = await stage();
    const all = [on.events('deribit.>'), on.events('deribit.>'), on.states('deribit.>'), on.states('deribit.>')];
    await on.settle();
    expect(on.relay.asked('subscribe').map(({ params }) => channelsOf(params))).toEqual([['deribit.>']]);
    const last = all.pop();
    for (const one of all) one.stop();
    await on.settle();
    expect(on.relay.asked('unsubscribe')).toEqual([]);
    last?.stop();
    await on.settle();
    expect(on.relay.asked('unsubscribe').map(({ params }) => channelsOf(params))).toEqual([['deribit.>']]);
    expect(on.relay.subscribed).toEqual([]);
    on.relay.happen('session.opened', OPENED);
    expect(on.status).toMatchObject({ state: 'open', resubscribed: 0 });
  });

  test('left and taken up again in one turn stays as it is', async () => {
    const on = await stage();
    const first = on.events('deribit.>');
    await on.settle();
    first.stop();
    const second = on.events('deribit.>');
    await on.settle();
    on.relay.happen('session.opened', OPENED);
    expect(ids(second.values)).toEqual(['1-1']);
    expect(on.relay.requests.map(({ method }) => method)).toEqual(['subscribe']);
  });

  test('taken up again later begins live: frames of the old terms do not reach the new ones', async () => {
    const on = await stage();
    const first = on.events('deribit.>');
    await on.settle();
    on.relay.happen('session.opened', OPENED);
    first.stop();
    await on.settle();
    on.relay.happen('session.restored', {});
    const second = on.events('deribit.>');
    const socket = on.relay.network.last;
    socket.deliver(
      JSON.stringify({
        jsonrpc: '2.0',
        method: 'subscription',
        params: { channel: 'deribit.>', previous: '1-1', data: on.relay.journal[1] },
      }),
    );
    await on.settle();
    on.relay.happen('session.restored', {});
    expect(ids(second.values)).toEqual(['1-3']);
  });

  test('on other terms before the first are answered: no event lies between two beginnings', async () => {
    const on = await stage();
    let first = 0;
    on.relay.answers.set('subscribe', ({ id }) => {
      first = id;
      on.relay.answers.clear();
      return undefined;
    });
    const heard = on.events('deribit.>');
    await on.settle();
    on.client.pulses$('deribit.>').subscribe();
    await on.settle();
    expect(on.relay.asked('subscribe')).toHaveLength(1);
    const event = on.relay.happen('session.opened', OPENED);
    const say = (message: object) => on.relay.network.last.deliver(JSON.stringify({ jsonrpc: '2.0', ...message }));
    say({ id: first, result: { channels: [{ channel: 'deribit.>', cursor: '1-0', recovered: true }] } });
    say({ method: 'subscription', params: { channel: 'deribit.>', previous: '1-0', data: event } });
    await on.settle();
    expect(on.relay.asked('subscribe').at(-1)?.params).toEqual({
      channels: [{ channel: 'deribit.>', since: expect.stringMatching(/^1-[01]$/) }],
      snapshot: false,
      pulses: true,
    });
    on.relay.happen('session.restored', {});
    await on.advance(50);
    expect(ids(heard.values)).toEqual(['1-1', '1-2']);
  });

  test('ended by the relay while it is being asked for: the answer to the first asking is not taken for that of the second', async () => {
    const on = await stage();
    const heard = on.events('deribit.>', { onGap: () => undefined });
    await on.settle();
    on.relay.happen('session.opened', OPENED);
    const asked: number[] = [];
    on.relay.answers.set('subscribe', ({ id }) => {
      asked.push(id);
      return undefined;
    });
    const say = (message: object) => on.relay.network.last.deliver(JSON.stringify({ jsonrpc: '2.0', ...message }));
    say({ method: 'unsubscribed', params: { channel: 'deribit.>', cursor: '1-1', reason: 'other fields' } });
    await on.settle();
    say({ method: 'unsubscribed', params: { channel: 'deribit.>', cursor: '1-1', reason: 'other fields again' } });
    await on.settle();
    expect(asked).toHaveLength(2);
    // The first asking was answered and ended before the relay came to the second.
    say({ id: asked[0], result: { channels: [{ channel: 'deribit.>', cursor: '1-7', recovered: false }] } });
    expect(on.status).toMatchObject({ gaps: 0 });
    say({ id: asked[1], result: { channels: [{ channel: 'deribit.>', cursor: '1-1', recovered: true }] } });
    say({ method: 'caught_up', params: { channel: 'deribit.>', cursor: '1-1' } });
    on.relay.happen('session.restored', {});
    say({ method: 'subscription', params: { channel: 'deribit.>', previous: '1-1', data: on.relay.journal[1] } });
    expect(ids(heard.values)).toEqual(['1-1', '1-2']);
  });

  test('without states asks for none; with pulses for pulses', async () => {
    const on = await stage();
    on.events('deribit.>');
    on.events('tradernet.>');
    on.client.pulses$('ibkr.>').subscribe();
    await on.settle();
    expect(on.relay.asked('subscribe').map(({ params }) => params)).toEqual([
      { channels: ['deribit.>', 'tradernet.>'], snapshot: false },
      { channels: ['ibkr.>'], snapshot: false, pulses: true },
    ]);
  });

  test('a listener that throws harms neither the others nor the chain', async () => {
    const on = await stage();
    const caught: unknown[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (thrown) => caught.push(thrown));
    try {
      on.client.events$('deribit.>').subscribe(() => {
        throw new Error('mine');
      });
      const good = on.events('deribit.>');
      await on.settle();
      on.relay.happen('session.opened', OPENED);
      on.relay.happen('session.restored', {});
      await on.advance(10);
      // RxJS tells it by a timer of Node's own.
      await new Promise((resolve) => setTimeout(resolve, 5));
      expect(ids(good.values)).toEqual(['1-1', '1-2']);
      expect(caught).toHaveLength(2);
    } finally {
      process.removeAllListeners('uncaughtException');
      for (const listener of listeners) process.on('uncaughtException', listener);
    }
  });

  test('a listener that leaves, and one that comes, from within an event', async () => {
    const on = await stage();
    const inner: string[] = [];
    const outer = on.client.events$('deribit.>').subscribe(() => {
      outer.unsubscribe();
      on.client.events$('deribit.>').subscribe(({ id }) => inner.push(id));
    });
    await on.settle();
    on.relay.happen('session.opened', OPENED);
    on.relay.happen('session.restored', {});
    expect(inner).toEqual(['1-2']);
  });

  test('what is no channel is refused here', async () => {
    const on = await stage();
    for (const channel of ['', 'deribit', 'a.b.c.d.e.f', 'deribit.>.relay'])
      expect(on.events(channel).error).toMatchObject({ code: 'invalid_params' });
    await on.settle();
    expect(on.relay.requests).toEqual([]);
  });
});

describe('refusals', () => {
  test('one that is not allowed takes nobody with it: the others of the same request are asked for again', async () => {
    const on = await stage();
    on.relay.answers.set('subscribe', ({ params }) => {
      const channels = params.channels as readonly string[];
      if (!channels.includes('ibkr.>')) {
        on.relay.answers.clear();
        return undefined;
      }
      return { error: { code: 4403, message: 'not allowed', data: { channel: 'ibkr.>' } } };
    });
    const refused = on.events('ibkr.>');
    const allowed = on.events('deribit.>');
    await on.settle();
    expect(refused.error).toMatchObject({ code: 'forbidden', data: { channel: 'ibkr.>' } });
    expect(allowed.error).toBeUndefined();
    expect(on.relay.asked('subscribe').map(({ params }) => channelsOf(params))).toEqual([
      ['ibkr.>', 'deribit.>'],
      ['deribit.>'],
    ]);
  });

  test('4429 is waited out, and whatever is asked for meanwhile waits too', async () => {
    const on = await stage();
    on.relay.answers.set('subscribe', () => ({ error: { code: 4429, message: 'slow', data: { retryAfterMs: 700 } } }));
    const first = on.events('deribit.>');
    await on.settle();
    on.events('ibkr.>');
    await on.advance(699);
    expect(on.relay.asked('subscribe')).toHaveLength(1);
    on.relay.answers.clear();
    await on.advance(1);
    on.relay.happen('session.opened', OPENED);
    expect(ids(first.values)).toEqual(['1-1']);
  });

  test('more channels than the relay allows: what is too many errors, and has room once one is left', async () => {
    const on = await stage({
      prepare: (relay) => (relay.welcome = { limits: { maxChannels: 2, maxPayloadBytes: 65_536 } }),
    });
    const first = on.events('a.>');
    on.events('b.>');
    const third = on.events('c.>');
    const safety = on.safety();
    await on.settle();
    expect(third.error).toMatchObject({ code: 'rate_limited' });
    expect(safety.last?.reasons).toEqual(['refused']);
    expect(on.relay.subscribed).toEqual(['a.>', 'b.>']);
    first.stop();
    await on.settle();
    expect(on.relay.subscribed).toEqual(['b.>', 'deribit.main.relay.>']);
    expect(safety.last?.reasons).toEqual(['not_found']);
  });

  test('a subscribe reply that cannot be used ends the connection', async () => {
    const on = await stage();
    on.relay.answers.set('subscribe', () => ({ result: { channels: [] } }));
    on.events('deribit.>');
    await on.settle();
    expect(on.status).toMatchObject({ state: 'unreachable', faults: 1 });
  });
});

test('hundreds of long channels come in requests that stay below the relay’s payload', async () => {
  const on = await stage();
  for (let n = 0; n < 250; n++) on.events(`deribit.${'x'.repeat(900)}${n}.>`);
  await on.settle();
  expect(on.relay.subscribed).toHaveLength(250);
  expect(Math.max(...on.relay.network.last.sent.map((text) => text.length))).toBeLessThan(65_536);
  expect(on.relay.asked('subscribe').length).toBeLessThan(25);
  await expectNothingLeft(on);
});

test('nothing grows with time: a day of joining, leaving and reconnecting leaves what it began with', async () => {
  const on = await stage();
  const kept = on.events('deribit.>', { onGap: () => undefined });
  await on.advance(100);
  const before = on.clock.timers;
  for (let n = 0; n < 300; n++) {
    const some = [on.events(`tradernet.s${n}.>`), on.states('ibkr.>'), on.safety(`deribit.main.s${n}`)];
    await on.advance(1);
    for (const one of some) one.stop();
    if (n % 10 === 0) on.relay.hangUp(1006);
    await on.advance(700);
  }
  await on.advance(60_000);
  expect(on.relay.subscribed).toEqual(['deribit.>']);
  // The model's heartbeats of dead connections end at their next turn.
  expect(on.clock.timers).toBe(before);
  on.relay.happen('session.opened', OPENED);
  expect(kept.values).toHaveLength(1);
});
