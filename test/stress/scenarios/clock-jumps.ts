import { mustHold } from '../broken.js';
import { becomes, becomesCalm } from '../calm.js';
import { judge } from '../judge.js';
import { createJournalRecord } from '../record.js';
import { drawnCarrier, drawnChannels } from '../roster.js';
import type { Scenario } from '../scenario.js';
import { startVenues } from '../venues.js';

const SESSIONS = 8;
const RATE = 200;
/** Heartbeats of 15 s come every 2 s: deadlines run out often enough to be seen. */
const TIMES_FASTER = 8;
const SECOND_MS = 1_000;
const DAY_MS = 86_400_000;
const JUMPS = [SECOND_MS, 60 * SECOND_MS, 3_600 * SECOND_MS, DAY_MS, 40 * DAY_MS] as const;

/** The wall clock jumps while events flow, a second to weeks, both ways: deadlines and order do not notice. */
export const clockJumps: Scenario = {
  name: 'clock-jumps',
  lane: 'venues',
  boundSeconds: [120, 40],
  async run(stage) {
    const pace = { timesFaster: TIMES_FASTER, since: Date.now() };
    const venues = await startVenues(stage, pace, ['deribit']);
    const relay = await stage.relay({
      journal: { engine: 'memory', maxBytes: 256 * 1024 * 1024 },
      sources: venues.map(({ source }) => source),
      fountain: { sessions: SESSIONS, rate: 0 },
      pace,
    });
    const calm = await becomesCalm(stage, relay, ['deribit']);
    for (let index = 0; index < stage.size(40, 16); index++) {
      const draw = stage.draw.fork(`subscriber ${index}`);
      const folds = index % 10 === 0;
      stage.subscriber({
        name: `subscriber ${index}`,
        channels: folds ? ['>'] : drawnChannels(draw, [0, SESSIONS - 1]),
        open: drawnCarrier(draw),
        dial: () => ({ port: relay.port }),
        start: 'snapshot',
        backMs: [0, 300],
        folds,
      });
    }
    await stage.until(() => stage.subscribers.every(({ isLive }) => isLive), 'everybody is live');
    await relay.rate(RATE);
    const jumps = stage.size(40, 12);
    let away = 0;
    for (let jump = 0; jump < jumps; jump++) {
      const byMs = stage.draw.oneOf(JUMPS) * (stage.draw.chance(0.5) ? 1 : -1);
      away += byMs;
      await relay.jump(byMs);
      await stage.pause(stage.draw.between(50, 300));
    }
    // Right again, so that the venue's times are the relay's.
    await relay.jump(-away);
    await stage.pause(SECOND_MS);
    await relay.rate(0);
    await becomes(stage, relay, calm);
    const record = createJournalRecord();
    const verdict = await judge(stage, { relay, record });
    const downs = record.count('link.down');
    mustHold(downs === 0, `no deadline runs on the wall clock: ${downs} links ended`);
    const [left] = stage.subscribers.filter(({ connects }) => connects !== 1);
    mustHold(left === undefined, `no subscriber is closed by a jump: ${left?.name}`);
    const beats = stage.subscribers.map(({ seen }) => seen.get('heartbeat') ?? 0);
    mustHold(Math.min(...beats) > 0, 'heartbeats go on');
    return { ...verdict, done: `${jumps} jumps of 1 s to 40 days both ways, ${stage.subscribers.length} subscribers` };
  },
};
