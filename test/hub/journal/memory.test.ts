import { createMemoryJournal } from '../../../src/hub/journal/memory.js';
import { describeJournal } from './contract.js';

// One instance may be opened again: that is its next life.
describeJournal({
  name: 'in memory',
  runs: 60,
  create: (retention) => Promise.resolve(createMemoryJournal({ retention })),
  reopen: (journal) => Promise.resolve(journal),
  dispose: (journal) => journal.close(),
});
