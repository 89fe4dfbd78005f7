import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { Journal } from '../../src/hub/journal/journal.js';
import { createLmdbJournal } from '../../src/hub/journal/lmdb.js';
import { isSessionState } from '../../src/model/fold.js';
import type { Json } from '../../src/model/json.js';
import type { State } from '../../src/model/session.js';
import { startDeribitSimulator } from '../../src/simulators/deribit.js';
import { type Simulator, type SimulatorOptions, startIbkrSimulator } from '../../src/simulators/index.js';
import { startSnaptradeSimulator } from '../../src/simulators/snaptrade.js';
import { startTradernetSimulator } from '../../src/simulators/tradernet.js';
import { type DeribitOptions, deribit } from '../../src/venues/deribit/index.js';
import { type IbkrOptions, ibkr } from '../../src/venues/ibkr/index.js';
import { type SnaptradeOptions, snaptrade } from '../../src/venues/snaptrade/index.js';
import { type TradernetOptions, tradernet } from '../../src/venues/tradernet/index.js';
import type { Venue, VenuePorts } from '../../src/venues/venue.js';
import { allEvents, expectOneStory } from '../support/lives.js';
import { createStage, type Stage } from '../support/stage.js';

/**
 * A run of incidents, killed at every batch that it journals, started again and played to its end: whatever the cut,
 * no fact is told twice, the states are what the events make, and they are those of a run that nobody killed.
 */
