import type { Sight, Turn } from '../../src/bus/bus.js';
import { createHub, type Hub } from '../../src/hub/hub.js';
import type { Journal, JournalBatch } from '../../src/hub/journal/journal.js';
import { createMemoryJournal } from '../../src/hub/journal/memory.js';
import type { SessionEvent } from '../../src/model/event.js';
import { isSessionState } from '../../src/model/fold.js';
import type { SessionState } from '../../src/model/session.js';
import type { Log } from '../../src/net/log.js';
import { seededRandom } from '../../src/net/timer.js';
import { type FakeVenue, fakeVenue } from '../support/fake-venue.js';
import { describeEvent } from '../support/stage.js';
import { VirtualClock } from '../support/virtual-clock.js';

/** A hub on virtual time over a journal that can be made to fail, with everything that it said. */
export interface World {
  readonly clock: VirtualClock;
  readonly journal: FaultyJournal;
  readonly venue: FakeVenue;
  readonly hub: Hub;
  readonly turns: readonly Turn[];
  readonly events: readonly SessionEvent[];
  readonly sights: readonly Sight[];
  readonly logged: readonly string[];
  /** Lines of the events since the last `take`. */
  take(): readonly string[];
  state(session: string): SessionState | undefined;
}

export interface WorldOptions {
  readonly clock?: VirtualClock;
  readonly journal?: FaultyJournal;
  readonly venue?: FakeVenue;
  readonly others?: readonly FakeVenue[];
}

export function createWorld(options: WorldOptions = {}): World {
  const { clock = new VirtualClock(), journal = faultyJournal(), venue = fakeVenue(), others = [] } = options;
  const logged: string[] = [];
  const write = (message: string, fields?: Readonly<Record<string, unknown>>): void => {
    logged.push(`${message} ${JSON.stringify(fields ?? {})}`);
  };
  const log: Log = { debug: write, info: write, warn: write, error: write };
  const hub = createHub({ venues: [venue, ...others], journal, clock, random: seededRandom(1), log, node: 'test' });
  const turns: Turn[] = [];
  const events: SessionEvent[] = [];
  const sights: Sight[] = [];
  hub.turns$.subscribe((turn) => {
    turns.push(turn);
    events.push(...turn.events);
  });
  hub.sight$.subscribe((sight) => sights.push(sight));
  let taken = 0;
  return {
    clock,
    journal,
    venue,
    hub,
    turns,
    events,
    sights,
    logged,
    take() {
      const lines = events.slice(taken).map(describeEvent);
      taken = events.length;
      return lines;
    },
    state(session) {
      const key = session.includes('.') ? session : `tradernet.desk.${session}`;
      const state = hub.states().get(key);
      return state !== undefined && isSessionState(state) ? state : undefined;
    },
  };
}

export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const world = createWorld(options);
  await world.hub.start();
  return world;
}

/** Stops the hub, letting time pass where it waits. */
export async function stopWorld(world: World): Promise<void> {
  let done = false;
  const stopping = world.hub.stop({ orders: 'leave' }).finally(() => {
    done = true;
  });
  for (let round = 0; round < 200 && !done; round++) await world.clock.advance(100);
  await stopping;
}

/** A journal whose appends fail, hang, or lose their answer, as the test says. */
export interface FaultyJournal extends Journal {
  mode: 'fine' | 'fail' | 'hang' | 'fail_after_commit';
  /** Every batch that it was asked to append, in order, whether it took it or not. */
  readonly asked: readonly JournalBatch[];
  /** Those that it took. */
  readonly taken: readonly JournalBatch[];
  /** Forgets what is not committed, as a kill does: the next `open` is another life. */
  kill(): void;
}

export function faultyJournal(inner: Journal = createMemoryJournal()): FaultyJournal {
  const asked: JournalBatch[] = [];
  const taken: JournalBatch[] = [];
  const journal: FaultyJournal = {
    ...inner,
    mode: 'fine',
    asked,
    taken,
    async append(batch) {
      asked.push(batch);
      if (journal.mode === 'fail') throw new Error('disk full');
      if (journal.mode === 'hang') return new Promise<void>(() => {});
      await inner.append(batch);
      taken.push(batch);
      if (journal.mode === 'fail_after_commit') throw new Error('the answer was lost');
      return undefined;
    },
    kill() {
      void inner.close();
    },
  };
  return journal;
}
