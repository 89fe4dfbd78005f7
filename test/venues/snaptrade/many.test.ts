import { describe, expect, test } from 'vitest';
import { sessions } from '../../../src/hub/sessions.js';
import { isSessionState } from '../../../src/model/fold.js';
import { settle } from '../../support/virtual-clock.js';
import { BROKEN, hook, row, startLive, startVenue } from './world.js';

const idOf = (index: number): string => `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`;

describe('10,000 connections', () => {
  test('of one user are opened, followed and confirmed, each by its own facts', async () => {
    const rows = Array.from({ length: 10_000 }, (_, index) => row(idOf(index)));
    const world = startVenue({}, rows, { start: false });
    const live = sessions([world.venue], { clock: world.clock });
    const states = () => [...live.states().values()].filter(isSessionState);
    for (let turn = 0; turn < 200 && live.states().size < 10_001; turn++) await world.clock.advance(1);
    expect(live.states().size).toBe(10_001);
    expect(new Set(states().map(({ status, stale }) => `${status} ${stale}`))).toEqual(new Set(['active false']));

    world.rows = rows.with(17, row(idOf(17), BROKEN)).toSpliced(9_000, 1);
    const from = world.facts.length;
    await world.clock.advance(70_000);
    await settle();
    expect(world.facts.slice(from).map(({ session, type }) => `${Number(session.slice(-6))} ${type}`)).toEqual([
      '9000 session.closed',
      '17 session.lost',
      '17 session.attention',
    ]);
    expect(world.batches.at(-1)?.memory).toBeDefined();
    expect(Object.keys(world.batches.at(-1)?.memory ?? {})).toHaveLength(3);

    await world.clock.advance(70_000);
    expect(world.facts.length).toBe(from + 3);
    const stopped = live.stop({ orders: 'leave' });
    await world.clock.advance(1_000);
    await stopped;
  }, 60_000);
});

describe('many users', () => {
  const users = Array.from({ length: 1_000 }, (_, index) => ({
    alias: `u${index}`,
    userId: `user-${index}`,
    userSecret: `secret-${index}`,
  }));

  test('share the venue’s limit: never over 250 requests in a minute, and each has its turn before any has two', async () => {
    const world = startVenue({ users, pollSeconds: 2 }, [row()], { start: false });
    const sent: { readonly at: number; readonly user: string }[] = [];
    world.answer = (_, url) => {
      sent.push({ at: world.clock.monotonic(), user: url.searchParams.get('userId') ?? '' });
      return undefined;
    };
    world.venue.start();
    await world.clock.advance(6 * 60_000);
    for (const { at } of sent) {
      const within = sent.filter((one) => one.at >= at && one.at < at + 60_000).length;
      expect(within).toBeLessThanOrEqual(200);
    }
    const rounds = sent.slice(0, 1_000).map(({ user }) => user);
    expect(new Set(rounds).size).toBe(1_000);
    expect(sent.length).toBeGreaterThan(1_100);
    expect(world.logged.some((line) => line.includes('stretches the polls'))).toBe(true);
    // A person's command does not wait behind them.
    await expect(
      world.venue.command({ source: 'partner~u999', command: 'list_connections', params: {} }),
    ).resolves.toBeDefined();
  }, 60_000);

  test('are listed before their time after a webhook, though many others wait', async () => {
    const world = startVenue({ users, pollSeconds: 60 }, [], { start: false });
    world.venue.start();
    await world.clock.advance(30_000);
    const from = world.http.requests.length;
    await world.hook(hook(world, 'CONNECTION_ADDED', { userId: 'user-900' }));
    await world.clock.advance(3_000);
    expect(world.http.requests.slice(from).some(({ url }) => url.includes('userId=user-900&'))).toBe(true);
  });

  test('are all told of a penalty, and none is asked for before it is over', async () => {
    const world = startVenue({ users: users.slice(0, 20) }, [row()], { start: false });
    let count = 0;
    world.answer = () =>
      ++count === 5 ? { json: { detail: 'Expected available in 30 seconds.', code: '0000' }, status: 429 } : undefined;
    world.venue.start();
    await world.clock.advance(20_000);
    const throttled = world.facts.filter(({ type }) => type === 'source.throttled');
    expect(new Set(throttled.map(({ source }) => source)).size).toBe(20);
    expect(count).toBeLessThanOrEqual(8);
    await world.clock.advance(20_000);
    expect(world.facts.filter(({ type }) => type === 'source.unthrottled')).toHaveLength(20);
    expect(count).toBeGreaterThanOrEqual(20);
  });

  test('leave the rest of a window to others once the venue’s own count says that it is spent', async () => {
    const world = await startLive({ pollSeconds: 2 }, [row()]);
    world.answer = () => ({
      json: world.rows,
      headers: { 'x-ratelimit-limit': '250', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '40' },
    });
    await world.clock.advance(3_000);
    const sent = world.http.requests.length;
    await world.clock.advance(35_000);
    expect(world.http.requests.length).toBe(sent);
    await expect(world.command('list_connections')).rejects.toMatchObject({ code: 'rate_limited' });
    await world.clock.advance(10_000);
    expect(world.http.requests.length).toBeGreaterThan(sent);
    expect(world.facts.some(({ type }) => type === 'source.throttled')).toBe(false);
  });
});
