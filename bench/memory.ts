import { DERIBIT_CHANNEL } from './support/channel.js';
import { shortNumber } from './support/numbers.js';
import type { Question } from './support/question.js';
import { openStand, type Stand, type StandOptions } from './support/stand.js';

const KIB = 1_024;
/** Without the pad one event has some 250 bytes: a kernel takes thousands of them before a subscriber lags. */
const PAD_BYTES = 30_000;
const MOST_PADDED = 400;

interface Case {
  readonly name: string;
  readonly open: StandOptions;
  /** Connected, and no more; subscribed; subscribed and reading nothing until it was said to lag. */
  readonly as: 'idle' | 'subscribed' | 'lagging';
  readonly connections: number;
}

export const memory: Question = {
  name: 'memory',
  asks: 'What memory does a connection take that is idle, subscribed, or lagging?',
  async run({ quick }) {
    const [many, few] = quick ? [20, 4] : [10_000, 200];
    const relay = { name: 'relay', terms: { kind: 'relay', journal: 'memory', sessions: 1, metrics: false } } as const;
    const overWs = { name: 'relay', terms: { ...relay.terms, transport: 'ws' } } as const;
    const raw = { name: 'raw', terms: { kind: 'uws-publish', channel: DERIBIT_CHANNEL } } as const;
    const cases: readonly Case[] = [
      { name: 'relay, uWebSockets.js', open: relay, as: 'idle', connections: many },
      { name: 'relay, uWebSockets.js', open: relay, as: 'subscribed', connections: many },
      { name: 'relay, uWebSockets.js', open: relay, as: 'lagging', connections: few },
      { name: 'relay, ws', open: overWs, as: 'idle', connections: many },
      { name: 'relay, ws', open: overWs, as: 'subscribed', connections: many },
      { name: 'relay, ws', open: overWs, as: 'lagging', connections: few },
      { name: 'uWebSockets.js publish', open: raw, as: 'subscribed', connections: many },
    ];
    const rows: (readonly string[])[] = [];
    for (const one of cases) rows.push(await measure(one));
    return {
      head: ['server', 'connection', 'connections', 'RSS a connection, KiB', 'heap a connection, KiB', 'external, KiB'],
      rows,
      notes: [
        'After a collection, less what the process had before anyone came. What kernels hold for a socket is not in it.',
        'A lagging one reads nothing: its socket holds part of `maxBufferedBytes` (256 KiB), and what is to be replayed is kept once for all of them (16 MiB at most).',
      ],
    };
  },
};

async function measure({ name, open, as, connections }: Case): Promise<readonly string[]> {
  const stand = await openStand({ ...open, nodeOptions: ['--expose-gc'] });
  try {
    const before = await stand.memory();
    const isRelay = open.terms.kind === 'relay';
    const channels = isRelay ? ['deribit.load.s0.session.updated'] : [DERIBIT_CHANNEL];
    await stand.gather({ connections, channels, until: as === 'idle' ? 'connected' : 'subscribed' });
    if (as === 'lagging') await makeLag(stand, connections);
    const after = await stand.memory();
    const each = (what: 'rss' | 'heap' | 'external'): string =>
      shortNumber((after[what] - before[what]) / connections / KIB);
    return [name, as, String(connections), each('rss'), each('heap'), each('external')];
  } finally {
    await stand.end();
  }
}

/** Nobody reads until the server has given up sending to each of them. */
async function makeLag(stand: Stand, connections: number): Promise<void> {
  await stand.pad(PAD_BYTES);
  await stand.ask({ ask: 'pause', from: 0 });
  for (let told = 0; told < MOST_PADDED; told += 10) {
    await stand.ask({ ask: 'fire', events: 10 });
    await new Promise<void>((resolve) => setTimeout(resolve, 50));
    if (((await stand.counts()).lagging ?? 0) >= connections) return;
  }
  throw new Error(`not everybody lags after ${MOST_PADDED} events of ${PAD_BYTES} bytes`);
}
