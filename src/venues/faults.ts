import type { EventData } from '../model/event.js';
import { sampleOf } from '../model/sample.js';

/** How often each kind of fault was met. A mapper keeps it in its state. */
export type Faults = ReadonlyMap<string, number>;
export type FaultKind = EventData<'source.fault'>['what'];

/** Kinds that are told apart at most: a venue that makes up names without end is told so many times. */
const MAX_KINDS = 100;

/** Counts a fault. `told`: what to say of it, which is once a kind; repeats are only counted. */
export function countFault(
  faults: Faults,
  kind: string,
  what: FaultKind,
  sample: string,
  mostKinds = MAX_KINDS,
): { readonly faults: Faults; readonly told: EventData<'source.fault'> | undefined } {
  const times = faults.get(kind) ?? 0;
  if (times === 0 && faults.size >= mostKinds) return { faults, told: undefined };
  const told = times === 0 ? { what, sample: sampleOf(sample) } : undefined;
  return { faults: new Map(faults).set(kind, times + 1), told };
}
