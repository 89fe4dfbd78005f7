import { ALLOWANCE, holdings, mustReturn } from '../baseline.js';
import { judge, type Verdict } from '../judge.js';
import { createJournalRecord, type JournalRecord } from '../record.js';
import type { RelayProcess } from '../relay-process.js';
import { drawnCarrier, drawnChannels } from '../roster.js';
import type { Scenario } from '../scenario.js';
import type { Stage } from '../stage.js';
import type { Subscriber } from '../subscriber.js';

const MiB = 1024 * 1024;
const SESSIONS = 8;
const RATE = 300;
const TIMES_FASTER = 4;
/** After so many rounds code is optimised, pools are filled: what is held then is held for good. */
const WARM_ROUNDS = 2;

/** An event as it is cached, parsed and rendered for some channels; an estimate. */
const REPLAY_CACHE_BYTES_PER_EVENT = 2 * 1024;

/** Subscribers come in rounds, stall, break off and leave: the relay holds no more after the last round than after the second. */
export const churn: Scenario = {
  name: 'churn',
  lane: 'load',
  boundSeconds: [120, 40],
  async run(stage) {
    const relay = await stage.relay({
      // On disk: what is journaled does not count as what is leaked.
      journal: { engine: 'lmdb', path: stage.folder(), maxBytes: 256 * MiB },
      fountain: { sessions: SESSIONS, rate: 0 },
      pace: { timesFaster: TIMES_FASTER, since: Date.now() },
    });
    const rounds = stage.size(10, 4);
    const count = stage.size(150, 50);
    const record = createJournalRecord();
    let deliveries = 0;
    const play = async (from: number, to: number): Promise<void> => {
      for (let number = from; number < to; number++)
        deliveries += (await round(stage, { relay, record, number, count })).deliveries;
    };
    await play(0, WARM_ROUNDS);
    const warm = await holdings(relay);
    const warmEvents = record.length;
    await play(WARM_ROUNDS, rounds);
    // The edge keeps what it replayed, up to 16 MiB, to send it again: that is no leak, and grows with the events.
    const heapBytes = ALLOWANCE.heapBytes + (record.length - warmEvents) * REPLAY_CACHE_BYTES_PER_EVENT;
    const now = await mustReturn(stage, relay, warm, { ...ALLOWANCE, heapBytes });
    const inMiB = (bytes: number): number => Math.round(bytes / MiB);
    return {
      events: record.length,
      deliveries,
      announced: 0,
      done: `${rounds} rounds of ${count} subscribers; from round ${WARM_ROUNDS} to the last: descriptors ${warm.descriptors} → ${now.descriptors}, timers ${warm.timers} → ${now.timers}, heap ${inMiB(warm.heapBytes)} → ${inMiB(now.heapBytes)} MiB, resident ${inMiB(warm.rssBytes)} → ${inMiB(now.rssBytes)} MiB`,
    };
  },
};

interface Round {
  readonly relay: RelayProcess;
  readonly record: JournalRecord;
  readonly number: number;
  readonly count: number;
}

async function round(stage: Stage, { relay, record, number, count }: Round): Promise<Verdict> {
  const comers: Subscriber[] = [];
  for (let index = 0; index < count; index++) {
    const draw = stage.draw.fork(`round ${number} ${index}`);
    comers.push(
      stage.subscriber({
        name: `round ${number} subscriber ${index}`,
        channels: drawnChannels(draw, [0, SESSIONS - 1]),
        open: drawnCarrier(draw),
        dial: () => ({ port: relay.port }),
        start: 'snapshot',
        backMs: [0, 100],
      }),
    );
  }
  await stage.until(() => comers.every(({ isLive }) => isLive), 'everybody is live');
  await relay.rate(RATE);
  for (const [index, one] of comers.entries()) {
    if (index % 5 === 0) one.leave(index % 2 === 0 ? 'close' : 'reset');
    else if (index % 5 === 1) one.pause();
  }
  await stage.pause(700);
  for (const one of comers) one.resume();
  await relay.rate(0);
  const verdict = await judge(stage, { relay, record, subscribers: comers });
  await Promise.all(comers.map((one, index) => one.stop(index % 2 === 0 ? 'close' : 'reset')));
  return verdict;
}
