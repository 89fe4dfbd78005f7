import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spread } from './support/numbers.js';
import { startProcess } from './support/process.js';
import type { Question } from './support/question.js';
import { wayInResults } from './support/way-in-terms.js';

export const wayIn: Question = {
  name: 'way-in',
  asks: 'What does each step of a venue’s frame cost, on its way from the socket to the edge?',
  async run({ quick }) {
    const folder = mkdtempSync(join(tmpdir(), 'session-relay-bench-'));
    const terms = quick
      ? { events: 80, rounds: 1, warmUp: 0, commits: { events: 80, rounds: 1 } }
      : { events: 2_000, rounds: 11, warmUp: 40_000, commits: { events: 1_000, rounds: 5 } };
    const argument = { ...terms, folder };
    try {
      const process = await startProcess({ entry: './way-in-entry.js', argument, core: 'server' });
      await process.end();
      const { results } = wayInResults.parse(process.said);
      return {
        head: ['step', 'ns a frame'],
        rows: results.map(({ step, ns }) => [step, spread(ns)]),
        notes: [
          `Frames of one Deribit account, one at a time: of 20, 18 are logged accesses, one an index that is locked or no longer, one a lock of the account. Each step alone, in one process, after ${terms.warmUp.toLocaleString('en-US')} frames that are not counted.`,
          'The time of a commit is mostly waiting: the event loop is free meanwhile.',
        ],
      };
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};
