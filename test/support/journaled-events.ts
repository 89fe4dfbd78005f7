import type { Journal, JournalBatch } from '../../src/hub/journal/journal.js';
import { formatCursor } from '../../src/model/cursor.js';
import { type SessionEvent, timestampOf } from '../../src/model/event.js';
import { type SessionState, UNKNOWN_SAFETY } from '../../src/model/session.js';

/** Events and states for tests of a journal alone. */

export const START_MS = Date.UTC(2026, 10, 23, 8, 0, 0);

/** `text` is what it carries, to make it large. */
export function eventOf(
  epoch: number,
  offset: number,
  key = `key-${epoch}-${offset}`,
  atMs = START_MS,
  text = '',
): SessionEvent {
  return {
    id: formatCursor(epoch, offset),
    key,
    source: '/deribit/main',
    subject: 'deribit.main.relay',
    type: 'session.updated',
    time: timestampOf(atMs),
    data: { changed: { text } },
  };
}

export function batchOf(epoch: number, offsets: readonly number[], more: Partial<JournalBatch> = {}): JournalBatch {
  return { events: offsets.map((offset) => eventOf(epoch, offset)), states: new Map(), ...more };
}

export function stateOf(session: string, cursor: string): SessionState {
  return {
    key: `deribit.main.${session}`,
    venue: 'deribit',
    source: 'main',
    session,
    kind: 'api',
    role: 'watch',
    status: 'active',
    stale: false,
    safety: UNKNOWN_SAFETY,
    attributes: { name: session },
    cursor,
  };
}

/** Everything that a journal holds after a cursor. */
export async function readAll(journal: Journal, after = '0-0'): Promise<readonly SessionEvent[]> {
  const events: SessionEvent[] = [];
  for (let at = after; ; ) {
    const page = await journal.read(at, 700);
    events.push(...page.events);
    if (!page.more) return events;
    at = page.cursor;
  }
}
