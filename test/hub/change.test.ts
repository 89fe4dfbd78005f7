import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ChangedVenues, VenueChanges } from '../../src/hub/changes.js';
import { planVenues } from '../../src/hub/changes.js';
import { defaultSafetyPolicy, type SafetyPolicy } from '../../src/model/safety.js';
import type { Venue } from '../../src/venues/venue.js';
import { fact, fakeVenue, linkUp, opened } from '../support/fake-venue.js';
import { settle } from '../support/virtual-clock.js';
import { faultyJournal, startWorld, stopWorld, type World } from './world.js';

/** Venues that come and go while the hub runs. */
async function change(world: World, changes: VenueChanges): Promise<ChangedVenues> {
  const changing = world.hub.prepareChange(changes)();
  await settle(8);
  return changing;
}

function call(world: World, command: string, requestId: string, source = 'tradernet.desk'): Promise<unknown> {
  const outcome = world.hub.command({ by: 'bot', source, command, params: {}, requestId });
  return outcome.catch((thrown: unknown) => thrown);
}

test('a venue that is the same object is not touched, whatever becomes of the others', async () => {
  const kept = fakeVenue();
  const gone = fakeVenue({ id: 'gone' });
  const world = await startWorld({ venue: kept, others: [gone] });
  kept.say(linkUp(), opened('login'));
  const added = fakeVenue({ id: 'new' });
  expect(await change(world, { venues: [added, kept] })).toEqual({
    added: ['tradernet.new'],
    removed: ['tradernet.gone'],
    changed: [],
    revised: [],
    kept: ['tradernet.desk'],
  });
  expect([kept.starts, kept.stops, added.starts, gone.stops]).toEqual([1, [], 1, [{ orders: 'leave' }]]);
  expect(world.state('login')?.stale).toBe(false);
  expect(world.hub.sources().map(({ source }) => source)).toEqual(['new', 'desk']);
  expect(() => world.hub.prepareChange({ venues: [kept, gone] })).toThrow('tradernet.gone was ended');
  await stopWorld(world);
});

test('a venue that takes the place of another finds what the journal remembers now; what was forgotten is gone', async () => {
  const before = fakeVenue();
  const world = await startWorld({ venue: before });
  before.tell({ facts: [linkUp(), opened('login')], memory: { wishes: { heartbeat: 30 }, list: [1] } });
  before.tell({ facts: [], memory: { list: null, cursor: 'c' } });
  const after = fakeVenue();
  await settle();
  world.take();
  expect(await change(world, { venues: [after] })).toMatchObject({ changed: ['tradernet.desk'] });
  expect(new Map(after.memory)).toEqual(
    new Map<string, unknown>([
      ['wishes', { heartbeat: 30 }],
      ['cursor', 'c'],
    ]),
  );
  // It has ended without a word: the hub says what that means.
  expect(world.take()).toEqual([
    '- link.down ws 1006 relay',
    'login session.stale link_down',
    'login safety.changed unknown unconfirmed link_down',
  ]);
  expect(world.state('login')).toMatchObject({ stale: true, staleSince: { reason: 'link_down' } });
  before.say(fact('login', 'session.lost', { reason: 'late' }));
  after.say(linkUp(), fact('login', 'session.restored', {}));
  await settle();
  expect(world.state('login')).toMatchObject({ stale: false, status: 'active' });
  expect(world.logged.filter((line) => line.includes('says no more'))).toEqual([]);
  await stopWorld(world);
});

test('a session of what is removed is stale at once, and dropped after a day with a reason; before that it may come back', async () => {
  const [first, second] = [fakeVenue(), fakeVenue({ id: 'second' })];
  const world = await startWorld({ venue: first, others: [second] });
  first.say(linkUp(), opened('login'));
  second.say({ ...linkUp(), source: 'second' }, { ...opened('login'), source: 'second' });
  await settle();
  await change(world, { venues: [] });
  for (const key of ['tradernet.desk.login', 'tradernet.second.login'])
    expect(world.state(key)).toMatchObject({ stale: true, status: 'active' });
  const back = fakeVenue({ id: 'second' });
  await change(world, { venues: [back] });
  back.say({ ...linkUp(), source: 'second' }, { ...fact('login', 'session.restored', {}), source: 'second' });
  await world.clock.advance(86_400_000 + 120_000);
  expect(world.state('tradernet.second.login')).toMatchObject({ stale: false });
  expect(world.state('tradernet.desk.login')).toBeUndefined();
  expect(world.events.filter(({ type }) => type === 'session.removed')).toMatchObject([
    { subject: 'tradernet.desk.login', data: { reason: 'not_configured' } },
    { subject: 'tradernet.desk.-', data: { reason: 'not_configured' } },
  ]);
  await stopWorld(world);
});

