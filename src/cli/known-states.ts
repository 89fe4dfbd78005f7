import { compareCursors } from '../model/cursor.js';
import { sessionEvent } from '../model/event.js';
import { fold } from '../model/fold.js';
import type { State } from '../model/session.js';
import { state as stateSchema } from '../model/state-schema.js';
import type { FollowHandlers } from './follow.js';

/** The states that snapshots give and events change, as far as this version understands what the relay says. */
export interface KnownStates extends Pick<FollowHandlers, 'event' | 'state'> {
  readonly states: ReadonlyMap<string, State>;
}

export function createKnownStates(handlers: {
  /** A state is another than the one before; `undefined`: it is gone. */
  readonly changed: (key: string, state: State | undefined) => void;
  /** Something was passed over; called once. */
  readonly misunderstood: () => void;
}): KnownStates {
  const states = new Map<string, State>();
  let misread = false;
  const misunderstood = (): void => {
    if (!misread) handlers.misunderstood();
    misread = true;
  };
  return {
    states,
    event(relayed) {
      const event = sessionEvent.safeParse(relayed);
      if (!event.success) return misunderstood();
      const { subject } = event.data;
      const before = states.get(subject);
      const after = fold(before, event.data);
      if (after === before) return;
      if (after === undefined) states.delete(subject);
      else states.set(subject, after);
      handlers.changed(subject, after);
    },
    state(relayed) {
      const parsed = stateSchema.safeParse(relayed);
      if (!parsed.success) return misunderstood();
      const { key, cursor } = parsed.data;
      const known = states.get(key);
      if (known !== undefined && compareCursors(cursor, known.cursor) <= 0) return;
      states.set(key, parsed.data);
      handlers.changed(key, parsed.data);
    },
  };
}
