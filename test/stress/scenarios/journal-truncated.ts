import { z } from 'zod';
import { type Cursor, formatCursor, parseCursor } from '../../../src/model/cursor.js';
import { mustHold } from '../broken.js';
import type { Draw } from '../draw.js';
import { judge, readRemembered } from '../judge.js';
import { createJournalRecord } from '../record.js';
import type { RelayProcess } from '../relay-process.js';
import { drawnCarrier } from '../roster.js';
import type { Scenario } from '../scenario.js';
import type { Subscriber } from '../subscriber.js';

const MiB = 1024 * 1024;
const SESSIONS = 4;
const PAD_BYTES = 2 * 1024;
const RATE = 1_500;
/** Some 3.5 s of what flows, and more than the kernel takes between two sockets: a replay has to wait for its reader. */
const RETAINED_BYTES = 12 * MiB;
const FILL_MS = 4_000;
/** Retention, every 10 s of the relay's time, runs twice a second. */
const TIMES_FASTER = 20;
const STALL_MS = 30 * 60_000;
/** They resume once nothing flows any more. */
const LATE = 2;
const CHANNELS = ['>', 'deribit.load.>', '*.*.*.session.updated'] as const;

/**
 * Subscribers resume from old cursors and read in fits while the journal drops its end: each gets everything, or is
 * told of the gap, at the subscribe or in the middle of its replay.
 */
export const journalTruncated: Scenario = {
  name: 'journal-truncated',
  lane: 'load',
  boundSeconds: [120, 40],
  async run(stage) {
    const relay = await stage.relay({
      journal: { engine: 'memory', maxBytes: RETAINED_BYTES },
      fountain: { sessions: SESSIONS, rate: RATE, padded: SESSIONS, padBytes: PAD_BYTES },
      pace: { timesFaster: TIMES_FASTER, since: Date.now() },
      remembers: true,
      // A replay that waits for its reader is not what is looked at here.
      limits: { stallMs: STALL_MS },
    });
    const { since: from } = await relay.remembered(0);
    const record = createJournalRecord({ from });
    await stage.pause(FILL_MS);
    const resting: Promise<void>[] = [];
    const resume = (index: number, draw: Draw, since: string, restMs: number): void => {
      stage.subscriber({
        name: `resuming ${index}`,
        channels: [draw.oneOf(CHANNELS)],
        open: drawnCarrier(draw),
        dial: () => ({ port: relay.port }),
        start: { since },
        backMs: [0, 100],
        mayClose: [4408],
        onNotice(method, self) {
          if (method !== 'welcome' || self.connects > 1) return;
          self.pause();
          resting.push(stage.pause(restMs).then(() => self.resume()));
        },
      });
    };
    const everybodyRested = async (): Promise<void> => {
      await stage.until(() => resting.length === stage.subscribers.length, 'everybody is let in');
      await Promise.all(resting);
    };
    const count = stage.size(20, 9);
    for (let index = 0; index < count; index++) {
      const draw = stage.draw.fork(`resuming ${index}`);
      const kind = index % 4;
      // The last two kinds begin where the journal is dropped: they rest until it was.
      const restMs = kind > 1 ? draw.between(2_000, 4_000) : draw.between(0, 1_000);
      resume(index, draw, await beginning(relay, kind, draw), restMs);
      await stage.pause(draw.between(50, 250));
    }
    await everybodyRested();
    await relay.rate(0);
    // Where a machine is so busy that the journal is dropped faster than anybody reads it, these still get it all.
    for (let index = count; index < count + LATE; index++) {
      const draw = stage.draw.fork(`resuming ${index}`);
      resume(index, draw, await beginning(relay, 1, draw), 0);
    }
    await everybodyRested();
    const verdict = await judge(stage, { relay, record, boundMs: 40_000, read: (of) => readRemembered(relay, of) });
    const refused = sum(stage.subscribers, 'not recovered');
    const midway = sum(stage.subscribers, 'gap') - refused;
    const served = stage.subscribers.filter(({ seen }) => !seen.has('gap')).length;
    const outcomes = { 'served whole': served, 'told at once': refused, 'told in mid-replay': midway };
    for (const [outcome, count] of Object.entries(outcomes))
      mustHold(count > 0, `every outcome is met, or this scenario tries too little: none was ${outcome}`);
    return {
      ...verdict,
      done: `${stage.subscribers.length} resumed over ${RETAINED_BYTES / MiB} MiB of journal: ${served} served whole, ${refused} told at once, ${midway} in mid-replay`,
    };
  },
};

const page = z.object({ events: z.array(z.looseObject({ id: z.string() })), cursor: z.string() });
const head = z.looseObject({ cursor: z.string() });

/** The very beginning, which is gone; a moment ago; or, twice as often, the oldest event that is held. */
async function beginning(relay: RelayProcess, kind: number, draw: Draw): Promise<string> {
  if (kind === 0) return '0-0';
  if (kind === 1) {
    const { epoch, offset } = cursorOf(head.parse((await relay.get('/v1/sessions?limit=1')).body).cursor);
    return formatCursor(epoch, Math.max(0, offset - draw.between(1, 500)));
  }
  const { events } = page.parse((await relay.get('/v1/events?since=0-0&limit=1')).body);
  return events[0]?.id ?? '0-0';
}

function cursorOf(text: string): Cursor {
  return parseCursor(text) ?? { epoch: 0, offset: 0 };
}

function sum(subscribers: readonly Subscriber[], what: string): number {
  return subscribers.reduce((total, { seen }) => total + (seen.get(what) ?? 0), 0);
}
