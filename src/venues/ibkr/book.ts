import type { Fact } from '../../model/event.js';
import type { FactBatch, VenueMemory } from '../venue.js';
import type { Mapped } from './settle.js';
import { type About, type MapperState, memoryOf, recall } from './state.js';

/** What is known of one source: applies what the mapper says, and tells facts with what to remember. */
export interface Book {
  readonly state: MapperState;
  /** Changes the state and tells what follows from it, in one batch. */
  apply(change: (state: MapperState) => Mapped, committed?: FactBatch['committed']): void;
  /** Tells facts that leave the state as it is. */
  tell(facts: readonly Fact[], memory?: FactBatch['memory']): void;
  /** Changes the state and tells nothing; answers what is to be remembered of it. */
  quietly(change: (state: MapperState) => MapperState): FactBatch['memory'];
  /** Takes up what was known before a restart. */
  recall(memory: VenueMemory | undefined): void;
  stop(): void;
}

export function createBook(about: About, out: (batch: FactBatch) => void): Book {
  let state = recall(about, undefined);
  let stopped = false;
  const tell = (
    facts: readonly Fact[],
    memory?: FactBatch['memory'],
    committed?: NonNullable<FactBatch['committed']>,
  ): void => {
    if (stopped || (facts.length === 0 && memory === undefined)) committed?.(false);
    else out({ facts, ...(memory === undefined ? {} : { memory }), ...(committed === undefined ? {} : { committed }) });
  };
  return {
    get state() {
      return state;
    },
    apply(change, committed) {
      const before = state;
      const [after, facts] = change(before);
      state = after;
      tell(facts, memoryOf(after, before), committed);
    },
    tell: (facts, memory) => tell(facts, memory),
    quietly(change) {
      const before = state;
      state = change(before);
      return memoryOf(state, before);
    },
    recall(memory) {
      state = recall(about, memory);
    },
    stop() {
      stopped = true;
    },
  };
}
