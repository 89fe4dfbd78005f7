import { Broken, mustHold } from '../broken.js';
import type { EntryInput } from '../entry-options.js';
import { judge, readJournal } from '../judge.js';
import { createJournalRecord } from '../record.js';
import { drawnCarrier, drawnChannels } from '../roster.js';
import type { Scenario } from '../scenario.js';
import { startVenues } from '../venues.js';

const SESSIONS = 8;
const RATE = 500;
const MiB = 1024 * 1024;

/** The relay is killed with SIGKILL in a loop while events flow, and sometimes while it starts: nothing is lost or told twice. */
export const kill9: Scenario = {
  name: 'kill-9',
  lane: 'ends',
  boundSeconds: [120, 40],
  async run(stage) {
    const venues = await startVenues(stage, { timesFaster: 1, since: Date.now() }, ['deribit', 'tradernet']);
    const options: Omit<EntryInput, 'transport' | 'seed'> = {
      journal: { engine: 'lmdb', path: stage.folder(), maxBytes: 256 * MiB },
      sources: venues.map(({ source }) => source),
      fountain: { sessions: SESSIONS, rate: RATE, padded: 2, padBytes: 512 },
    };
    let relay = await stage.relay(options);
    for (let index = 0; index < stage.size(48, 16); index++) {
      const draw = stage.draw.fork(`subscriber ${index}`);
      const folds = index % 12 === 0;
      stage.subscriber({
        name: `subscriber ${index}`,
        channels: folds ? ['>'] : drawnChannels(draw, [0, SESSIONS - 1]),
        open: drawnCarrier(draw),
        dial: () => ({ port: relay.port }),
        start: 'snapshot',
        backMs: [10, 150],
        folds,
        // A relay that is killed says no goodbye; one that starts refuses.
      });
    }
    await stage.until(() => stage.subscribers.every(({ isLive }) => isLive), 'everybody is live');
    const kills = stage.size(12, 3);
    let stillborn = 0;
    const early = createJournalRecord();
    for (let kill = 0; kill < kills; kill++) {
      await stage.pause(stage.draw.between(200, 900));
      // What is read now was committed: it must be there after the kill, unchanged.
      await readJournal(relay, early);
      await relay.kill();
      if (stage.draw.chance(0.3)) {
        stillborn++;
        await stage.stillborn(options, stage.draw.between(100, 900));
      }
      relay = await stage.relay(options);
    }
    await stage.until(() => stage.subscribers.every(({ isLive }) => isLive), 'everybody is live again');
    await stage.pause(300);
    await relay.rate(0);
    const record = createJournalRecord();
    const verdict = await judge(stage, { relay, record });
    const [before, after] = [early.sequence('>'), record.sequence('>')];
    for (let index = 0; index < before.length; index++) {
      if (before.at(index) !== after.at(index))
        throw new Broken(
          `what was read once is in the journal for ever: ${before.at(index)} became ${after.at(index)}`,
        );
    }
    mustHold(verdict.announced === 0, `a journal that survives serves every cursor: ${verdict.announced} gaps`);
    return {
      ...verdict,
      done: `${kills} kills while events flow, ${stillborn} more while it starts; ${stage.subscribers.length} subscribers resume each time`,
    };
  },
};
