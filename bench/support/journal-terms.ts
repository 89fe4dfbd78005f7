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
/** Events a second, once for each round. */
export const journalResults = z.object({ append: z.array(z.number()), replay: z.array(z.number()) });
