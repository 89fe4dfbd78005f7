import { type Fact, SOURCE_TOKEN } from '../model/event.js';
import { isSessionState, makesSession } from '../model/fold.js';
import { sampleOf } from '../model/grant.js';
import type { SourceState } from '../model/session.js';
import type { Log } from '../net/log.js';
import type { SourceDescription } from '../venues/venue.js';
import type { Ended } from './ended.js';
import type { Names } from './names.js';
import type { StateBook } from './state-book.js';

/**
 * What one source may be made to hold by what its venue says. Beyond it a fact is refused, which is told as
 * `source.fault` once until there is room again.
 */
export interface Room {
  /** Whether a fact may be taken in; where sessions are too many, those that ended make room before their time. */
  admits(fact: Fact, names: Names, description: SourceDescription): boolean;
}

/** Sessions of one source, living and ended. */
export const MAX_SESSIONS_OF_SOURCE = 20_000;
/** So many ended ones are dropped at once, so that a flood does not look for each anew. */
const REMOVED_AT_ONCE = 1_000;
/** Parts of a venue that are in trouble at once, and locks of an account. */
export const MAX_PARTS_OF_SOURCE = 1_000;

export function createRoom(options: {
  readonly book: Pick<StateBook, 'get' | 'sessionsOf' | 'countOf'>;
  readonly ended: Pick<Ended, 'has' | 'countOf'>;
  readonly record: (fact: Fact, description: SourceDescription) => void;
  /** A session was dropped before its time: its venue must not speak of it as of one that is known. */
  readonly dropped: (fact: Fact<'session.removed'>, description: SourceDescription) => void;
  readonly log: Log;
}): Room {
  const { book, ended, record, dropped, log } = options;
  /** What was refused, by source and kind. */
  const refused = new Map<string, number>();

  const refuse = (fact: Fact, description: SourceDescription, kind: string, why: string): false => {
    const name = `${description.venue}.${fact.source} ${kind}`;
    const times = (refused.get(name) ?? 0) + 1;
    refused.set(name, times);
    if (times > 1) return false;
    log.error(`${description.venue}.${fact.source}: ${why}: what is beyond is not followed`, { type: fact.type });
    const sample = sampleOf(`${why}: ${fact.type} of ${fact.session} is not followed`);
    const data = { what: 'inconsistent', sample } as const;
    record({ source: fact.source, session: SOURCE_TOKEN, type: 'source.fault', data }, description);
    return false;
  };

  /** Sessions that are over are dropped, those that were opened first before the others. */
  const makeRoom = (source: string, description: SourceDescription): boolean => {
    if (ended.countOf(source) === 0) return false;
    let removed = 0;
    for (const { source: token, session, key } of [...book.sessionsOf(source)]) {
      if (!ended.has(key)) continue;
      const removal = { source: token, session, type: 'session.removed', data: { reason: 'too_many' } } as const;
      record(removal, description);
      dropped(removal, description);
      if (++removed >= REMOVED_AT_ONCE) break;
    }
    return removed > 0;
  };

  const sourceStateOf = (subject: string): SourceState | undefined => {
    const state = book.get(subject);
    return state === undefined || isSessionState(state) ? undefined : state;
  };

  return {
    admits(fact, { subject, source }, description) {
      if (fact.session === SOURCE_TOKEN) {
        const state = sourceStateOf(subject);
        if (!isOnePartTooMany(fact, state)) return true;
        return refuse(fact, description, 'parts', `more than ${MAX_PARTS_OF_SOURCE} parts are in trouble`);
      }
      if (!makesSession(fact.type) || book.get(subject) !== undefined) return true;
      if (book.countOf(source) >= MAX_SESSIONS_OF_SOURCE && !makeRoom(source, description))
        return refuse(fact, description, 'sessions', `more than ${MAX_SESSIONS_OF_SOURCE} sessions`);
      refused.delete(`${source} sessions`);
      return true;
    },
  };
}

/** Whether a fact of a source adds one part to a list that is full. */
function isOnePartTooMany(fact: Fact, source: SourceState | undefined): boolean {
  if (source === undefined) return false;
  const { degraded, accountLocked } = source.attributes;
  switch (fact.type) {
    case 'venue.degraded':
    case 'venue.locked':
    case 'venue.maintenance':
      return isFull(degraded, fact.data.what);
    case 'account.locked':
      return isFull(accountLocked, fact.data.what);
    default:
      return false;
  }
}

function isFull(parts: readonly string[], what: string | undefined): boolean {
  // A lock of everything is never one too many.
  return what !== undefined && what !== 'all' && parts.length >= MAX_PARTS_OF_SOURCE && !parts.includes(what);
}
