import { Broken, mustHold } from '../broken.js';
import { becomes, becomesCalm } from '../calm.js';
import { judge, readJournal } from '../judge.js';
import { createJournalRecord, type JournaledEvent } from '../record.js';
import { drawnCarrier } from '../roster.js';
import type { Scenario } from '../scenario.js';
import { startVenues } from '../venues.js';

const TIMES_FASTER = 12;
const RETRY_SHARE = 0.01;
const SESSION = 'deribit.main.relay';
/** 1.5 intervals of 10 s and 2 s more (PROTOCOL.md §2). */
const MISSED_AFTER_MS = 17_000;
/** What says that the session works again. */
const BACK = ['heartbeat.resumed', 'session.restored', 'session.opened'];

/** A venue that stays connected and says nothing: told by the heartbeat alone, and never `safe` meanwhile. */
export const heartbeatSilence: Scenario = {
  name: 'heartbeat-silence',
  lane: 'venues',
  boundSeconds: [120, 40],
  async run(stage) {
    const pace = { timesFaster: TIMES_FASTER, since: Date.now() };
    const [deribit] = await startVenues(stage, pace, ['deribit']);
    if (deribit === undefined) throw new Error('no venue');
    const relay = await stage.relay({
      journal: { engine: 'memory', maxBytes: 64 * 1024 * 1024 },
      sources: [{ ...deribit.source, safety: { role: 'trading' } }],
      pace,
      retryShare: RETRY_SHARE,
    });
    const calm = await becomesCalm(stage, relay, ['deribit']);
    for (const channel of ['>', 'deribit.main.relay.>', '*.*.*.heartbeat.*', 'deribit.main.-.>']) {
      stage.subscriber({
        name: `watching ${channel}`,
        channels: [channel],
        open: drawnCarrier(stage.draw.fork(channel)),
        dial: () => ({ port: relay.port }),
        backMs: [5, 100],
        start: 'snapshot',
        folds: channel === '>',
        pulses: stage.draw.chance(0.5),
      });
    }
    const record = createJournalRecord({ keep: ({ subject }) => subject.startsWith('deribit.main.') });
    const count = async (type: string): Promise<number> => {
      await readJournal(relay, record);
      return record.count(type);
    };
    const rounds = stage.size(6, 1);
    for (let round = 1; round <= rounds; round++) {
      const before = await count('link.up');
      // The line goes dead, or the venue itself says nothing more; TCP stays up both times.
      if (stage.draw.chance(0.5)) deribit.line.cut('half_open');
      else deribit.simulator.fault('silence');
      await stage.until(async () => (await count('link.up')) > before, 'the source reconnects after silence');
      await becomes(stage, relay, calm);
    }
    const verdict = await judge(stage, { relay, record });
    const missed = record.count('heartbeat.missed');
    mustHold(missed >= rounds, `each silence is told: ${missed} heartbeat.missed of ${rounds}`);
    neverSafeInSilence(record.kept);
    return { ...verdict, done: `${rounds} silences on open sockets: ${missed} heartbeat.missed, each reconnected` };
  },
};

/** From `heartbeat.missed` on the session is not `safe` until something proves that it works. */
function neverSafeInSilence(events: readonly JournaledEvent[]): void {
  let level = 'unknown';
  let since: JournaledEvent | undefined;
  for (const event of events) {
    const { id, type, subject, data } = event;
    if (subject === SESSION && type === 'heartbeat.missed') {
      mustHold((data.silentMs ?? 0) >= MISSED_AFTER_MS, `${id} is told after ${data.silentMs} ms, which is too soon`);
      since ??= event;
    }
    if (subject === SESSION && type === 'safety.changed') level = data.level ?? 'unknown';
    if (since !== undefined && level === 'safe' && type === 'safety.changed')
      throw new Broken(`never safe in silence: ${id} says safe, and ${since.id} was not resumed`);
    if (since !== undefined && type === 'link.down' && subject.endsWith('.-')) {
      mustHold(data.initiator === 'relay', `${id}: the relay ends a silent link itself, not ${data.initiator}`);
      mustHold(level !== 'safe', `never safe in silence: still safe at ${id}, since ${since.id}`);
    }
    if (subject === SESSION && BACK.includes(type)) since = undefined;
  }
}
