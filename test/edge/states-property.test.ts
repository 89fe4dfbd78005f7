import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Recovery } from '../../src/edge/recovery.js';
import { compareCursors } from '../../src/model/cursor.js';
import type { SessionEvent } from '../../src/model/event.js';
import { fold } from '../../src/model/fold.js';
import { type Grant, showsSession } from '../../src/model/grant.js';
import type { State } from '../../src/model/session.js';
import { addressOf, coversKey, hasSnapshot, matches } from '../../src/model/subject.js';
import { createWorld, cursorOf, EVERYTHING, type Reader } from './states-world.js';

const SESSIONS = ['a', 'b', 'c', 'd', 'e'] as const;
const CHANNELS = ['>', 'deribit.>', 'deribit.main.a.>', '*.*.*.session.*', '*.*.*.protection.*', '*.*.*.heartbeat.*'];
const GRANTS: readonly Grant[] = [
  EVERYTHING,
  {
    ...EVERYTHING,
    channels: ['*.*.*.session.*', '*.*.*.protection.*', '*.*.*.heartbeat.*', 'deribit.main.a.>', 'deribit.main.b.>'],
  },
];
/** So much that few states fill a frame: what is cut into frames is where holes would come from. */
const PAD = 'x'.repeat(30_000);

const which = fc.nat(5);
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('commit' as const),
      facts: fc.array(
        fc.record({
          session: fc.constantFrom(...SESSIONS),
          what: fc.constantFrom('update', 'pad', 'pad', 'open', 'remove', 'protect'),
        }),
        { minLength: 1, maxLength: 12 },
      ),
      published: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('publish' as const), count: fc.integer({ min: 1, max: 3 }) }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.constantFrom(0, 10, 120, 250, 400) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('subscribe' as const),
      channel: fc.constantFrom(...CHANNELS),
      how: fc.constantFrom('live', 'table', 'replay', 'both', 'gap'),
      since: fc.nat(100),
      grant: fc.constantFrom(...GRANTS),
      pulses: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('end' as const), which }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('stall' as const), which, frames: fc.nat(2) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('drain' as const), which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pulse' as const), session: fc.constantFrom(...SESSIONS) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('gate' as const), shut: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pass' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('truncate' as const) }) },
);

interface Subscriber {
  readonly channel: string;
  readonly grant: Grant;
  readonly reader: Reader;
  /** What it began with, before anything was sent to it. */
  readonly since: string | undefined;
}

