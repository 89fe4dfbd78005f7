import { describe, expect, test } from 'vitest';
import { type Sessions, sessions } from '../../../src/hub/sessions.js';
import type { SessionEvent } from '../../../src/model/event.js';
import { isSessionState } from '../../../src/model/fold.js';
import type { SessionState } from '../../../src/model/session.js';
import { describeEvent } from '../../support/stage.js';
import { settle } from '../../support/virtual-clock.js';
import { BROKEN, brokerIn, type Extras, hook, ID, KEY, OTHER_ID, row, startVenue, USER, type World } from './world.js';

interface Live extends World {
  readonly live: Sessions;
  readonly events: SessionEvent[];
  take(): readonly string[];
  pass(ms: number): Promise<void>;
  state(id?: string): SessionState;
}

/** A SnapTrade venue behind a hub, which journals in memory; batches are committed by the hub alone. */
async function startHub(
  rows: readonly unknown[],
  options: Parameters<typeof startVenue>[0] = {},
  extras: Extras = {},
): Promise<Live> {
  const world = startVenue(options, rows, { ...extras, start: false });
  world.journal = undefined;
  const live = sessions([world.venue], { clock: world.clock, random: () => 0.5 });
  const events: SessionEvent[] = [];
  live.events$.subscribe((event) => events.push(event));
  let taken = 0;
  const pass = async (ms: number): Promise<void> => {
    await world.clock.advance(ms);
    await settle(8);
  };
  await pass(0);
  await pass(5_000);
  return Object.assign(world, {
    live,
    events,
    pass,
    take() {
      const lines = events.slice(taken).map((event) => describeEvent(event).replace(ID, 'A').replace(OTHER_ID, 'B'));
      taken = events.length;
      return lines;
    },
    state(id = ID) {
      const state = live.state(`snaptrade.partner.${id}`);
      if (state === undefined || !isSessionState(state)) throw new Error('no such session');
      return state;
    },
  });
}

describe('SnapTrade behind a hub', () => {
  test('is safe where a connection works, unsafe where it is broken, and safe again when it is mended', async () => {
    const world = await startHub([row()]);
    expect(world.take()).toEqual(['- link.up http', 'A session.opened connection', 'A safety.changed safe']);
    expect(world.state()).toMatchObject({ status: 'active', role: 'trading', kind: 'connection', stale: false });
    world.rows = [row(ID, BROKEN)];
    await world.pass(60_000);
    expect(world.take()).toEqual([
      'A session.lost connection_broken',
      'A safety.changed unsafe lost',
      'A session.attention relink',
      'A safety.changed unsafe attention',
    ]);
    world.rows = [row()];
    await world.pass(60_000);
    await world.pass(5_000);
    expect(world.take()).toEqual(['A session.restored', 'A safety.changed safe']);
  });

  test('tells by webhook and by list what broke, once, whichever was first', async () => {
    const world = await startHub([row(), row(OTHER_ID)]);
    world.take();
    world.rows = [row(ID, BROKEN), row(OTHER_ID, BROKEN)];
    expect(await world.hook(hook(world, 'CONNECTION_BROKEN'))).toEqual({ status: 200 });
    await world.pass(120_000);
    expect((await world.hook(hook(world, 'CONNECTION_BROKEN', { brokerageAuthorizationId: OTHER_ID }))).status).toBe(
      200,
    );
    await world.pass(120_000);
    const lines = world.take().filter((line) => !line.includes('safety.changed'));
    expect(lines.toSorted()).toEqual([
      '- link.up hook',
      'A session.attention relink',
      'A session.lost connection_broken',
      'B session.attention relink',
      'B session.lost connection_broken',
    ]);
    expect(new Set(world.events.map(({ key }) => key)).size).toBe(world.events.length);
  });

  test('acknowledges a webhook once the event is journaled', async () => {
    const world = await startHub([row()]);
    const reply = world.hook(hook(world, 'CONNECTION_BROKEN'));
    await reply;
    expect(world.take()).toContain('A session.lost connection_broken');
  });

  test('goes stale when the venue cannot be reached, a broken connection too, and each is confirmed after', async () => {
    const world = await startHub([row(), row(OTHER_ID, BROKEN)]);
    world.take();
    world.answer = () => 'unreachable';
    await world.pass(120_000);
    expect(world.take()).toEqual([
      '- link.down http 1006 network',
      'A session.stale link_down',
      'A safety.changed at_risk link_down',
      'B session.stale link_down',
      'B safety.changed unsafe attention link_down',
    ]);
    expect(world.state().stale).toBe(true);
    world.answer = undefined;
    await world.pass(70_000);
    await world.pass(5_000);
    const lines = world.take();
    expect(lines).toContain('A session.restored');
    expect(lines).toContain('B session.attention relink');
    expect([world.state(), world.state(OTHER_ID)].map(({ status, stale }) => `${status} ${stale}`)).toEqual([
      'active false',
      'attention false',
    ]);
    expect(world.state().safety.level).toBe('safe');
  });

  test('degrades one broker and not the whole venue', async () => {
    const world = await startHub([row()], { safety: { only: ['EXAMPLE'] } });
    world.take();
    world.rows = [row(ID, brokerIn({ maintenance_mode: true }))];
    await world.pass(60_000);
    expect(world.take()).toEqual(['- venue.degraded EXAMPLE', 'A safety.changed at_risk venue_degraded']);
    world.rows = [row()];
    await world.pass(60_000);
    expect(world.take()[0]).toBe('- venue.normal EXAMPLE');
  });

  test('keeps no state of portals', async () => {
    const events = [
      {
        id: 'e1',
        session_event_type: 'CONNECTION_INITIATED',
        session_id: 's1',
        user_id: USER.userId,
        created_date: '2026-11-23T08:00:00Z',
      },
    ];
    const world = await startHub(
      [],
      { sessionEvents: 'on' },
      {
        answer: (_, url) => (url.pathname === '/sessionEvents' ? { json: events } : undefined),
      },
    );
    expect(world.take()).toContain('portal-s1 session.step');
    expect([...world.live.states().keys()]).toEqual(['snaptrade.partner.-']);
  });

  test('opens what had been watched before, after its user was away for a while', async () => {
    const users = JSON.stringify([{ alias: 'anna', ...USER }]);
    const world = await startHub([row()], { usersFile: 'users.json' }, { file: users });
    world.take();
    world.file = '[]';
    await world.pass(30_000);
    expect(world.take()).toEqual([
      '- link.down http 1000 relay',
      'A session.stale link_down',
      'A safety.changed at_risk link_down',
    ]);
    world.file = users;
    await world.pass(15_000);
    expect(world.take().filter((line) => !line.includes('safety'))).toEqual([
      '- link.up http',
      'A session.opened connection',
    ]);
  });

  test('leaks no secret into an event, a state or the log, whatever happens', async () => {
    const world = await startHub([row()]);
    world.answer = () => ({ json: { detail: `no: ${USER.userSecret} ${KEY}`, code: '1076' }, status: 401 });
    await world.pass(120_000);
    world.answer = () => ({ text: `${USER.userSecret} ${KEY}`, status: 500 });
    await world.hook(hook(world, 'CONNECTION_FIXED'));
    await world.pass(600_000);
    const text = JSON.stringify([world.events, [...world.live.states().values()], world.logged]);
    for (const secret of [USER.userSecret, KEY, USER.userId, 'deprecated-but']) expect(text).not.toContain(secret);
  });
});
