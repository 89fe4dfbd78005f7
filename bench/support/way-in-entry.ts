/**
 * Measures the steps of a venue's frame on its way in, each alone, in one process: what `bench/way-in.ts` tells. Says
 * its one message when it is done.
 */
import { createChannels } from '../../src/edge/channels.js';
import { entryOf, frameOf, headOf } from '../../src/edge/frames.js';
import { createHub } from '../../src/hub/hub.js';
import { createLmdbJournal } from '../../src/hub/journal/lmdb.js';
import { createLedger } from '../../src/hub/ledger.js';
import type { Fact, SessionEvent } from '../../src/model/event.js';
import { defaultSafetyPolicy } from '../../src/model/safety.js';
import { createJsonRpc, type Incoming } from '../../src/net/json-rpc.js';
import { silentLog } from '../../src/net/log.js';
import { systemClock } from '../../src/net/timer.js';
import { subscriptionText } from '../../src/simulators/deribit/wire.js';
import { initialMapperState, mapFrame } from '../../src/venues/deribit/mapper.js';
import type { SourceDescription } from '../../src/venues/venue.js';
import { DERIBIT_CHANNEL } from './channel.js';
import { instantJournal, oneSourceVenue } from './way-in-parts.js';
import { wayInTerms } from './way-in-terms.js';

const [, , json = '{}'] = process.argv;
const { events, rounds, folder } = wayInTerms.parse(JSON.parse(json));

const texts = Array.from({ length: events }, (_, id) =>
  subscriptionText('user.access_log', {
    id,
    timestamp: Date.now(),
    log: 'success',
    ip: '192.0.2.17',
    country: 'Netherlands',
  }),
);
const rpc = createJsonRpc({ clock: systemClock, send: () => {} });
const read = texts.map((text) => rpc.accept(text));
const state = initialMapperState('main', 'relay');
const map = (incoming: Incoming): readonly Fact[] => {
  if (incoming.kind !== 'notification') throw new Error('not a notification');
  return mapFrame(state, incoming, 1)[1].map((fact) => ({ ...fact, source: 'main' }));
};
const facts = read.map(map);
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
  { step: 'map: frame to fact', ns: timed(() => read.forEach((incoming) => void map(incoming))) },
  { step: 'ledger: key, cursor, fold, safety', ns: timed(() => void takeAll()) },
  { step: 'hub, whole: inbox, ledger, turn; a journal that does nothing', ns: await timedHub() },
  { step: 'journal: LMDB, one event a commit', ns: await timedJournal(1) },
  { step: 'journal: LMDB, 32 events a commit', ns: await timedJournal(32) },
  { step: 'render: JSON and frame', ns: timed(() => void renderAll()) },
  { step: 'edge: match, render, a group without members', ns: timed(() => publishAll()) },
];
process.send?.({ results });
process.on('disconnect', () => process.exit(0));

/** ns an event, once for each round; the first is thrown away. */
function timed(all: () => void): readonly number[] {
  const measured = Array.from({ length: rounds + 1 }, () => {
    const at = process.hrtime.bigint();
    all();
    return Number(process.hrtime.bigint() - at) / events;
  });
  return measured.slice(1);
}

async function timedAsync(all: (round: number) => Promise<void>): Promise<readonly number[]> {
  const measured: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const at = process.hrtime.bigint();
    await all(round);
    measured.push(Number(process.hrtime.bigint() - at) / events);
  }
  return measured.slice(1);
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
  for (const fact of facts) {
    ledger.take(fact, () => description);
    made.push(...ledger.close().turn.events);
    ledger.committed();
  }
  ledger.stop();
  return made;
}

function renderAll(): number {
  const head = headOf(DERIBIT_CHANNEL);
  return ledgered.reduce((sum, event) => sum + frameOf(head, '7-0', entryOf(event), 'full').bytes, 0);
}

function publishAll(): void {
  const channels = createChannels('7-0');
  channels.acquire(DERIBIT_CHANNEL, 'full', false);
  for (const event of ledgered) channels.publish({ events: [event], pulses: [] });
}

async function timedHub(): Promise<readonly number[]> {
  return timedAsync(async () => {
    const { venue, tell } = oneSourceVenue(description);
    const hub = createHub({
      venues: [venue],
      journal: instantJournal(),
      clock: systemClock,
      random: Math.random,
      node: 'bench',
    });
    await hub.start();
    for (const fact of facts) await tell(fact);
    await hub.stop({ orders: 'leave' });
  });
}

async function timedJournal(batch: number): Promise<readonly number[]> {
  return timedAsync(async (round) => {
    const journal = createLmdbJournal({ path: `${folder}/${batch}-${round}` });
    const { epoch } = await journal.open(Date.now());
    const own = ledgered.map((event, index) => ({ ...event, id: `${epoch}-${index + 1}` }));
    for (let at = 0; at < own.length; at += batch)
      await journal.append({ events: own.slice(at, at + batch), states: new Map() });
    await journal.close();
  });
}
