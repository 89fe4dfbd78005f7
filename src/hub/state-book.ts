import { isSessionState } from '../model/fold.js';
import type { SessionState, State } from '../model/session.js';

/**
 * The states of every session and source: those that are committed, and over them those of the batch that is open.
 * Indexed by source and by parent, so that a fact looks at no session that it does not concern.
 */
export interface StateBook {
  /** The newest state, committed or not. */
  get(key: string): State | undefined;
  /** What an event made of a state; `undefined`: it is gone. */
  put(key: string, state: State | undefined): void;
  /** What a pulse made of a state: not part of what is journaled, unless an event of this batch takes it along. */
  touch(state: State): void;
  /** `source` is `<venue>.<source>`, as in keys. */
  sessionsOf(source: string): Iterable<SessionState>;
  /** How many those are. */
  countOf(source: string): number;
  childrenOf(parent: string): Iterable<SessionState>;
  /** The committed states, live. */
  readonly committed: ReadonlyMap<string, State>;
  /** Ends the open batch and returns its states; `null`: gone. They count as committed from `settle` on. */
  seal(): ReadonlyMap<string, State | null>;
  settle(): void;
}

/** `<venue>.<source>` of a session key. */
export function sourceOfKey(key: string): string {
  return key.slice(0, key.lastIndexOf('.'));
}

export function createStateBook(states: readonly State[]): StateBook {
  const committed = new Map<string, State>();
  let open = new Map<string, State | null>();
  let sealed: ReadonlyMap<string, State | null> = new Map();
  const bySource = new Map<string, Set<string>>();
  const byParent = new Map<string, Set<string>>();

  const newest = (key: string): State | undefined => {
    const changed = open.get(key);
    if (changed !== undefined) return changed ?? undefined;
    const waiting = sealed.get(key);
    return waiting === undefined ? committed.get(key) : (waiting ?? undefined);
  };
  const index = (key: string, before: State | undefined, after: State | undefined): void => {
    const wasSession = before !== undefined && isSessionState(before);
    const isSession = after !== undefined && isSessionState(after);
    const parentBefore = wasSession ? before.parent : undefined;
    const parentAfter = isSession ? after.parent : undefined;
    if (isSession === wasSession && parentBefore === parentAfter) return;
    if (isSession) add(bySource, sourceOfKey(key), key);
    else remove(bySource, sourceOfKey(key), key);
    if (parentBefore === parentAfter) return;
    if (parentBefore !== undefined) remove(byParent, parentBefore, key);
    if (parentAfter !== undefined) add(byParent, parentAfter, key);
  };
  for (const state of states) {
    committed.set(state.key, state);
    index(state.key, undefined, state);
  }

  function* sessionsAt(keys: ReadonlySet<string> | undefined): Generator<SessionState> {
    for (const key of keys ?? []) {
      const state = newest(key);
      if (state !== undefined && isSessionState(state)) yield state;
    }
  }

  return {
    committed,
    get: newest,
    put(key, state) {
      const before = newest(key);
      open.set(key, state ?? null);
      index(key, before, state);
    },
    touch(state) {
      if (open.has(state.key)) open.set(state.key, state);
      // While a batch is being committed its states are nobody's to see; the next pulse is as good.
      else if (!sealed.has(state.key)) committed.set(state.key, state);
    },
    sessionsOf: (source) => sessionsAt(bySource.get(source)),
    countOf: (source) => bySource.get(source)?.size ?? 0,
    childrenOf: (parent) => sessionsAt(byParent.get(parent)),
    seal() {
      sealed = open;
      open = new Map();
      return sealed;
    },
    settle() {
      for (const [key, state] of sealed) {
        if (state === null) committed.delete(key);
        else committed.set(key, state);
      }
      sealed = new Map();
    },
  };
}

function add(sets: Map<string, Set<string>>, name: string, key: string): void {
  const known = sets.get(name);
  if (known === undefined) sets.set(name, new Set([key]));
  else known.add(key);
}

function remove(sets: Map<string, Set<string>>, name: string, key: string): void {
  const known = sets.get(name);
  if (known?.delete(key) === true && known.size === 0) sets.delete(name);
}
