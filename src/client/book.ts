import { compareCursors } from '../model/cursor.js';
import type { Pulse, SessionEvent } from '../model/event.js';
import { fold, foldPulse } from '../model/fold.js';
import type { State } from '../model/session.js';
import { hasKey, isState } from './state-shape.js';

/** The states of one channel: a snapshot, and what its events make of it by the relay's own fold. */
export interface Book {
  /** It holds a whole snapshot. */
  readonly complete: boolean;
  /** Replaced, never changed. */
  readonly states: ReadonlyMap<string, State>;
  /** Sessions of which something came that could not be read: what is held of them may be wrong. */
  readonly unreadable: ReadonlySet<string>;
  /** What is held goes on to be shown, until the snapshot that follows is whole. */
  expectSnapshot(): void;
  /** One chunk. Returns how many states could not be read. */
  chunk(states: readonly unknown[], last: boolean): number;
  event(event: SessionEvent): void;
  spoilt(key: string): void;
  pulse(pulse: Pulse): void;
  /** States mode: the newest states, and the sessions that are gone. Returns how many could not be read. */
  newest(states: readonly unknown[], removed: readonly string[]): number;
}

export function createBook(): Book {
  let complete = false;
  let states = new Map<string, State>();
  let unreadable = new Set<string>();
  let coming = new Map<string, State>();
  let comingUnreadable = new Set<string>();
  /** Whether `states` was handed out: then it is copied before it is changed. */
  let isShown = false;

  const own = (): Map<string, State> => {
    if (isShown) states = new Map(states);
    isShown = false;
    return states;
  };
  const read = (values: readonly unknown[], into: Map<string, State>, bad: Set<string>): number => {
    let count = 0;
    for (const value of values) {
      if (isState(value)) {
        const held = into.get(value.key);
        if (held === undefined || compareCursors(value.cursor, held.cursor) >= 0) into.set(value.key, value);
        bad.delete(value.key);
        continue;
      }
      count++;
      if (hasKey(value)) bad.add(value.key);
    }
    return count;
  };

  return {
    get complete() {
      return complete;
    },
    get states() {
      isShown = true;
      return states;
    },
    get unreadable() {
      return unreadable;
    },
    expectSnapshot() {
      complete = false;
      coming = new Map();
      comingUnreadable = new Set();
    },
    chunk(values, last) {
      if (complete) return 0;
      const count = read(values, coming, comingUnreadable);
      if (!last) return count;
      states = coming;
      unreadable = comingUnreadable;
      isShown = false;
      complete = true;
      coming = new Map();
      comingUnreadable = new Set();
      return count;
    },
    event(event) {
      const { subject } = event;
      const before = states.get(subject);
      const after = fold(before, event);
      if (event.type === 'session.removed' && after === undefined) unreadable.delete(subject);
      if (after === before) return;
      if (after === undefined) own().delete(subject);
      else own().set(subject, after);
    },
    spoilt(key) {
      unreadable.add(key);
    },
    pulse(pulse) {
      const state = states.get(pulse.subject);
      if (state !== undefined) own().set(pulse.subject, foldPulse(state, pulse));
    },
    newest(values, removed) {
      const into = own();
      for (const key of removed) {
        into.delete(key);
        unreadable.delete(key);
      }
      return read(values, into, unreadable);
    },
  };
}
