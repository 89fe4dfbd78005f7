import type { Journal } from '../../src/hub/journal/journal.js';
import { createMemoryJournal } from '../../src/hub/journal/memory.js';
import { type Sessions, sessions } from '../../src/hub/sessions.js';
import type { SessionEvent } from '../../src/model/event.js';
import type { Json } from '../../src/model/json.js';
import type { Log } from '../../src/net/log.js';
import { seededRandom } from '../../src/net/timer.js';
import { createHttpClient } from '../../src/net/undici-http.js';
import { connectWs } from '../../src/net/ws-socket.js';
import type { Simulator, SimulatorOptions } from '../../src/simulators/index.js';
import type { Venue, VenuePorts } from '../../src/venues/venue.js';
import { createLife, type Fate, type Life } from './life.js';
import { until, VirtualClock } from './virtual-clock.js';

/**
 * A simulator, a venue and a hub on one virtual clock, over real sockets: time moves only when nothing is on its way,
 * so that what follows a fault is the same in every run. Venue and hub may be killed and started again over the same
 * journal, while the simulator lives on.
 */
export interface Stage {
  readonly clock: VirtualClock;
  readonly simulator: Simulator;
  /** Of the present life, as `live`. */
  readonly venue: Venue;
  readonly live: Sessions;
  readonly journal: Journal;
  /** What was logged, whole: where a secret would show. */
  readonly logged: readonly string[];
  /** Every event so far, of all lives. */
  readonly events: readonly SessionEvent[];
  /** Lets time pass. */
  advance(ms: number): Promise<void>;
  /**
   * Waits, without letting time pass, for an event since the last `take` whose line contains a text: for carriers whose
   * sockets are not the stage's own (socket.io).
   */
  arrived(text: string): Promise<void>;
  /** The events since the last `take`, one line each; see {@link describeEvent}. */
  take(): readonly string[];
  /** Triggers a fault and lets what follows at once settle. */
  fault(name: string, params?: { readonly [name: string]: Json }): Promise<void>;
  /** Ends venue and hub as `kill -9` does: see {@link Life}. */
  kill(): Promise<void>;
  /** Where the present life ends by itself; gone once it has. */
  fate: Fate | undefined;
  readonly isAlive: boolean;
  /**
   * The next life, over the same journal: resolves once what it says before it asks the venue anything is said, and
   * nothing is on its way. `source`: over the source of the life before.
   */
  restart(source?: { readonly [key: string]: Json }): Promise<void>;
  close(): Promise<void>;
}

export interface StageOptions {
  readonly simulate: (options: SimulatorOptions) => Promise<Simulator>;
  readonly venue: (source: { readonly [key: string]: Json }, ports: VenuePorts) => Venue;
  /** Over the simulator's own `source`. */
  readonly source?: { readonly [key: string]: Json };
  readonly seed?: number;
  /** Default: one in memory. */
  readonly journal?: Journal;
}

/** Turns of the event loop without traffic after which nothing is on its way: a hop over loopback takes one or two, on a busy machine more. */
const QUIET_TURNS = 40;