test('a command under way at what is removed is unknown; those that wait are refused and not sent; others go on', async () => {
  const gone = fakeVenue();
  const kept = fakeVenue({ id: 'kept' });
  const world = await startWorld({ venue: gone, others: [kept] });
  gone.say(linkUp(), opened('login'));
  const [running, waiting, other] = [
    call(world, 'act', 'r1'),
    call(world, 'act', 'r2'),
    call(world, 'act', 'r3', 'tradernet.kept'),
  ];
  await settle();
  const changing = world.hub.prepareChange({ venues: [kept] })();
  const late = call(world, 'act', 'r4');
  await settle(8);
  await changing;
  expect(await running).toMatchObject({ code: 'venue_timeout' });
  expect(await waiting).toMatchObject({ code: 'source_unavailable' });
  expect(await late).toMatchObject({ code: 'source_unavailable' });
  expect(gone.calls).toHaveLength(1);
  const audit = world.events.filter(({ type, source }) => type.startsWith('command.') && source === '/tradernet/desk');
  expect(audit.map(({ type, data }) => [type, 'requestId' in data && data.requestId])).toEqual([
    ['command.accepted', 'r1'],
    ['command.unknown', 'r1'],
  ]);
  expect(await call(world, 'act', 'r5')).toMatchObject({ code: 'not_found' });
  kept.lastCall.answer({ done: true });
  expect(await other).toMatchObject({ result: { done: true } });
  await stopWorld(world);
});

test('other rules of safety are judged by at once, by what was confirmed before', async () => {
  let safety: SafetyPolicy = defaultSafetyPolicy('tradernet');
  const venue = fakeVenue();
  const [description] = venue.sources();
  if (description === undefined) throw new Error('it has a source');
  Object.assign(venue, {
    sources: () => [{ ...description, safety }],
    revise(options: SafetyPolicy) {
      safety = options;
    },
  });
  const world = await startWorld({ venue });
  venue.say(linkUp(), opened('login'), fact('-', 'venue.degraded', { what: 'FORTS' }));
  await world.clock.advance(5_000);
  expect(world.state('login')?.safety).toMatchObject({ level: 'safe', notes: ['venue_degraded'] });
  const revisions = new Map<Venue, unknown>([[venue, { ...safety, only: ['FORTS'] }]]);
  expect(await change(world, { venues: [venue], revisions })).toMatchObject({ revised: ['tradernet.desk'], kept: [] });
  expect(world.state('login')?.safety).toMatchObject({ level: 'at_risk', reasons: ['venue_degraded'] });
  expect(world.events.at(-1)).toMatchObject({ type: 'safety.changed', data: { previous: 'safe', level: 'at_risk' } });
  await stopWorld(world);
});

test('a venue that cannot take its options over is as it was, and nothing else fails by it', async () => {
  const venue = Object.assign(fakeVenue(), {
    revise() {
      throw new Error('it does not fit');
    },
  });
  const world = await startWorld({ venue });
  const added = fakeVenue({ id: 'added' });
  const changes = { venues: [venue, added], revisions: new Map<Venue, unknown>([[venue, {}]]) };
  expect(await change(world, changes)).toMatchObject({
    added: ['tradernet.added'],
    revised: [],
    kept: ['tradernet.desk'],
  });
  expect(world.logged.join('\n')).toContain('tradernet.desk did not take its options over');
  await stopWorld(world);
});

test('under another role each session is opened anew', async () => {
  const forgotten: string[] = [];
  const forget = (source: string, session: string) => {
    forgotten.push(`${source} ${session}`);
    return { [session]: { opened: false } };
  };
  const before = fakeVenue({ role: 'watch', forget });
  const world = await startWorld({ venue: before });
  before.tell({ facts: [linkUp(), opened('login')], memory: { login: { opened: true } } });
  const same = fakeVenue({ role: 'watch', forget });
  await change(world, { venues: [same] });
  expect(forgotten).toEqual([]);
  await change(world, { venues: [fakeVenue({ role: 'trading', forget })] });
  expect(forgotten).toEqual(['desk login']);
  await settle();
  const remembered = world.journal.taken.flatMap(({ memory }) => [...(memory ?? [])]);
  expect(remembered.findLast(([space]) => space === 'tradernet.desk')?.[1]).toEqual({ login: { opened: false } });
  await stopWorld(world);
});

