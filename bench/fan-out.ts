import { DERIBIT_CHANNEL } from './support/channel.js';
import { FAN_OUT_HEAD, fanOutTable } from './support/fan-out.js';
import type { Question } from './support/question.js';
import { openStand } from './support/stand.js';

const BASELINE = 'uWebSockets.js publish';
const CONTESTANTS = [
  () => openStand({ name: 'relay, uWebSockets.js', terms: { kind: 'relay', transport: 'uws' }, venue: true }),
  () => openStand({ name: BASELINE, terms: { kind: 'uws-publish', channel: DERIBIT_CHANNEL } }),
  () => openStand({ name: 'uWebSockets.js, a flat loop', terms: { kind: 'uws-send', channel: DERIBIT_CHANNEL } }),
  () => openStand({ name: 'relay, ws', terms: { kind: 'relay', transport: 'ws' }, venue: true }),
];

export const fanOut: Question = {
  name: 'fan-out',
  asks: 'What does it cost to bring one event to many subscribers, beside uWebSockets.js with nothing around it?',
  async run({ quick }) {
    const sizes = quick ? [1, 20] : [1, 10, 100, 1_000, 10_000];
    const rows = await fanOutTable(CONTESTANTS, sizes, (connections) => ({
      ...(quick ? { rounds: 1, forMs: 30 } : { rounds: 5, forMs: connections >= 10_000 ? 700 : 250 }),
      baseline: BASELINE,
      isWarm: !quick,
    }));
    return {
      head: FAN_OUT_HEAD,
      rows,
      notes: [
        "The relay is the whole of it: a frame at a simulated Deribit's socket, mapper, hub, LMDB journal (`sync: interval`), grants of a key, `previous`, metrics. The others send its frames, which are ready as bytes, and are told of an event by a message on a WebSocket of their own.",
        'One at a time: the next event when everybody has the last; bursts: so many frames in one write, the next when all have arrived.',
        'Ratios are of neighbouring runs; server CPU is user and system time of the whole process, LMDB’s threads too.',
      ],
    };
  },
};
