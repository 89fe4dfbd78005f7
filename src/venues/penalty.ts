import { z } from 'zod';
import { type EventData, timestampOf } from '../model/event.js';
import type { Json } from '../model/json.js';
import type { Clock, Timer } from '../net/clock.js';
import type { VenueMemory } from './venue.js';

/**
 * The venue's penalty (429): nothing is sent before it is over. It is told when it begins, becomes longer and ends, and
 * remembered in the same batch: a relay that is started again waits for what is left of it.
 */
export interface Penalty {
  /** A penalty of so long from now; one that is not longer than what is left changes nothing. */
  impose(forMs: number): void;
  /** Goes on with one that began in a life before this one, or tells that it is over. */
  resume(memory: VenueMemory | undefined): void;
  /** How long one lasts yet that is remembered; 0 without one. */
  remembered(memory: VenueMemory | undefined): number;
  /** How long it lasts yet; 0 without one. */
  leftMs(): number;
  stop(): void;
}

/** What is told of a penalty, of whichever sources it concerns. */
export type PenaltyFact = {
  readonly [T in 'source.throttled' | 'source.unthrottled']: { readonly type: T; readonly data: EventData<T> };
}['source.throttled' | 'source.unthrottled'];

const MEMORY_KEY = 'throttledUntilMs';

export function createPenalty(options: {
  readonly clock: Clock;
  readonly mostMs: number;
  readonly tell: (fact: PenaltyFact, memory: { readonly [key: string]: Json }) => void;
  /** It has begun, or is over; after the fact was told. */
  readonly moved?: (isOn: boolean) => void;
}): Penalty {
  const { clock, mostMs, tell, moved } = options;
  let until = Number.NEGATIVE_INFINITY;
  let timer: Timer | undefined;
  let stopped = false;

  const leftMs = (): number => Math.max(0, until - clock.monotonic());
  const lift = (): void => {
    if (leftMs() > 0) {
      // Timers may be early by a fraction.
      timer = clock.setTimer(lift, leftMs());
      return;
    }
    timer = undefined;
    tell({ type: 'source.unthrottled', data: {} }, { [MEMORY_KEY]: null });
    moved?.(false);
  };
  const impose = (askedMs: number): void => {
    const forMs = Math.min(mostMs, Math.max(0, askedMs));
    if (stopped || clock.monotonic() + forMs <= until) return;
    const isNew = timer === undefined;
    until = clock.monotonic() + forMs;
    timer?.cancel();
    timer = clock.setTimer(lift, forMs);
    const untilMs = clock.now() + forMs;
    tell({ type: 'source.throttled', data: { untilAt: timestampOf(untilMs) } }, { [MEMORY_KEY]: untilMs });
    if (isNew) moved?.(true);
  };

  const endOf = (memory: VenueMemory | undefined): number | undefined =>
    z.number().safeParse(memory?.get(MEMORY_KEY)).data;

  return {
    impose,
    remembered: (memory) => Math.max(0, (endOf(memory) ?? 0) - clock.now()),
    resume(memory) {
      const untilMs = endOf(memory);
      if (untilMs === undefined) return;
      if (untilMs > clock.now()) impose(untilMs - clock.now());
      else tell({ type: 'source.unthrottled', data: {} }, { [MEMORY_KEY]: null });
    },
    leftMs,
    stop() {
      stopped = true;
      timer?.cancel();
    },
  };
}

/** `Retry-After` in seconds or as a date, in ms from `nowMs`; `undefined` where there is none that can be read. */
export function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * 1_000;
  const at = Date.parse(header);
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs);
}
