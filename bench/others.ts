import { DERIBIT_CHANNEL } from './support/channel.js';
import { FAN_OUT_HEAD, fanOutTable } from './support/fan-out.js';
import type { Question } from './support/question.js';
import { EXTERNALS, programOf } from './support/servers/external.js';
import { openStand } from './support/stand.js';

const BASELINE = 'uWebSockets.js publish';
const CONTESTANTS = [
  () => openStand({ name: 'relay, uWebSockets.js', terms: { kind: 'relay' }, venue: true }),
  () => openStand({ name: BASELINE, terms: { kind: 'uws-publish', channel: DERIBIT_CHANNEL } }),
  () => openStand({ name: 'ws, framed once', terms: { kind: 'ws', channel: DERIBIT_CHANNEL } }),
  () => openStand({ name: 'socket.io 4, emit to a room', terms: { kind: 'socket.io', channel: DERIBIT_CHANNEL } }),
];

export const others: Question = {
  name: 'others',
  asks: 'The same fan-out through other servers: what do they make of it?',
  async run({ quick }) {
    const here = EXTERNALS.filter((name) => programOf(name) !== undefined);
    const missing = EXTERNALS.filter((name) => !here.includes(name));
    const contestants = [
      ...CONTESTANTS,
      ...here.map((name) => () => openStand({ name, terms: { kind: name, channel: DERIBIT_CHANNEL } })),
    ];
    const rows = await fanOutTable(contestants, quick ? [5] : [1_000], () => ({
      ...(quick ? { rounds: 1, forMs: 30 } : { rounds: 5, forMs: 250 }),
      baseline: BASELINE,
      isWarm: !quick,
    }));
    return {
      head: FAN_OUT_HEAD,
      rows,
      notes: [
        'All but the relay keep nothing, check nobody and cannot say what was missed. nchan is one nginx process without a master, NATS may use what its core has.',
        ...(missing.length === 0 ? [] : [`Left out, because they are not installed: ${missing.join(', ')}.`]),
      ],
    };
  },
};
