import { afterEach, describe, expect, test } from 'vitest';
import { type Sessions, sessions } from '../../../src/hub/sessions.js';
import { isSessionState } from '../../../src/model/fold.js';
import type { SessionState } from '../../../src/model/session.js';
import { seededRandom } from '../../../src/net/timer.js';
import type { IbkrOptions } from '../../../src/venues/ibkr/index.js';
import { settle } from '../../support/virtual-clock.js';
import { greet, LOGIN_PAGE, NO_BRIDGE, READY, ROUND_MS, startSource, tickleAnswer, validAnswer } from './source.js';

let live: Sessions | undefined;
afterEach(async () => {
  await live?.stop({ orders: 'leave' });
  live = undefined;
});

/** A source behind a hub: what its facts make of the states that people look at. */
async function behindHub(options: Partial<IbkrOptions> = {}, extras: Parameters<typeof startSource>[1] = {}) {
  const world = startSource(options, { ...extras, start: false });
  const started = sessions([world.venue], { clock: world.clock, random: seededRandom(1) });
  live = started;
  await settle();
  return { world, live: started };
}

function stateOf(at: Sessions, session: string): SessionState | undefined {
  const state = at.state(`ibkr.gw.${session}`);
  return state !== undefined && isSessionState(state) ? state : undefined;
}

function summary(at: Sessions): Record<string, string> {
  const states = [...at.states().values()].filter(isSessionState);
  return Object.fromEntries(
    states.map(({ session, status, stale, safety }) => [
      session,
      `${status}${stale ? ', stale' : ''}: ${[safety.level, ...safety.reasons].join(' ')}`,
    ]),
  );
}

describe('behind a hub', () => {
  test('a brokerage session is safe once its status was read, and the login is its parent', async () => {
    const { world, live: at } = await behindHub();
    await world.clock.advance(4_000);
    expect(summary(at)).toEqual({ sso: 'active: safe', brokerage: 'active: safe' });
    expect(stateOf(at, 'sso')).toMatchObject({ kind: 'sso', role: 'watch', environment: 'paper' });
    expect(stateOf(at, 'brokerage')).toMatchObject({
      kind: 'brokerage',
      role: 'trading',
      parent: 'ibkr.gw.sso',
      attributes: { serverName: 'JifN00000' },
    });
  });

  test('a green tickle over a status that says nothing is never safe', async () => {
    const { world, live: at } = await behindHub({}, { gateway: { status: { json: {} } } });
    await world.clock.advance(600_000);
    expect(summary(at)).toEqual({ sso: 'active: safe' });
  });

  test('the socket may drop and be refused for an hour: nothing goes stale while HTTP is answered', async () => {
    const { world, live: at } = await behindHub({ websocket: true });
    greet(world);
    await world.clock.advance(4_000);
    for (let minutes = 0; minutes < 60; minutes++) {
      if (!world.network.last.ended) world.network.last.end({ code: 1006 });
      await world.clock.advance(60_000);
    }
    expect(world.network.sockets.length).toBeGreaterThan(10);
    expect(summary(at)).toEqual({ sso: 'active: safe', brokerage: 'active: safe' });
  });

  test('a gateway that is gone makes both stale, and what works again is confirmed', async () => {
    let down = false;
    const { world, live: at } = await behindHub({}, { answer: () => (down ? 'unreachable' : undefined) });
    await world.clock.advance(4_000);
    down = true;
    await world.clock.advance(ROUND_MS + 6_000);
    expect(summary(at)).toEqual({ sso: 'active, stale: safe', brokerage: 'active, stale: at_risk link_down' });
    await world.clock.advance(180_000);
    expect(summary(at).brokerage).toBe('active, stale: unsafe link_down');
    down = false;
    await world.clock.advance(305_000);
    expect(summary(at)).toEqual({ sso: 'active: safe', brokerage: 'active: safe' });
  });

  test('a missing login hides the brokerage session, and a login shows it again', async () => {
    const { world, live: at } = await behindHub();
    await world.clock.advance(4_000);
    for (const what of ['tickle', 'status', 'validate', 'init'] as const) world.gateway[what] = LOGIN_PAGE;
    await world.clock.advance(ROUND_MS);
    expect(summary(at)).toMatchObject({ sso: 'attention: unsafe attention' });
    expect(stateOf(at, 'brokerage')).toMatchObject({ status: 'active', stale: true });
    expect(stateOf(at, 'brokerage')?.safety.level).not.toBe('safe');
    Object.assign(world.gateway, { tickle: tickleAnswer(), status: { json: READY }, validate: validAnswer() });
    await world.clock.advance(2 * ROUND_MS);
    expect(summary(at)).toEqual({ sso: 'active: safe', brokerage: 'active: safe' });
  });

  test('bridge drift is at risk for two minutes, then unsafe; the login stays safe', async () => {
    const { world, live: at } = await behindHub({}, { gateway: { init: { json: NO_BRIDGE } } });
    await world.clock.advance(4_000);
    world.gateway.status = { json: NO_BRIDGE };
    await world.clock.advance(ROUND_MS);
    expect(summary(at)).toEqual({ sso: 'active: safe', brokerage: 'lost: at_risk lost' });
    await world.clock.advance(120_000);
    expect(summary(at)).toEqual({ sso: 'active: safe', brokerage: 'lost: unsafe lost' });
  });

  test('what is lost while the gateway is out of sight and back is told again as it is', async () => {
    let down = false;
    const { world, live: at } = await behindHub(
      {},
      { gateway: { init: { json: NO_BRIDGE } }, answer: () => (down ? 'unreachable' : undefined) },
    );
    await world.clock.advance(4_000);
    down = true;
    await world.clock.advance(ROUND_MS + 6_000);
    down = false;
    world.gateway.status = { json: NO_BRIDGE };
    await world.clock.advance(305_000);
    expect(stateOf(at, 'brokerage')).toMatchObject({ status: 'lost', stale: false });
    world.gateway.status = { json: READY };
    await world.clock.advance(ROUND_MS);
    expect(summary(at)).toEqual({ sso: 'active: safe', brokerage: 'active: safe' });
  });

  test('a logout is closed by the user, in one batch, and safe no more', async () => {
    const { world, live: at } = await behindHub();
    await world.clock.advance(4_000);
    await at.command('ibkr.gw', 'logout');
    await world.clock.advance(1_000);
    expect(summary(at)).toEqual({ sso: 'closed: unknown closed', brokerage: 'closed: at_risk closed' });
  });

  test('a penalty is out of sight, not an end', async () => {
    const { world, live: at } = await behindHub();
    await world.clock.advance(4_000);
    world.gateway.tickle = { text: '', status: 429 };
    await world.clock.advance(ROUND_MS);
    world.gateway.tickle = tickleAnswer();
    expect(stateOf(at, 'brokerage')).toMatchObject({ status: 'active', stale: true, safety: { level: 'at_risk' } });
    await world.clock.advance(300_000);
    expect(stateOf(at, 'brokerage')?.safety.level).toBe('unsafe');
    await world.clock.advance(300_000 + ROUND_MS);
    expect(summary(at)).toEqual({ sso: 'active: safe', brokerage: 'active: safe' });
  });
});
