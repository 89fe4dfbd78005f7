import { describe, expect, test } from 'vitest';
import { ID, startLive, USER, type World } from './world.js';

const PORTAL = '917c8734-8470-4a3e-a18f-57c3f2ee6631';

function event(id: number, step: string, time: string, changes: Record<string, unknown> = {}) {
  return {
    id: `event-${id}`,
    session_event_type: step,
    session_id: PORTAL,
    user_id: USER.userId,
    created_date: time,
    brokerage_status_code: null,
    brokerage_authorization_id: null,
    ...changes,
  };
}

function answering(world: World, events: () => unknown, status = 200): void {
  world.answer = (_, url) => (url.pathname === '/sessionEvents' ? { json: events(), status } : undefined);
}

async function startPortal(
  events: readonly unknown[],
  sessionEvents: 'auto' | 'on' = 'auto',
  memory?: World['memory'],
) {
  let list = events;
  const world = await startLive({ sessionEvents }, [], {
    answer: (_, url) => (url.pathname === '/sessionEvents' ? { json: list } : undefined),
    ...(memory === undefined ? {} : { memory }),
  });
  return Object.assign(world, {
    async next(more: readonly unknown[]): Promise<readonly string[]> {
      list = more;
      await world.clock.advance(70_000);
      return world.told();
    },
  });
}

const asked = (world: World): number => world.http.requests.filter(({ url }) => url.includes('/sessionEvents')).length;

describe('events of connection portals', () => {
  test('are steps of the portal, in the order of their times, each told once', async () => {
    const first = event(1, 'OAUTH_REDIRECT', '2026-11-23T07:59:00.000Z');
    const second = event(2, 'CONNECTION_FAILED', '2026-11-23 02:59:30.500000-05:00', {
      brokerage_status_code: 401,
      brokerage_authorization_id: ID,
      a_new_field: true,
    });
    const world = await startPortal([second, first]);
    expect(world.told()).toEqual([
      `portal-${PORTAL} session.step OAUTH_REDIRECT`,
      `portal-${PORTAL} session.step CONNECTION_FAILED (the broker answered with 401)`,
      '- link.up http#1',
    ]);
    expect(world.facts[1]).toMatchObject({
      key: 'event:event-2',
      data: { connection: ID, venueTime: '2026-11-23T07:59:30.500Z' },
    });
    expect(await world.next([first, second, event(3, 'SOMETHING_NEW', '2026-11-23T08:00:30Z')])).toEqual([
      `portal-${PORTAL} session.step SOMETHING_NEW`,
    ]);
    const url = new URL(world.http.requests.find((one) => one.url.includes('sessionEvents'))?.url ?? '');
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      clientId: 'PARTNER',
      PartnerClientId: 'PARTNER',
      userId: USER.userId,
    });
    expect(url.searchParams.get('userSecret')).toBeNull();
  });

  test('that come late are told within the overlap; the past from before the start is not', async () => {
    const world = await startPortal([event(1, 'SESSION_STARTED', '2026-11-23T07:00:00Z')]);
    expect(world.told()).toEqual(['- link.up http#1']);
    const newest = event(3, 'PARTNER_REDIRECT', '2026-11-23T08:00:50Z');
    expect(await world.next([newest])).toHaveLength(1);
    expect(await world.next([newest, event(2, 'MFA_REQUESTED', '2026-11-23T07:58:00Z')])).toEqual([
      `portal-${PORTAL} session.step MFA_REQUESTED`,
    ]);
  });

  test('are not told again after a restart', async () => {
    const events = [event(1, 'SESSION_STARTED', '2026-11-23T07:59:00Z')];
    const world = await startPortal(events);
    expect(world.told()).toHaveLength(2);
    const after = await startPortal(events, 'auto', world.memory);
    expect(after.told()).toEqual(['- link.up http#1']);
  });

  test('of users who are not watched, and what is no event, are passed over', async () => {
    const world = await startPortal([
      event(1, 'SESSION_STARTED', '2026-11-23T08:00:00Z', { user_id: 'somebody-else' }),
      { id: 'x' },
      event(2, 'MFA_SUBMITTED', '2026-11-23T08:00:00Z'),
    ]);
    expect(world.told()).toEqual([
      '- source.fault bad_frame',
      `portal-${PORTAL} session.step MFA_SUBMITTED`,
      '- link.up http#1',
    ]);
  });

  test.each([404, 405, 410, 501])(
    'are asked for no more once the venue answers %d, and that is said once',
    async (status) => {
      const world = await startLive({ sessionEvents: 'auto' }, [], {
        answer: (_, url) => (url.pathname === '/sessionEvents' ? { json: { detail: 'gone' }, status } : undefined),
      });
      await world.clock.advance(600_000);
      expect(asked(world)).toBe(1);
      expect(world.told().filter((line) => line.includes('fault'))).toEqual(['- source.fault channel_refused']);
      expect(world.facts.find(({ type }) => type === 'source.fault')).toMatchObject({
        key: 'session-events-off',
        data: { sample: 'sessionEvents' },
      });
      expect(world.lists()).toBeGreaterThan(5);
    },
  );

  test('are asked for again after a failure', async () => {
    const world = await startLive({ sessionEvents: 'on' }, [], {
      answer: () => ({ json: { detail: 'oops' }, status: 500 }),
    });
    await world.clock.advance(70_000);
    answering(world, () => [event(1, 'CONNECTION_SUCCESSFUL', '2026-11-23T08:01:00Z')]);
    await world.clock.advance(70_000);
    expect(world.told()).toContain(`portal-${PORTAL} session.step CONNECTION_SUCCESSFUL`);
  });

  test('are read by a command too, of this user alone, and told', async () => {
    const world = await startLive({ sessionEvents: 'off' }, []);
    world.told();
    answering(world, () => [
      event(1, 'CONNECTION_ABORTED', '2026-11-23T08:00:00Z'),
      event(2, 'CONNECTION_ABORTED', '2026-11-23T08:00:00Z', { user_id: 'somebody-else' }),
    ]);
    expect(await world.command('session_events', { portals: [`portal-${PORTAL}`] })).toEqual({
      events: [
        {
          id: 'event-1',
          step: 'CONNECTION_ABORTED',
          portal: `portal-${PORTAL}`,
          createdAt: '2026-11-23T08:00:00.000Z',
        },
      ],
    });
    expect(world.told()).toEqual([`portal-${PORTAL} session.step CONNECTION_ABORTED`]);
    const last = new URL(world.http.requests.at(-1)?.url ?? '');
    expect(last.searchParams.get('sessionId')).toBe(PORTAL);
    answering(world, () => ({ detail: 'Not found' }), 404);
    await expect(world.command('session_events')).rejects.toMatchObject({ code: 'venue_error' });
  });
});
