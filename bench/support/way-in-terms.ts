import { z } from 'zod';

export const wayInTerms = z.object({ events: z.number().int(), rounds: z.number().int(), folder: z.string() });
export const wayInResults = z.object({
  results: z.array(z.object({ step: z.string(), ns: z.array(z.number()) })),
});
