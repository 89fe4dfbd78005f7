import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { journalResults } from './support/journal-terms.js';
import { spread } from './support/numbers.js';
import { startProcess } from './support/process.js';
import type { Question } from './support/question.js';

const PAGE = 256;

export const journal: Question = {
  name: 'journal',
  asks: 'How many events a second does the journal take, and how fast are they read again?',
  async run({ quick }) {
    const cases = (['memory', 'interval', 'always'] as const).flatMap((engine) =>
      [1, 8, 500].map((batch) => ({ engine, batch })),
    );
    const rows: (readonly string[])[] = [];
    for (const one of cases) {
      const events = quick ? 100 : one.batch === 500 ? 20_000 : 2_000;
      const folder = mkdtempSync(join(tmpdir(), 'session-relay-bench-'));
      const argument = { ...one, events, page: PAGE, folder, rounds: quick ? 1 : 3 };
      try {
        const process = await startProcess({ entry: './journal-entry.js', argument, core: 'server' });
        await process.end();
        const { append, replay, latency, cpu } = journalResults.parse(process.said);
        const name = one.engine === 'memory' ? 'memory' : `LMDB, sync: ${one.engine}`;
        rows.push([
          name,
          String(one.batch),
          String(events),
          spread(append),
          spread(latency),
          spread(cpu),
          spread(replay),
        ]);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    }
    return {
      head: [
        'journal',
        'events a batch',
        'events',
        'appended, events/s',
        'an append, p99, ms',
        'an append, processor time, µs',
        'read again, events/s',
      ],
      rows,
      notes: [
        `One append after the other; read in pages of ${PAGE}. The disk is whatever the folder for temporary files is on.`,
      ],
    };
  },
};
