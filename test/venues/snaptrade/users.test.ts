import { describe, expect, test } from 'vitest';
import { ConfigError } from '../../../src/errors.js';
import type { Json } from '../../../src/model/json.js';
import { hook, ID, lineOf, OTHER_ID, row, startLive, startVenue, type World } from './world.js';

const ANNA = { alias: 'anna', userId: 'user-anna', userSecret: 'secret-of-anna' };
const BERT = { alias: 'bert', userId: 'user-bert', userSecret: 'secret-of-bert' };
const CARL = { alias: 'carl', userId: 'user-carl', userSecret: 'secret-of-carl' };

function names(world: World): readonly string[] {
  return world.venue.sources().map(({ source }) => source);
}

/** Lines with the source of each. */
function told(world: World, from = 0): readonly string[] {
  return world.facts.slice(from).map((fact) => `${fact.source} ${lineOf(fact)}`);
}

/** Lists by user. */
function listing(world: World, lists: Record<string, readonly unknown[]>): void {
  world.answer = (_, url) => {
    const user = url.searchParams.get('userId');
    return url.pathname.endsWith('/authorizations') ? { json: lists[user ?? ''] ?? [] } : undefined;
  };
}

describe('users', () => {
  test('are sources of their own, one without an alias under the plain name', async () => {
    const world = startVenue({ users: [{ userId: 'plain', userSecret: 'secret-of-plain' }, ANNA, BERT] }, [], {
      start: false,
    });
    expect(names(world)).toEqual(['partner', 'partner~anna', 'partner~bert']);
    listing(world, { 'user-anna': [row(ID)], 'user-bert': [row(OTHER_ID)] });
    world.venue.start();
    await world.clock.advance(5_000);
    expect(told(world).toSorted()).toEqual([
      'partner - link.up http#1',
      'partner~anna - link.up http#1',
      'partner~anna A session.opened trading',
      'partner~bert - link.up http#1',
      'partner~bert B session.opened trading',
    ]);
  });

  test('fail one by one: what is wrong with one says nothing of another', async () => {
    const world = startVenue({ users: [ANNA, BERT] }, [], { start: false });
    world.answer = (_, url) =>
      url.searchParams.get('userId') === 'user-anna'
        ? { json: { detail: 'Invalid userID or userSecret provided', code: '1083' }, status: 401 }
        : { json: [row()] };
    world.venue.start();
    await world.clock.advance(5_000);
    expect(told(world).toSorted()).toEqual([
      'partner~anna - link.up http#1',
      'partner~anna - session.attention check_credentials',
      'partner~bert - link.up http#1',
      'partner~bert A session.opened trading',
    ]);
  });

  test('have their own webhooks and commands', async () => {
    const world = await startLive({ users: [ANNA, BERT] }, [row()]);
    await world.clock.advance(5_000);
    const from = world.facts.length;
    await world.hook(hook(world, 'CONNECTION_BROKEN', { userId: 'user-bert' }));
    expect(told(world, from)).toEqual([
      'partner~bert - link.up hook#1',
      'partner~bert A session.lost connection_broken',
      'partner~bert A session.attention relink',
    ]);
    await world.venue.command({ source: 'partner~anna', command: 'list_connections', params: {} });
    expect(world.http.requests.at(-1)?.url).toContain('userId=user-anna&userSecret=secret-of-anna');
  });

  test('of a personal key are nobody: requests name no user, and every webhook is the source’s', async () => {
    const world = await startLive({ personal: true }, [row()]);
    expect(names(world)).toEqual(['partner']);
    expect(world.http.requests[0]?.url).toMatch(/\?clientId=PARTNER&timestamp=\d+$/);
    world.told();
    await world.hook(hook(world, 'CONNECTION_BROKEN', { userId: 'whoever' }));
    expect(world.told()).toContain('A session.lost connection_broken');
  });

  test.each([
    ['none at all', {}],
    ['two ways at once', { users: [ANNA], personal: true }],
    [
      'two without alias',
      {
        users: [
          { userId: 'a', userSecret: 's' },
          { userId: 'b', userSecret: 's' },
        ],
      },
    ],
    ['one alias twice', { users: [ANNA, { ...BERT, alias: 'anna' }] }],
    ['one user twice', { users: [ANNA, { ...ANNA, alias: 'other' }] }],
    ['an alias that would need encoding', { users: [{ ...ANNA, alias: 'a.b' }] }],
  ])('cannot be configured with %s', (_, options) => {
    expect(() => startVenue({ users: undefined, ...options } as never, [], { start: false })).toThrow();
  });
});

