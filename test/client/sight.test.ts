import { afterEach, describe, expect, test } from 'vitest';
import { isSessionState } from '../../src/client/index.js';
import { HEARTBEAT_MS } from './model-relay.js';
import { closeStages, expectNothingLeft, OPENED, SAFE, type Stage, stage } from './stage.js';

afterEach(closeStages);

const KEY = 'deribit.main.relay';
const unknown = (reason: string) => ({ level: 'unknown', reasons: [reason], notes: [] });

/** A session that is safe, and a client that has heard so. */
async function safe() {
  const on = await stage({
    prepare(relay) {
      relay.happen('session.opened', OPENED);
      relay.happen('safety.changed', SAFE);
    },
  });
  const safety = on.safety();
  const states = on.states('deribit.>');
  await on.settle();
  expect(safety.last).toEqual({ level: 'safe', reasons: [], notes: [] });
  return { on, safety, states };
}

const levelIn = (view: { readonly states: ReadonlyMap<string, unknown> } | undefined): unknown => {
  const state = view?.states.get(KEY) as Parameters<typeof isSessionState>[0] | undefined;
  return state !== undefined && isSessionState(state) ? state.safety.level : undefined;
};

describe('safety$', () => {
  test('emits at once, before there is a connection, and says why it does not know', async () => {
    const on = await stage({ prepare: (relay) => (relay.network.isDown = true) });
    const safety = on.safety();
    expect(safety.values).toEqual([unknown('relay_unreachable')]);
    on.relay.network.isDown = false;
    on.relay.happen('session.opened', OPENED);
    on.relay.happen('safety.changed', SAFE);
    await on.advance(2_000);
    expect(safety.values).toEqual([
      unknown('relay_unreachable'),
      unknown('replaying'),
      { level: 'safe', reasons: [], notes: [] },
    ]);
  });

  test('is unknown after exactly 2.5 heartbeats of silence, and not before', async () => {
    const { on, safety } = await safe();
    on.relay.beating = false;
    await on.advance(HEARTBEAT_MS * 2.5 - 1);
    expect(safety.last?.level).toBe('safe');
    await on.advance(1);
    expect(safety.last).toEqual(unknown('relay_unreachable'));
    expect(on.status).toMatchObject({ state: 'unreachable', code: 1006, reason: expect.stringContaining('38 s') });
    expect(on.relay.network.last.closedBy).toBe('terminate');
  });

  test('any frame is a sign of life', async () => {
    const { on, safety } = await safe();
    on.relay.beating = false;
    for (let n = 0; n < 5; n++) {
      await on.advance(HEARTBEAT_MS * 2);
      on.relay.happen('session.updated', { changed: { n } });
    }
    expect(safety.last?.level).toBe('safe');
    expect(on.status.state).toBe('open');
  });

  test('heartbeats of a quiet day keep it as it is', async () => {
    const { on, safety } = await safe();
    await on.advance(24 * 3_600_000);
    expect(safety.values.map(({ level }) => level)).toEqual(['unknown', 'safe']);
    expect(on.status.state).toBe('open');
  });

  test('is unknown at once when the connection dies, and until the replay has caught up', async () => {
    const { on, safety } = await safe();
    on.relay.replayStep = 1;
    on.relay.hangUp(1006);
    expect(safety.last).toEqual(unknown('relay_unreachable'));
    for (let n = 0; n < 5; n++) on.relay.happen('session.updated', { changed: { n } });
    const before = safety.values.length;
    await on.advance(2_000);
    expect(safety.values.slice(before)).toEqual([unknown('replaying'), { level: 'safe', reasons: [], notes: [] }]);
  });

  test('is unknown while the relay is blind, until it says that it is sighted', async () => {
    const { on, safety, states } = await safe();
    on.relay.announce('blind', { sinceMs: 1_000 });
    expect(safety.last).toEqual(unknown('relay_blind'));
    expect(on.status).toMatchObject({ state: 'blind', sources: 'all' });
    expect(states.last?.view).toBe('blind');
    expect(levelIn(states.last)).toBe('unknown');
    on.relay.announce('sighted', { cursor: on.relay.head });
    expect(safety.last?.level).toBe('safe');
    expect(levelIn(states.last)).toBe('safe');
    expect(on.status.state).toBe('open');
  });

  test.each(['deribit.main', '/deribit/main'])(
    'of a blind source %s alone its own sessions are unknown',
    async (source) => {
      const { on, safety, states } = await safe();
      on.relay.happen('session.opened', OPENED, 'deribit.other.relay');
      on.relay.happen('safety.changed', SAFE, 'deribit.other.relay');
      const other = on.safety('deribit.other.relay');
      await on.settle();
      on.relay.announce('blind', { source, sinceMs: 1_000 });
      await on.settle();
      expect([safety.last, other.last?.level]).toEqual([unknown('relay_blind'), 'safe']);
      expect(states.last?.view).toBe('live');
      expect(levelIn(states.last)).toBe('unknown');
      expect(on.status).toMatchObject({ state: 'blind', sources: ['deribit.main'] });
      on.relay.announce('blind', { sinceMs: 1_000 });
      on.relay.announce('sighted', { cursor: on.relay.head });
      expect([safety.last, other.last?.level]).toEqual([unknown('relay_blind'), 'safe']);
      on.relay.announce('sighted', { source, cursor: on.relay.head });
      expect(safety.last?.level).toBe('safe');
    },
  );

  test('blindness ends with its connection: the next one says it anew', async () => {
    const { on, safety } = await safe();
    on.relay.announce('blind', { sinceMs: 1_000 });
    on.relay.hangUp(4500);
    await on.advance(10_000);
    expect(safety.last?.level).toBe('safe');
  });

  test('a session that does not exist is unknown, not silent, and is told as soon as it does', async () => {
    const { on } = await safe();
    const safety = on.safety('deribit.main.nobody');
    await on.settle();
    expect(safety.last).toEqual(unknown('not_found'));
    on.relay.happen('session.opened', OPENED, 'deribit.main.nobody');
    expect(safety.last).toEqual(unknown('unconfirmed'));
    on.relay.happen('session.removed', {}, 'deribit.main.nobody');
    expect(safety.last).toEqual(unknown('not_found'));
  });

  test('a source as a whole has no safety', async () => {
    const { on } = await safe();
    on.relay.happen('link.up', { carrier: 'ws', generation: 1, url: 'wss://venue.test' }, 'deribit.main.-');
    const safety = on.safety('deribit.main.-');
    await on.settle();
    expect(safety.last).toEqual(unknown('not_found'));
  });

  test('a key that the token does not show is unknown for that reason, and asked for again with the next connection', async () => {
    const { on } = await safe();
    on.relay.answers.set('subscribe', ({ params }) => ({
      error: { code: 4403, message: 'not allowed', data: { channel: (params.channels as readonly string[])[0] ?? '' } },
    }));
    const safety = on.safety('ibkr.gateway.sso');
    await on.settle();
    expect(safety.last).toEqual(unknown('not_granted'));
    expect(on.notices).toMatchObject([
      { kind: 'refused', channel: 'ibkr.gateway.sso.>', error: { code: 'forbidden' } },
    ]);
    on.relay.answers.clear();
    on.relay.happen('session.opened', { ...OPENED, kind: 'sso' }, 'ibkr.gateway.sso');
    on.relay.hangUp(1001);
    await on.advance(2_000);
    expect(safety.last).toEqual(unknown('unconfirmed'));
  });

  test('what is no session key is an error', async () => {
    const on = await stage();
    expect(on.safety('deribit.main').error).toMatchObject({ code: 'invalid_params' });
    expect(on.safety('deribit.*.relay').error).toMatchObject({ code: 'invalid_params' });
  });

  test('its last word is unknown', async () => {
    const { on, safety } = await safe();
    await on.client.close();
    expect(safety.last).toEqual(unknown('relay_unreachable'));
    expect([safety.completed, safety.error]).toEqual([true, undefined]);
    const late = on.safety();
    expect([late.values, late.completed]).toEqual([[unknown('relay_unreachable')], true]);
  });
});