describe('nothing is changed', () => {
  test('where two venues would have one name', async () => {
    const world = await startWorld();
    expect(() => world.hub.prepareChange({ venues: [fakeVenue(), fakeVenue()] })).toThrow('two venues are named');
    expect(world.venue.stops).toEqual([]);
    await stopWorld(world);
  });

  test('while the journal does not commit, unless no source is concerned', async () => {
    const journal = faultyJournal();
    const world = await startWorld({ journal });
    journal.mode = 'fail';
    world.venue.say(linkUp());
    await settle();
    expect(() => world.hub.prepareChange({ venues: [] })).toThrow('the journal does not commit');
    expect(await change(world, { venues: [world.venue] })).toMatchObject({ kept: ['tradernet.desk'] });
    expect(world.venue.stops).toEqual([]);
    journal.mode = 'fine';
    await world.clock.advance(10_000);
    await stopWorld(world);
  });

  test('once the hub is being left', async () => {
    const world = await startWorld();
    await world.hub.leave({ orders: 'leave' });
    expect(() => world.hub.prepareChange({ venues: [] })).toThrow('the relay is stopping');
    await stopWorld(world);
  });
});

test('a hub that is stopped while venues end starts none in their place', async () => {
  let end: () => void = () => {};
  const stopping = (): Promise<void> =>
    new Promise((resolve) => {
      end = resolve;
    });
  const world = await startWorld({ venue: fakeVenue({ stopping }) });
  const [after, added] = [fakeVenue(), fakeVenue({ id: 'added' })];
  const changing = world.hub.prepareChange({ venues: [after, added] })();
  await settle();
  expect(() => world.hub.prepareChange({ venues: [after, added] })).toThrow('another change');
  const stopped = stopWorld(world);
  end();
  await changing;
  await stopped;
  expect([after.starts, added.starts]).toEqual([0, 0]);
  expect(world.clock.timers).toBe(0);
});

test('a venue that does not end holds the change up for 10 s and no longer, and says nothing any more', async () => {
  const hangs = fakeVenue({ stopping: () => new Promise(() => {}) });
  const world = await startWorld({ venue: hangs });
  hangs.say(linkUp(), opened('login'));
  const after = fakeVenue();
  const changing = world.hub.prepareChange({ venues: [after] })();
  await world.clock.advance(11_000);
  expect(await changing).toMatchObject({ changed: ['tradernet.desk'] });
  expect(after.starts).toBe(1);
  hangs.say(fact('login', 'session.closed', { by: 'venue' }));
  await settle();
  expect(world.state('login')?.status).toBe('active');
  expect(world.logged.join('\n')).toContain('tradernet.desk does not stop');
  await stopWorld(world);
});

test.each([0, 1, 2, 3, 4, 5, 6])(
  'what arrives %i microtasks after a commit is committed in its own time, and waits for nothing',
  async (microtasks) => {
    const world = await startWorld();
    let isTold = false;
    const next = async (): Promise<void> => {
      for (let left = microtasks; left > 0; left--) await undefined;
      world.venue.tell({
        facts: [opened('login')],
        committed(done) {
          isTold = done;
        },
      });
    };
    world.venue.tell({ facts: [], committed: () => void next() });
    await settle(12);
    expect(isTold).toBe(true);
    await stopWorld(world);
  },
);

test('the plan: each venue is in one part of it, and what is kept is what it was', () => {
  const ids = ['a', 'b', 'c', 'd', 'e'];
  const pool: readonly Venue[] = ids.flatMap((id) => [fakeVenue({ id }), fakeVenue({ id })]);
  const some = fc.array(fc.nat(pool.length - 1), { maxLength: 5 }).map((numbers) => {
    const byId = new Map(numbers.flatMap((n) => pool[n] ?? []).map((venue) => [venue.id, venue]));
    return [...byId.values()];
  });
  fc.assert(
    fc.property(some, some, (before, after) => {
      const { kept, changed, added, removed } = planVenues(before, after);
      const numbers = (venues: readonly Venue[]): readonly number[] =>
        venues.map((venue) => pool.indexOf(venue)).toSorted((a, b) => a - b);
      expect(numbers([...kept, ...changed.map(({ after: next }) => next), ...added])).toEqual(numbers(after));
      expect(numbers([...kept, ...changed.map(({ before: last }) => last), ...removed])).toEqual(numbers(before));
      for (const { before: one, after: two } of changed) expect([one.id, one === two]).toEqual([two.id, false]);
    }),
  );
});
