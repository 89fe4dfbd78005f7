import { createBudget } from '../../net/budget.js';
import type { Clock } from '../../net/clock.js';

/**
 * What one client id may send: 250 requests in any 60 s (SnapTrade docs, rate limiting), shared by everything that uses
 * the id. Polls keep off a part of it, so that a person's command never waits for them.
 */
export interface Rate {
  /** How long a poll has to wait; 0: it may be sent now, and counts. */
  takePoll(): number;
  /** The same for what a person asked for. */
  takeCommand(): number;
  /** The venue's own count, as each answer carries it. */
  observe(headers: Readonly<Record<string, string>>): void;
  /** The venue's penalty: nothing may be sent before it is over. Returns whether it is longer than one under way. */
  block(forMs: number): boolean;
  /** How long the venue's penalty lasts yet; 0 without one. */
  blockedMs(): number;
  /** Polls that fit into a minute. */
  readonly pollsPerMinute: number;
}

export const REQUESTS_PER_MINUTE = 250;
const WINDOW_MS = 60_000;
/** The part that polls may use. */
const POLL_SHARE = 0.8;
/** Polls that may go out at once; the others are spread over the minute. */
const POLL_BURST = 10;
/** The venue's own count says that so little of its limit is left: polls wait for the next window. */
const RESERVE_SHARE = 0.04;
export const MAX_PENALTY_MS = 3_600_000;
/** A reset larger than this is a time, not a number of seconds. */
const EPOCH_SECONDS = 1_000_000_000;

export function createRate(clock: Clock): Rate {
  let limit = REQUESTS_PER_MINUTE;
  let sent: number[] = [];
  let blockedUntil = Number.NEGATIVE_INFINITY;
  /** The venue's window is spent, for whatever other program: until then nobody sends, or no poll. */
  let spentUntil = Number.NEGATIVE_INFINITY;
  let scarceUntil = Number.NEGATIVE_INFINITY;
  const budgetFor = (most: number) => {
    const burst = Math.max(1, Math.min(POLL_BURST, Math.floor(most / 4)));
    return createBudget({ clock, perSecond: Math.max(1, most - burst) / 60, burst });
  };
  let polls = budgetFor(limit * POLL_SHARE);

  const waitMs = (most: number): number => {
    const now = clock.monotonic();
    while (sent[0] !== undefined && now - sent[0] >= WINDOW_MS) sent.shift();
    const oldest = sent[sent.length - most];
    const full = oldest === undefined ? 0 : oldest + WINDOW_MS - now;
    return Math.max(0, full, blockedUntil - now, spentUntil - now);
  };
  const count = (): number => {
    sent.push(clock.monotonic());
    return 0;
  };
  const resetMs = (header: string | undefined): number => {
    const value = numberOf(header);
    if (value === undefined) return WINDOW_MS;
    const ms =
      value > EPOCH_SECONDS ? value * (value > EPOCH_SECONDS * 1_000 ? 1 : 1_000) - clock.now() : value * 1_000;
    return Math.min(WINDOW_MS, Math.max(0, ms));
  };

  return {
    takePoll() {
      const most = Math.max(1, Math.floor(limit * POLL_SHARE));
      const wait = Math.max(waitMs(most), scarceUntil - clock.monotonic());
      if (wait > 0) return Math.ceil(wait);
      const paced = polls.take();
      return paced > 0 ? paced : count();
    },
    takeCommand() {
      const wait = waitMs(limit);
      return wait > 0 ? Math.ceil(wait) : count();
    },
    observe(headers) {
      const stated = numberOf(headers['x-ratelimit-limit']);
      if (stated !== undefined && stated >= 1 && stated !== limit) {
        limit = Math.min(Math.floor(stated), 100_000);
        polls = budgetFor(limit * POLL_SHARE);
        sent = sent.slice(-limit);
      }
      const left = numberOf(headers['x-ratelimit-remaining']);
      if (left !== undefined && left <= limit * RESERVE_SHARE) {
        const until = clock.monotonic() + resetMs(headers['x-ratelimit-reset']);
        scarceUntil = until;
        if (left <= 0) spentUntil = until;
      }
      // Personal keys have a second limit, by account (10 a minute).
      const ofAccount = numberOf(headers['x-ratelimit-account-remaining']);
      if (ofAccount !== undefined && ofAccount <= 0) {
        scarceUntil = Math.max(scarceUntil, clock.monotonic() + resetMs(headers['x-ratelimit-account-reset']));
      }
    },
    block(forMs) {
      const until = clock.monotonic() + Math.min(MAX_PENALTY_MS, Math.max(0, forMs));
      if (until <= blockedUntil) return false;
      blockedUntil = until;
      return true;
    },
    blockedMs: () => Math.max(0, blockedUntil - clock.monotonic()),
    get pollsPerMinute() {
      return limit * POLL_SHARE;
    },
  };
}

function numberOf(header: string | undefined): number | undefined {
  if (header === undefined || !/^-?\d{1,15}(\.\d+)?$/.test(header.trim())) return undefined;
  return Number(header);
}