describe('the file of users', () => {
  const json = (...users: readonly unknown[]): string => JSON.stringify(users);

  test('is JSON or YAML, with the list or with `users`', () => {
    for (const file of [
      json(ANNA),
      JSON.stringify({ users: [ANNA] }),
      '- { alias: anna, userId: user-anna, userSecret: secret-of-anna }',
      'users:\n  - alias: anna\n    userId: user-anna\n    userSecret: secret-of-anna\n',
    ]) {
      expect(names(startVenue({ usersFile: 'users.json' }, [], { file, start: false }))).toEqual(['partner~anna']);
    }
  });

  test('that cannot be read, or is none, is an error at the start that repeats no secret', () => {
    const files = ['', '{', 'a: [', '[{"userId":"u","userSecret":"s-e-c-r-e-t","x":1}]', '{"users":3}'];
    for (const file of [
      ...files,
      '- { userId: u, userSecret s-e-c-r-e-t: x }',
      '- { userSecret: "s-e-c-r-e-t" "x" }',
    ]) {
      let thrown: unknown;
      try {
        startVenue({ usersFile: 'users.json' }, [], { file, start: false });
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toBeInstanceOf(ConfigError);
      expect(String(thrown)).not.toContain('s-e-c-r-e-t');
    }
  });

  test('is read again when it changes: who is new is watched, who left is not', async () => {
    const world = await startLive({ usersFile: 'users.json' }, [row()], { file: json(ANNA, BERT) });
    await world.clock.advance(5_000);
    let from = world.facts.length;
    world.file = json(BERT, CARL);
    await world.clock.advance(8_000);
    expect(told(world, from)).toEqual([
      'partner~anna - link.down http#1 1000 relay',
      'partner~carl - link.up http#1',
      'partner~carl A session.opened trading',
    ]);
    // What is said of its end is described by a source that is still there; then it is gone.
    expect(names(world)).toEqual(['partner~bert', 'partner~carl', 'partner~anna']);
    await world.clock.advance(11_000);
    expect(names(world)).toEqual(['partner~bert', 'partner~carl']);
    from = world.http.requests.length;
    await world.clock.advance(120_000);
    expect(world.http.requests.slice(from).some(({ url }) => url.includes('anna'))).toBe(false);
  });

  test('brings back who left, in a new life under a name of its own', async () => {
    const world = await startLive({ usersFile: 'users.json' }, [row(), row(OTHER_ID)], { file: json(ANNA) });
    world.file = json();
    await world.clock.advance(12_000);
    expect(names(world)).toEqual(['partner~anna']);
    world.rows = [row()];
    world.file = json(ANNA);
    const from = world.facts.length;
    await world.clock.advance(12_000);
    expect(told(world, from)).toEqual([
      'partner~anna - link.up http#1',
      'partner~anna B session.closed by:unknown',
      'partner~anna A session.opened trading',
    ]);
    expect(new Set(world.facts.map((fact) => `${lineOf(fact)} ${fact.key}`)).size).toBe(world.facts.length - 1);
  });

  test('forgets after two days who left, and uses no name twice should they come back then', async () => {
    const world = await startLive({ usersFile: 'users.json' }, [row(), row(OTHER_ID)], { file: json(ANNA, BERT) });
    const ofAnna = (): readonly string[] => [...world.memory.keys()].filter((key) => key.includes('~anna'));
    expect(ofAnna()).toHaveLength(2);
    world.file = json(BERT);
    await world.clock.advance(12_000);
    // Her state as such, when she left, and each connection.
    expect(ofAnna()).toHaveLength(4);
    await world.clock.advance(2 * 86_400_000 - 60_000);
    expect(ofAnna()).toHaveLength(4);
    await world.clock.advance(180_000);
    expect(ofAnna()).toEqual([]);
    const from = world.facts.length;
    world.file = json(ANNA, BERT);
    await world.clock.advance(30_000);
    const opened = world.facts.slice(from).filter(({ type }) => type === 'session.opened');
    expect(opened).toHaveLength(2);
    const before = new Set(world.facts.slice(0, from).map(({ session, key }) => `${session} ${key}`));
    expect(opened.filter(({ session, key }) => before.has(`${session} ${key}`))).toEqual([]);
  });

  test('counts those days over restarts, and treats as left whom a start does not find', async () => {
    let memory = new Map<string, Json>();
    let elapsed = 0;
    const lives = async (users: (typeof ANNA)[], ms: number): Promise<World> => {
      const world = startVenue({ users }, [row()], { memory, start: false });
      world.clock.jump(elapsed);
      world.venue.start(memory);
      await world.clock.advance(ms);
      await world.venue.stop({ orders: 'leave' });
      elapsed += ms;
      memory = world.memory;
      return world;
    };
    await lives([ANNA, BERT], 5_000);
    await lives([BERT], 86_400_000);
    const back = await lives([ANNA, BERT], 10_000);
    expect(told(back).filter((line) => line.startsWith('partner~anna A'))).toEqual([
      'partner~anna A session.opened trading',
    ]);
    expect([...memory.keys()].filter((key) => key.startsWith('left'))).toEqual([]);
    await lives([BERT], 86_400_000);
    await lives([BERT], 86_400_000 - 60_000);
    expect([...memory.keys()].filter((key) => key.includes('~anna'))).not.toEqual([]);
    await lives([BERT], 240_000);
    expect([...memory.keys()].filter((key) => key.includes('~anna'))).toEqual([]);
  });

  test('with another secret for a user confirms its connections with that', async () => {
    const world = await startLive({ usersFile: 'users.json' }, [row()], { file: json(ANNA) });
    const from = world.facts.length;
    world.file = json({ ...ANNA, userSecret: 'another-secret' });
    await world.clock.advance(12_000);
    expect(told(world, from)).toEqual([
      'partner~anna - link.down http#1 1000 relay',
      'partner~anna - link.up http#1',
      'partner~anna A session.restored',
    ]);
    expect(world.http.requests.at(-1)?.url).toContain('another-secret');
  });

  test('that becomes unreadable leaves the users as they were, and the log says so once', async () => {
    const world = await startLive({ usersFile: 'users.json' }, [row()], { file: json(ANNA) });
    world.told();
    world.file = '';
    await world.clock.advance(65_000);
    world.file = json(ANNA);
    await world.clock.advance(20_000);
    expect(world.told()).toEqual([]);
    expect(world.logged.filter((line) => line.includes('stay as they were'))).toHaveLength(1);
    expect(world.logged.join()).not.toContain('secret-of');
  });
});
