import { interleave } from './support/interleave.js';
import { spread } from './support/numbers.js';
import { type Question, withStands } from './support/question.js';
import { openStand, type Stand } from './support/stand.js';

export const groups: Question = {
  name: 'groups',
  asks: 'What does it cost that subscribers follow different channels? The same subscribers, in more and more channel groups, each with a session of its own.',
  async run({ quick }) {
    const subscribers = quick ? 20 : 10_000;
    const sizes = quick ? [1, 5, 20] : [1, 10, 100, 1_000, 10_000];
    const [rounds, forMs] = quick ? [1, 50] : [5, 500];
    const rows: (readonly string[])[] = [];
    for (const count of sizes) {
      const opening = [
        () => openStand({ name: String(count), terms: { kind: 'relay', journal: 'memory', sessions: count } }),
      ];
      rows.push(...(await withStands(opening, (stands) => cost(stands, { subscribers, count, rounds, forMs }))));
    }
    return {
      head: [
        'groups',
        'subscribers a group',
        'events/s',
        'deliveries/s',
        'server CPU, µs an event',
        'server CPU, µs a delivery',
      ],
      rows,
      notes: [
        'One group after the other has an event, each when the one before was delivered. Journal in memory: what is asked is what groups cost.',
      ],
    };
  },
};

async function cost(
  stands: readonly Stand[],
  terms: { readonly subscribers: number; readonly count: number; readonly rounds: number; readonly forMs: number },
): Promise<readonly (readonly string[])[]> {
  const { subscribers, count, rounds, forMs } = terms;
  const perEvent = subscribers / count;
  // The last token keeps the derived events out, so that an event is a frame.
  const channels = Array.from({ length: count }, (_, index) => `deribit.load.s${index}.session.updated`);
  for (const stand of stands) await stand.gather({ connections: subscribers, channels, perEvent, sessions: count });
  const window = { burst: 1, most: 100_000, forMs };
  await interleave(stands, 1, (stand) => stand.window(window));
  const samples = await interleave(stands, rounds, (stand) => stand.window(window));
  return [...samples.values()].map((all) => {
    const fault = all.find(({ faults }) => faults > 0)?.firstFault;
    return [
      String(count),
      String(perEvent),
      fault === undefined ? spread(all.map(({ events, tookMs }) => (events / tookMs) * 1_000)) : `void: ${fault}`,
      spread(all.map(({ deliveries, tookMs }) => (deliveries / tookMs) * 1_000)),
      spread(all.map(({ serverUs, events }) => serverUs / events)),
      spread(all.map(({ serverUs, deliveries }) => serverUs / deliveries)),
    ];
  });
}
