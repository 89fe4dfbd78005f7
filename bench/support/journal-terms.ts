import { z } from 'zod';

export const journalTerms = z.object({
  engine: z.enum(['memory', 'interval', 'always']),
  /** Events of one append. */
  batch: z.number().int(),
  events: z.number().int(),
  /** Events of one read. */
  page: z.number().int(),
  folder: z.string(),
  rounds: z.number().int(),
});
/** Once for each round: events a second; how long an append takes (99 of 100, ms); its processor time, all threads (µs). */
export const journalResults = z.object({
  append: z.array(z.number()),
  replay: z.array(z.number()),
  latency: z.array(z.number()),
  cpu: z.array(z.number()),
});