test('whatever happens, stalls and drains: every cursor that is told is covered, and the table ends as the hub’s states', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (script) => {
      const world = createWorld();
      const { journal, commit, publish, subscribe, clock, faults, pass, settle } = world;
      const all: Subscriber[] = [];
      const present = new Set<Subscriber>();

      const statesAt = (cursor: string): ReadonlyMap<string, State> => {
        const states = new Map<string, State>();
        for (const event of journal) {
          if (compareCursors(event.id, cursor) > 0) break;
          const after = fold(states.get(event.subject), event);
          if (after === undefined) states.delete(event.subject);
          else states.set(event.subject, after);
        }
        return states;
      };
      const concerns = (one: Subscriber, event: SessionEvent): boolean =>
        showsSession(one.grant, event.subject) &&
        (matches(one.channel, addressOf(event)) ||
          (event.type === 'session.removed' && coversKey(one.channel, event.subject)));
      /** Everything that concerns it after its base and up to a cursor is in its table, or in what came later. */
      const covers = (one: Subscriber, cursor: string, why: string): void => {
        const { reader } = one;
        const { base } = reader;
        if (base === undefined || !reader.isWhole()) return;
        const last = new Map<string, SessionEvent>();
        for (const event of journal) {
          if (compareCursors(event.id, base) <= 0 || compareCursors(event.id, cursor) > 0) continue;
          if (concerns(one, event)) last.set(event.subject, event);
        }
        for (const [key, event] of last) {
          const row = reader.table.get(key);
          // A session that is gone when its state is read has none to send: its row goes with the removal, which follows.
          const isGoneLater = journal.some(
            ({ id, subject, type }) =>
              subject === key && type === 'session.removed' && compareCursors(id, event.id) > 0,
          );
          if (row !== undefined && !isGoneLater) {
            expect(compareCursors(row.cursor, event.id), `${why}: ${key}`).toBeGreaterThanOrEqual(0);
          }
          if (row !== undefined) continue;
          const isGone = isGoneLater || !statesAt(event.id).has(key);
          expect(isGone, `${why}: ${key} is missing at ${cursor}`).toBe(true);
        }
      };
      const look = (): void => {
        for (const one of present) {
          const { subscription } = one.reader;
          if (subscription.isLive()) {
            const sentUpTo = subscription.sentUpTo() ?? world.channels.position();
            covers(one, sentUpTo, 'heartbeat.cursor');
            expect(subscription.group.last).toBe(one.reader.expected());
          }
        }
      };

      for (const one of script) {
        const target = 'which' in one ? all[one.which % Math.max(1, all.length)] : undefined;
        switch (one.do) {
          case 'commit':
            for (const { session, what } of one.facts) {
              if (what === 'open') commit(session, 'session.opened', { kind: 'api', role: 'watch' });
              else if (what === 'remove') commit(session, 'session.removed', {});
              else if (what === 'protect')
                commit(session, 'protection.armed', {
                  mechanism: 'cancel_on_disconnect',
                  scope: 'connection',
                  readAt: '2026-11-23T08:00:00.000Z',
                });
              else commit(session, 'session.updated', { changed: { pad: what === 'pad' ? PAD : null } });
            }
            if (one.published) publish();
            break;
          case 'publish':
            publish(one.count);
            break;
          case 'advance':
            await clock.advance(one.ms);
            break;
          case 'subscribe': {
            if (all.length > 5) break;
            const position = Number(world.channels.position().split('-')[1]);
            const since = cursorOf(Math.min(one.since, position));
            const canSnapshot = hasSnapshot(one.channel);
            const recoveries: Record<typeof one.how, Recovery> = {
              live: { how: 'live', snapshot: false },
              table: { how: 'live', snapshot: canSnapshot },
              replay: { how: 'replay', since, snapshot: false },
              both: { how: 'replay', since, snapshot: canSnapshot },
              gap: { how: 'gap', since: '5-1', snapshot: canSnapshot },
            };
            const recovery = recoveries[one.how];
            if (!one.grant.channels.some((channel) => channel === one.channel || channel === '>')) break;
            let entry: Subscriber | undefined;
            const made: Subscriber = {
              channel: one.channel,
              grant: one.grant,
              since: recovery.how === 'live' ? undefined : recovery.since,
              reader: subscribe(one.channel, recovery, {
                grant: one.grant,
                pulses: one.pulses,
                table: recovery.how === 'replay' && canSnapshot ? tableOf(statesAt(since), one.channel) : new Map(),
                onFrame: () => {
                  if (entry !== undefined) covers(entry, entry.reader.expected(), 'a frame’s cursor');
                },
              }),
            };
            entry = made;
            all.push(made);
            present.add(made);
            break;
          }
          case 'end':
            target?.reader.subscription.end();
            if (target !== undefined) present.delete(target);
            break;
          case 'stall':
            target?.reader.stall(one.frames);
            break;
          case 'drain':
            target?.reader.drain();
            break;
          case 'pulse':
            world.pulse(one.session, 5);
            break;
          case 'gate':
            faults.gated = one.shut;
            break;
          case 'pass':
            await pass();
            break;
          case 'truncate':
            faults.journalFrom = journal.length;
            break;
        }
        look();
      }

      faults.gated = false;
      publish();
      for (let round = 0; round < 12; round++) {
        await pass();
        for (const { reader } of all) reader.drain();
        await clock.advance(250);
      }
      await settle();
      look();
      const hub = world.hub();
      for (const one of all) {
        const { reader, channel, grant } = one;
        expect([reader.losses, reader.failures]).toEqual([[], []]);
        const flushes = [...new Set(reader.frames.filter(({ live }) => live).map(({ at }) => at))];
        for (const [index, at] of flushes.entries())
          expect(at - (flushes[index - 1] ?? Number.NEGATIVE_INFINITY)).toBeGreaterThanOrEqual(250);
        for (const key of reader.table.keys()) expect(showsSession(grant, key)).toBe(true);
        if (!present.has(one)) continue;
        expect([reader.subscription.isLive(), reader.waiting()]).toEqual([true, 0]);
        covers(one, cursorOf(journal.length), 'in the end');
        for (const [key, row] of reader.table) {
          expect(hub.has(key), `a ghost row ${key}`).toBe(true);
          if (hasSnapshot(channel)) expect(row.cursor).toBe(hub.get(key)?.cursor);
        }
        if (reader.base === '7-0' && hasSnapshot(channel))
          expect([...reader.table.keys()].toSorted()).toEqual([...tableOf(hub, channel).keys()].toSorted());
      }
      expect(clock.timers).toBe(0);
      for (const one of present) one.reader.subscription.end();
      expect([world.states.size, clock.timers]).toEqual([0, 0]);
    }),
    { numRuns: 400 },
  );
}, 120_000);

function tableOf(states: ReadonlyMap<string, State>, channel: string): ReadonlyMap<string, State> {
  return new Map([...states].filter(([key]) => coversKey(channel, key)));
}
