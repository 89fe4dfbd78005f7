import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Journal, Retention } from '../../../src/hub/journal/journal.js';
import { createLmdbJournal } from '../../../src/hub/journal/lmdb.js';
import { describeJournal } from './contract.js';

for (const sync of ['interval', 'always'] as const) {
  /** Every life of a journal, by whichever of them. */
  const lives = new Map<Journal, Life>();
  const add = (life: Life): Journal => {
    const journal = createLmdbJournal({ path: life.path, sync, retention: life.retention });
    life.journals.push(journal);
    lives.set(journal, life);
    return journal;
  };
  const lifeOf = (journal: Journal): Life => {
    const life = lives.get(journal);
    if (life === undefined) throw new Error('a journal of another test');
    return life;
  };

  describeJournal({
    name: `in LMDB, flushed by ${sync}`,
    runs: 20,
    create: (retention) =>
      Promise.resolve(add({ path: mkdtempSync(join(tmpdir(), 'journal-')), retention, journals: [] })),
    reopen: (journal) => Promise.resolve(add(lifeOf(journal))),
    async dispose(journal) {
      const { path, journals } = lifeOf(journal);
      for (const one of journals) await one.close();
      rmSync(path, { recursive: true });
    },
  });
}

interface Life {
  readonly path: string;
  readonly retention: Retention;
  readonly journals: Journal[];
}
