import { mustHold } from '../broken.js';
import { hasCaughtUp } from '../compare.js';
import type { Draw } from '../draw.js';
import { FOUNTAIN_SOURCE } from '../fountain.js';
import { judge, readRemembered } from '../judge.js';
import { openRaw } from '../raw-carrier.js';
import { createJournalRecord } from '../record.js';
import { drawnCarrier, drawnChannels } from '../roster.js';
import type { Scenario } from '../scenario.js';
import type { Stage } from '../stage.js';
import type { Subscriber } from '../subscriber.js';

const SESSIONS = 12;
/** Four sessions are heavy, so that who stalls has more unread than the kernel takes between two sockets. */
const HEAVY = 4;
const PAD_BYTES = 24 * 1024;
const RATE = 600;
/** Some 10 MiB on a channel of everything, while the kernel takes about 4 between two sockets that read little so far. */
const UNREAD_EVENTS = 1_300;
/** Those that stalled are replayed side by side. */
const LEVEL_MS = 60_000;
const FLOW_MS = 30_000;
const TIMES_FASTER = 4;
/** One byte at a time, faster than a thin session speaks on the whole and slower than it does at times. */
const BITES = { how: 'byte', burst: 256, everyMs: 16 } as const;

/** 200 subscribers on one relay, of which 20 stall, 20 read one byte at a time and 20 reconnect at random. */
export const crowd: Scenario = {
  name: 'crowd',
  lane: 'load',
  boundSeconds: [120, 40],
  async run(stage) {
    const of = (whole: number, short: number): number => stage.size(whole, short);
    const [stalling, biting, leaving, plain] = [of(20, 6), of(20, 6), of(20, 6), of(140, 32)];
    const relay = await stage.relay({
      journal: { engine: 'memory', maxBytes: 512 * 1024 * 1024 },
      fountain: { sessions: SESSIONS, rate: 0, padded: HEAVY, padBytes: PAD_BYTES },
      pace: { timesFaster: TIMES_FASTER, since: Date.now() },
      // As long as 30 s of stalling, in the relay's own time.
      remembers: true,
      limits: { stallMs: 30_000 * TIMES_FASTER },
    });
    const near = { port: relay.port };
    const bad = await stage.badLine(relay.port, { latencyMs: 5, jitterMs: 20, sliceBytes: 512 });
    const common = { dial: () => near, backMs: [5, 100], start: 'snapshot' } as const;
    const others = Array.from({ length: plain }, (_, index) => {
      const draw = stage.draw.fork(`plain ${index}`);
      const folds = index % 20 === 0;
      return stage.subscriber({
        ...common,
        name: `plain ${index}`,
        // Few hear the heavy sessions: what is looked at is how many there are, not how much they read.
        channels: folds ? ['>'] : drawnChannels(draw, [HEAVY, SESSIONS - 1], 0.1),
        open: drawnCarrier(draw),
        folds,
        pulses: draw.chance(0.2),
        ...(draw.chance(0.2) ? { dial: () => ({ port: bad.port }) } : {}),
      });
    });
    const leavers = Array.from({ length: leaving }, (_, index) => {
      const draw = stage.draw.fork(`leaving ${index}`);
      return stage.subscriber({
        ...common,
        name: `leaving ${index}`,
        channels: drawnChannels(draw, [HEAVY, SESSIONS - 1], 0.1),
        open: drawnCarrier(draw),
        start: draw.oneOf<'snapshot' | 'live'>(['snapshot', 'live']),
      });
    });
    for (let index = 0; index < biting; index++) {
      stage.subscriber({
        ...common,
        name: `byte by byte ${index}`,
        channels: [`deribit.${FOUNTAIN_SOURCE}.s${HEAVY + (index % (SESSIONS - HEAVY))}.>`],
        open: (dial, handlers) => openRaw(dial, handlers, BITES),
      });
    }
    const stallers = Array.from({ length: stalling }, (_, index) =>
      stage.subscriber({
        ...common,
        name: `stalling ${index}`,
        channels: ['>'],
        open: drawnCarrier(stage.draw.fork(`stalling ${index}`)),
        mayClose: [4408],
      }),
    );
    await stage.until(() => stage.subscribers.every(({ isLive }) => isLive), 'everybody is live');

    await relay.rate(RATE);
    const rounds = of(2, 1);
    let going = true;
    const moods = leavers.map((one, index) => comesAndGoes(stage, one, stage.draw.fork(`mood ${index}`), () => going));
    const record = createJournalRecord({ from: (await relay.remembered(0)).since });
    for (let round = 0; round < rounds; round++) {
      for (const one of stallers) one.pause();
      const enough = record.length + UNREAD_EVENTS;
      await stage.until(
        async () => {
          await readRemembered(relay, record);
          return record.length >= enough;
        },
        'events flow',
        FLOW_MS,
      );
      // A slow subscriber delays nobody: the others come up to the head while it still stalls.
      await relay.rate(0);
      await readRemembered(relay, record);
      const behind = (): readonly string[] =>
        others.flatMap(({ name, trails }) =>
          [...trails.values()]
            .filter((one) => !hasCaughtUp(one, record.sequence(one.channel)))
            .map((one) => `${name} on ${one.channel} at ${one.cursors.at(one.cursors.length - 1)}`),
        );
      await stage.until(
        () => behind().length === 0,
        () => `who reads is at the head while others stall, not ${behind().slice(0, 5).join(', ')}`,
        LEVEL_MS,
      );
      for (const one of stallers) one.resume();
      await relay.rate(RATE);
      await stage.pause(500);
    }
    going = false;
    await Promise.all(moods);
    await relay.rate(0);
    const verdict = await judge(stage, { relay, record, boundMs: LEVEL_MS, read: (of_) => readRemembered(relay, of_) });
    const sum = (of_: readonly Subscriber[], what: string): number =>
      of_.reduce((total, { seen }) => total + (seen.get(what) ?? 0), 0);
    const lagged = sum(stallers, 'lag') + sum(stallers, 'close 4408');
    mustHold(lagged > 0, 'who stalls leaves the push path: otherwise this scenario stalls too little');
    const left = leavers.reduce((total, { connects }) => total + connects, 0);
    return {
      ...verdict,
      done: `${stage.subscribers.length} subscribers: ${stalling} stalled ${rounds} times (${lagged} lags), ${biting} read byte by byte, ${leaving} reconnected ${left} times`,
    };
  },
};

async function comesAndGoes(stage: Stage, one: Subscriber, draw: Draw, going: () => boolean): Promise<void> {
  while (going()) {
    await stage.pause(draw.between(50, 1_500));
    one.leave(draw.oneOf<'close' | 'reset'>(['close', 'reset']));
  }
}
