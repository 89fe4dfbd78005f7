import { z } from 'zod';
import { DIALECTS } from './dialect.js';

/** What a load generator is asked. */
export const loadAsk = z.discriminatedUnion('ask', [
  /** Starts a simulated Deribit; its entry of `sources`. */
  z.strictObject({ ask: z.literal('venue') }),
  z.strictObject({
    ask: z.literal('gather'),
    dialect: z.enum(DIALECTS),
    port: z.number(),
    connections: z.number().int().min(1),
    /** Connection n subscribes to channel n modulo their number; so many connections get one event. */
    channels: z.array(z.string()).min(1),
    token: z.string().optional(),
    cursor: z.string(),
    since: z.string().optional(),
    atOnce: z.number().int().min(1).default(200),
    until: z.enum(['connected', 'subscribed', 'caught_up']).default('subscribed'),
    trigger: z.enum(['venue', 'websocket', 'spout', 'nats', 'mqtt', 'http']),
    triggerPort: z.number(),
    /** Sessions that a spout's events happen to, in turn. */
    sessions: z.number().int().min(1).default(1),
    /** Subscribers that one event is delivered to. */
    perEvent: z.number().int().min(0),
  }),
  /** Fires bursts, each when the one before has come to everybody, until the time or the number of events is over. */
  z.strictObject({ ask: z.literal('window'), burst: z.number().int(), most: z.number().int(), forMs: z.number() }),
  /** Fires so many events a second, whatever becomes of them; the first `below` connections are sampled. */
  z.strictObject({ ask: z.literal('rate'), perSecond: z.number(), forMs: z.number(), below: z.number().int() }),
  /** Fires without waiting for anybody. */
  z.strictObject({ ask: z.literal('fire'), events: z.number().int() }),
  /** Connections from an index on stop reading; or read so many bytes now and then; or read on. */
  z.strictObject({ ask: z.literal('pause'), from: z.number().int() }),
  z.strictObject({ ask: z.literal('trickle'), from: z.number().int(), bytes: z.number(), everyMs: z.number() }),
  z.strictObject({ ask: z.literal('resume'), from: z.number().int() }),
  /** Of the first `below` connections; of all where it is not said. */
  z.strictObject({ ask: z.literal('status'), below: z.number().optional() }),
  z.strictObject({ ask: z.literal('leave') }),
]);
export type LoadAsk = z.output<typeof loadAsk>;
export type LoadInput = z.input<typeof loadAsk>;

export const gatherAnswer = z.object({ tookMs: z.number(), cpuUs: z.number() });
export const windowAnswer = z.object({
  events: z.number(),
  deliveries: z.number(),
  tookMs: z.number(),
  cpuUs: z.number(),
  faults: z.number(),
  firstFault: z.string().optional(),
});
export type WindowAnswer = z.output<typeof windowAnswer>;
/** Latencies in ms, from the write of the venue's frame to its arrival at a subscriber. */
export const rateAnswer = windowAnswer.extend({
  samples: z.number(),
  p50: z.number(),
  p99: z.number(),
  p999: z.number(),
  mostMs: z.number(),
});
export type RateAnswer = z.output<typeof rateAnswer>;
export const statusAnswer = z.object({
  deliveries: z.number(),
  faults: z.number(),
  firstFault: z.string().optional(),
  ended: z.number(),
  lagging: z.number(),
  /** Events of the connection that has the fewest, and of the one that has the most. */
  least: z.number(),
  most: z.number(),
});
