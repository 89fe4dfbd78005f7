import { z } from 'zod';

const count = z.number().int();

export const wayInTerms = z.object({
  /** Frames of one round. */
  events: count,
  rounds: count,
  /** Frames that each step takes before the clock runs. */
  warmUp: count,
  /** The same of the journal, one round of which is thrown away. */
  commits: z.object({ events: count, rounds: count }),
  folder: z.string(),
});
export const wayInResults = z.object({
  results: z.array(z.object({ step: z.string(), ns: z.array(z.number()) })),
});
