import { warmUp } from './support/fan-out.js';
import { interleave, ratios } from './support/interleave.js';
import { spread } from './support/numbers.js';
import { type Question, withStands } from './support/question.js';
import { openStand, type Stand } from './support/stand.js';

const BASELINE = 'everything on';
const CONTESTANTS = [
  { name: BASELINE, terms: { kind: 'relay' } },
  { name: 'without grants (auth: none)', terms: { kind: 'relay', auth: 'none' } },
  { name: 'with redaction (fields: redacted)', terms: { kind: 'relay', fields: 'redacted' } },
  { name: 'without metrics', terms: { kind: 'relay', metrics: false } },
  { name: 'journal: memory', terms: { kind: 'relay', journal: 'memory' } },
  { name: 'journal: sync always', terms: { kind: 'relay', journal: 'always' } },
] as const;

export const costs: Question = {
  name: 'costs',
  asks: 'What do grants, redaction, metrics and the journal cost? One is changed at a time.',
  async run({ quick }) {
    const rows: (readonly string[])[] = [];
    for (const connections of quick ? [5] : [10, 1_000]) {
      const opening = CONTESTANTS.map(
        ({ name, terms }) =>
          () =>
            openStand({ name, terms, venue: true }),
      );
      rows.push(...(await withStands(opening, (stands) => compare(stands, connections, quick))));
    }
    return {
      head: ['subscribers', 'relay', 'events/s', '× baseline', 'server CPU, µs an event', '× baseline'],
      rows,
      notes: ['One event at a time, uWebSockets.js, a frame of a simulated Deribit each.'],
    };
  },
};

async function compare(
  stands: readonly Stand[],
  connections: number,
  quick: boolean,
): Promise<readonly (readonly string[])[]> {
  const [rounds, forMs] = quick ? [1, 50] : [5, 350];
  for (const stand of stands) {
    await stand.gather({ connections });
    if (!quick) await warmUp(stand);
  }
  const window = { burst: 1, most: 100_000, forMs };
  await interleave(stands, 1, (stand) => stand.window(window));
  const samples = await interleave(stands, rounds, (stand) => stand.window(window));
  const [first] = stands;
  const base = first === undefined ? [] : (samples.get(first) ?? []);
  const speed = ({ events, tookMs }: { readonly events: number; readonly tookMs: number }): number =>
    (events / tookMs) * 1_000;
  const cost = ({ events, serverUs }: { readonly events: number; readonly serverUs: number }): number =>
    serverUs / events;
  return [...samples].map(([stand, all]) => {
    const fault = all.find(({ faults }) => faults > 0)?.firstFault;
    return [
      String(connections),
      stand.name,
      fault === undefined ? spread(all.map(speed)) : `void: ${fault}`,
      stand.name === BASELINE ? '1' : ratios(all.map(speed), base.map(speed)),
      spread(all.map(cost)),
      stand.name === BASELINE ? '1' : ratios(all.map(cost), base.map(cost)),
    ];
  });
}
