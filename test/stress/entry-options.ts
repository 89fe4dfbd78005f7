import { z } from 'zod';
import { json } from '../../src/model/json.js';
import { journaledEvent } from './record.js';

/** What `relay-entry.ts` is told in its file: a relay as `startRelay` takes it, and what a stress run adds. */
export const entryOptions = z.strictObject({
  port: z.number().int().default(0),
  transport: z.enum(['uws', 'ws']),
  auth: z
    .discriminatedUnion('mode', [
      z.strictObject({ mode: z.literal('none') }),
      z.strictObject({ mode: z.literal('jwt'), secret: z.string() }),
    ])
    .default({ mode: 'none' }),
  limits: z
    .strictObject({
      maxConnectionsPerAddress: z.number().optional(),
      maxConnectionsPerIdentity: z.number().optional(),
      stallMs: z.number().optional(),
      maxBufferedBytes: z.number().optional(),
    })
    .default({}),
  journal: z.strictObject({
    engine: z.enum(['memory', 'lmdb']),
    path: z.string().optional(),
    maxBytes: z.number(),
  }),
  drainTimeoutMs: z.number().default(20_000),
  /** Entries of `sources`, as a configuration has them. */
  sources: z.array(z.record(z.string(), json)).default([]),
  fountain: z
    .strictObject({
      sessions: z.number().int().min(1),
      /** Events a second, over all sessions; 0: until it is told otherwise. */
      rate: z.number().min(0),
      padded: z.number().int().min(0).default(0),
      padBytes: z.number().int().min(0).default(0),
    })
    .optional(),
  pace: z.strictObject({ timesFaster: z.number().min(1), since: z.number() }).default({ timesFaster: 1, since: 0 }),
  /** Keeps every event that the hub publishes: for what the journal is to forget. */
  remembers: z.boolean().default(false),
  /** Reconnect delays are a drawn part of the ceiling: this is the largest part. */
  retryShare: z.number().min(0).max(1).default(1),
  seed: z.number().int(),
});
export type EntryOptions = z.output<typeof entryOptions>;
export type EntryInput = z.input<typeof entryOptions>;

/** What a relay process is asked over its IPC channel. */
export const entryRequest = z.discriminatedUnion('ask', [
  /** Collects garbage and says what the process holds. */
  z.strictObject({ ask: z.literal('measure'), id: z.number() }),
  /** Sets the fountain's rate; answers when what it told before is committed. */
  z.strictObject({ ask: z.literal('rate'), id: z.number(), rate: z.number().min(0) }),
  /** What was remembered, from an index on. */
  z.strictObject({ ask: z.literal('remembered'), id: z.number(), from: z.number() }),
  /** Moves the wall clock alone, as a correction does. */
  z.strictObject({ ask: z.literal('jump'), id: z.number(), byMs: z.number() }),
]);
export type EntryRequest = z.output<typeof entryRequest>;

export const entryAnswer = z.looseObject({ id: z.number() });

/** Most events of one answer to `remembered`. */
export const REMEMBERED_PAGE = 2_000;
export const rememberedAnswer = z.object({ id: z.number(), since: z.string(), events: z.array(journaledEvent) });
export type RememberedAnswer = z.output<typeof rememberedAnswer>;

/** What a process holds, after a collection. */
export const measure = z.object({
  id: z.number(),
  /** Open file descriptors, by /proc. */
  descriptors: z.number(),
  /** Timers that are set on the relay's clock. */
  timers: z.number(),
  heapBytes: z.number(),
  rssBytes: z.number(),
  /** `process.getActiveResourcesInfo()`, counted. */
  resources: z.record(z.string(), z.number()),
});
export type Measure = z.output<typeof measure>;
