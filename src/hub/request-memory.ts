import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { CommandReply } from '../bus/bus.js';
import { type Json, json } from '../model/json.js';
import type { Clock } from '../net/clock.js';

/** How long a `requestId` is remembered. */
export const REQUEST_MEMORY_MS = 600_000;
/** So many reading commands are remembered at most, and so many acting ones; the oldest are forgotten first. */
export const MAX_REQUESTS = 10_000;

export type Outcome = 'succeeded' | 'failed' | 'unknown';

/** What the journal keeps of a command, under {@link requestName}: never its parameters, nor its result. */
export interface RequestRecord {
  readonly by: string;
  readonly requestId: string;
  /** {@link callName} of what was asked. */
  readonly call: string;
  readonly state: 'running' | Outcome;
  /** Wall-clock ms. */
  readonly at: number;
  /** Where the trail of the command ends; absent while it runs. */
  readonly cursor?: string;
  /** What `command.unknown` needs, should the relay not live to see the end. */
  readonly venue: string;
  readonly source: string;
  readonly session: string;
  readonly command: string;
}

const requestRecord = z.object({
  by: z.string(),
  requestId: z.string(),
  call: z.string(),
  state: z.enum(['running', 'succeeded', 'failed', 'unknown']),
  at: z.number(),
  cursor: z.string().optional(),
  venue: z.string(),
  source: z.string(),
  session: z.string(),
  command: z.string(),
});

export function parseRequestRecord(value: Json): RequestRecord | undefined {
  const parsed = requestRecord.safeParse(value);
  if (!parsed.success) return undefined;
  const { cursor, ...record } = parsed.data;
  return { ...record, ...(cursor === undefined ? {} : { cursor }) };
}

/** As the journal's memory takes it. */
export function requestJson(record: RequestRecord): Json {
  return json.parse(record);
}

/** Names a request of an identity. A digest: an identity may hold any character, and be long. */
export function requestName(by: string, requestId: string): string {
  return digest([by, requestId]);
}

/** Names a call: the same source, session, command and parameters, however these were ordered. */
export function callName(call: {
  readonly source: string;
  readonly session?: string;
  readonly command: string;
  readonly params: Json;
}): string {
  return digest([call.source, call.session ?? null, call.command, ordered(call.params)]);
}

function digest(value: Json): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('base64url');
}

function ordered(value: Json): Json {
  if (Array.isArray(value)) return value.map(ordered);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([name, inner]) => [name, ordered(inner)]));
}

export interface RememberedRequest {
  readonly call: string;
  /** On the monotonic clock. */
  readonly at: number;
  readonly reply: Promise<CommandReply>;
}

/** Requests that may be asked again, by {@link requestName}; kept for {@link REQUEST_MEMORY_MS}. */
export interface RequestMemory {
  find(name: string): RememberedRequest | undefined;
  remember(name: string, request: RememberedRequest, acts: boolean): void;
  /** What the journal's memory need not hold any more, once. */
  takeForgotten(): { readonly [name: string]: null };
  /** The journal holds something that is not worth remembering. */
  forget(name: string): void;
}

export function createRequestMemory(clock: Clock): RequestMemory {
  // Apart, so that no number of reads makes an acting command forgotten, which then would be carried out twice.
  const acting = new Map<string, RememberedRequest>();
  const reading = new Map<string, RememberedRequest>();
  /** Bounded too: what is left out of it is found to be old at the next start. */
  let forgotten = new Set<string>();
  const forgetInJournal = (name: string): void => {
    if (forgotten.size < MAX_REQUESTS) forgotten.add(name);
  };

  const trim = (requests: Map<string, RememberedRequest>): void => {
    const oldest = clock.monotonic() - REQUEST_MEMORY_MS;
    for (const [name, { at }] of requests) {
      if (at > oldest && requests.size <= MAX_REQUESTS) break;
      requests.delete(name);
      forgetInJournal(name);
    }
  };

  return {
    find(name) {
      trim(acting);
      trim(reading);
      return acting.get(name) ?? reading.get(name);
    },
    remember(name, request, acts) {
      forgotten.delete(name);
      (acts ? acting : reading).set(name, request);
    },
    takeForgotten() {
      trim(acting);
      trim(reading);
      const taken = Object.fromEntries([...forgotten].map((name) => [name, null] as const));
      forgotten = new Set();
      return taken;
    },
    forget: forgetInJournal,
  };
}
