import { holdings, mustReturn } from '../baseline.js';
import { mustHold } from '../broken.js';
import { becomes, becomesCalm } from '../calm.js';
import type { Draw } from '../draw.js';
import { judge, readJournal } from '../judge.js';
import { createJournalRecord } from '../record.js';
import { drawnCarrier } from '../roster.js';
import type { Scenario } from '../scenario.js';
import type { Stage } from '../stage.js';
import { type LinedVenue, startVenues } from '../venues.js';

const TIMES_FASTER = 12;
/** Retries come soon: what is looked at is what they do, not how long they wait. */
const RETRY_SHARE = 0.01;
const CHANNELS = ['>', 'deribit.>', '*.*.*.link.*', '*.*.*.session.*', 'tradernet.>', '*.*.*.safety.changed', 'ibkr.>'];

/** Every venue's line flaps 100 times: resets, closes, dead lines, refusals, at any moment of a login. */
export const venueFlaps: Scenario = {
  name: 'venue-flaps',
  lane: 'venues',
  boundSeconds: [120, 40],
  async run(stage) {
    const pace = { timesFaster: TIMES_FASTER, since: Date.now() };
    const venues = await startVenues(stage, pace);
    const relay = await stage.relay({
      journal: { engine: 'memory', maxBytes: 64 * 1024 * 1024 },
      sources: venues.map(({ source }) => source),
      pace,
      retryShare: RETRY_SHARE,
    });
    const calm = await becomesCalm(
      stage,
      relay,
      venues.map(({ venue }) => venue),
    );
    const warmUp = stage.size(8, 3);
    await Promise.all(venues.map((one) => flap(stage, one, warmUp, stage.draw.fork(`warm ${one.venue}`))));
    await becomes(stage, relay, calm);
    const warm = await holdings(relay);

    const watching = CHANNELS.map((channel, index) =>
      stage.subscriber({
        name: `watching ${channel}`,
        channels: [channel],
        open: drawnCarrier(stage.draw.fork(channel)),
        dial: () => ({ port: relay.port }),
        backMs: [5, 100],
        start: 'snapshot',
        folds: index === 0,
      }),
    );
    await stage.until(() => watching.every(({ isLive }) => isLive), 'everybody is live');
    const flaps = stage.size(100, 10);
    await Promise.all(venues.map((one) => flap(stage, one, flaps, stage.draw.fork(one.venue))));
    await becomes(stage, relay, calm);
    const record = createJournalRecord();
    const verdict = await judge(stage, { relay, record });
    await readJournal(relay, record);
    const downs = record.count('link.down');
    mustHold(downs >= flaps, `a flap is told: ${downs} link.down of ${flaps} flaps a venue`);
    await Promise.all(watching.map((one) => one.stop()));
    const now = await mustReturn(stage, relay, warm);
    return {
      ...verdict,
      done: `${venues.length} venues, ${flaps} flaps each; ${downs} link.down; descriptors ${warm.descriptors} → ${now.descriptors}, timers ${warm.timers} → ${now.timers}`,
    };
  },
};

async function flap(stage: Stage, { venue, line }: LinedVenue, times: number, draw: Draw): Promise<void> {
  for (let left = times; left > 0; left--) {
    await stage.until(() => line.live > 0 || venue === 'snaptrade', `${venue} is connected again`);
    // At any moment of a login, and of the calm after it.
    await stage.pause(draw.between(0, 250));
    const how = draw.between(0, 39);
    if (how === 0 || venue === 'snaptrade') {
      line.refuse(true);
      line.cut('reset');
      await stage.pause(draw.between(20, 300));
      line.refuse(false);
    } else if (how === 1) line.cut('half_open');
    else line.cut(how < 20 ? 'reset' : 'close');
  }
}
