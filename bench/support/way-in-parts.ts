import { Subject } from 'rxjs';
import type { Journal } from '../../src/hub/journal/journal.js';
import type { Fact } from '../../src/model/event.js';
import type { FactBatch, SourceDescription, Venue } from '../../src/venues/venue.js';

/** Takes everything and keeps nothing: what is left is what the hub itself costs. */
export function instantJournal(): Journal {
  let head = '0-0';
  return {
    open: (nowMs) => {
      head = `${nowMs}-0`;
      return Promise.resolve({ epoch: nowMs, states: [], memory: new Map() });
    },
    append({ events }) {
      head = events.at(-1)?.id ?? head;
      return Promise.resolve();
    },
    read: (after) => Promise.resolve({ events: [], cursor: after, more: false, complete: true }),
    head: () => head,
    oldest: () => head,
    holds: () => false,
    bytes: () => 0,
    hasKey: () => false,
    truncate: () => Promise.resolve(head),
    close: () => Promise.resolve(),
  };
}

/** A venue that says what it is told; `tell` resolves when that is committed. */
export function oneSourceVenue(description: SourceDescription): {
  readonly venue: Venue;
  readonly tell: (facts: readonly Fact[]) => Promise<void>;
} {
  const facts$ = new Subject<FactBatch>();
  return {
    tell: (facts) => new Promise((resolve) => facts$.next({ facts, committed: () => resolve() })),
    venue: {
      venue: description.venue,
      id: description.source,
      sources: () => [description],
      facts$: facts$.asObservable(),
      commands: [],
      command: () => Promise.reject(new Error('no commands')),
      start() {},
      stop() {
        facts$.complete();
        return Promise.resolve();
      },
    },
  };
}