export async function createStage(options: StageOptions): Promise<Stage> {
  const { seed = 1, journal = createMemoryJournal() } = options;
  let activity = 0;
  let life: Life | undefined;
  const quiet = async (): Promise<void> => {
    let seen = activity;
    for (let turns = 0; turns < QUIET_TURNS || (life?.inFlight ?? 0) > 0; turns++) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      if (seen !== activity) turns = 0;
      seen = activity;
    }
  };
  const clock = new VirtualClock(undefined, quiet);
  const logged: string[] = [];
  const write =
    (level: string) =>
    (message: string, fields?: Readonly<Record<string, unknown>>): void => {
      logged.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`);
    };
  const log: Log = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };

  const simulator = await options.simulate({ clock, seed });
  const { venue: _, ...given } = { ...simulator.source, ...options.source };
  let source: { readonly [key: string]: Json } = given;
  const events: SessionEvent[] = [];
  let fate: Fate | undefined;
  let lives = 0;
  const begin = (): { readonly life: Life; readonly venue: Venue; readonly live: Sessions } => {
    const fresh = createLife({
      clock,
      connect: connectWs,
      http: createHttpClient,
      journal,
      fate: () => fate,
      died() {
        fate = undefined;
        activity++;
      },
      active: () => void activity++,
    });
    life = fresh;
    const chance = seed + lives++;
    const venue = options.venue(source, {
      clock: fresh.clock,
      random: seededRandom(chance),
      connect: fresh.connect,
      http: fresh.http,
      log,
    });
    const live = sessions([venue], { clock: fresh.clock, random: seededRandom(chance), log, journal: fresh.journal });
    live.events$.subscribe((event) => {
      activity++;
      events.push(event);
    });
    return { life: fresh, venue, live };
  };
  let present = begin();
  let taken = 0;
  let closed = false;
  return {
    clock,
    simulator,
    get venue() {
      return present.venue;
    },
    get live() {
      return present.live;
    },
    journal,
    logged,
    events,
    advance: (ms) => clock.advance(ms),
    async arrived(text) {
      await until(() => events.slice(taken).some((event) => describeEvent(event).includes(text)), text);
    },
    take() {
      const lines = events.slice(taken).map(describeEvent);
      taken = events.length;
      return lines;
    },
    async fault(name, params) {
      simulator.fault(name, params);
      await quiet();
    },
    async kill() {
      await present.life.kill();
      await quiet();
    },
    get fate() {
      return fate;
    },
    set fate(next) {
      fate = next;
    },
    get isAlive() {
      return present.life.isAlive;
    },
    async restart(changes = {}) {
      if (present.life.isAlive) throw new Error('it lives: kill it first');
      await present.life.kill();
      source = { ...source, ...changes };
      present = begin();
      await quiet();
    },
    async close() {
      if (closed) return;
      closed = true;
      if (!present.life.isAlive) {
        await present.life.kill();
        await quiet();
        await simulator.close();
        return;
      }
      let stopped = false;
      const stopping = present.live.stop({ orders: 'leave' }).finally(() => {
        stopped = true;
      });
      for (let turn = 0; turn < 100 && !stopped; turn++) await clock.advance(100);
      await stopping;
      await simulator.close();
    },
  };
}

/** `<session> <type> <what matters of its data>`: without times and without what chance decides. */
export function describeEvent(event: SessionEvent): string {
  const session = event.subject.split('.')[2] ?? '';
  return [session, event.type, ...detail(event)].join(' ');
}

function detail(event: SessionEvent): readonly string[] {
  switch (event.type) {
    case 'link.up':
      return [event.data.carrier];
    case 'link.down':
      return [event.data.carrier, String(event.data.code), event.data.initiator];
    case 'link.retrying':
      return [event.data.carrier, `#${event.data.attempt}`];
    case 'session.opened':
      return [event.data.kind];
    case 'session.renewed':
      return [event.data.how];
    case 'session.lost':
    case 'session.stale':
      return [event.data.reason];
    case 'session.closed':
      return [`by:${event.data.by}`];
    case 'session.attention':
      return [event.data.action];
    case 'session.updated':
      return [Object.keys(event.data.changed).join(',')];
    case 'heartbeat.armed':
      return [String(event.data.intervalMs)];
    case 'protection.armed':
    case 'protection.disarmed':
    case 'protection.unknown':
    case 'protection.triggered':
      return [event.data.scope];
    case 'venue.maintenance':
      return [event.data.announced ? 'announced' : 'begun'];
    case 'venue.locked':
    case 'venue.degraded':
    case 'venue.normal':
      return event.data.what === undefined ? [] : [event.data.what];
    case 'account.locked':
    case 'account.unlocked':
      return [event.data.what];
    case 'source.fault':
      return [event.data.what];
    case 'access.logged':
      return [event.data.action];
    case 'safety.changed':
      return [event.data.level, ...event.data.reasons];
    case 'command.accepted':
    case 'command.succeeded':
    case 'command.failed':
    case 'command.unknown':
      return [event.data.command];
    default:
      return [];
  }
}
