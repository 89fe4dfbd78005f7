/**
 * Measures the steps of a venue's frame on its way in, each alone, in one process: what `bench/way-in.ts` tells. Says
 * its one message when it is done.
 */
import { createChannels } from '../../src/edge/channels.js';
import { entryOf, frameOf, headOf } from '../../src/edge/frames.js';
import { fitFact } from '../../src/hub/fact-size.js';
import { createHub } from '../../src/hub/hub.js';
import { MAX_BATCH_FACTS } from '../../src/hub/intake.js';
import { createLmdbJournal } from '../../src/hub/journal/lmdb.js';
import { createLedger } from '../../src/hub/ledger.js';
import type { Fact, SessionEvent } from '../../src/model/event.js';
import { defaultSafetyPolicy } from '../../src/model/safety.js';
import { createJsonRpc } from '../../src/net/json-rpc.js';
import { silentLog } from '../../src/net/log.js';
import { systemClock } from '../../src/net/timer.js';
import type { SourceDescription } from '../../src/venues/venue.js';
import { frameReader, instantJournal, oneSourceVenue, venueFrames } from './way-in-parts.js';
import { wayInTerms } from './way-in-terms.js';

/** Everything that a group can be told. */
const CHANNEL = 'deribit.>';
const [, , json = '{}'] = process.argv;
const { events, rounds, warmUp, commits, folder } = wayInTerms.parse(JSON.parse(json));

const texts = venueFrames(events);
const rpc = createJsonRpc({ clock: systemClock, send: () => {} });
const incoming = texts.map((text) => rpc.accept(text));
const batches = mapAll();
const description: SourceDescription = {
  venue: 'deribit',
  source: 'main',
  role: 'watch',
  safety: defaultSafetyPolicy('deribit'),
  forgetAfterMs: 86_400_000,
  provedBy: {},
};
const opened: Fact = { source: 'main', session: 'relay', type: 'session.opened', data: { kind: 'api', role: 'watch' } };
const ledgered = takeAll();

const results: { readonly step: string; readonly ns: readonly number[] }[] = [
  { step: 'JSON.parse alone, to compare', ns: timed(() => texts.forEach((text) => void JSON.parse(text))) },
  {
    step: 'parse: JSON, and what kind of frame it is',
    ns: timed(() => texts.forEach((text) => void rpc.accept(text))),
  },
  { step: 'map: schema check, frame to facts, their names', ns: timed(() => void mapAll()) },
  { step: 'size: how large each fact is', ns: timed(() => batches.flat().forEach((fact) => void fitFact(fact))) },
  { step: 'ledger: key, cursor, fold, safety', ns: timed(() => void takeAll()) },
  { step: 'hub, whole: size, inbox, ledger, turn; a journal that does nothing', ns: await timedHub() },
  { step: 'journal: LMDB, one event a commit', ns: await timedJournal(1) },
  { step: 'journal: LMDB, 32 events a commit', ns: await timedJournal(32) },
  { step: 'render: JSON and frame', ns: timed(() => void renderAll()) },
  { step: 'edge: match, render, a group without members', ns: timed(() => publishAll()) },
];
process.send?.({ results });
process.on('disconnect', () => process.exit(0));

/** ns a frame, once for each round, after so many that the code is compiled as it stays. */
function timed(all: () => void): readonly number[] {
  for (let done = 0; done < warmUp; done += events) all();
  return Array.from({ length: rounds }, () => {
    const at = process.hrtime.bigint();
    all();
    return Number(process.hrtime.bigint() - at) / events;
  });
}

function mapAll(): readonly (readonly Fact[])[] {
  const mapped: (readonly Fact[])[] = [];
  const read = frameReader((facts) => mapped.push(facts));
  for (const one of incoming) read(one);
  return mapped;
}

function takeAll(): readonly SessionEvent[] {
  const ledger = createLedger({
    journal: { hasKey: () => false },
    clock: systemClock,
    log: silentLog,
    epoch: 7,
    states: [],
    due: () => {},
  });
  ledger.take([opened], () => description);
  const made: SessionEvent[] = [];
  for (const facts of batches) {
    ledger.take(facts, () => description);
    ledger.deriveDue(MAX_BATCH_FACTS);
    made.push(...ledger.close().turn.events);
    ledger.committed();
  }
  ledger.stop();
  return made;
}

function renderAll(): number {
  const head = headOf(CHANNEL);
  return ledgered.reduce((sum, event) => sum + frameOf(head, '7-0', entryOf(event), 'full').bytes, 0);
}

function publishAll(): void {
  const channels = createChannels('7-0');
  channels.acquire(CHANNEL, 'full', false);
  for (const event of ledgered) channels.publish({ events: [event], pulses: [] });
}

async function timedHub(): Promise<readonly number[]> {
  const measured: number[] = [];
  for (let round = -Math.ceil(warmUp / events); round < rounds; round++) {
    const { venue, tell } = oneSourceVenue(description);
    const hub = createHub({
      venues: [venue],
      journal: instantJournal(),
      clock: systemClock,
      random: Math.random,
      node: 'bench',
    });
    await hub.start();
    await tell([opened]);
    const at = process.hrtime.bigint();
    for (const facts of batches) await tell(facts);
    if (round >= 0) measured.push(Number(process.hrtime.bigint() - at) / events);
    await hub.stop({ orders: 'leave' });
  }
  return measured;
}

/** Mostly waiting: it needs neither so many nor to be warm. */
async function timedJournal(batch: number): Promise<readonly number[]> {
  const measured: number[] = [];
  for (let round = 0; round <= commits.rounds; round++) {
    const journal = createLmdbJournal({ path: `${folder}/${batch}-${round}` });
    const { epoch } = await journal.open(Date.now());
    const own = ledgered.slice(0, commits.events).map((event, index) => ({ ...event, id: `${epoch}-${index + 1}` }));
    const at = process.hrtime.bigint();
    for (let from = 0; from < own.length; from += batch)
      await journal.append({ events: own.slice(from, from + batch), states: new Map() });
    measured.push(Number(process.hrtime.bigint() - at) / own.length);
    await journal.close();
  }
  return measured.slice(1);
}
