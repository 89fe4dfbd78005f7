import type { Journal } from '../../src/hub/journal/journal.js';
import { createMemoryJournal } from '../../src/hub/journal/memory.js';
import type { Clock } from '../../src/net/clock.js';

/** A journal in memory whose commits take as long, fail, or hang, as a test says. */
export interface SlowJournal extends Journal {
  /** How long each commit takes, ms; `hang`: until `release`. */
  takes: number | 'hang';
  /** Once its time is over, a commit fails. */
  fails: boolean;
  /** Lets the commits go on that hang. */
  release(): void;
}

export function createSlowJournal(): SlowJournal & { clock: Clock | undefined } {
  const memory = createMemoryJournal();
  const hanging = new Set<() => void>();
  const journal: SlowJournal & { clock: Clock | undefined } = {
    ...memory,
    clock: undefined,
    takes: 0,
    fails: false,
    async append(batch) {
      const { takes, clock } = journal;
      if (takes === 'hang') await new Promise<void>((resolve) => hanging.add(resolve));
      else if (takes > 0) await new Promise<void>((resolve) => void clock?.setTimer(resolve, takes));
      if (journal.fails) throw new Error('no space left on device');
      await memory.append(batch);
    },
    release() {
      for (const goOn of hanging) goOn();
      hanging.clear();
    },
  };
  return journal;
}
