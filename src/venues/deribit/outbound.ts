import { createBudget } from '../../net/budget.js';
import type { Clock, Timer } from '../../net/clock.js';

/**
 * What may be sent to the venue: its own credits (Deribit docs, "Rate limits": 500 a request out of 50,000 with 10,000
 * more a second, 3,000 a subscription out of 30,000, and the matching engine's apart), less a reserve for whoever else
 * uses the account. A request without credits ends the session, so that none is made.
 */
const GENERAL = { perSecond: 16, burst: 80 } as const;
const SUBSCRIPTIONS = { perSecond: 2.5, burst: 8 } as const;
/** The highest published tier: which one an account has is not told. */
const MATCHING = { perSecond: 30, burst: 60 } as const;

/** 10028 says no time: an empty pool is full again after 5 s; as much again for others who draw on it. */
const CREDITS_BACK_MS = 10_000;
/** Repeated penalties double up to this. */
const MAX_PENALTY_MS = 300_000;
/** A penalty so long after the last one is a new one. */
const PENALTY_MEMORY_MS = 120_000;

const SUBSCRIPTION = /^(public|private)\/(un)?subscribe(_all)?$/;
const ORDER = /^private\/(buy|sell|edit(_by_label)?|cancel(_all.*|_by_.*|_quotes)?|close_position|mass_quote)$/;

export interface Outbound {
  /** Takes what a request costs and answers 0, or answers how many ms to wait and takes nothing. */
  take(method: string): number;
  /** The venue's penalty; without `waitMs` its credits are waited for, longer each time. */
  penalize(waitMs?: number): void;
  /** How long nothing may be sent. */
  readonly penaltyLeftMs: number;
  stop(): void;
}

export function createOutbound(options: {
  readonly clock: Clock;
  /** Nothing is sent until then, ms since the epoch. */
  readonly throttled: (untilMs: number) => void;
  readonly unthrottled: () => void;
}): Outbound {
  const { clock } = options;
  const general = createBudget({ clock, ...GENERAL });
  const subscriptions = createBudget({ clock, ...SUBSCRIPTIONS });
  const matching = createBudget({ clock, ...MATCHING });
  let untilMs = Number.NEGATIVE_INFINITY;
  let lastMs = Number.NEGATIVE_INFINITY;
  let repeats = 0;
  let timer: Timer | undefined;

  const leftMs = (): number => Math.max(0, Math.ceil(untilMs - clock.monotonic()));
  const lift = (): void => {
    if (timer === undefined) return;
    if (leftMs() > 0) {
      timer = clock.setTimer(lift, leftMs());
      return;
    }
    timer = undefined;
    lastMs = clock.monotonic();
    options.unthrottled();
  };

  return {
    take(method) {
      if (leftMs() > 0) return leftMs();
      return (SUBSCRIPTION.test(method) ? subscriptions : ORDER.test(method) ? matching : general).take();
    },
    penalize(waitMs) {
      const now = clock.monotonic();
      if (timer === undefined) repeats = now - lastMs > PENALTY_MEMORY_MS ? 0 : repeats + 1;
      const forMs = waitMs ?? Math.min(MAX_PENALTY_MS, CREDITS_BACK_MS * 2 ** repeats);
      if (timer !== undefined && now + forMs <= untilMs) return;
      untilMs = now + forMs;
      timer?.cancel();
      timer = clock.setTimer(lift, forMs);
      options.throttled(clock.now() + forMs);
    },
    get penaltyLeftMs() {
      return leftMs();
    },
    stop() {
      timer?.cancel();
      timer = undefined;
    },
  };
}

/** What a 429 at the upgrade says to wait: `Retry-After` in seconds or as a date; `undefined` where it says nothing. */
export function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined;
  const text = header.trim();
  const waitMs = /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - nowMs;
  return Number.isFinite(waitMs) && waitMs > 0 ? Math.min(waitMs, MAX_PENALTY_MS) : undefined;
}
