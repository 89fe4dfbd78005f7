import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLmdbJournal } from '../src/hub/journal/lmdb.js';
import { formatCursor } from '../src/model/cursor.js';
import type { SessionEvent } from '../src/model/event.js';
import { fold } from '../src/model/fold.js';
import type { State } from '../src/model/session.js';
import { interleave } from './support/interleave.js';
import { spread } from './support/numbers.js';
import { startProcess } from './support/process.js';
import type { Question } from './support/question.js';

const BATCH = 500;

export const startUp: Question = {
  name: 'start-up',
  asks: 'How long does a relay take from its process’s start until it listens, with its states rebuilt?',
  async run({ quick }) {
    const folder = mkdtempSync(join(tmpdir(), 'session-relay-bench-'));
    const [sessions, events] = quick ? [10, 100] : [10_000, 100_000];
    const relay = { kind: 'relay', auth: 'none' } as const;
    const cases = [
      { name: 'node alone', start: () => Promise.resolve(void spawnSync(process.execPath, ['-e', '0'])) },
      { name: 'relay, journal in memory', start: () => started({ ...relay, journal: 'memory' }) },
      {
        name: 'relay, empty LMDB journal',
        start: (round: number) => started({ ...relay, folder: join(folder, `empty-${round}`) }),
      },
      {
        name: `relay, LMDB journal with ${sessions.toLocaleString('en-US')} sessions and ${events.toLocaleString('en-US')} events`,
        start: () => started({ ...relay, folder: join(folder, 'full') }),
      },
    ];
    try {
      await fill(join(folder, 'full'), sessions, events);
      const samples = await interleave(cases, quick ? 1 : 7, async ({ start }, round) => {
        const at = performance.now();
        await start(round);
        return performance.now() - at;
      });
      return {
        head: ['what', 'ms'],
        rows: [...samples].map(([{ name }, all]) => [name, spread(all)]),
        notes: ['Without a venue. The end of the process, some milliseconds, is in the time of `node alone` only.'],
      };
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

async function started(argument: object): Promise<void> {
  const server = await startProcess({ entry: './servers/entry.js', argument, core: 'server' });
  ending.push(server.end());
}
const ending: Promise<void>[] = [];

async function fill(path: string, sessions: number, events: number): Promise<void> {
  const journal = createLmdbJournal({ path });
  const { epoch } = await journal.open(Date.now() - 60_000);
  for (let offset = 0; offset < events; offset += BATCH) {
    const states = new Map<string, State>();
    const some = Array.from({ length: Math.min(BATCH, events - offset) }, (_, index) => {
      const event = eventOf(epoch, offset + index + 1, (offset + index) % sessions);
      const state = event.type === 'session.opened' ? fold(undefined, event) : undefined;
      if (state !== undefined) states.set(event.subject, state);
      return event;
    });
    await journal.append({ events: some, states });
  }
  await journal.close();
}

/** The first round over the sessions opens them; what follows changes nothing that is kept. */
function eventOf(epoch: number, offset: number, session: number): SessionEvent {
  const isFirst = offset <= session + 1;
  return {
    id: formatCursor(epoch, offset),
    key: `filled-${offset}`,
    source: '/deribit/main',
    subject: `deribit.main.s${session}`,
    time: '2026-11-24T10:00:00.000Z',
    ...(isFirst
      ? { type: 'session.opened', data: { kind: 'api', role: 'watch' } }
      : { type: 'access.logged', data: { action: 'success' } }),
  };
}
