import { vi } from 'vitest';

/**
 * How many inputs the whole of `test/fuzz` tries, and from which seed. Both are the same in every run unless they are
 * asked for otherwise: `FUZZ_RUNS=2000000 FUZZ_SEED=7 npx vitest run test/fuzz`. A failure prints its seed and path.
 */
const DEFAULT_RUNS = 110_000;
const DEFAULT_SEED = 20_261_124;

/** Ten times what a busy machine needs; a longer run gets longer. */
vi.setConfig({ testTimeout: Math.max(60_000, numberOf('FUZZ_RUNS', DEFAULT_RUNS) * 2) });

/** Which part of the inputs each property tries. */
const SHARES = {
  'protocol frames': 0.2,
  'protocol sequences': 0.1,
  'deribit frames': 0.12,
  'deribit feed': 0.03,
  'tradernet frames': 0.12,
  'tradernet feed': 0.03,
  'ibkr frames': 0.12,
  'ibkr feed': 0.03,
  'snaptrade lists': 0.08,
  'snaptrade feed': 0.03,
  'python json': 0.05,
  webhooks: 0.05,
  routes: 0.02,
  sockets: 0.01,
  carriers: 0.01,
} as const;

export type Share = keyof typeof SHARES;

/** What the shares amount to: all of it. */
export const SHARED = Object.values(SHARES).reduce((sum, part) => sum + part, 0);

export const FUZZ_RUNS = numberOf('FUZZ_RUNS', DEFAULT_RUNS);
export const FUZZ_SEED = numberOf('FUZZ_SEED', DEFAULT_SEED);

/** How many inputs one property tries. */
export function inputsOf(share: Share): number {
  return Math.ceil(FUZZ_RUNS * SHARES[share]);
}

/** Parameters of one property; `inputsPerRun`: how many inputs each of its runs tries. */
export function runsOf(share: Share, inputsPerRun = 1): { readonly seed: number; readonly numRuns: number } {
  return { seed: FUZZ_SEED, numRuns: Math.ceil(inputsOf(share) / inputsPerRun) };
}

/** A whole number from the environment. */
function numberOf(name: string, fallback: number): number {
  const given = process.env[name];
  if (given === undefined || given === '') return fallback;
  const number = Number(given);
  if (!Number.isSafeInteger(number)) throw new Error(`${name} is a whole number, not ${given}`);
  return number;
}
