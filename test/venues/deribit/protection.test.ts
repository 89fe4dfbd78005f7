import { describe, expect, test } from 'vitest';
import { startSource, type World } from './world.js';

const GET = 'private/get_cancel_on_disconnect';
const ENABLE = 'private/enable_cancel_on_disconnect';
const DISABLE = 'private/disable_cancel_on_disconnect';

async function started(...how: Parameters<typeof startSource>): Promise<World> {
  const world = await startSource(...how);
  world.told();
  world.asked();
  return world;
}
const about = (world: World): readonly string[] => world.asked().filter((line) => line.includes('cancel_on'));

describe('cancel-on-disconnect', () => {
  test('is read back in both scopes every minute, and told each time', async () => {
    const world = await started();
    await world.clock.advance(120_000);
    expect(about(world)).toEqual([`${GET} connection`, `${GET} account`, `${GET} connection`, `${GET} account`]);
    expect(world.told()).toHaveLength(4);
    expect(world.facts.at(-1)?.data).toEqual({
      mechanism: 'cancel_on_disconnect',
      scope: 'account',
      readAt: '2026-11-23T08:02:00.000Z',
    });
  });

  test('changed by somebody else is seen within a minute', async () => {
    const world = await started();
    world.script.accountEnabled = true;
    await world.clock.advance(60_000);
    expect(world.told()).toContain('bot protection.armed account');
  });

  test('set by a command is read back at once, and what is published is what was read', async () => {
    const world = await started();
    expect(await world.command('enable_cancel_on_disconnect')).toEqual({
      connection: 'armed',
      account: 'disarmed',
      readAt: '2026-11-23T08:00:00.000Z',
    });
    expect(about(world)).toEqual([`${ENABLE} connection`, `${GET} connection`, `${GET} account`]);
    expect(world.told()).toEqual([
      'bot session.updated',
      'bot protection.armed connection',
      'bot protection.disarmed account',
    ]);
    // The venue says "ok" and does nothing: the reading decides.
    world.script.answers.set(DISABLE, () => ({ result: 'ok' }));
    expect(await world.command('disable_cancel_on_disconnect')).toMatchObject({ connection: 'armed' });
    expect(world.told()).toContain('bot protection.armed connection');
  });

  test('of the account is changed by a command alone, and is then a wish like the other', async () => {
    const world = await started({ cancelOnDisconnect: 'disable' });
    await world.command('enable_cancel_on_disconnect', { scope: 'account' });
    expect(world.memory.get('wishes')).toEqual({ protection: { account: true } });
    expect(world.told()[0]).toBe('bot session.updated');
    await world.drop();
    world.script.connectionEnabled = true;
    world.asked();
    await world.reopen();
    // The account's goes first: it sets the connection's too, whose own wish must stand.
    expect(about(world)).toEqual([`${ENABLE} account`, `${DISABLE} connection`, `${GET} connection`, `${GET} account`]);
    expect(
      world
        .told()
        .filter((line) => line.includes('protection.'))
        .slice(-2),
    ).toEqual(['bot protection.disarmed connection', 'bot protection.armed account']);
  });

  test('wished for by a command holds after a restart, over what is configured, and is shown', async () => {
    const first = await started({ cancelOnDisconnect: 'enable' });
    await first.command('disable_cancel_on_disconnect');
    const world = await startSource({ cancelOnDisconnect: 'enable' }, { memory: first.memory, script: { sid: 'NEW' } });
    expect(about(world)[0]).toBe(`${DISABLE} connection`);
    expect(world.facts.find(({ type }) => type === 'session.opened')?.data).toMatchObject({
      attributes: { wishes: { protection: { connection: false } } },
    });
  });

  test('that the venue refuses to set is no wish', async () => {
    const world = await started();
    world.script.answers.set(ENABLE, () => ({ error: { code: 13403, message: 'scope_exceeded' } }));
    await expect(world.command('enable_cancel_on_disconnect')).rejects.toMatchObject({ code: 'venue_error' });
    expect(world.memory.get('wishes')).toBeUndefined();
    await world.clock.advance(0);
    expect(world.told()).toEqual(['bot protection.disarmed connection', 'bot protection.disarmed account']);
  });

  test('whose setting is not answered is read back: what is published is what the venue did', async () => {
    const world = await started();
    world.script.answers.set(ENABLE, () => {
      world.script.connectionEnabled = true;
      return 'silence';
    });
    const asked = world.command('enable_cancel_on_disconnect');
    asked.catch(() => undefined);
    await world.clock.advance(10_000);
    await expect(asked).rejects.toMatchObject({ code: 'venue_timeout' });
    expect(world.told()).toContain('bot protection.armed connection');
    expect(world.memory.get('wishes')).toBeUndefined();
  });

  test('that the venue refuses to set at connect is a fault, and is told as it stands', async () => {
    const world = await startSource(
      { cancelOnDisconnect: 'enable' },
      { script: { answers: new Map([[ENABLE, () => ({ error: { code: 13403, message: 'scope_exceeded' } })]]) } },
    );
    expect(world.told().filter((line) => /fault|protection/.test(line))).toEqual([
      '- source.fault inconsistent',
      'bot protection.disarmed connection',
      'bot protection.disarmed account',
      '- source.fault inconsistent',
    ]);
  });

  test('that fails for now is tried again after a connect', async () => {
    let left = 1;
    const fails = () => (left-- > 0 ? { error: { code: 10049, message: 'cancel_on_disconnect_failed' } } : undefined);
    const world = await startSource(
      { cancelOnDisconnect: 'enable' },
      { script: { answers: new Map([[ENABLE, fails]]) } },
    );
    world.told();
    await world.clock.advance(10_000);
    expect(world.told()).toEqual(['bot protection.armed connection', 'bot protection.disarmed account']);
  });

  test('that cannot be read is unknown, and a scope that can is told', async () => {
    const world = await started();
    world.script.answers.set(GET, ({ params }) =>
      params.scope === 'account' ? { error: { code: 13403, message: 'scope_exceeded' } } : undefined,
    );
    await world.clock.advance(60_000);
    expect(world.told()).toEqual(['bot protection.disarmed connection', 'bot protection.unknown account']);
  });

  test('answered about another scope, or in another shape, is no reading', async () => {
    const world = await started();
    world.script.answers.set(GET, () => ({ result: { scope: 'account', enabled: true } }));
    await world.clock.advance(60_000);
    expect(world.told()).toEqual([
      '- source.fault inconsistent',
      'bot protection.unknown connection',
      'bot protection.armed account',
    ]);
  });

  test('last read as armed is still taken for armed where the last reading failed', async () => {
    const world = await started({ cancelOnDisconnect: 'enable' });
    world.script.answers.set(GET, () => ({ error: { code: 10049, message: 'cancel_on_disconnect_failed' } }));
    await world.clock.advance(60_000);
    world.told();
    await world.drop();
    expect(world.told()).toContain('bot protection.triggered connection');
  });

  test('is no business of a source without credentials', async () => {
    const world = await started({ credentials: 'none', scope: 'connection' });
    await expect(world.command('enable_cancel_on_disconnect')).rejects.toMatchObject({ code: 'conflict' });
    await world.clock.advance(120_000);
    expect(about(world)).toEqual([]);
  });
});

test('get_cancel_on_disconnect reads both scopes, or the one that is asked for', async () => {
  const world = await started();
  expect(await world.command('get_cancel_on_disconnect')).toMatchObject({
    connection: 'disarmed',
    account: 'disarmed',
  });
  expect(await world.command('get_cancel_on_disconnect', { scope: 'account' })).toEqual({
    account: 'disarmed',
    readAt: '2026-11-23T08:00:00.000Z',
  });
});
