import type { Journal } from '../../src/hub/journal/journal.js';
import { createMemoryJournal } from '../../src/hub/journal/memory.js';
import type { EntryOptions } from './entry-options.js';

/** What is kept is limited by size alone: no run lasts as long as an age. */
const MAX_AGE_MS = 365 * 86_400_000;

export function createEntryJournal({ engine, path, maxBytes }: EntryOptions['journal']): Journal {
  const retention = { maxAgeMs: MAX_AGE_MS, maxBytes };
  if (engine === 'memory') return createMemoryJournal({ retention });
  throw new Error(`no engine for ${path}`);
}
