import type { Subscription } from 'rxjs';
import { compareCursors } from '../model/cursor.js';
import type { Pulse } from '../model/event.js';
import type { Clock, Timer } from '../net/clock.js';
import type { Bus, Sight, Turn } from './bus.js';
import type { Peer } from './peer.js';
import { BEAT_MS, type Begin, type BusMethods, type Taken } from './worker-messages.js';

/**
 * The hub's side of one bus in another thread: every turn, in order, and no more than {@link MAX_WAITING_BYTES} that it
 * has not taken in. Whoever falls further behind is told that it is blind, and is sent what it missed from the journal,
 * a page each time it has taken the last, until it is there again: what waits for it is a cursor.
 */
export interface Feed {
  /** Where the bus begins; every turn after it follows. Once. */
  begin(): Begin;
  took(taken: Taken): void;
  readonly isBehind: boolean;
  /** JSON that was sent and not taken in yet, in characters. */
  readonly waitingBytes: number;
  stop(): void;
}

export interface FeedOptions {
  readonly bus: Bus;
  readonly peer: Pick<Peer<BusMethods>, 'post'>;
  readonly clock: Clock;
  readonly sharedNow: () => number;
  /** What it missed is not there any more: it cannot follow again, and whoever follows it must begin anew. */
  readonly lost: () => void;
  readonly sent?: (ms: number) => void;
  readonly maxWaitingBytes?: number;
}

export const MAX_WAITING_BYTES = 16 * 1024 * 1024;
/** Events of a page that is sent to a bus that fell behind. */
const PAGE_EVENTS = 500;
const PULSE_BYTES = 256;
const READ_AGAIN_MS = 1_000;

export function createFeed(options: FeedOptions): Feed {
  const { bus, peer, clock, sharedNow, maxWaitingBytes = MAX_WAITING_BYTES } = options;
  const subscriptions: Subscription[] = [];
  /** What was sent and not confirmed, in order. */
  let outstanding: { readonly number: number; readonly bytes: number }[] = [];
  let waitingBytes = 0;
  let number = 0;
  let posted = bus.head();
  let behindSince: { readonly now: number; readonly monotonic: number } | undefined;
  let isReading = false;
  let hubSight: Sight = { blind: false, cursor: posted };
  let saidAt = clock.monotonic();
  /** Read from the journal up to here: turns that were on their way may say it again. */
  let caughtUpTo: string | undefined;
  let beatNumber = 0;
  let owesBeat = false;
  let timers: readonly Timer[] = [];
  let stopped = false;

  const after = (ms: number, task: () => void): void => {
    const timer = clock.setTimer(() => {
      timers = timers.filter((one) => one !== timer);
      task();
    }, ms);
    timers = [...timers, timer];
  };
  const count = (bytes: number): { readonly number: number; readonly sentAt: number } => {
    number++;
    outstanding.push({ number, bytes });
    waitingBytes += bytes;
    return { number, sentAt: sharedNow() };
  };
  const send = (json: readonly string[], pulses: readonly Pulse[], receivedAt?: number): void => {
    const bytes = json.reduce((sum, text) => sum + text.length, pulses.length * PULSE_BYTES);
    const age = receivedAt === undefined ? {} : { ageMs: clock.monotonic() - receivedAt };
    peer.post('turn', { ...count(bytes), texts: json, pulses, ...age });
  };
  const sight = (): Sight => {
    if (hubSight.blind) return { ...hubSight, forMs: hubSight.forMs + clock.monotonic() - saidAt };
    if (behindSince === undefined) return { blind: false, cursor: posted };
    const forMs = clock.monotonic() - behindSince.monotonic;
    return { blind: true, since: behindSince.now, forMs, why: 'this part of the relay fell behind its hub' };
  };
  /** One is on its way at most: whoever does not read needs no second one. */
  const beat = (): void => {
    owesBeat = beatNumber > 0;
    if (owesBeat || stopped) return;
    const numbered = count(0);
    beatNumber = numbered.number;
    peer.post('beat', { ...numbered, sight: sight() });
  };
  const beatOn = (): void => {
    beat();
    after(BEAT_MS, beatOn);
  };

  const catchUp = async (): Promise<void> => {
    if (isReading || behindSince === undefined || stopped) return;
    isReading = true;
    try {
      const page = await bus.events(posted, PAGE_EVENTS);
      if (stopped) return;
      if (!page.complete) return options.lost();
      if (page.events.length > 0) {
        posted = page.events.at(-1)?.id ?? posted;
        send(
          page.events.map((event) => JSON.stringify(event)),
          [],
        );
      }
      // In the turn of the comparison: what is published from here on is sent as it comes.
      if (compareCursors(posted, bus.head()) >= 0) {
        behindSince = undefined;
        caughtUpTo = posted;
        beat();
      } else if (page.events.length === 0) after(READ_AGAIN_MS, () => void catchUp());
    } catch {
      // The journal cannot be read now; whoever is behind stays blind until it can.
      after(READ_AGAIN_MS, () => void catchUp());
    } finally {
      isReading = false;
    }
  };

  const follow = (turn: Turn): void => {
    if (behindSince !== undefined) return;
    let json = turn.texts ?? turn.events.map((event) => JSON.stringify(event));
    if (waitingBytes > maxWaitingBytes) {
      behindSince = { now: clock.now(), monotonic: clock.monotonic() };
      beat();
      return;
    }
    const read = caughtUpTo;
    if (read !== undefined) {
      json = json.filter((_, index) => compareCursors(turn.events[index]?.id ?? read, read) > 0);
      if (turn.events.length > 0 && json.length > 0) caughtUpTo = undefined;
    }
    if (json.length > 0 || turn.pulses.length > 0) send(json, turn.pulses, turn.receivedAt);
    if (json.length > 0) posted = turn.events.at(-1)?.id ?? posted;
  };

  return {
    get isBehind() {
      return behindSince !== undefined;
    },
    get waitingBytes() {
      return waitingBytes;
    },
    begin() {
      posted = bus.head();
      subscriptions.push(
        bus.sight$.subscribe((next) => {
          hubSight = next;
          saidAt = clock.monotonic();
          beat();
        }),
        bus.turns$.subscribe(follow),
      );
      after(BEAT_MS, beatOn);
      return { node: bus.node, cursor: posted, sight: sight() };
    },
    took({ number: upTo, sentMs }) {
      const left = outstanding.findIndex((one) => one.number > upTo);
      const taken = left < 0 ? outstanding : outstanding.slice(0, left);
      outstanding = left < 0 ? [] : outstanding.slice(left);
      for (const { bytes } of taken) waitingBytes -= bytes;
      for (const ms of sentMs) options.sent?.(ms);
      if (beatNumber <= upTo) beatNumber = 0;
      if (outstanding.length === 0) void catchUp();
      if (owesBeat) beat();
    },
    stop() {
      stopped = true;
      for (const subscription of subscriptions) subscription.unsubscribe();
      for (const timer of timers) timer.cancel();
      outstanding = [];
    },
  };
}