let stage: Stage | undefined;
const folders: string[] = [];
afterEach(async () => {
  await stage?.close();
  stage = undefined;
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

type Step = readonly [atMs: number, fault: string, params?: { readonly [name: string]: Json }];

interface Run {
  readonly simulate: (options: SimulatorOptions) => Promise<Simulator>;
  readonly venue: (source: { readonly [key: string]: Json }, ports: VenuePorts) => Venue;
  /** What happens, and when. */
  readonly steps: readonly Step[];
  /** A command that only reads, and when. */
  readonly command: readonly [atMs: number, source: string, command: string];
  /** Until when it may be killed. */
  readonly untilMs: number;
}

const runs: { readonly [venue: string]: Run } = {
  deribit: {
    simulate: startDeribitSimulator,
    venue: (source, ports) => deribit(source as DeribitOptions, ports),
    steps: [
      [10_000, 'lock_index'],
      [20_000, 'lock_account', { currency: 'BTC' }],
      [30_000, 'drop'],
      [50_000, 'eviction'],
      [70_000, 'unlock_index'],
      [80_000, 'too_many_requests', { forMs: 20_000 }],
    ],
    command: [65_000, 'deribit.main', 'get_cancel_on_disconnect'],
    untilMs: 130_000,
  },
  tradernet: {
    simulate: startTradernetSimulator,
    venue: (source, ports) => tradernet({ ...source, pollSeconds: 20 } as TradernetOptions, ports),
    steps: [
      [10_000, 'open_session'],
      [20_000, 'close'],
      [30_000, 'extend_session'],
      [45_000, 'close_session'],
      [55_000, 'too_many_requests', { forMs: 30_000 }],
      [110_000, 'maintenance', { forMs: 20_000 }],
    ],
    command: [100_000, 'tradernet.desk', 'refresh_sessions'],
    untilMs: 180_000,
  },
  ibkr: {
    simulate: startIbkrSimulator,
    venue: (source, ports) => ibkr({ ...source, tickleSeconds: 20 } as unknown as IbkrOptions, ports),
    steps: [
      [15_000, 'competing', { forMs: 30_000 }],
      [80_000, 'bridge_drift'],
      [120_000, 'drop'],
      [140_000, 'maintenance', { forMs: 20_000 }],
    ],
    command: [130_000, 'ibkr.gateway', 'auth_status'],
    untilMs: 250_000,
  },
  snaptrade: {
    simulate: (options) => startSnaptradeSimulator({ ...options, users: 2, connections: 3 }),
    venue: (source, ports) => snaptrade(source as unknown as SnaptradeOptions, ports),
    steps: [
      [10_000, 'break_connection'],
      [20_000, 'brokerage_degraded'],
      [30_000, 'session_event'],
      [40_000, 'fix_connection'],
      [50_000, 'delete_connection'],
      [60_000, 'add_connection'],
      [70_000, 'too_many_requests', { forMs: 20_000 }],
      [110_000, 'http_down', { forMs: 20_000 }],
    ],
    command: [105_000, 'snaptrade.partner~customer-1', 'list_connections'],
    untilMs: 140_000,
  },
};

const STEP_MS = 5_000;
/** What a kill does has settled within this. */
const SETTLE_MS = 90_000;

/** Plays a run; a life that ended is followed by another at the next step of time. Resolves with the batches written. */
async function play(
  { simulate, venue, steps, command, untilMs }: Run,
  fate?: Stage['fate'],
  again = false,
  journal?: Journal,
): Promise<number> {
  /** Of the present life. */
  let batches = 0;
  const one = await createStage({ simulate, venue, ...(journal === undefined ? {} : { journal }) });
  stage = one;
  const killing: Stage['fate'] = (batch, index) => {
    batches = index;
    return fate?.(batch, index);
  };
  one.fate = killing;
  const left = [...steps];
  let asked = false;
  for (let now = 0; now < untilMs; now += STEP_MS) {
    while (left[0] !== undefined && left[0][0] <= now) {
      const [, fault, params] = left.shift() ?? [];
      if (fault !== undefined) await one.fault(fault, params);
    }
    if (!asked && now >= command[0] && one.isAlive) {
      asked = true;
      one.live.command(command[1], command[2], {}, { requestId: 'r-1' }).catch(() => undefined);
    }
    await one.advance(STEP_MS);
    if (one.isAlive) continue;
    one.fate = again ? killing : undefined;
    await one.restart();
  }
  one.fate = undefined;
  if (!one.isAlive) await one.restart();
  await one.advance(SETTLE_MS);
  return batches;
}

/** What is true at the end, but times, and whatever a life begins anew. */
function outcome(one: Stage): ReadonlyMap<string, unknown> {
  return new Map(
    [...one.live.states()].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([key, state]) => [key, bare(state)]),
  );
}

function bare(state: State): unknown {
  if (!isSessionState(state)) return state.attributes;
  const { kind, role, environment, status, stale, scope, parent, attributes, safety, heartbeat, protection } = state;
  return {
    ...{ kind, role, environment, status, stale, scope, parent, attributes, safety },
    heartbeat: heartbeat === undefined ? undefined : [heartbeat.intervalMs, heartbeat.missed],
    protection: protection === undefined ? undefined : [protection.connection, protection.account],
  };
}

describe.each(Object.entries(runs))('%s', (_, run) => {
  test('a kill at any batch neither repeats nor loses', async () => {
    const batches = await play(run);
    if (stage === undefined) throw new Error('it was played');
    await expectOneStory(stage);
    const wanted = outcome(stage);
    await stage.close();
    expect(batches).toBeGreaterThan(20);
    const expectTheSame = async (what: string, isSeen = (_: string) => true): Promise<void> => {
      if (stage === undefined) throw new Error('it was played');
      await expectOneStory(stage);
      const found = outcome(stage);
      expect(
        [...found].filter(([key]) => isSeen(key)),
        what,
      ).toEqual([...wanted].filter(([key]) => isSeen(key)));
      const trail = (await allEvents(stage)).filter(({ type }) => type.startsWith('command.')).map(({ type }) => type);
      expect(trail.length === 0 || trail.length === 2, what).toBe(true);
      await stage.close();
    };
    for (let cut = 1; cut <= batches; cut++) {
      const when = cut % 2 === 0 ? 'before' : 'after';
      await play(run, (_batch, index) => (index === cut ? when : undefined));
      await expectTheSame(`killed ${when} batch ${cut}`);
    }
    // What came and went between two lives is known to nobody.
    const ended = new Set([...wanted].flatMap(([key, one]) => (JSON.stringify(one).includes('"closed"') ? [key] : [])));
    for (const every of [5, 9]) {
      await play(run, (_batch, index) => (index === every ? 'after' : undefined), true);
      await expectTheSame(`killed after every ${every} batches`, (key) => !ended.has(key));
    }
  }, 300_000);
});

test('the journal on disk knows the same after each kill', async () => {
  const { deribit: run } = runs;
  if (run === undefined) throw new Error('there is a run of Deribit');
  await play(run);
  if (stage === undefined) throw new Error('it was played');
  const wanted = outcome(stage);
  await stage.close();
  for (const every of [3, 8, 21]) {
    const path = mkdtempSync(join(tmpdir(), 'session-relay-'));
    folders.push(path);
    const when = every % 2 === 0 ? 'before' : 'after';
    await play(run, (_batch, index) => (index === every ? when : undefined), every > 3, createLmdbJournal({ path }));
    await expectOneStory(stage);
    expect(outcome(stage), `killed ${when} batch ${every}`).toEqual(wanted);
    await stage.close();
  }
}, 120_000);
