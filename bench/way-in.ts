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
    const argument = { ...(quick ? { events: 100, rounds: 1 } : { events: 1_000, rounds: 5 }), folder };
    try {
      const process = await startProcess({ entry: './way-in-entry.js', argument, core: 'server' });
      await process.end();
      const { results } = wayInResults.parse(process.said);
      return {
        head: ['step', 'ns an event'],
        rows: results.map(({ step, ns }) => [step, spread(ns)]),
        notes: [
          'A notification of `user.access_log`, one at a time. The time of a commit is mostly waiting: the event loop is free meanwhile.',
        ],
      };
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};
