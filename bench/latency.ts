import { DERIBIT_CHANNEL } from './support/channel.js';
import { warmUp } from './support/fan-out.js';
import { interleave } from './support/interleave.js';
import { spread } from './support/numbers.js';
import { type Question, withStands } from './support/question.js';
import { openStand, type Stand } from './support/stand.js';

const CONTESTANTS = [
  () => openStand({ name: 'relay, sync: interval', terms: { kind: 'relay' }, venue: true }),
  () => openStand({ name: 'relay, sync: always', terms: { kind: 'relay', journal: 'always' }, venue: true }),
  () => openStand({ name: 'relay, memory', terms: { kind: 'relay', journal: 'memory' }, venue: true }),
  () => openStand({ name: 'uWebSockets.js publish', terms: { kind: 'uws-publish', channel: DERIBIT_CHANNEL } }),
];
/** Rates that one core of a server is idle at, and one that it is not. */
const CASES = [
  { connections: 10, rates: [1_000, 4_000] },
  { connections: 1_000, rates: [50] },
  { connections: 10_000, rates: [100] },
];
const QUICK_CASES = [{ connections: 5, rates: [200] }];
/** Beyond it a sample costs the generator more than it tells. */
const SAMPLED = 1_000;

export const latency: Question = {
  name: 'latency',
  asks: 'How long is an event on its way, from the write of the venue’s frame to its arrival at a subscriber, at a fixed rate?',
  async run({ quick }) {
    const rows: (readonly string[])[] = [];
    for (const { connections, rates } of quick ? QUICK_CASES : CASES) {
      const contestants = connections >= 10_000 ? [CONTESTANTS[0], CONTESTANTS[3]] : CONTESTANTS;
      const opening = contestants.flatMap((one) => one ?? []);
      rows.push(...(await withStands(opening, (stands) => atRates(stands, connections, rates, quick))));
    }
    return {
      head: [
        'subscribers',
        'events/s',
        'server',
        'p50, ms',
        'p99, ms',
        'p99.9, ms',
        'worst, ms',
        'deliveries/s',
        'server CPU, µs a delivery',
      ],
      rows,
      notes: [
        'Events leave at their times whether or not the last has arrived; the load generator looks for what has come as fast as it can. Its own reading is part of the time.',
        `Of many subscribers the first ${SAMPLED.toLocaleString('en-US')} are sampled; every frame of all of them is checked.`,
      ],
    };
  },
};

async function atRates(
  stands: readonly Stand[],
  connections: number,
  rates: readonly number[],
  quick: boolean,
): Promise<readonly (readonly string[])[]> {
  const [rounds, forMs] = quick ? [1, 100] : [3, 1_200];
  const rows: (readonly string[])[] = [];
  for (const stand of stands) {
    await stand.gather({ connections });
    if (!quick) await warmUp(stand);
  }
  for (const perSecond of rates) {
    const run = { perSecond, forMs, below: Math.min(connections, SAMPLED) };
    await interleave(stands, 1, (stand) => stand.rate({ ...run, forMs: forMs / 2 }));
    const samples = await interleave(stands, rounds, (stand) => stand.rate(run));
    for (const [stand, all] of samples) {
      const fault = all.find(({ faults }) => faults > 0)?.firstFault;
      rows.push([
        String(connections),
        String(perSecond),
        stand.name,
        fault === undefined ? spread(all.map(({ p50 }) => p50)) : `void: ${fault}`,
        spread(all.map(({ p99 }) => p99)),
        spread(all.map(({ p999 }) => p999)),
        spread(all.map(({ mostMs }) => mostMs)),
        spread(all.map(({ deliveries, tookMs }) => (deliveries / tookMs) * 1_000)),
        spread(all.map(({ serverUs, deliveries }) => serverUs / deliveries)),
      ]);
    }
  }
  return rows;
}
