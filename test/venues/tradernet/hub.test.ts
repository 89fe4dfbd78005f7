import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Sessions, sessions } from '../../../src/hub/sessions.js';
import { isSessionState } from '../../../src/model/fold.js';
import type { SessionState } from '../../../src/model/session.js';
import { seededRandom } from '../../../src/net/timer.js';
import { settle } from '../../support/virtual-clock.js';
import { commandOf, DEMO, goLive, PROD, pass, row, startSource, type World } from './source.js';

/** A source behind a hub: what its facts make of the states that people look at. */
async function behindHub(world: World): Promise<Sessions> {
  const live = sessions([world.venue], { clock: world.clock, random: seededRandom(1) });
  await settle();
  return live;
}

function stateOf(live: Sessions, session: string): SessionState | undefined {
  const state = live.state(`tradernet.desk.${session}`);
  return state !== undefined && isSessionState(state) ? state : undefined;
}

function summary(live: Sessions): Record<string, string> {
  const states = [...live.states().values()].filter(isSessionState);
  return Object.fromEntries(states.map(({ session, status, stale }) => [session, stale ? `${status}, stale` : status]));
}

describe('behind a hub', () => {
  test('a proved login is safe, and only then', async () => {
    const world = startSource({}, { start: false });
    const live = await behindHub(world);
    expect(stateOf(live, 'login')).toMatchObject({ status: 'connecting', role: 'watch', safety: { level: 'unknown' } });
    await goLive(world, [row(1)]);
    await pass(world, 4_000);
    expect(stateOf(live, 'login')).toMatchObject({
      status: 'active',
      role: 'trading',
      environment: 'live',
      safety: { level: 'safe' },
    });
    expect(stateOf(live, '1')).toMatchObject({
      kind: 'security',
      parent: 'tradernet.desk.login',
      safety: { level: 'safe' },
    });
    await live.stop({ orders: 'leave' });
  });

  test('a socket alone that is gone makes nothing stale; both carriers gone make all stale, and it all comes back', async () => {
    let down = false;
    const world = startSource({}, { start: false, answer: () => (down ? 'unreachable' : undefined) });
    const live = await behindHub(world);
    world.rows = [row(1)];
    await goLive(world);
    world.network.last.end();
    await settle();
    expect(summary(live)).toEqual({ login: 'active', 1: 'active' });
    down = true;
    await world.clock.advance(120_000);
    expect(summary(live)).toEqual({ login: 'active, stale', 1: 'active, stale' });
    down = false;
    await goLive(world);
    await settle();
    expect(summary(live)).toEqual({ login: 'active', 1: 'active' });
    await live.stop({ orders: 'leave' });
  });

  test('a lost login makes its sessions stale, not ended, and a new one brings them back', async () => {
    const world = startSource({}, { start: false });
    const live = await behindHub(world);
    world.rows = [row(1)];
    await goLive(world);
    world.network.last.receive(DEMO);
    await settle();
    expect(summary(live)).toEqual({ login: 'lost', 1: 'active, stale' });
    await goLive(world);
    await settle();
    expect(summary(live)).toEqual({ login: 'active', 1: 'active' });
    await live.stop({ orders: 'leave' });
  });

  test('a silence that was told is taken back on the next connection', async () => {
    const world = startSource({}, { start: false });
    const live = await behindHub(world);
    await goLive(world);
    await world.clock.advance(41_000);
    expect(stateOf(live, 'login')).toMatchObject({
      heartbeat: { missed: 1 },
      safety: { reasons: ['heartbeat_missed'] },
    });
    await world.clock.advance(2_000);
    await goLive(world);
    await pass(world, 4_000);
    expect(stateOf(live, 'login')).toMatchObject({ heartbeat: { missed: 0 }, safety: { level: 'safe' } });
    await live.stop({ orders: 'leave' });
  });

  test('the end of a session is at risk before it comes, and unsafe after', async () => {
    const world = startSource({ pollSeconds: 1_000 }, { start: false });
    const live = await behindHub(world);
    await goLive(world, [row(1, { expire_datetime: '2026-11-23T08:05:00', expire: 300 })]);
    await pass(world, 241_000);
    expect(stateOf(live, '1')).toMatchObject({ safety: { level: 'at_risk', reasons: ['expiring'] } });
    await pass(world, 60_000);
    expect(stateOf(live, '1')).toMatchObject({ status: 'expired', safety: { level: 'unsafe', reasons: ['expired'] } });
    await live.stop({ orders: 'leave' });
  });
});

