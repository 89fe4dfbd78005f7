import { expect } from 'vitest';
import type { JournalBatch } from '../../src/hub/journal/journal.js';
import type { EventType, SessionEvent } from '../../src/model/event.js';
import { fold, isSessionState } from '../../src/model/fold.js';
import type { State } from '../../src/model/session.js';
import type { Fate } from './life.js';
import type { Stage } from './stage.js';

/** Dies where a batch holds an event of this type, just before it is committed or just after. */
export function atEvent(when: 'before' | 'after', type: EventType, session?: string): Fate {
  const isIt = (event: SessionEvent): boolean =>
    event.type === type && (session === undefined || event.subject.endsWith(`.${session}`));
  return (batch: JournalBatch) => (batch.events.some(isIt) ? when : undefined);
}

/** Everything that the journal holds, of all lives. */
export async function allEvents({ journal }: Pick<Stage, 'journal'>): Promise<readonly SessionEvent[]> {
  const { events, more, complete } = await journal.read('0-0', 1_000_000);
  expect({ more, complete }).toEqual({ more: false, complete: true });
  return events;
}

/** What a pulse moves is not part of what was journaled. */
export function withoutPulses(state: State): State {
  if (!isSessionState(state)) return state;
  const { lastSeenAt: _, heartbeat, ...rest } = state;
  if (heartbeat === undefined) return rest;
  const { lastAt: __, rttMs: ___, ...beat } = heartbeat;
  return { ...rest, heartbeat: beat };
}

/** What was told over all lives holds together: no fact twice, in order, and the states are what all of it makes. */
export async function expectOneStory(stage: Stage): Promise<void> {
  const events = await allEvents(stage);
  const keys = events.map(({ key }) => key);
  expect(keys.filter((key, index) => keys.indexOf(key) !== index)).toEqual([]);
  const states = new Map<string, State>();
  for (const event of events) {
    const after = fold(states.get(event.subject), event);
    if (after === undefined) states.delete(event.subject);
    else states.set(event.subject, after);
  }
  const known = [...stage.live.states()].map(([key, state]) => [key, withoutPulses(state)] as const);
  expect(new Map(known)).toEqual(new Map([...states].map(([key, state]) => [key, withoutPulses(state)] as const)));
}
