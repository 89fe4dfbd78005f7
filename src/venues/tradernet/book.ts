import type { Fact } from '../../model/event.js';
import type { Clock } from '../../net/clock.js';
import { createExpiryWatch } from '../../net/expiry.js';
import type { FactBatch, VenueMemory } from '../venue.js';
import { expireRow, type Mapped, warnOfEnd } from './mapper.js';
import { type About, type MapperState, memoryOf, recall } from './state.js';

/** What is known of one source: applies what the mapper says, times the ends of sessions, tells facts with what to remember. */
export interface Book {
  readonly state: MapperState;
  /** Changes the state and tells what follows from it, in one batch. */
  apply(change: (state: MapperState) => Mapped): void;
  /** Tells facts that leave the state as it is. */
  tell(facts: readonly Fact[], memory?: FactBatch['memory']): void;
  /** Changes the state and tells nothing; answers what is to be remembered of it. */
  quietly(change: (state: MapperState) => MapperState): FactBatch['memory'];
  /** Takes up what was known before a restart. */
  recall(memory: VenueMemory | undefined): void;
  stop(): void;
}

export function createBook(options: {
  readonly clock: Clock;
  readonly about: About;
  /** How long before an end `session.expiring` is told. */
  readonly warnMs: number;
  readonly out: (batch: FactBatch) => void;
}): Book {
  const { clock, about, out } = options;
  let state = recall(about, undefined);
  let stopped = false;
  const ends = createExpiryWatch({
    clock,
    warnMs: options.warnMs,
    expiring: (id, _expiresAtMs, inMs) => apply((before) => warnOfEnd(before, id, inMs)),
    expired: (id) => apply((before) => expireRow(before, id)),
  });

  const watchEnds = (before: MapperState): void => {
    if (state.rows === before.rows) return;
    for (const id of before.rows.keys()) if (!state.rows.has(id)) ends.delete(id);
    for (const [id, row] of state.rows) {
      const known = before.rows.get(id);
      if (known === row || (known?.expiresMs === row.expiresMs && known?.status === row.status)) continue;
      if (row.status === 'active' && row.expiresMs !== undefined) ends.set(id, row.expiresMs);
      else ends.delete(id);
    }
  };
  const tell = (facts: readonly Fact[], memory?: FactBatch['memory']): void => {
    if (stopped || (facts.length === 0 && memory === undefined)) return;
    out({ facts, ...(memory === undefined ? {} : { memory }) });
  };
  const apply = (change: (state: MapperState) => Mapped): void => {
    const before = state;
    const [after, facts] = change(before);
    state = after;
    tell(facts, memoryOf(after, before));
    watchEnds(before);
  };

  return {
    get state() {
      return state;
    },
    apply,
    tell,
    quietly(change) {
      const before = state;
      state = change(before);
      watchEnds(before);
      return memoryOf(state, before);
    },
    recall(memory) {
      const before = state;
      state = recall(about, memory);
      watchEnds(before);
    },
    stop() {
      stopped = true;
      ends.clear();
    },
  };
}
