import { z } from 'zod';

/** What a lane is told when it is started, and what it tells meanwhile. */
export const laneOptions = z.strictObject({
  seed: z.number(),
  short: z.boolean(),
  /** Scenarios take turns. */
  transports: z.array(z.enum(['uws', 'ws'])).min(1),
  names: z.array(z.string()),
  /** Where directories are made; whoever made it removes it. */
  folder: z.string(),
});

export const laneMessage = z.discriminatedUnion('said', [
  z.object({ said: z.literal('begins'), name: z.string() }),
  z.object({ said: z.literal('row'), row: z.string(), broken: z.string().optional() }),
]);
export type LaneMessage = z.output<typeof laneMessage>;
