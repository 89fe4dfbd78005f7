import { afterEach, describe, expect, test } from 'vitest';
import { createHub, type Hub } from '../../src/hub/hub.js';
import type { Journal, Retention } from '../../src/hub/journal/journal.js';
import { createLmdbJournal } from '../../src/hub/journal/lmdb.js';
import type { SessionEvent } from '../../src/model/event.js';
import { silentLog } from '../../src/net/log.js';
import { seededRandom } from '../../src/net/timer.js';
import { type FakeVenue, fact, fakeVenue, linkUp, opened } from '../support/fake-venue.js';
import { describeEvent } from '../support/stage.js';
import { removeTempFolders, tempFolder } from '../support/temp-folder.js';
import { settle, VirtualClock } from '../support/virtual-clock.js';

/** Hubs on virtual time over one journal on disk. Time moves only when nothing is being written. */
interface Life {
  readonly hub: Hub;
  readonly venue: FakeVenue;
  readonly events: readonly SessionEvent[];
  /** Lines of the events since the last `take`. */
  take(): readonly string[];
  /** As `kill -9` leaves it: nothing more is written, nothing is said on the way out. */
  kill(): Promise<void>;
}

const DAY_MS = 86_400_000;
const lives: Life[] = [];
afterEach(async () => {
  for (const life of lives.splice(0)) await life.kill();
  removeTempFolders();
});

function stage(path: string, retention: Retention = { maxAgeMs: 7 * DAY_MS, maxBytes: 1024 ** 2 }) {
  let busy = 0;
  const quiet = async (): Promise<void> => {
    do await settle();
    while (busy > 0);
  };
  const clock = new VirtualClock(undefined, quiet);
  const counted =
    <A extends readonly unknown[], T>(task: (...args: A) => Promise<T>) =>
    async (...args: A): Promise<T> => {
      busy++;
      try {
        return await task(...args);
      } finally {
        busy--;
      }
    };
  return {
    clock,
    quiet,
    async start(venue: FakeVenue = fakeVenue()): Promise<Life> {
      const inner = createLmdbJournal({ path, retention });
      const journal: Journal = { ...inner, append: counted(inner.append), truncate: counted(inner.truncate) };
      const hub = createHub({ venues: [venue], journal, clock, random: seededRandom(1), log: silentLog, node: 'test' });
      const events: SessionEvent[] = [];
      hub.turns$.subscribe((turn) => events.push(...turn.events));
      await hub.start();
      await quiet();
      let taken = 0;
      const life: Life = {
        hub,
        venue,
        events,
        take() {
          const lines = events.slice(taken).map(describeEvent);
          taken = events.length;
          return lines;
        },
        async kill() {
          await inner.close();
        },
      };
      lives.push(life);
      return life;
    },
  };
}

describe('a hub over a journal on disk, after a kill', () => {
  test('knows its sessions, stale until they are proved, what it was to remember, and goes on in a later epoch', async () => {
    const { clock, quiet, start } = stage(tempFolder());
    const first = await start();
    first.venue.say(linkUp(), opened('login'), opened('over'));
    first.venue.tell({
      facts: [fact('over', 'session.closed', { by: 'venue' })],
      memory: { wish: 'on', list: [1, 2] },
    });
    await clock.advance(5_000);
    const states = new Map(first.hub.states());
    await first.kill();

    const second = await start();
    expect(second.take()).toEqual([
      '- link.down ws 1006 relay',
      'login session.stale relay_restarted',
      'login safety.changed unknown unconfirmed stale',
    ]);
    expect([...second.hub.states().keys()].toSorted()).toEqual([...states.keys()].toSorted());
    expect(second.hub.states().get('tradernet.desk.over')).toMatchObject({ status: 'closed', stale: false });
    expect(second.venue.memory).toEqual(
      new Map<string, unknown>([
        ['wish', 'on'],
        ['list', [1, 2]],
      ]),
    );
    expect((await second.hub.read('0-0', 1_000)).events).toEqual([...first.events, ...second.events]);
    second.venue.say(linkUp(), opened('login'));
    await quiet();
    expect(second.hub.states().get('tradernet.desk.login')).toMatchObject({ status: 'active', stale: false });
    await second.hub.stop({ orders: 'leave' });
  });

  test('a command that was cut off is unknown, and is not carried out when it is asked again', async () => {
    const { quiet, start } = stage(tempFolder());
    const first = await start();
    first.venue.say(linkUp(), opened('login'));
    const asked = { by: 'me', source: 'tradernet.desk', command: 'act', params: {}, requestId: 'r-1' };
    first.hub.command(asked).catch(() => undefined);
    await quiet();
    expect(first.venue.calls).toHaveLength(1);
    await first.kill();

    const second = await start();
    expect(second.take().filter((line) => line.startsWith('- command.unknown act'))).toHaveLength(1);
    const reply = await second.hub.command(asked);
    expect(reply).toMatchObject({ replayed: true, outcome: 'unknown', requestId: 'r-1' });
    expect(second.venue.calls).toEqual([]);
    await second.kill();
    const third = await start();
    expect(third.take().filter((line) => line.includes('command.'))).toEqual([]);
    expect(await third.hub.command(asked)).toMatchObject({ replayed: true, outcome: 'unknown' });
    await third.hub.stop({ orders: 'leave' });
  });

  test('what was told is not told again, and a batch that was not committed is told by whoever says it again', async () => {
    const { quiet, start } = stage(tempFolder());
    const first = await start();
    first.venue.say(opened('a', { kind: 'security' }, 'venue-key-a'));
    await quiet();
    first.venue.say(opened('b', { kind: 'security' }, 'venue-key-b'));
    await first.kill();
    await quiet();
    const before = first.events.length;

    const second = await start();
    second.take();
    second.venue.say(
      opened('a', { kind: 'security' }, 'venue-key-a'),
      opened('b', { kind: 'security' }, 'venue-key-b'),
    );
    await quiet();
    const told = [...first.events.slice(0, before), ...second.events].filter(({ type }) => type === 'session.opened');
    expect(told.map(({ subject }) => subject)).toEqual(['tradernet.desk.a', 'tradernet.desk.b']);
    await second.hub.stop({ orders: 'leave' });
  });

  test('states stay when retention has dropped their events; a session that ended goes a day later, also then', async () => {
    const { clock, start } = stage(tempFolder(), { maxAgeMs: 3_600_000, maxBytes: 1024 ** 2 });
    const first = await start();
    first.venue.say(linkUp(), opened('login'), opened('over'), fact('over', 'session.closed', { by: 'venue' }));
    await clock.advance(2 * 3_600_000);
    expect((await first.hub.read(first.hub.head(), 10)).events).toEqual([]);
    expect(first.hub.holds('0-0')).toBe(false);
    await first.kill();

    const second = await start();
    expect([...second.hub.states().keys()]).toContain('tradernet.desk.login');
    expect([...second.hub.states().keys()]).toContain('tradernet.desk.over');
    second.take();
    await clock.advance(22 * 3_600_000 - 60_000);
    expect([...second.hub.states().keys()]).toContain('tradernet.desk.over');
    await clock.advance(120_000);
    expect(second.take()).toContain('over session.removed');
    await second.kill();
    const third = await start();
    expect([...third.hub.states().keys()]).not.toContain('tradernet.desk.over');
    await third.hub.stop({ orders: 'leave' });
  });
});
