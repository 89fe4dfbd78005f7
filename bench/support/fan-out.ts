import { interleave, ratios } from './interleave.js';
import { spread } from './numbers.js';
import { withStands } from './question.js';
import type { Measured, Stand } from './stand.js';

/** How events follow each other. */
export const PACES = [
  { name: 'one at a time', burst: 1 },
  { name: 'bursts of 8', burst: 8 },
  { name: 'bursts of 32', burst: 32 },
] as const;

export const FAN_OUT_HEAD = [
  'subscribers',
  'pace',
  'server',
  'deliveries/s',
  '× baseline',
  'server CPU, µs a delivery',
  '× baseline',
  'load generator, % of a core',
];

export interface FanOutTerms {
  readonly connections: number;
  readonly rounds: number;
  readonly forMs: number;
  readonly baseline: string;
  /** Measured when it is warm. */
  readonly isWarm: boolean;
}

/** Events of one window at most: what contestants that are not the relay have ready. */
const MOST_EVENTS = 4_096;
/** Windows of each pace that are thrown away. */
const WARM_UP = 1;
/** Before the first: so many events, or as many as come in the time. Whoever runs for days runs compiled code. */
const WARM_EVENTS = 20_000;
const WARM_MS = 1_500;
const WARM_BURST = 32;

/** Code is compiled, and kernels' buffers grow. */
export async function warmUp(stand: Stand): Promise<void> {
  const until = performance.now() + WARM_MS;
  for (let events = 0; events < WARM_EVENTS; ) {
    const forMs = until - performance.now();
    if (forMs <= 0) return;
    events += (await stand.window({ burst: WARM_BURST, most: MOST_EVENTS, forMs })).events;
  }
}

/** The rows of several numbers of subscribers, each with stands of its own. */
export async function fanOutTable(
  contestants: readonly (() => Promise<Stand>)[],
  sizes: readonly number[],
  termsOf: (connections: number) => Omit<FanOutTerms, 'connections'>,
): Promise<readonly (readonly string[])[]> {
  const rows: (readonly string[])[] = [];
  for (const connections of sizes)
    rows.push(
      ...(await withStands(contestants, (stands) => fanOutRows(stands, { connections, ...termsOf(connections) }))),
    );
  return rows;
}

/** The rows of one number of subscribers: every contestant in turn, at each pace, `rounds` times. */
async function fanOutRows(stands: readonly Stand[], terms: FanOutTerms): Promise<readonly (readonly string[])[]> {
  const { connections, rounds, forMs, isWarm } = terms;
  for (const stand of stands) {
    await stand.gather({ connections });
    if (isWarm) await warmUp(stand);
  }
  const rows: (readonly string[])[] = [];
  for (const { name, burst } of PACES) {
    const window = { burst, most: MOST_EVENTS, forMs };
    await interleave(stands, WARM_UP, (stand) => stand.window({ ...window, forMs: forMs / 2 }));
    const samples = await interleave(stands, rounds, (stand) => stand.window(window));
    rows.push(...tell(stands, samples, { ...terms, pace: name }));
  }
  return rows;
}

function tell(
  stands: readonly Stand[],
  samples: ReadonlyMap<Stand, readonly Measured[]>,
  { connections, baseline, pace }: FanOutTerms & { readonly pace: string },
): readonly (readonly string[])[] {
  const of = (name: string, value: (one: Measured) => number): readonly (number | undefined)[] => {
    const stand = stands.find((one) => one.name === name);
    const all = stand === undefined ? [] : (samples.get(stand) ?? []);
    // A run that lost anything is void.
    return all.map((one) => (one.faults > 0 ? undefined : value(one)));
  };
  const throughput = (one: Measured): number => (one.deliveries / one.tookMs) * 1_000;
  const cost = (one: Measured): number => one.serverUs / one.deliveries;
  const loadShare = (one: Measured): number => one.cpuUs / one.tookMs / 10;
  const known = (values: readonly (number | undefined)[]): readonly number[] =>
    values.filter((one) => one !== undefined);
  return stands.map((stand) => {
    const why = samples.get(stand)?.find(({ firstFault }) => firstFault !== undefined)?.firstFault;
    const [speeds, costs] = [of(stand.name, throughput), of(stand.name, cost)];
    return [
      String(connections),
      pace,
      stand.name,
      why === undefined ? spread(known(speeds)) : `void: ${why}`,
      stand.name === baseline ? '1' : ratios(speeds, of(baseline, throughput)),
      spread(known(costs)),
      stand.name === baseline ? '1' : ratios(costs, of(baseline, cost)),
      spread(known(of(stand.name, loadShare))),
    ];
  });
}
