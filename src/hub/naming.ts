import type { EventData, EventType, Fact } from '../model/event.js';
import { isSessionState, statusAfter } from '../model/fold.js';
import type { SessionState, SourceState, State } from '../model/session.js';
import { addressOf } from '../model/subject.js';
import { isEnded } from './derive.js';

/** How facts are named, and which of them only repeat what is known (PROTOCOL.md §2, `key`): pure decisions. */

/**
 * The deterministic name of a fact: the venue's own where it has one, else the transition that it makes: from which
 * status, since which cursor, in which generation. What starts from nothing is named by its own position.
 */
export function nameOf(fact: Fact, subject: string, before: State | undefined, position: string): string {
  const address = addressOf({ subject, type: fact.type });
  if (fact.key !== undefined) return `${address}:${fact.key}`;
  const generation = fact.generation === undefined ? '' : `/${fact.generation}`;
  if (before === undefined) return `${address}@none/${position}${generation}`;
  if (!isSessionState(before)) return `${address}@${before.cursor}${generation}`;
  const status = statusAfter(fact.type);
  const moves = status !== undefined && status !== before.status;
  return `${address}@${before.status}/${moves ? (before.statusSince?.cursor ?? before.cursor) : before.cursor}${generation}`;
}

/** The `reason` of a `session.removed` whose source is no longer configured: it removes what has not ended, too. */
export const NOT_CONFIGURED = 'not_configured';

/** What says of a session only that it is over, or out of sight: of one that is not known it says nothing. */
export const ENDS_WHAT_IS_KNOWN: ReadonlySet<EventType> = new Set([
  'session.removed',
  'session.closed',
  'session.expired',
  'session.stale',
]);

/**
 * Whether a fact says nothing that is not known: a second teller of a transition that was made already, without a name
 * of its own; or an end, by any name, of what has ended. While a session is stale nothing is known, so that a status
 * said again is a new fact. `lastWords`: what led to the present status (see {@link wordsOf}), where this life of the
 * relay has heard it.
 */
export function isRepeat(fact: Fact, before: State | undefined, lastWords: string | undefined): boolean {
  // What is gone cannot go again, in whatever words, and however late it is told.
  if (before === undefined) return ENDS_WHAT_IS_KNOWN.has(fact.type);
  if (!isSessionState(before)) return isKnownOfSource(fact, before);
  if (fact.type === 'session.stale') return before.stale;
  // It may live again since its removal was decided.
  if (fact.type === 'session.removed') return !isEnded(before) && fact.data.reason !== NOT_CONFIGURED;
  // An end happens once, in whatever words and under whatever name: neither is remembered for ever.
  const isEnd = fact.type === 'session.expired' || fact.type === 'session.closed';
  if (isEnd && before.status === statusAfter(fact.type)) return true;
  if (before.stale || fact.key !== undefined) return false;
  switch (fact.type) {
    case 'session.renewed':
      return fact.data.expiresAt !== undefined && fact.data.expiresAt === before.expiresAt;
    case 'session.updated':
      return changesNothing(fact.data, before);
    default: {
      const status = statusAfter(fact.type);
      return status !== undefined && status === before.status && lastWords === wordsOf(fact);
    }
  }
}

/** A penalty is one fact however often it is found to hold, before and after a restart; and it ends once. */
function isKnownOfSource(fact: Fact, { attributes: { throttledUntilAt } }: SourceState): boolean {
  if (fact.type === 'source.throttled') return fact.data.untilAt === throttledUntilAt;
  return fact.type === 'source.unthrottled' && throttledUntilAt === undefined;
}

/** What was said, without when the venue said it: two tellers differ in that alone. */
export function wordsOf(fact: Pick<Fact, 'type' | 'data'>): string {
  const { venueTime: _, ...data } = fact.data;
  return JSON.stringify([fact.type, ...Object.entries(data).toSorted(([a], [b]) => (a < b ? -1 : 1))]);
}

function changesNothing({ changed }: EventData<'session.updated'>, { attributes }: SessionState): boolean {
  return Object.entries(changed).every(([name, value]) => {
    const known = attributes[name];
    return value === null ? known === undefined : JSON.stringify(known) === JSON.stringify(value);
  });
}
