import { z } from 'zod';
import { json } from '../../../src/model/json.js';
import { EXTERNALS } from './external.js';

/** The key that subscribers of a relay with `auth: keys` come with: good for nothing else. */
export const BENCH_TOKEN = 'bench-key';

const relayTerms = z.strictObject({
  kind: z.literal('relay'),
  transport: z.enum(['uws', 'ws']).default('uws'),
  journal: z.enum(['memory', 'interval', 'always']).default('interval'),
  folder: z.string().optional(),
  auth: z.enum(['none', 'keys']).default('keys'),
  fields: z.enum(['full', 'redacted']).default('full'),
  metrics: z.boolean().default(true),
  workers: z.number().int().min(1).default(1),
  /** An entry of `sources`. */
  source: z.record(z.string(), json).optional(),
  /** Sessions of a spout beside it. */
  sessions: z.number().int().min(1).optional(),
});
export type RelayTerms = z.output<typeof relayTerms>;

/** What `server-entry.ts` is told. */
export const serverTerms = z.discriminatedUnion('kind', [
  relayTerms,
  z.strictObject({ kind: z.enum(['uws-publish', 'uws-send', 'ws', 'socket.io', ...EXTERNALS]), channel: z.string() }),
]);
export type ServerTerms = z.input<typeof serverTerms>;

/** What a server process is asked over its IPC channel, beside its `id`. */
export const serverAsk = z.discriminatedUnion('ask', [
  z.strictObject({ ask: z.literal('prepare'), events: z.number().int() }),
  z.strictObject({ ask: z.literal('pad'), bytes: z.number().int() }),
  z.strictObject({ ask: z.literal('cpu') }),
  z.strictObject({ ask: z.literal('memory') }),
  z.strictObject({ ask: z.literal('counts') }),
  /** Begins a CPU profile, or ends it and writes it to a file. */
  z.strictObject({ ask: z.literal('profile'), file: z.string().optional() }),
]);
export type ServerAsk = z.output<typeof serverAsk>;

export const serverReady = z.object({
  ready: z.literal(true),
  port: z.number(),
  triggerPort: z.number(),
  cursor: z.string(),
});
/** User and system time of the whole process, all threads, µs. */
export const cpuAnswer = z.object({ us: z.number() });
export const memoryAnswer = z.object({ rss: z.number(), heap: z.number(), external: z.number() });
export const countsAnswer = z.record(z.string(), z.number());
