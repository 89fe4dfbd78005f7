import { afterEach, describe, expect, test } from 'vitest';
import type { HttpRequest } from '../../../src/net/http.js';
import { taken, takenAway, takeWaitMs } from '../../../src/venues/ibkr/compete.js';
import type { FakeAnswer } from '../../support/fake-http.js';
import { settle, VirtualClock } from '../../support/virtual-clock.js';
import { FORCE_COMPETE, NOT_PASSED, pathOf, READY, ROUND_MS, startLive, startSource, type World } from './source.js';

let worlds: World[] = [];
afterEach(async () => {
  await Promise.all(worlds.map(({ venue }) => venue.stop({ orders: 'leave' })));
  worlds = [];
});

async function live(...args: Parameters<typeof startLive>): Promise<World> {
  const world = await startLive(...args);
  worlds.push(world);
  return world;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const COOLDOWN_MS = 30 * MINUTE_MS;

/** One username at the venue: the brokerage session belongs to one login at a time (live probe of 2026). */
interface Username {
  holder: string | undefined;
  /** Who took it from another login, and when. */
  readonly takings: { readonly by: string; readonly atMs: number }[];
}

/** A gateway's brokerage side for one of the logins of a username. */
function loginOf(name: string, username: Username, clock: VirtualClock) {
  let refused = false;
  return (request: HttpRequest): FakeAnswer | undefined => {
    switch (pathOf(request)) {
      case '/iserver/auth/status': {
        if (username.holder === name) return { json: READY };
        const competing = username.holder !== undefined && !refused;
        return {
          json: {
            ...READY,
            authenticated: false,
            established: false,
            competing,
            ...(refused ? { fail: FORCE_COMPETE } : {}),
          },
        };
      }
      case '/iserver/auth/ssodh/init': {
        const { compete } = JSON.parse(request.body ?? '{}') as { compete: boolean };
        if (username.holder !== undefined && username.holder !== name) {
          if (!compete) {
            refused = true;
            return { json: NOT_PASSED };
          }
          username.takings.push({ by: name, atMs: clock.monotonic() });
        }
        refused = false;
        username.holder = name;
        return { json: { passed: true, authenticated: true, connected: true, established: true, competing: false } };
      }
      default:
        return undefined;
    }
  };
}

function username(holder: string | undefined): Username {
  return { holder, takings: [] };
}

describe('a brokerage session that another login has', () => {
  test('is contested, and never taken back by default: what is asked for is without compete', async () => {
    const clock = new VirtualClock();
    const name = username('relay');
    const world = await live({}, { clock, answer: loginOf('relay', name, clock) });
    name.holder = 'phone';
    await clock.advance(4 * HOUR_MS);
    expect(world.told()).toEqual(['brokerage session.contested']);
    const inits = world.http.requests.filter(({ url }) => url.endsWith('/ssodh/init'));
    expect(inits.length).toBeGreaterThan(1);
    expect(inits.map(({ body }) => body)).toEqual(inits.map(() => '{"publish":true,"compete":false}'));
    expect(name.takings).toEqual([]);
  });

  test('comes back by itself when the other login leaves', async () => {
    const clock = new VirtualClock();
    const name = username('relay');
    const world = await live({}, { clock, answer: loginOf('relay', name, clock) });
    name.holder = 'phone';
    await clock.advance(HOUR_MS);
    world.told();
    name.holder = undefined;
    await clock.advance(HOUR_MS);
    expect(world.told()).toEqual(['brokerage session.restored']);
    expect(name.holder).toBe('relay');
  });

  test('an init that is not passed is a contest, though the venue says competing: false', async () => {
    const world = await live();
    const refused = { ...READY, authenticated: false, established: false };
    Object.assign(world.gateway, { status: { json: refused }, init: { json: NOT_PASSED } });
    await world.clock.advance(ROUND_MS);
    expect(world.told()).toEqual(['brokerage session.lost no_bridge', 'brokerage session.contested']);
    world.asked();
    await world.clock.advance(30 * MINUTE_MS);
    // A status that does not repeat it takes nothing back, so that the two do not alternate.
    expect(world.told()).toEqual([]);
    expect(world.asked()).toContain('POST /iserver/auth/ssodh/init');
  });

  test('is taken back once, at once, where that is the policy, and again only after the cooldown', async () => {
    const clock = new VirtualClock();
    const name = username('relay');
    const world = await live({ compete: 'oncePerCooldown' }, { clock, answer: loginOf('relay', name, clock) });
    name.holder = 'phone';
    await clock.advance(ROUND_MS);
    expect(world.told()).toEqual(['brokerage session.contested', 'brokerage session.restored']);
    name.holder = 'phone';
    const lostAgainMs = clock.monotonic();
    await clock.advance(COOLDOWN_MS - MINUTE_MS);
    expect(world.told()).toEqual(['brokerage session.contested']);
    await clock.advance(5 * MINUTE_MS);
    expect(world.told()).toEqual(['brokerage session.restored']);
    expect(name.takings).toHaveLength(2);
    expect((name.takings[1]?.atMs ?? 0) - lostAgainMs).toBeGreaterThanOrEqual(COOLDOWN_MS);
  });

  test('a taking that never left is none', async () => {
    const world = await live();
    world.gateway.init = 'unreachable';
    await expect(world.command('init', { compete: true })).rejects.toMatchObject({ code: 'source_unavailable' });
    expect(world.memory.get('policy')).toMatchObject({ count: 0 });
    world.gateway.init = 'timeout';
    await expect(world.command('init', { compete: true })).rejects.toMatchObject({ code: 'venue_timeout' });
    expect(world.memory.get('policy')).toMatchObject({ count: 1 });
  });

  test('is not looked at every 5 s for as long as the other login is there', async () => {
    const clock = new VirtualClock();
    const name = username('relay');
    const world = await live({}, { clock, answer: loginOf('relay', name, clock) });
    name.holder = 'phone';
    await clock.advance(ROUND_MS);
    world.asked();
    await clock.advance(10 * MINUTE_MS);
    expect(world.asked().filter((line) => line === 'POST /iserver/auth/status').length).toBeLessThan(20);
  });

  test('the cooldown counts across a restart', async () => {
    const clock = new VirtualClock();
    const name = username('relay');
    const answer = loginOf('relay', name, clock);
    const world = await live({ compete: 'oncePerCooldown' }, { clock, answer });
    name.holder = 'phone';
    await clock.advance(ROUND_MS);
    expect(name.takings).toHaveLength(1);
    await world.venue.stop({ orders: 'leave' });
    name.holder = 'phone';
    const again = startSource({ compete: 'oncePerCooldown' }, { clock, answer, memory: world.memory });
    worlds.push(again);
    await clock.advance(10 * MINUTE_MS);
    expect(again.told()).toEqual(['- link.up http#1', 'sso session.restored', 'brokerage session.contested']);
    expect(name.takings).toHaveLength(1);
  });
});

test('two relays that are both set to compete do not take it from each other in turns', async () => {
  const clock = new VirtualClock();
  const name = username('a');
  const options = { compete: 'oncePerCooldown' } as const;
  const a = await live(options, { clock, answer: loginOf('a', name, clock), seed: 1 });
  const b = startSource(options, { clock, answer: loginOf('b', name, clock), seed: 2 });
  worlds.push(b);
  await settle();
  await clock.advance(COOLDOWN_MS - MINUTE_MS);
  // Each once: the second to come, and the first one's single answer.
  expect(name.takings.map(({ by }) => by)).toEqual(['b', 'a']);
  await clock.advance(24 * HOUR_MS);
  for (const by of ['a', 'b']) {
    const at = name.takings.filter((taking) => taking.by === by).map(({ atMs }) => atMs);
    const gaps = at.slice(1).map((time, index) => time - (at[index] ?? 0));
    // Each waits longer than before, so that it ends.
    gaps.forEach((gap, index) => {
      expect(gap).toBeGreaterThanOrEqual(COOLDOWN_MS * 2 ** index);
    });
    expect(at.length).toBeLessThanOrEqual(7);
  }
  expect(a.told().length + b.told().length).toBeLessThan(60);
});

describe('the wait before a taking', () => {
  test('is none for the first one', () => {
    expect(takeWaitMs({ count: 0 }, COOLDOWN_MS, 0)).toBe(0);
  });

  test('runs from the taking, and from its loss where it was lost', () => {
    const once = taken({ count: 0 }, 0);
    expect(takeWaitMs(once, COOLDOWN_MS, MINUTE_MS)).toBe(29 * MINUTE_MS);
    expect(takeWaitMs(takenAway(once, 20 * MINUTE_MS), COOLDOWN_MS, 30 * MINUTE_MS)).toBe(20 * MINUTE_MS);
  });

  test('doubles with each taking in a row, up to a day', () => {
    let takings = { count: 0 } as ReturnType<typeof taken>;
    const waits: number[] = [];
    for (let times = 0; times < 8; times++) {
      takings = taken(takings, 0);
      waits.push(takeWaitMs(takings, COOLDOWN_MS, 0) / HOUR_MS);
    }
    expect(waits).toEqual([0.5, 1, 2, 4, 8, 16, 24, 24]);
  });

  test('begins anew after a taking that was kept for a day', () => {
    const kept = takenAway(taken(taken({ count: 0 }, 0), 0), 24 * HOUR_MS);
    expect(takeWaitMs(kept, COOLDOWN_MS, 24 * HOUR_MS)).toBe(0);
  });

  test('is never longer than the cooldown says, whatever the clock was set to', () => {
    expect(takeWaitMs(taken({ count: 0 }, 100 * HOUR_MS), COOLDOWN_MS, 0)).toBe(COOLDOWN_MS);
  });
});
