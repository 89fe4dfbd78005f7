import { describe, expect, test } from 'vitest';
import type { Grant } from '../../src/model/grant.js';
import { until } from '../support/virtual-clock.js';
import { brief, createWorld, EVERYTHING } from './states-world.js';

const LIVE = { how: 'live', snapshot: false } as const;
const TABLE = { how: 'live', snapshot: true } as const;
const replay = (since: string) => ({ how: 'replay', since, snapshot: false }) as const;

describe('one group', () => {
  test('the first change after quiet goes out at once, what follows within 250 ms is merged into one frame', async () => {
    const { clock, open, update, subscribe, settle } = createWorld();
    open('a', 'b');
    const reader = subscribe('>', LIVE);
    update('a');
    await settle();
    expect(brief(reader.frames)).toEqual([['7-2', '7-3', ['a']]]);
    for (let round = 0; round < 20; round++) {
      update('a', 'b');
      await clock.advance(10);
    }
    expect(reader.frames).toHaveLength(1);
    await clock.advance(50);
    expect(brief(reader.frames)).toEqual([
      ['7-2', '7-3', ['a']],
      ['7-3', '7-43', ['a', 'b']],
    ]);
    expect([...reader.table.values()].map(({ cursor }) => cursor)).toEqual(['7-42', '7-43']);
    expect(reader.losses).toEqual([]);
  });

  test('what one turn changes is one frame', async () => {
    const { open, update, subscribe, settle } = createWorld();
    open('a', 'b', 'c');
    const reader = subscribe('>', LIVE);
    update('a', 'b', 'c', 'a');
    await settle();
    expect(brief(reader.frames)).toEqual([['7-3', '7-7', ['a', 'b', 'c']]]);
  });

  test('a thousand members cost one read and one rendering of each state: they are sent the very same text', async () => {
    const { clock, open, update, subscribe, asked, rendered, states } = createWorld();
    open('a', 'b');
    const readers = Array.from({ length: 1_000 }, () => subscribe('>', LIVE));
    for (let round = 0; round < 3; round++) {
      update('a', 'b', 'a');
      await clock.advance(250);
    }
    expect(states.size).toBe(1);
    expect(asked).toHaveLength(3);
    expect([...rendered.values()]).toEqual([3, 3]);
    const [first] = readers;
    for (const { frames, losses } of readers) {
      expect(frames.map(({ text }) => text)).toEqual(first?.frames.map(({ text }) => text));
      expect(losses).toEqual([]);
    }
    expect(first?.frames).toHaveLength(3);
  });

  test('without members it has no timer and reads nothing, also where it is left while a flush is under way', async () => {
    const { clock, open, update, subscribe, asked, states, faults, pass } = createWorld();
    open('a');
    const reader = subscribe('>', LIVE);
    update('a');
    await clock.advance(0);
    update('a');
    expect(clock.timers).toBe(1);
    reader.subscription.end();
    expect([clock.timers, states.size]).toEqual([0, 0]);
    const reads = asked.length;
    update('a');
    await clock.advance(1_000);
    expect(asked).toHaveLength(reads);

    faults.gated = true;
    const second = subscribe('>', LIVE);
    update('a');
    await clock.advance(0);
    update('a');
    second.subscription.end();
    await pass();
    await clock.advance(1_000);
    expect([clock.timers, states.size, second.frames]).toEqual([0, 0, []]);
  });

  test('states that were read ahead of the stream wait for it, and what comes with it follows in its own frame', async () => {
    const { clock, open, commit, publish, subscribe, settle } = createWorld();
    open('a', 'b');
    const reader = subscribe('>', LIVE);
    commit('a', 'session.updated', { changed: { n: 1 } });
    publish();
    commit('a', 'session.updated', { changed: { n: 2 } });
    commit('b', 'session.updated', { changed: { n: 3 } });
    await settle();
    expect(reader.frames).toEqual([]);
    publish();
    await settle();
    expect(brief(reader.frames)).toEqual([['7-2', '7-3', ['a']]]);
    expect(reader.table.get('deribit.main.a')).toMatchObject({ attributes: { n: 2 }, cursor: '7-4' });
    await clock.advance(250);
    expect(brief(reader.frames).slice(1)).toEqual([['7-3', '7-5', ['a', 'b']]]);
  });

  test('a session that ended is named in removed, and one that came back is a state again', async () => {
    const { clock, open, commit, publish, subscribe } = createWorld();
    open('a', 'b');
    const reader = subscribe('>', TABLE);
    await clock.advance(0);
    expect([...reader.table.keys()]).toHaveLength(2);
    commit('a', 'session.removed', {});
    publish();
    await clock.advance(250);
    expect(brief(reader.frames).at(-1)).toEqual(['7-2', '7-3', [], { removed: ['a'] }]);
    commit('b', 'session.removed', {});
    commit('b', 'session.opened', { kind: 'api', role: 'watch' });
    publish();
    await clock.advance(250);
    expect(brief(reader.frames).at(-1)).toEqual(['7-3', '7-5', ['b']]);
    expect([...reader.table.keys()]).toEqual(['deribit.main.b']);
  });

  test('an event of what has no state moves the cursor with an empty frame', async () => {
    const { commit, publish, subscribe, settle } = createWorld();
    const reader = subscribe('>', LIVE);
    commit('none', 'session.step', { step: 'x' });
    publish();
    await settle();
    expect(brief(reader.frames)).toEqual([['7-0', '7-1', []]]);
  });

  test('a pulse freshens the row of whoever asked for pulses, moves no cursor, and waits for nobody', async () => {
    const { clock, open, commit, publish, pulse, subscribe } = createWorld();
    open('a');
    commit('a', 'heartbeat.armed', { intervalMs: 10_000 });
    publish();
    const [reader, quiet, slow] = [
      subscribe('>', LIVE, { pulses: true }),
      subscribe('>', LIVE),
      subscribe('>', LIVE, { pulses: true }),
    ];
    slow.stall();
    pulse('a', 11);
    pulse('a', 12);
    await clock.advance(100);
    pulse('a', 13);
    await clock.advance(150);
    expect(brief(reader.frames)).toEqual([
      ['7-2', '7-2', ['a']],
      ['7-2', '7-2', ['a']],
    ]);
    expect(reader.table.get('deribit.main.a')).toMatchObject({ heartbeat: { rttMs: 13 }, cursor: '7-2' });
    expect(quiet.frames).toEqual([]);
    slow.drain();
    await clock.advance(1_000);
    expect(slow.frames).toEqual([]);
    expect(clock.timers).toBe(0);
    expect([...reader.losses, ...slow.losses]).toEqual([]);
  });

  test('a change and a pulse of one session are one row', async () => {
    const { clock, open, update, pulse, subscribe } = createWorld();
    open('a', 'b');
    const reader = subscribe('>', LIVE, { pulses: true });
    pulse('b', 5);
    update('b');
    await clock.advance(0);
    expect(brief(reader.frames)).toEqual([['7-2', '7-3', ['b']]]);
  });

  test('states older than what the bus has published are never sent: the connections that they were for end', async () => {
    const { clock, open, update, subscribe, faults } = createWorld();
    open('a');
    const readers = [subscribe('>', LIVE), subscribe('>', replay('7-0'))];
    await clock.advance(250);
    faults.statesOf = '7-1';
    update('a');
    await clock.advance(250);
    faults.statesOf = '7-0';
    readers.push(subscribe('>', replay('7-0')));
    await clock.advance(250);
    for (const { failures, frames } of readers) {
      expect(failures).toMatchObject([{ code: 'internal' }]);
      expect(frames.filter(({ text }) => text.includes('"n":2'))).toEqual([]);
    }
  });

  test('a group that is left hears of no event any more', () => {
    const { states, open, commit, publish } = createWorld();
    const group = states.acquire('*.*.*.protection.*', EVERYTHING, true);
    states.release(group);
    open('a');
    commit('a', 'session.removed', {});
    publish();
    expect(group.completeUpTo(group.last())).toBeUndefined();
  });

  test('a read that fails when one has left ends the others’ connections alone', async () => {
    const { clock, open, update, subscribe, faults, pass } = createWorld();
    open('a');
    const [gone, left] = [subscribe('>', LIVE), subscribe('>', LIVE)];
    faults.gated = true;
    faults.states = new Error('the hub is gone');
    update('a');
    await clock.advance(0);
    gone.subscription.end();
    await pass();
    expect([gone.failures, left.failures]).toEqual([[], [faults.states]]);
  });

  test('a read that fails ends the connections that it was for', async () => {
    const { clock, open, update, subscribe, faults, states } = createWorld();
    open('a');
    const readers = [subscribe('>', LIVE), subscribe('>', LIVE)];
    const other = subscribe('deribit.main.b.>', LIVE);
    faults.states = new Error('the hub is gone');
    update('a');
    await clock.advance(0);
    expect(readers.map(({ failures }) => failures)).toEqual([[faults.states], [faults.states]]);
    expect([other.failures, states.size, clock.timers]).toEqual([[], 1, 0]);
  });
});

