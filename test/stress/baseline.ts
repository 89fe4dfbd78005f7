import { z } from 'zod';
import { Broken } from './broken.js';
import type { Measure } from './entry-options.js';
import type { RelayProcess } from './relay-process.js';
import type { Stage } from './stage.js';

/** What a relay holds while nobody is subscribed. */
export interface Holdings extends Measure {
  readonly connections: number;
  readonly groups: number;
}

export interface Allowance {
  /** A venue's HTTP connections are kept alive or not, and a retry is armed or not, by the moment of the look. */
  readonly descriptors: number;
  readonly timers: number;
  readonly heapBytes: number;
}

const MiB = 1024 * 1024;
/** A heap that was collected three times still differs by code that was optimised meanwhile, and the journal's ends. */
export const ALLOWANCE: Allowance = { descriptors: 4, timers: 8, heapBytes: 6 * MiB };
const RETURN_MS = 15_000;
const counts = z.looseObject({ connections: z.number(), groups: z.number() });

export async function holdings(relay: RelayProcess): Promise<Holdings> {
  const { connections, groups } = counts.parse((await relay.get('/readyz')).body);
  return { ...(await relay.measure()), connections, groups };
}

/**
 * Sockets, timers, subscriptions and memory return to the warm baseline: within a few seconds, because sockets linger,
 * and within an allowance that a leak of one a round would pass many times over.
 */
export async function mustReturn(
  stage: Stage,
  relay: RelayProcess,
  warm: Holdings,
  allowance: Allowance = ALLOWANCE,
): Promise<Holdings> {
  const end = performance.now() + RETURN_MS;
  for (;;) {
    const now = await holdings(relay);
    const over = excess(warm, now, allowance);
    if (over === undefined) return now;
    if (performance.now() > end) throw new Broken(`what the relay holds returns to its warm baseline: ${over}`);
    await stage.pause(250);
  }
}

function excess(warm: Holdings, now: Holdings, allowance: Allowance): string | undefined {
  if (now.connections > warm.connections) return `connections ${warm.connections} → ${now.connections}`;
  if (now.groups > warm.groups) return `channel groups ${warm.groups} → ${now.groups}`;
  if (now.descriptors > warm.descriptors + allowance.descriptors)
    return `open descriptors ${warm.descriptors} → ${now.descriptors}`;
  if (now.timers > warm.timers + allowance.timers) return `timers ${warm.timers} → ${now.timers}`;
  if (now.heapBytes > warm.heapBytes + allowance.heapBytes)
    return `heap ${Math.round(warm.heapBytes / MiB)} → ${Math.round(now.heapBytes / MiB)} MiB`;
  return undefined;
}