describe('states$', () => {
  test('is what the relay would show in a snapshot, and each emission stays as it was', async () => {
    const { on, states } = await safe();
    expect(states.values.map(({ view, states: { size } }) => [view, size])).toEqual([
      ['replaying', 0],
      ['live', 1],
    ]);
    const before = states.last?.states.get(KEY);
    on.relay.happen('session.lost', { reason: 'link_down' });
    await on.settle();
    expect(states.values.at(-2)?.states.get(KEY)).toBe(before);
    expect(states.last?.states).toEqual(on.relay.states);
    on.relay.happen('session.removed', {});
    await on.settle();
    expect(states.last?.states.size).toBe(0);
  });

  test('events of one turn are shown together', async () => {
    const { on, states } = await safe();
    const before = states.values.length;
    for (let n = 0; n < 50; n++) on.relay.happen('session.updated', { changed: { n } });
    await on.settle();
    expect(states.values.length).toBe(before + 1);
    expect(states.last?.states.get(KEY)).toMatchObject({ attributes: { n: 49 } });
  });

  test('while it cannot be believed it says so at once, keeps what was known, and calls every level unknown', async () => {
    const { on, states } = await safe();
    on.relay.hangUp(1006);
    expect(states.last?.view).toBe('unreachable');
    expect(states.last?.states.get(KEY)).toMatchObject({ status: 'active', safety: unknown('relay_unreachable') });
  });

  test('a session that ended while the relay was away is gone after the gap’s snapshot', async () => {
    const { on, states } = await safe();
    on.relay.restart(false);
    on.relay.journal.length = 0;
    on.relay.happen('session.opened', OPENED, 'deribit.main.other');
    await on.advance(2_000);
    expect([...(states.last?.states.keys() ?? [])]).toEqual(['deribit.main.other']);
  });

  test('a late subscriber has them at once, without a request', async () => {
    const { on } = await safe();
    const before = on.relay.requests.length;
    const late = on.states('deribit.>');
    expect(late.values).toMatchObject([{ view: 'live' }]);
    expect(levelIn(late.last)).toBe('safe');
    await on.settle();
    expect(on.relay.requests.length).toBe(before);
  });

  test('one that comes to a channel of events gets a snapshot, and the events go on without a hole', async () => {
    const on = await stage({ prepare: (relay) => void relay.happen('session.opened', OPENED) });
    const events = on.events('deribit.>');
    await on.settle();
    on.relay.happen('session.updated', { changed: { n: 1 } });
    const states = on.states('deribit.>');
    on.relay.happen('session.updated', { changed: { n: 2 } });
    await on.advance(100);
    on.relay.happen('session.updated', { changed: { n: 3 } });
    await on.settle();
    expect(events.values.map(({ id }) => id)).toEqual(['1-2', '1-3', '1-4']);
    expect(states.last).toEqual({ view: 'live', states: on.relay.states });
  });

  test('pulses move what they move where they were asked for', async () => {
    const { on, states } = await safe();
    const beats: unknown[] = [];
    on.relay.happen('heartbeat.armed', { intervalMs: 10_000 });
    on.client.pulses$('deribit.>').subscribe((pulse) => beats.push(pulse.data));
    await on.advance(100);
    on.relay.pulse();
    await on.settle();
    expect(beats).toEqual([{ rttMs: 7 }]);
    expect(states.last?.states.get(KEY)).toMatchObject({ heartbeat: { rttMs: 7 } });
  });

  test('a channel that names a type has none', async () => {
    const on = await stage();
    expect(on.states('*.*.*.safety.*').error).toMatchObject({ code: 'invalid_params' });
  });

  test('a state that is not as a state is leaves its session unknown, and is told', async () => {
    const on = await stage();
    on.relay.mangle = (message) =>
      message.method === 'snapshot'
        ? [{ ...message, params: { ...message.params, states: [{ key: KEY, status: 'sleeping' }] } }]
        : [message];
    const safety = on.safety();
    await on.settle();
    expect(safety.last).toEqual(unknown('unreadable'));
    expect(on.notices).toMatchObject([{ kind: 'fault' }, { kind: 'fault' }]);
  });
});

