import { expect } from 'vitest';
import type { Json } from '../../src/model/json.js';
import type { Stage } from './stage.js';

/** One fault of a venue, and every event that follows it within a time, in order. */
export interface FaultRow {
  readonly fault: string;
  readonly params?: { readonly [name: string]: Json };
  /** What a reader should take from it. */
  readonly says: string;
  readonly ms: number;
  readonly events: readonly string[];
}

/** Brings a source up, triggers the fault, and compares what is said with what the row states. */
export async function play(
  { take, lines = take, advance, fault: trigger }: Stage & { readonly lines?: () => readonly string[] },
  { fault, params, ms, events }: FaultRow,
  live: { readonly events: readonly string[]; readonly afterMs: number },
): Promise<void> {
  await advance(live.afterMs);
  expect(lines()).toEqual(live.events);
  await trigger(fault, params);
  await advance(ms);
  expect(lines()).toEqual(events);
}