describe('whatever the venue does', () => {
  type Act = (world: World) => unknown;
  const rowsOf = (ids: readonly number[]) => ids.map((id) => row(id));
  const acts: fc.Arbitrary<Act> = fc.oneof(
    fc.constant<Act>(
      ({ network }) => network.sockets.length > 0 && !network.last.ended && !network.last.isOpen && network.last.open(),
    ),
    fc.constant<Act>(({ network }) => network.sockets.length > 0 && network.last.isOpen && network.last.receive(PROD)),
    fc.constant<Act>(({ network }) => network.sockets.length > 0 && network.last.isOpen && network.last.receive(DEMO)),
    fc.uniqueArray(fc.integer({ min: 1, max: 4 })).map(
      (ids): Act =>
        (world) => {
          world.rows = rowsOf(ids);
          if (world.network.sockets.length > 0 && world.network.last.isOpen)
            world.network.last.receive(['sessions', world.rows]);
        },
    ),
    fc.uniqueArray(fc.integer({ min: 1, max: 4 })).map(
      (ids): Act =>
        (world) => {
          world.rows = rowsOf(ids);
        },
    ),
    fc.constant<Act>(({ network }) => network.sockets.length > 0 && network.last.end()),
    fc.constant<Act>(
      ({ network }) =>
        network.sockets.length > 0 &&
        !network.last.isOpen &&
        network.last.end({ code: 0, refused: { status: 403, headers: {} } }),
    ),
    fc.integer({ min: 1, max: 90_000 }).map(
      (ms): Act =>
        (world) =>
          world.clock.advance(ms),
    ),
    fc.constantFrom('login', 'reconnect', 'sid_info', 'refresh_sessions').map(
      (name): Act =>
        (world) =>
          void world.command(name).catch(() => undefined),
    ),
    fc.string().map(
      (text): Act =>
        ({ network }) =>
          network.sockets.length > 0 && network.last.isOpen && network.last.receive(text),
    ),
  );
  const modes = fc.constantFrom('fine', 'unreachable', 'dead', 'limited', 'refused');

  test('there is never a second socket, no credential is told, and once it works again every state is right', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(modes, acts), { maxLength: 25 }), async (walk) => {
        let mode = 'fine';
        const world = startSource(
          {},
          {
            start: false,
            answer: (request) => {
              if (mode === 'unreachable') return 'unreachable';
              if (mode === 'limited') return { status: 429, json: { code: 429 }, headers: { 'retry-after': '30' } };
              if (mode === 'dead' && commandOf(request) !== 'check-login-password')
                return { json: { error: 'User is not found', code: 7 } };
              if (mode === 'refused' && commandOf(request) === 'check-login-password')
                return { json: { error: 'Access denied', code: 12 } };
              return undefined;
            },
          },
        );
        const live = await behindHub(world);
        for (const [how, act] of walk) {
          mode = how;
          await act(world);
          await settle(2);
          expect(world.network.live).toBeLessThanOrEqual(1);
        }
        mode = 'fine';
        await world.clock.advance(3_600_000); // whatever was held back or limited is over
        world.rows = rowsOf([1, 3]);
        const done = world.command('reconnect').catch((thrown: unknown) => thrown);
        await settle();
        for (let round = 0; round < 5 && world.network.live === 0; round++) await world.clock.advance(3_000);
        await goLive(world);
        await pass(world, 26_000); // a command that waits in vain says so by then
        expect(await done).toMatchObject({ generation: expect.any(Number) });
        await pass(world, 5_000);
        const active = Object.entries(summary(live)).filter(([, status]) => status.startsWith('active'));
        expect(Object.fromEntries(active)).toEqual({ login: 'active', 1: 'active', 3: 'active' });
        expect(stateOf(live, 'login')?.heartbeat?.missed ?? 0).toBe(0);
        const said = JSON.stringify([world.facts, [...world.memory]]);
        expect(said).not.toMatch(/sid-of-login|correct horse/);
        await live.stop({ orders: 'leave' });
        expect(world.clock.timers).toBe(0);
      }),
      { numRuns: 100 },
    );
  });
});