describe('a subscriber whose socket has no room', () => {
  test('skips, and gets the newest value in one frame once it drained; the others are not delayed', async () => {
    const { clock, open, update, subscribe } = createWorld();
    open('a', 'b');
    const [good, slow] = [subscribe('>', LIVE), subscribe('>', LIVE)];
    slow.stall();
    for (let round = 0; round < 10; round++) {
      update('a');
      await clock.advance(250);
    }
    expect(good.frames).toHaveLength(10);
    expect([slow.frames, slow.waiting()]).toEqual([[], 1]);
    slow.drain();
    await clock.advance(250);
    expect(brief(slow.frames)).toEqual([['7-2', '7-12', ['a']]]);
    expect(slow.table).toEqual(good.table.size === 1 ? good.table : 'one row');
    update('b');
    await clock.advance(250);
    expect(slow.frames.at(-1)?.text).toBe(good.frames.at(-1)?.text);
    expect([...good.losses, ...slow.losses]).toEqual([]);
  });

  test('those that stand at the same cursor are sent the same text, rendered once', async () => {
    const { clock, open, update, subscribe, rendered } = createWorld();
    open('a', 'b');
    const readers = [subscribe('>', LIVE), subscribe('>', LIVE), subscribe('>', LIVE)];
    for (const reader of readers) reader.stall();
    update('a', 'b');
    await clock.advance(250);
    update('a');
    await clock.advance(250);
    expect(rendered.size).toBe(0);
    for (const reader of readers) reader.drain();
    await clock.advance(250);
    const texts = new Set(readers.flatMap(({ frames }) => frames.map(({ text }) => text)));
    expect([texts.size, ...rendered.values()]).toEqual([1, 1, 1]);
  });

  test('is told of what was removed while it skipped', async () => {
    const { clock, open, commit, publish, update, subscribe } = createWorld();
    open('a', 'b');
    const slow = subscribe('>', TABLE);
    await clock.advance(0);
    slow.stall();
    update('a');
    await clock.advance(250);
    commit('a', 'session.removed', {});
    publish();
    await clock.advance(250);
    update('b');
    await clock.advance(250);
    slow.drain();
    await clock.advance(250);
    expect(brief(slow.frames).at(-1)).toEqual(['7-2', '7-5', ['b'], { removed: ['a'] }]);
    expect([...slow.table.keys()]).toEqual(['deribit.main.b']);
  });

  test('frames of a large flush are chained, each a cursor to resume from; it goes on behind the last that it took', async () => {
    const { clock, open, update, subscribe, hub } = createWorld();
    const names = Array.from({ length: 500 }, (_, index) => `s${String(index).padStart(3, '0')}`);
    open(...names);
    const [good, slow] = [subscribe('>', LIVE), subscribe('>', LIVE)];
    slow.stall(1);
    // The first changes again behind all others: no frame before the last may claim that all before it was sent.
    update(...names, 's000', 's450');
    await clock.advance(0);
    const sizes = good.frames.map(({ params }) => params.states?.length ?? 0);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(500);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(200);
    expect(good.frames.length).toBeGreaterThanOrEqual(3);
    expect(good.frames[0]?.params).toMatchObject({ previous: '7-500', cursor: `7-${500 + (sizes[0] ?? 0)}` });
    expect(good.expected()).toBe('7-1002');
    expect([slow.frames.length, slow.frames[0]?.text]).toEqual([1, good.frames[0]?.text]);
    slow.drain();
    await clock.advance(250);
    expect(slow.frames.flatMap(({ params }) => params.states ?? [])).toHaveLength(500);
    expect([...slow.table.values()].toSorted((a, b) => (a.key < b.key ? -1 : 1))).toEqual([...hub().values()]);
    expect([...good.losses, ...slow.losses]).toEqual([]);
  });

  test('members that stand at different cursors are each brought to the newest by one flush and one read', async () => {
    const { clock, open, update, subscribe, asked, hub } = createWorld();
    const names = Array.from({ length: 400 }, (_, index) => `s${String(index).padStart(3, '0')}`);
    open(...names);
    const [good, slow] = [subscribe('>', LIVE), subscribe('>', LIVE)];
    slow.stall(1);
    update(...names);
    await clock.advance(0);
    slow.drain();
    update('s000');
    await clock.advance(250);
    expect(asked).toHaveLength(2);
    for (const { table, losses } of [good, slow]) {
      expect([...table.values()].toSorted((a, b) => (a.key < b.key ? -1 : 1))).toEqual([...hub().values()]);
      expect(losses).toEqual([]);
    }
  });

  test('one that stands further back than is remembered is sent what the journal names, and told caught_up', async () => {
    const { clock, open, update, subscribe, hub, faults, pass } = createWorld();
    const names = Array.from({ length: 200 }, (_, index) => `s${String(index).padStart(3, '0')}`);
    open(...names);
    const [good, slow] = [subscribe('*.*.*.session.*', LIVE), subscribe('*.*.*.session.*', LIVE)];
    slow.stall();
    for (let round = 0; round < 25; round++) {
      update(...names);
      await clock.advance(250);
    }
    faults.gated = true;
    slow.drain();
    await clock.advance(250);
    // It was live, and does not know better: no heartbeat may promise what it has not been sent yet.
    expect([slow.subscription.isLive(), slow.subscription.sentUpTo()]).toEqual([false, '7-200']);
    faults.gated = false;
    await pass();
    await until(() => slow.subscription.isLive(), 'the journal is read');
    expect(slow.frames.at(-1)).toMatchObject({ method: 'caught_up', params: { cursor: good.expected() } });
    expect(slow.frames.flatMap(({ params }) => params.states ?? [])).toHaveLength(200);
    update('s007');
    await clock.advance(250);
    expect([...slow.table.values()].toSorted((a, b) => (a.key < b.key ? -1 : 1))).toEqual([...hub().values()]);
    expect([...good.losses, ...slow.losses]).toEqual([]);
  });

  test('one that is too far back for that too is told a gap, and gets the whole table: no row of old is left over', async () => {
    const { clock, open, commit, publish, update, subscribe, hub } = createWorld();
    const names = Array.from({ length: 200 }, (_, index) => `s${String(index).padStart(3, '0')}`);
    open(...names, 'ghost');
    const slow = subscribe('>', TABLE);
    await clock.advance(0);
    expect(slow.table.size).toBe(201);
    slow.stall();
    commit('ghost', 'session.removed', {});
    publish();
    for (let round = 0; round < 60; round++) {
      update(...names);
      await clock.advance(250);
    }
    slow.drain();
    await clock.advance(250);
    await until(() => slow.subscription.isLive(), 'the table is sent');
    expect(slow.frames.map(({ method }) => method)).toContain('gap');
    expect([...slow.table.values()]).toEqual([...hub().values()].filter(({ key }) => !key.endsWith('ghost')));
    update('s001');
    await clock.advance(250);
    expect(slow.table.get('deribit.main.s001')).toEqual(hub().get('deribit.main.s001'));
    expect(slow.losses).toEqual([]);
  });

  test('what is remembered for it is bounded, and forgotten once nobody skips', async () => {
    const { clock, open, update, subscribe, asked } = createWorld();
    open('a');
    const slow = subscribe('>', LIVE);
    slow.stall();
    for (let round = 0; round < 5; round++) {
      update('a');
      await clock.advance(250);
    }
    // Nothing is read while nobody can take it.
    expect(asked).toEqual([]);
    slow.drain();
    await clock.advance(250);
    expect(asked).toHaveLength(1);
    expect(clock.timers).toBe(0);
  });
});

