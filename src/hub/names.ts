import type { Fact } from '../model/event.js';
import { sessionKey } from '../model/subject.js';
import { sourceOfKey } from './state-book.js';

/** What a fact is about. */
export interface Names {
  /** The session key. */
  readonly subject: string;
  /** `<venue>.<source>`, as in keys. */
  readonly source: string;
}

/** So many are kept: a venue may make up sessions without end. */
const MAX_NAMES = 10_000;

/**
 * Makes the names of what facts are about, once for many facts: the same text is found in a map at once, where one that
 * was put together anew has to be hashed and compared each time.
 */
export function createNames(): (venue: string, fact: Pick<Fact, 'source' | 'session'>) => Names {
  /** By venue, source and session. */
  const known = new Map<string, Map<string, Map<string, Names>>>();
  let size = 0;
  return (venue, { source, session }) => {
    const found = known.get(venue)?.get(source)?.get(session);
    if (found !== undefined) return found;
    if (size >= MAX_NAMES) {
      known.clear();
      size = 0;
    }
    size++;
    const subject = sessionKey(venue, source, session);
    const names: Names = { subject, source: sourceOfKey(subject) };
    const sources = known.get(venue) ?? new Map<string, Map<string, Names>>();
    const sessions = sources.get(source) ?? new Map<string, Names>();
    known.set(venue, sources.set(source, sessions.set(session, names)));
    return names;
  };
}
