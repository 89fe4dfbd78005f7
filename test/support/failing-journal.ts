import type { Journal } from '../../src/hub/journal/journal.js';
import { createMemoryJournal } from '../../src/hub/journal/memory.js';

/** A journal in memory whose commits fail while `broken` is set, as on a full disk. */
export function createFailingJournal(): Journal & { broken: boolean } {
  const memory = createMemoryJournal();
  const journal = {
    ...memory,
    broken: false,
    append: (batch: Parameters<Journal['append']>[0]) =>
      journal.broken ? Promise.reject(new Error('no space left on device')) : memory.append(batch),
  };
  return journal;
}