test('a table that was read ahead of the stream is held until the stream has come there', async () => {
  const { clock, open, commit, publish, subscribe } = createWorld();
  open('a');
  commit('a', 'session.updated', { changed: { n: 1 } });
  const reader = subscribe('>', TABLE);
  await clock.advance(0);
  expect(reader.frames).toEqual([]);
  publish();
  await clock.advance(250);
  expect(brief(reader.frames)).toEqual([
    ['snapshot', '7-1', ['a']],
    ['7-1', '7-2', ['a']],
  ]);
  expect(reader.losses).toEqual([]);
});

describe('what a subscriber may be told', () => {
  test('the heartbeat’s cursor never lies beyond what was sent, nor far behind it', async () => {
    const { clock, open, update, subscribe } = createWorld();
    open('a', 'b');
    const [good, slow] = [subscribe('>', LIVE), subscribe('>', LIVE)];
    expect([good.subscription.isLive(), good.subscription.sentUpTo()]).toEqual([true, undefined]);
    update('a');
    expect(good.subscription.sentUpTo()).toBe('7-2');
    slow.stall();
    await clock.advance(250);
    expect(good.subscription.sentUpTo()).toBeUndefined();
    expect([slow.subscription.sentUpTo(), slow.subscription.group.last]).toEqual(['7-2', '7-2']);
    update('b');
    expect([good.subscription.sentUpTo(), slow.subscription.sentUpTo()]).toEqual(['7-3', '7-2']);
    await clock.advance(250);
    slow.drain();
    await clock.advance(250);
    expect([slow.subscription.sentUpTo(), slow.subscription.group.last]).toEqual([undefined, '7-4']);
  });

  test('a channel that was quiet for long lacks only what is new: the heartbeat’s cursor does not fall back', async () => {
    const { clock, open, update, commit, publish, subscribe } = createWorld();
    open('a');
    const typed = subscribe('*.*.*.protection.*', LIVE);
    for (let round = 0; round < 50; round++) update('a');
    commit('a', 'protection.triggered', { mechanism: 'cancel_on_disconnect', scope: 'connection', certain: false });
    publish();
    expect([typed.subscription.group.last, typed.subscription.sentUpTo()]).toEqual(['7-1', '7-51']);
    await clock.advance(0);
    expect(brief(typed.frames)).toEqual([['7-1', '7-52', ['a']]]);
  });

  test('until the table is sent, no more than was there when it was begun', async () => {
    const { clock, open, update, subscribe, faults, pass } = createWorld();
    open('a', 'b');
    faults.gated = true;
    const reader = subscribe('>', TABLE);
    expect([reader.subscription.isLive(), reader.subscription.sentUpTo()]).toEqual([false, '7-2']);
    update('a');
    expect([reader.subscription.isLive(), reader.subscription.sentUpTo()]).toEqual([false, '7-2']);
    await pass();
    faults.gated = false;
    await pass();
    await clock.advance(250);
    expect(brief(reader.frames)).toEqual([
      ['snapshot', '7-2', ['a', 'b']],
      ['7-2', '7-3', ['a']],
    ]);
    expect([reader.subscription.isLive(), reader.subscription.sentUpTo()]).toEqual([true, undefined]);
    expect(reader.losses).toEqual([]);
  });
});

