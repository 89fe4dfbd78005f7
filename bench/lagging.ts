import { interleave } from './support/interleave.js';
import { medianOf, shortNumber, spread } from './support/numbers.js';
import type { Question } from './support/question.js';
import { openStand, type Stand } from './support/stand.js';

/** What is said to make somebody lag: kernels take a few MB for one who does not read. */
const PAD_BYTES = 30_000;
const MOST_PADDED = 600;
/** Fewer bytes than one turn may bring to a subscriber who reads: those who do must not lag. */
const PADDED_AT_ONCE = 3;
/** A laggard reads so much now and then: less than is said, so that it is replayed all the time and never live. */
const TRICKLE_BYTES = 2_048;
const TRICKLE_EVERY_MS = 100;
const PATIENCE_MS = 30_000;

export const lagging: Question = {
  name: 'lagging',
  asks: 'A tenth of the subscribers lags: what do the others notice of it?',
  async run({ quick }) {
    const [connections, perSecond, forMs, rounds] = quick ? [20, 100, 200, 1] : [1_000, 200, 3_000, 3];
    const stand = await openStand({ name: 'relay', terms: { kind: 'relay', sessions: 1, metrics: false } });
    try {
      const all = { connections, channels: ['deribit.load.s0.session.updated'] };
      await stand.gather(all);
      const well = connections - Math.max(1, Math.floor(connections / 10));
      const run = { perSecond, forMs, below: well };
      await stand.rate({ ...run, forMs: forMs / 2 });
      const samples = await interleave(['nobody lags', 'a tenth lags'] as const, rounds, async (how) => {
        if (how === 'nobody lags') return { ...(await stand.rate(run)), lagging: (await stand.counts()).lagging ?? 0 };
        await makeLag(stand, well, connections - well);
        const sample = await stand.rate(run);
        const { lagging: left = 0 } = await stand.counts();
        await catchUp(stand, well);
        return { ...sample, lagging: left };
      });
      const base = medianOf((samples.get('nobody lags') ?? []).map(({ p99 }) => p99));
      return {
        head: [
          'of the subscribers',
          'subscribers',
          'events/s',
          'p50 of the others, ms',
          'p99 of the others, ms',
          'p99 ×',
          'p99.9 of the others, ms',
          'lagging at the end',
          'server CPU, µs a delivery',
        ],
        rows: [...samples].map(([how, one]) => {
          const fault = one.find(({ faults }) => faults > 0)?.firstFault;
          return [
            how,
            String(connections),
            String(perSecond),
            fault === undefined ? spread(one.map(({ p50 }) => p50)) : `void: ${fault}`,
            spread(one.map(({ p99 }) => p99)),
            (medianOf(one.map(({ p99 }) => p99)) / base).toFixed(2),
            spread(one.map(({ p999 }) => p999)),
            spread(one.map((sample) => sample.lagging)),
            spread(one.map(({ serverUs, deliveries }) => serverUs / deliveries)),
          ];
        }),
        notes: [
          `${shortNumber(connections * perSecond)} deliveries a second. Who lags has stopped reading until it was told so, and then reads ${shortNumber(TRICKLE_BYTES)} bytes each ${TRICKLE_EVERY_MS} ms, so that its replay goes on and never ends. Between two runs all are live again, and their chains are whole.`,
        ],
      };
    } finally {
      await stand.end();
    }
  },
};

async function makeLag(stand: Stand, from: number, laggards: number): Promise<void> {
  await stand.pad(PAD_BYTES);
  await stand.ask({ ask: 'pause', from });
  let isLagging = false;
  for (let told = 0; !isLagging && told < MOST_PADDED; told += PADDED_AT_ONCE) {
    const { most } = await stand.status(from);
    await stand.ask({ ask: 'fire', events: PADDED_AT_ONCE });
    await calm(stand, from, most + PADDED_AT_ONCE);
    isLagging = ((await stand.counts()).lagging ?? 0) >= laggards;
  }
  await stand.pad(0);
  await calm(stand, from);
  const { lagging: left = 0 } = await stand.counts();
  if (left !== laggards) throw new Error(`${left} lag instead of ${laggards} after ${MOST_PADDED} padded events`);
  await stand.ask({ ask: 'trickle', from, bytes: TRICKLE_BYTES, everyMs: TRICKLE_EVERY_MS });
}

async function catchUp(stand: Stand, from: number): Promise<void> {
  await stand.ask({ ask: 'resume', from });
  await calm(stand);
}

/** Until all subscribers, or the first `below` of them, have got the same, and no fewer than so many. */
async function calm(stand: Stand, below?: number, events = 0): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const { least, most } = await stand.status(below);
    if (least === most && least >= events) return;
    if (performance.now() > deadline) throw new Error(`some have ${least} events and others ${most}`);
    await new Promise<void>((resolve) => setTimeout(resolve, 20));
  }
}
