/** Appends to a journal and reads it again: what `bench/journal.ts` tells. Says its one message when it is done. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Journal } from '../../src/hub/journal/journal.js';
import { createLmdbJournal } from '../../src/hub/journal/lmdb.js';
import { createMemoryJournal } from '../../src/hub/journal/memory.js';
import { formatCursor } from '../../src/model/cursor.js';
import type { SessionEvent } from '../../src/model/event.js';
import { journalTerms } from './journal-terms.js';

const [, , json = '{}'] = process.argv;
const { engine, batch, events, page, folder, rounds } = journalTerms.parse(JSON.parse(json));
const append: number[] = [];
const replay: number[] = [];
const latency: number[] = [];
const cpu: number[] = [];
for (let round = 0; round < rounds; round++) await measure(round);
process.send?.({ append, replay, latency, cpu });
process.on('disconnect', () => process.exit(0));

async function measure(round: number): Promise<void> {
  const journal = journalOf(round);
  const { epoch } = await journal.open(Date.now());
  const each: number[] = [];
  const used = process.cpuUsage();
  let at = performance.now();
  for (let offset = 0; offset < events; offset += batch) {
    const some = Array.from({ length: Math.min(batch, events - offset) }, (_, index) =>
      eventOf(epoch, offset + index + 1),
    );
    const begun = performance.now();
    await journal.append({ events: some, states: new Map() });
    each.push(performance.now() - begun);
  }
  append.push((events / (performance.now() - at)) * 1_000);
  const { user, system } = process.cpuUsage(used);
  cpu.push((user + system) / each.length);
  each.sort((a, b) => a - b);
  latency.push(each[Math.floor(each.length * 0.99)] ?? 0);
  await nextTurn();
  at = performance.now();
  let read = 0;
  for (let after = formatCursor(epoch, 0), more = true; more; ) {
    const found = await journal.read(after, page);
    read += found.events.length;
    ({ cursor: after, more } = found);
  }
  replay.push((read / (performance.now() - at)) * 1_000);
  if (read !== events) throw new Error(`${read} of ${events} events were read again`);
  await journal.close();
}

function journalOf(round: number): Journal {
  if (engine === 'memory') return createMemoryJournal();
  return createLmdbJournal({ path: `${folder}/${round}`, sync: engine });
}

function eventOf(epoch: number, offset: number): SessionEvent {
  return {
    id: formatCursor(epoch, offset),
    key: `deribit.main.relay.access.logged:${1_000_000_000 + offset}`,
    source: '/deribit/main',
    subject: 'deribit.main.relay',
    type: 'access.logged',
    time: '2026-11-24T10:00:00.000Z',
    data: { action: 'success', venueTime: '2026-11-24T10:00:00.000Z', ip: '192.0.2.17', country: 'Netherlands' },
  };
}
