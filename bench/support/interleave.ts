import { medianOf, spread } from './numbers.js';

/**
 * Runs contestants in turn, A B C A B C …, so that whatever slows the machine for a while slows them all: what one run
 * says means little, the ratio of neighbours says more.
 */
export async function interleave<C, S>(
  contestants: readonly C[],
  rounds: number,
  run: (contestant: C, round: number) => Promise<S>,
): Promise<ReadonlyMap<C, readonly S[]>> {
  const samples = new Map<C, S[]>(contestants.map((one) => [one, []]));
  for (let round = 0; round < rounds; round++) {
    for (const contestant of contestants) samples.get(contestant)?.push(await run(contestant, round));
  }
  return samples;
}

/**
 * Each round's value by the baseline's of the same round, `median (least–most)`. Rounds in which either is void
 * (`undefined`) are left out.
 */
export function ratios(values: readonly (number | undefined)[], baseline: readonly (number | undefined)[]): string {
  const all = values.flatMap((value, round) => {
    const base = baseline[round];
    return value === undefined || base === undefined ? [] : [value / base];
  });
  return all.length === 0 ? 'void' : spread(all).replace(/^[^ ]+/, medianOf(all).toFixed(2));
}