describe('a subscriber that resumes', () => {
  test('gets the states that changed since, each once however often, what is gone, then caught_up, then live', async () => {
    const { clock, open, update, commit, publish, subscribe } = createWorld();
    open('a', 'b', 'c');
    const since = '7-3';
    for (let round = 0; round < 700; round++) update('a');
    update('b');
    commit('c', 'session.removed', {});
    publish();
    const reader = subscribe('>', replay(since));
    await clock.advance(0);
    expect(reader.frames.flatMap(({ params }) => params.states ?? []).map(({ key }) => key)).toEqual([
      'deribit.main.a',
      'deribit.main.b',
    ]);
    expect(reader.frames.flatMap(({ params }) => params.removed ?? [])).toEqual(['deribit.main.c']);
    expect(reader.frames.at(-1)).toMatchObject({ method: 'caught_up', params: { cursor: '7-705' } });
    update('b');
    await clock.advance(0);
    expect(brief(reader.frames).at(-1)).toEqual(['7-705', '7-706', ['b']]);
    expect(reader.losses).toEqual([]);
  });

  test('is sent frames whose cursors lie before the first event of what is still to come, however often it changed', async () => {
    const { clock, open, commit, publish, subscribe } = createWorld();
    open('a', 'b', 'c');
    for (const session of ['a', 'c', 'b', 'a', 'b'])
      commit(session, 'session.updated', { changed: { pad: 'x'.repeat(30_000) } });
    publish();
    const reader = subscribe('>', replay('7-3'));
    await clock.advance(0);
    expect(brief(reader.frames)).toEqual([
      ['7-3', '7-5', ['a', 'c']],
      ['7-5', '7-8', ['b']],
      ['caught_up', '7-8'],
    ]);
  });

  test('is sent what changes while it is being sent what had changed', async () => {
    const { clock, open, update, subscribe, faults, pass, hub } = createWorld();
    open('a', 'b');
    for (let round = 0; round < 600; round++) update('a', 'b');
    faults.gated = true;
    const reader = subscribe('>', replay('7-2'));
    // The journal's first page, then the states: a and b as they are now.
    await pass();
    await pass();
    for (let round = 0; round < 3; round++) {
      update('a');
      await clock.advance(250);
    }
    for (let step = 0; step < 20; step++) await pass();
    expect(brief(reader.frames).at(-1)).toEqual(['caught_up', '7-1205']);
    expect([...reader.table.values()]).toEqual([...hub().values()]);
    expect(reader.losses).toEqual([]);
  });

  test('is told of a session that was gone when its state was read, though its removal came later', async () => {
    const { clock, open, update, commit, publish, subscribe } = createWorld();
    open('d', 'a');
    update('d');
    const reader = subscribe('>', replay('7-1'));
    commit('d', 'session.removed', {});
    commit('a', 'session.updated', { changed: { n: 5 } });
    await clock.advance(0);
    publish();
    await clock.advance(250);
    expect(reader.frames.flatMap(({ params }) => params.removed ?? [])).toEqual(['deribit.main.d']);
    expect(reader.frames.at(-1)).toMatchObject({ method: 'caught_up', params: { cursor: '7-5' } });
  });

  test('is sent what changed while there was no room to say caught_up, and is told so only then', async () => {
    const { clock, open, update, subscribe } = createWorld();
    open('a', 'b');
    const other = subscribe('>', LIVE);
    const reader = subscribe('>', { how: 'gap', since: '5-1', snapshot: true });
    const typed = subscribe('*.*.*.session.*', replay('7-1'));
    await clock.advance(0);
    expect([reader.isWhole(), typed.subscription.isLive()]).toEqual([true, true]);
    const slow = subscribe('>', replay('7-0'));
    slow.stall(1);
    await clock.advance(0);
    expect(brief(slow.frames)).toEqual([['7-0', '7-2', ['a', 'b']]]);
    update('a');
    await clock.advance(250);
    slow.drain();
    await clock.advance(250);
    expect(brief(slow.frames).slice(1)).toEqual([
      ['7-2', '7-3', ['a']],
      ['caught_up', '7-3'],
    ]);
    expect([...other.losses, ...slow.losses]).toEqual([]);
  });

  test('is sent with the stream what the journal has and the stream has not brought yet', async () => {
    const { clock, open, commit, publish, subscribe } = createWorld();
    open('a', 'b');
    commit('a', 'session.updated', { changed: { n: 1 } });
    publish();
    commit('b', 'session.updated', { changed: { n: 2 } });
    const reader = subscribe('>', replay('7-1'));
    await clock.advance(0);
    expect(reader.frames).toEqual([]);
    publish();
    await clock.advance(250);
    expect(brief(reader.frames)).toEqual([
      ['7-1', '7-3', ['b', 'a']],
      ['caught_up', '7-4'],
    ]);
    expect(reader.losses).toEqual([]);
  });

  test('at the present is told caught_up alone', async () => {
    const { clock, open, subscribe } = createWorld();
    open('a');
    const reader = subscribe('>', replay('7-1'));
    await clock.advance(0);
    expect(brief(reader.frames)).toEqual([['caught_up', '7-1']]);
  });

  test('with a cursor ahead of the group’s last flush misses nothing of it', async () => {
    const { clock, open, update, subscribe } = createWorld();
    open('a');
    subscribe('>', LIVE);
    update('a');
    await clock.advance(0);
    update('a');
    const reader = subscribe('>', replay('7-3'));
    await clock.advance(0);
    expect(brief(reader.frames)).toEqual([['caught_up', '7-2']]);
    update('a');
    await clock.advance(250);
    expect(brief(reader.frames).at(-1)).toEqual(['7-2', '7-4', ['a']]);
    expect(reader.losses).toEqual([]);
  });

  test('from where the journal holds nothing any more gets a gap, then the table', async () => {
    const { clock, open, update, subscribe, faults } = createWorld();
    open('a', 'b');
    update('a', 'b');
    faults.journalFrom = 3;
    const reader = subscribe('>', replay('7-1'));
    const typed = subscribe('*.*.*.session.updated', replay('7-1'));
    await clock.advance(0);
    expect(reader.frames.map(({ method }) => method)).toEqual(['gap', 'snapshot']);
    expect(reader.frames[0]?.params).toEqual({ channel: '>', from: '7-1', to: '7-4' });
    expect(typed.frames.map(({ method }) => method)).toEqual(['gap', 'caught_up']);
  });

  test('with snapshot:true gets the whole table, then caught_up', async () => {
    const { clock, open, update, subscribe } = createWorld();
    open('a', 'b');
    update('a');
    const reader = subscribe('>', { how: 'replay', since: '7-2', snapshot: true });
    await clock.advance(0);
    expect(brief(reader.frames)).toEqual([
      ['snapshot', '7-3', ['a', 'b']],
      ['caught_up', '7-3'],
    ]);
    expect(reader.subscription.isLive()).toBe(true);
  });
});

