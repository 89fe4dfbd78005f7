import { compareCursors, formatCursor, parseCursor } from '../model/cursor.js';
import type { SessionEvent } from '../model/event.js';
import type { Clock, Timer } from '../net/clock.js';
import { retryAfterOf } from './endings.js';
import { cursor, isEnvelope, isKnownType, isSessionEvent } from './event-shape.js';
import type { Reply } from './frames.js';
import { boolean, list, shape } from './shape.js';
import type { Gap } from './status.js';

/** What a reader of the past needs of its client. */
export interface HistoryOptions {
  readonly channel: string;
  readonly since: string;
  readonly clock: Clock;
  /** `false`: there is no connection; `begun` will be called when there is. */
  readonly ask: (method: string, params: object, answered: (reply: Reply) => void) => boolean;
  /** Requests a second that the relay allows. */
  readonly rate: () => number;
  readonly event: (event: SessionEvent) => void;
  readonly lost: (gap: Gap) => void;
  /** A reply could not be used: the connection is not to be trusted. */
  readonly unreadable: (what: string) => void;
}

/**
 * One listener's own way from a cursor of the past to the live channel that it shares with others: pages of the journal
 * first, then what came live in the meantime, each event once and in order.
 */
export interface History {
  /** The live channel is subscribed, for the first time or again. */
  begun(): void;
  /** An event of the live channel. */
  live(event: SessionEvent): void;
  /** A loss of the live channel. */
  lost(gap: Gap): void;
  stop(): void;
}

/** Live events that are held while the past is read; more are read as the past. */
const MAX_HELD = 1_000;
const PAGE = 1_000;
const ASK_AGAIN_MS = 1_000;

const BEFORE_ALL = '0-0';

const isPage = shape({ events: list(isEnvelope), cursor, complete: boolean }, { next: cursor });

export function createHistory(options: HistoryOptions): History {
  const { channel, clock, ask, event, lost } = options;
  let at = options.since;
  /** `undefined` once it has caught up. */
  let held: SessionEvent[] | undefined = [];
  let again = false;
  let asking = 0;
  let timer: Timer | undefined;
  let stopped = false;

  const isOver = (): boolean => stopped || held === undefined;
  const page = (): void => {
    timer?.cancel();
    timer = undefined;
    if (isOver()) return;
    const mine = ++asking;
    again = false;
    ask('get_events', { channel, since: at, limit: PAGE }, (reply) => {
      if (mine === asking && !isOver()) read(reply);
    });
  };
  const pageIn = (ms: number): void => {
    timer = clock.setTimer(page, ms);
  };
  /** Well below the relay's rate: others ask too. */
  const pageSoon = (): void => pageIn(2_000 / Math.max(1, options.rate()));

  const read = (reply: Reply): void => {
    if (!reply.ok) return pageIn(retryAfterOf(reply.error, ASK_AGAIN_MS));
    const { result } = reply;
    if (!isPage(result)) return options.unreadable('a page of events that cannot be used');
    const { events, complete, next } = result;
    const [first] = events;
    if (!complete)
      lost({ channel, from: at, to: first === undefined ? result.cursor : before(first.id), why: 'not_held' });
    // A cursor of an epoch that is gone compares with nothing that is here.
    const isAstray = !complete && first === undefined && result.cursor === at;
    for (const one of events) {
      if (isSessionEvent(one)) event(one);
      else if (isKnownType(one.type)) lost({ channel, from: at, to: one.id, why: 'unreadable' });
      at = one.id;
      if (isOver()) return undefined;
    }
    at = isAstray ? BEFORE_ALL : (next ?? result.cursor);
    if (next !== undefined || again) return pageSoon();
    const rest = held ?? [];
    held = undefined;
    for (const one of rest) if (!stopped && compareCursors(one.id, at) > 0) event(one);
    return undefined;
  };

  return {
    begun() {
      if (!isOver()) page();
    },
    live(one) {
      if (held === undefined) {
        // Pages may be ahead of a channel that is itself being replayed.
        if (compareCursors(one.id, at) > 0) event(one);
        return;
      }
      if (held.length < MAX_HELD && !again) held.push(one);
      else forgetHeld();
    },
    lost(gap) {
      // The pages that are still to be read say themselves what is missing.
      if (held !== undefined) return forgetHeld();
      // What follows may be of another epoch, and not to be compared.
      at = BEFORE_ALL;
      return lost(gap);
    },
    stop() {
      stopped = true;
      timer?.cancel();
    },
  };

  /** The pages that are still to come hold what is forgotten here. */
  function forgetHeld(): void {
    held = [];
    again = true;
  }
}

/** The position just before an event. */
function before(id: string): string {
  const { epoch, offset } = parseCursor(id) ?? { epoch: 0, offset: 1 };
  return formatCursor(epoch, offset - 1);
}
