import { SessionRelayError } from '../errors.js';
import type { Hub } from '../hub/hub.js';
import type { State } from '../model/session.js';
import { coversKey } from '../model/subject.js';
import type { Bus, StatesPage } from './bus.js';

/** The most states of one page. */
export const MAX_STATES_PAGE = 1_000;

/** The bus within one thread: the hub's own streams, and its answers as promises. */
export function createLocalBus(hub: Hub): Bus {
  const inOrder = createKeyOrder();
  return {
    node: hub.node,
    turns$: hub.turns$,
    sight$: hub.sight$,
    head: () => hub.head(),
    states({ within, limit, after }): Promise<StatesPage> {
      const cursor = hub.head();
      const states = hub.states();
      const most = Math.min(limit, MAX_STATES_PAGE);
      const keys = keysWithin(states, within, inOrder).filter((key) => after === undefined || key > after);
      const page = keys.slice(0, most);
      const next = keys.length > most ? page.at(-1) : undefined;
      return Promise.resolve({
        cursor,
        states: page.flatMap((key) => states.get(key) ?? []),
        ...(next === undefined ? {} : { next }),
      });
    },
    events(after, limit) {
      return hub.read(after, limit);
    },
    lag: () => Promise.resolve(hub.lag()),
    holds: (cursor) => Promise.resolve(hub.holds(cursor)),
    sources: () => Promise.resolve(hub.sources()),
    command(request) {
      return hub.command(request).catch((thrown: unknown) => {
        if (thrown instanceof SessionRelayError) throw thrown;
        throw new SessionRelayError('internal', 'the command failed by a fault in the relay', { cause: thrown });
      });
    },
    webhook: (hook) => hub.webhook(hook),
  };
}

/** One session is the usual question: it is looked up, not looked for. */
const ONE_SESSION = /^([^.*>]+\.[^.*>]+\.[^.*>]+)\.>$/;

/** In key order. */
function keysWithin(
  states: ReadonlyMap<string, State>,
  within: readonly string[] | undefined,
  inOrder: (states: ReadonlyMap<string, State>) => readonly string[],
): readonly string[] {
  if (within === undefined) return inOrder(states);
  const exact = within.map((pattern) => ONE_SESSION.exec(pattern)?.[1]);
  if (exact.every((key) => key !== undefined)) return [...new Set(exact)].filter((key) => states.has(key)).sort(byKey);
  return inOrder(states).filter((key) => within.some((pattern) => coversKey(pattern, key)));
}

/**
 * The keys of all states in order. They are sorted anew only where one came or went: a crowd that pages through the
 * states while events go on costs a look at each key, not a sort of them, a page.
 */
function createKeyOrder(): (states: ReadonlyMap<string, State>) => readonly string[] {
  let sorted: readonly string[] = [];
  return (states) => {
    if (sorted.length !== states.size || !sorted.every((key) => states.has(key)))
      sorted = [...states.keys()].sort(byKey);
    return sorted;
  };
}

function byKey(a: string, b: string): number {
  return a < b ? -1 : 1;
}
