import { FAN_OUT_HEAD, fanOutTable } from './support/fan-out.js';
import type { Question } from './support/question.js';
import { openStand } from './support/stand.js';

const BASELINE = 'relay, 1 thread';
const CONTESTANTS = [
  () => openStand({ name: BASELINE, terms: { kind: 'relay' }, venue: true, core: 'any' }),
  () => openStand({ name: 'relay, 2 threads', terms: { kind: 'relay', workers: 2 }, venue: true, core: 'any' }),
];

export const workers: Question = {
  name: 'workers',
  asks: 'What do threads bring, and what do they cost, on this machine’s processors, which the load generator needs too?',
  async run({ quick }) {
    const rows = await fanOutTable(CONTESTANTS, quick ? [20] : [10_000], () => ({
      ...(quick ? { rounds: 1, forMs: 30 } : { rounds: 3, forMs: 400 }),
      baseline: BASELINE,
      isWarm: !quick,
    }));
    return {
      head: FAN_OUT_HEAD,
      rows,
      notes: [
        'Nothing is kept on a core here: server, threads and load generator share all of them. Where there are as many processors as threads and the generator together, deliveries a second grow as server CPU a delivery allows.',
      ],
    };
  },
};