describe('states mode', () => {
  const states = (on: Stage) => [...on.relay.states.values()];
  /** The model has no states mode: the test speaks it. */
  async function live() {
    const on = await stage({
      prepare(relay) {
        relay.happen('session.opened', OPENED);
        relay.answers.set('subscribe', () => ({
          result: { channels: [{ channel: 'deribit.>', cursor: '1-1', recovered: true }] },
        }));
      },
    });
    const heard = on.states('deribit.>', { mode: 'states' });
    await on.settle();
    expect(on.relay.asked('subscribe').at(-1)?.params).toEqual({
      channels: ['deribit.>'],
      snapshot: true,
      mode: 'states',
    });
    on.relay.announce('snapshot', { channel: 'deribit.>', states: states(on), last: true, cursor: '1-1' });
    expect(heard.last?.view).toBe('live');
    const say = (params: object) => on.relay.announce('subscription', { channel: 'deribit.>', ...params });
    return { on, heard, say };
  }

  test('the newest states take the place of the old, and what is removed is gone', async () => {
    const { on, heard, say } = await live();
    on.relay.happen('session.opened', OPENED, 'deribit.main.b');
    say({ previous: '1-1', cursor: '1-2', states: states(on).slice(1) });
    await on.settle();
    expect([...(heard.last?.states.keys() ?? [])]).toEqual([KEY, 'deribit.main.b']);
    say({ previous: '1-2', cursor: '1-4', states: [], removed: [KEY] });
    await on.settle();
    expect([...(heard.last?.states.keys() ?? [])]).toEqual(['deribit.main.b']);
  });

  test('a frame that is missing shows, and the channel is asked for again from the last good cursor', async () => {
    const { on, say } = await live();
    say({ previous: '1-1', cursor: '1-2', states: [] });
    say({ previous: '1-3', cursor: '1-4', states: [] });
    await on.settle();
    expect(on.relay.asked('subscribe').at(-1)?.params).toEqual({
      channels: [{ channel: 'deribit.>', since: '1-2' }],
      snapshot: false,
      mode: 'states',
    });
  });

  test('who wants events of the same channel makes it one of events, from where the states were', async () => {
    const { on, heard, say } = await live();
    say({ previous: '1-1', cursor: '1-2', states: [] });
    on.relay.answers.clear();
    on.events('deribit.>');
    // Still of the old terms: the reply is the fence.
    await on.settle();
    expect(on.relay.asked('subscribe').at(-1)?.params).toEqual({
      channels: [{ channel: 'deribit.>', since: '1-2' }],
      snapshot: false,
    });
    on.relay.happen('session.lost', { reason: 'link_down' });
    on.relay.happen('session.restored', {});
    on.relay.happen('session.updated', { changed: { n: 1 } });
    await on.settle();
    expect(on.status).toMatchObject({ state: 'open', resubscribed: 0 });
    expect(heard.last?.states.get(KEY)).toMatchObject({ attributes: { n: 1 } });
  });

  test('a gap is no loss: it promises the newest alone', async () => {
    const { on, heard } = await live();
    on.relay.announce('gap', { channel: 'deribit.>', from: '1-1', to: '1-9' });
    expect(heard.last?.view).toBe('replaying');
    on.relay.announce('snapshot', { channel: 'deribit.>', states: [], last: true, cursor: '1-9' });
    expect(heard.last).toMatchObject({ view: 'live' });
    expect(heard.last?.states.size).toBe(0);
    expect(on.status).toMatchObject({ gaps: 0 });
  });
});

test('close frees every timer and socket', async () => {
  const { on } = await safe();
  await expectNothingLeft(on);
});
