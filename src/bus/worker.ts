import { BehaviorSubject, Subject } from 'rxjs';
import { SessionRelayError } from '../errors.js';
import type { SessionEvent } from '../model/event.js';
import type { Clock, Timer } from '../net/clock.js';
import type { Bus, Sight, Turn } from './bus.js';
import type { Peer } from './peer.js';
import type { Begin, BusMethods, HubMethods } from './worker-messages.js';

/** The bus of a thread that the hub is not in. It says itself that it is blind where it hears nothing, or too late. */
export interface WorkerBus extends Bus {
  /** What the hub's thread says. */
  readonly hears: BusMethods;
  stop(): void;
}

export interface WorkerBusOptions {
  readonly peer: Pick<Peer<HubMethods>, 'call' | 'post'>;
  readonly begin: Begin;
  readonly clock: Clock;
  readonly sharedNow: () => number;
  /** How a task is put behind what the event loop has waiting. Default `setImmediate`. */
  readonly defer?: (task: () => void) => void;
}

/** The hub's thread says something every 500 ms; silent for longer than this it is not followed. */
export const SILENT_MS = 2_000;
/** What is heard later than this after it was said is no longer the present. */
export const LATE_MS = 1_000;
/** Silence that is not expected to end: the process should be replaced. */
export const LOST_MS = 30_000;
const LOOK_EVERY_MS = 250;
/**
 * Sent, so it may be carried out, whatever becomes of the answer. The hub itself answers sooner: seventeen of a source
 * take turns, 30 s each.
 */
const COMMAND_MS = 600_000;
const WEBHOOK_MS = 30_000;

export function createWorkerBus(options: WorkerBusOptions): WorkerBus {
  const { peer, begin, clock, sharedNow, defer = setImmediate } = options;
  const turns = new Subject<Turn>();
  const sight = new BehaviorSubject<Sight>(begin.sight);
  let head = begin.cursor;
  let hubSight = begin.sight;
  let heardAt = clock.monotonic();
  let lateMs = 0;
  let taken = 0;
  let sentMs: number[] = [];
  let confirming = false;
  let timer: Timer | undefined;
  let stopped = false;

  const confirm = (number: number): void => {
    taken = number;
    if (confirming) return;
    confirming = true;
    defer(() => {
      confirming = false;
      if (stopped) return;
      peer.post('took', { number: taken, sentMs });
      sentMs = [];
    });
  };
  /** What can be said of the hub now: what it says itself, unless that is old. */
  const present = (): Sight => {
    const silentMs = clock.monotonic() - heardAt;
    if (silentMs > SILENT_MS) {
      const why = `nothing was heard of the hub for ${Math.round(silentMs)} ms`;
      const blind = { blind: true, since: clock.now() - silentMs, forMs: silentMs, why } as const;
      return silentMs > LOST_MS ? { ...blind, lasting: true } : blind;
    }
    if (lateMs > LATE_MS) {
      const why = `what the hub says is heard ${Math.round(lateMs)} ms late`;
      return { blind: true, since: clock.now() - lateMs, forMs: lateMs, why };
    }
    return hubSight.blind ? hubSight : { blind: false, cursor: head };
  };
  const look = (): void => {
    const [before, now] = [sight.value, present()];
    if (before.blind !== now.blind || (now.blind && before.blind && now.lasting !== before.lasting)) sight.next(now);
  };
  const heard = (sentAt: number): void => {
    heardAt = clock.monotonic();
    lateMs = Math.max(0, sharedNow() - sentAt);
  };
  const watch = (): void => {
    const dueAt = clock.monotonic() + LOOK_EVERY_MS;
    timer = clock.setTimer(() => {
      // After a block of this thread's own loop what was said meanwhile is heard first.
      if (clock.monotonic() - dueAt < LOOK_EVERY_MS) look();
      if (!stopped) watch();
    }, LOOK_EVERY_MS);
  };
  watch();

  return {
    node: begin.node,
    turns$: turns.asObservable(),
    sight$: sight.asObservable(),
    head: () => head,
    states: (query) => peer.call('states', query),
    events: (after, limit) => peer.call('events', { after, limit }),
    lag: () => peer.call('lag', null),
    holds: (cursor) => peer.call('holds', cursor),
    sources: () => peer.call('sources', null),
    command: (request) => peer.call('command', request, { withinMs: COMMAND_MS, unanswered: outcomeUnknown }),
    webhook: (hook) => peer.call('webhook', hook, { withinMs: WEBHOOK_MS }),
    hears: {
      turn({ number, sentAt, texts, pulses, ageMs }) {
        heard(sentAt);
        const events = texts.map((text) => JSON.parse(text) as SessionEvent);
        const received = ageMs === undefined ? {} : { receivedAt: clock.monotonic() - lateMs - ageMs };
        if (events.length > 0 || pulses.length > 0) turns.next({ events, pulses, texts, ...received });
        head = events.at(-1)?.id ?? head;
        if (ageMs !== undefined && events.length > 0) sentMs.push(Math.max(0, sharedNow() - sentAt) + ageMs);
        look();
        confirm(number);
      },
      beat({ number, sentAt, sight: said }) {
        heard(sentAt);
        hubSight = said;
        look();
        confirm(number);
      },
    },
    stop() {
      stopped = true;
      timer?.cancel();
      turns.complete();
    },
  };
}

function outcomeUnknown(): SessionRelayError {
  return new SessionRelayError('venue_timeout', 'the hub did not say what became of it: the outcome is unknown');
}
