import { type ClientReason, isSessionState, type Safety, type SafetyLevel, type State } from '../client/index.js';
import { LEVELS_WORST_FIRST, NO_SESSION } from './reasons.js';

/** One line of the list: a session, or a source of which no session is known. */
export interface Row {
  readonly key: string;
  /** `<venue>.<source>`, as commands name it. */
  readonly owner: string;
  readonly state: State;
  /** What the client says may be believed. */
  readonly safety: Safety;
}

/** The order of the list, kept from one view to the next. */
export interface Order {
  /**
   * All rows, worst level first, then by key. A row whose state is the same object is the same object. `doubt`: why
   * nothing may be believed; every level is then `unknown`, whatever the states say.
   */
  update(states: ReadonlyMap<string, State>, doubt?: ClientReason): readonly Row[];
}

/** A source that nobody has seen a session of must not be silent: nothing is known of it. */
const NOTHING_SEEN: Safety = { level: 'unknown', reasons: [NO_SESSION], notes: [] };

const RANK: { readonly [L in SafetyLevel]: number } = { unsafe: 0, unknown: 1, at_risk: 2, safe: 3 };

/** `<venue>.<source>` of a session key. */
export function ownerOf(key: string): string {
  return key.slice(0, key.lastIndexOf('.'));
}

/** The position of a level among {@link LEVELS_WORST_FIRST}. */
export function rankOf(level: SafetyLevel): number {
  return RANK[level];
}

/**
 * Keys are sorted only when sessions come and go; the levels are sorted by counting: a view of 10 000 sessions, of which
 * a few have changed, costs one pass.
 */
export function createOrder(): Order {
  let keys: readonly string[] = [];
  let held = new Map<string, Held>();

  const isSame = (states: ReadonlyMap<string, State>): boolean =>
    keys.length === states.size && keys.every((key) => states.has(key));

  return {
    update(states, doubt) {
      if (!isSame(states)) keys = [...states.keys()].sort(compareKeys);
      const owners = new Set<string>();
      for (const [key, state] of states) if (isSessionState(state)) owners.add(ownerOf(key));
      const next = new Map<string, Held>();
      const buckets: readonly Row[][] = LEVELS_WORST_FIRST.map(() => []);
      for (const key of keys) {
        const state = states.get(key);
        if (state === undefined) continue;
        const owner = ownerOf(key);
        if (!isSessionState(state) && owners.has(owner)) continue;
        const before = held.get(key);
        const safety = safetyOf(state, doubt);
        const row = before?.said === state && before.doubt === doubt ? before.row : rowOf(key, owner, state, safety);
        next.set(key, { said: state, doubt, row });
        buckets[RANK[safety.level]]?.push(row);
      }
      held = next;
      return buckets.flat();
    },
  };
}

/** A row, and what it was made of. */
interface Held {
  readonly said: State;
  readonly doubt: ClientReason | undefined;
  readonly row: Row;
}

/** What is believed stands in the state, too: nobody reads there what may not be believed. */
function rowOf(key: string, owner: string, said: State, safety: Safety): Row {
  const state = isSessionState(said) && said.safety !== safety ? { ...said, safety } : said;
  return { key, owner, state, safety };
}

function safetyOf(state: State, doubt: ClientReason | undefined): Safety {
  const safety = isSessionState(state) ? state.safety : NOTHING_SEEN;
  return doubt === undefined || safety.level === 'unknown' ? safety : { level: 'unknown', reasons: [doubt], notes: [] };
}

/** By code unit, so that the order does not depend on the language of the browser. */
function compareKeys(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export type Counts = { readonly [L in SafetyLevel]: number };

export function countLevels(rows: readonly Row[]): Counts {
  const counts = { unsafe: 0, unknown: 0, at_risk: 0, safe: 0 };
  for (const { safety } of rows) counts[safety.level]++;
  return counts;
}