describe('what a grant shows', () => {
  const narrow: Grant = { ...EVERYTHING, channels: ['*.*.*.session.*', 'deribit.main.a.>'] };

  test('a channel that names types delivers the states of the sessions that the grant shows, and of no other', async () => {
    const { clock, open, update, commit, publish, subscribe, states } = createWorld();
    open('a', 'b');
    const [wide, reader] = [subscribe('*.*.*.session.*', LIVE), subscribe('*.*.*.session.*', LIVE, { grant: narrow })];
    expect(states.size).toBe(2);
    update('b', 'a');
    commit('b', 'session.removed', {});
    publish();
    await clock.advance(250);
    const text = reader.frames.map((frame) => frame.text).join('\n');
    expect(brief(reader.frames)).toEqual([['7-2', '7-4', ['a']]]);
    expect(text).not.toContain('deribit.main.b');
    expect([...wide.table.keys()]).toEqual(['deribit.main.a']);
  });

  test('a pulse of a session that it does not show is passed over', async () => {
    const { clock, open, pulse, subscribe } = createWorld();
    open('a', 'b');
    const grant: Grant = { ...EVERYTHING, channels: ['*.*.*.heartbeat.*', 'deribit.main.a.>'] };
    const reader = subscribe('*.*.*.heartbeat.*', LIVE, { grant, pulses: true });
    pulse('b', 5);
    await clock.advance(250);
    expect([reader.frames, reader.waiting()]).toEqual([[], 0]);
    pulse('a', 5);
    await clock.advance(250);
    expect(brief(reader.frames)).toEqual([['7-2', '7-2', ['a']]]);
  });

  test('a removal is told on a channel that does not name it, so that no row of its stays for ever', async () => {
    const { clock, open, commit, publish, subscribe } = createWorld();
    open('a');
    const reader = subscribe('*.*.*.protection.*', LIVE);
    commit('a', 'protection.armed', {
      mechanism: 'cancel_on_disconnect',
      scope: 'connection',
      readAt: '2026-11-23T08:00:00.000Z',
    });
    publish();
    await clock.advance(250);
    expect(reader.table.size).toBe(1);
    commit('a', 'session.removed', {});
    publish();
    await clock.advance(250);
    expect(brief(reader.frames).at(-1)).toEqual(['7-2', '7-3', [], { removed: ['a'] }]);
  });

  test('a grant that is replaced fits only where it shows the same fields and sessions', () => {
    const { subscribe } = createWorld();
    const { subscription } = subscribe('*.*.*.session.*', LIVE, { grant: narrow });
    expect(
      subscription.fits({ ...narrow, channels: ['deribit.main.a.>', 'deribit.main.a.*.*', '*.*.*.session.>'] }),
    ).toBe(true);
    expect(subscription.fits({ ...narrow, fields: 'redacted' })).toBe(false);
    expect(subscription.fits(EVERYTHING)).toBe(false);
    expect(subscribe('deribit.>', LIVE).subscription.fits({ ...EVERYTHING, channels: ['deribit.*.*.>'] })).toBe(true);
  });

  test('grants that redact get another text, without what is personal', async () => {
    const { clock, open, commit, publish, subscribe } = createWorld();
    open('a');
    const [full, redacted] = [
      subscribe('>', LIVE),
      subscribe('>', LIVE, { grant: { ...EVERYTHING, fields: 'redacted' } }),
    ];
    commit('a', 'session.updated', { changed: { login: 'someone@example.test' } });
    publish();
    await clock.advance(250);
    expect(full.frames[0]?.text).toContain('someone@example.test');
    expect(redacted.frames[0]?.text).not.toContain('someone@example.test');
  });
});

test.each([
  ['a live one', LIVE],
  ['one in its snapshot', TABLE],
  ['one in its replay', replay('7-0')],
  ['one in its table before caught_up', { how: 'replay', since: '7-0', snapshot: true }],
  ['one after a gap', { how: 'gap', since: '5-1', snapshot: true }],
] as const)(
  'nothing is sent after the end of %s, at whatever point it ends, and nothing is left of it',
  async (_what, recovery) => {
    for (let steps = 0; steps < 8; steps++) {
      const { clock, states, open, update, subscribe, faults, pass } = createWorld();
      open('a');
      const other = subscribe('>', LIVE);
      faults.gated = true;
      const reader = subscribe('>', recovery);
      update('a');
      for (let step = 0; step < steps; step++) await pass();
      reader.subscription.end();
      reader.subscription.end();
      const before = reader.frames.length;
      update('a');
      for (let step = 0; step < 8; step++) await pass();
      await clock.advance(250);
      for (let step = 0; step < 8; step++) await pass();
      expect([reader.frames.length, reader.losses, reader.failures]).toEqual([before, [], []]);
      other.subscription.end();
      expect([states.size, clock.timers]).toEqual([0, 0]);
    }
  },
);
