import { Subject } from 'rxjs';
import type { Journal } from '../../src/hub/journal/journal.js';
import type { Fact } from '../../src/model/event.js';
import type { Incoming } from '../../src/net/json-rpc.js';
import { systemClock } from '../../src/net/timer.js';
import { subscriptionText } from '../../src/simulators/deribit/wire.js';
import { createBook } from '../../src/venues/deribit/book.js';
import { createFrameReader } from '../../src/venues/deribit/frames.js';
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

/** In so many frames one index, and one lock of the account, changes; the others are logged accesses. */
const CHANGES_EVERY = 20;

/** What a Deribit account is told: every one of these frames is news. */
export function venueFrames(count: number): readonly string[] {
  return Array.from({ length: count }, (_, id) => {
    const isOdd = Math.floor(id / CHANGES_EVERY) % 2 === 1;
    switch (id % CHANGES_EVERY) {
      case 5:
        return subscriptionText('platform_state', { price_index: 'btc_usd', locked: !isOdd });
      case 15:
        return subscriptionText('user.lock', { currency: 'BTC', locked: !isOdd });
      default: {
        const [timestamp, log] = [1_764_000_000_000 + id, 'success'];
        return subscriptionText('user.access_log', { id, timestamp, log, ip: '192.0.2.17', country: 'Netherlands' });
      }
    }
  });
}

/** The path that a frame takes through the feed, without what answers the venue and watches its silence. */
export function frameReader(out: (facts: readonly Fact[]) => void): (incoming: Incoming) => void {
  const unused = (): never => {
    throw new Error('the way in does not need it');
  };
  let next: Incoming | undefined;
  const connection = {
    generation: 1,
    isLive: true,
    ask: unused,
    request: unused,
    say: unused,
    pause: unused,
    accept: () => next ?? unused(),
    end: unused,
  };
  const reader = createFrameReader({
    clock: systemClock,
    book: createBook({
      source: 'main',
      session: 'relay',
      recalled: {},
      generation: () => 1,
      out: ({ facts }) => out(facts),
    }),
    heartbeat: { attach: unused, detach: unused, seen() {}, answer: unused, beat: unused, set: unused, wish: 0 },
    outbound: { take: unused, penalize: unused, penaltyLeftMs: 0, stop: unused },
    secrets: { add: unused, hide: unused },
    confirmation: { look() {} },
    foreign: new Set(),
    relogin: unused,
  });
  return (incoming) => {
    next = incoming;
    reader.read(connection, '');
  };
}
