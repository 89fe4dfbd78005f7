import type { Journal } from '../../src/hub/journal/journal.js';
import { createLmdbJournal } from '../../src/hub/journal/lmdb.js';
import { createMemoryJournal } from '../../src/hub/journal/memory.js';
import type { Log } from '../../src/net/log.js';
import type { EntryOptions } from './entry-options.js';

/** What is kept is limited by size alone: no run lasts as long as an age. */
const MAX_AGE_MS = 365 * 86_400_000;

export function createEntryJournal({ engine, path, maxBytes }: EntryOptions['journal'], log: Log): Journal {
  const retention = { maxAgeMs: MAX_AGE_MS, maxBytes };
  if (engine === 'memory') return createMemoryJournal({ retention });
  if (path === undefined) throw new Error('a journal on disk needs a path');
  return createLmdbJournal({ path, retention, log });
}
