import type { Clock, Random } from '../../net/clock.js';
import { createRetry } from '../../net/retry.js';
import type { Book } from './book.js';
import { takenAway, takeWaitMs } from './compete.js';
import { decide } from './decision.js';
import type { Operations } from './operations.js';
import type { IbkrConfig } from './options.js';

/** Brings the brokerage session back: `ssodh/init` with back-off, and the policy of competing. */
export interface Recovery {
  /** After the book has taken up what a life before this one knew. */
  recall(): void;
  /**
   * Does what the present decision calls for, where it is time. Never rejects; `true`: `ssodh/init` was asked, and the
   * status should be looked at soon.
   */
  act(): Promise<boolean>;
  /** Whether a session that is being established is still given time. */
  readonly isSettling: boolean;
  /** Someone has asked for `ssodh/init` or for its like: the back-off counts from here. */
  asked(): void;
}

/** Back-off starts anew after a session has lasted so long. */
const HEALTHY_AFTER_MS = 600_000;
/** In a maintenance window the least time between two attempts is so many times longer. */
const MAINTENANCE_FACTOR = 5;

export function createRecovery(options: {
  readonly config: Pick<IbkrConfig, 'compete' | 'cooldown' | 'establish' | 'initRetry'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly book: Book;
  readonly operations: Operations;
  readonly maintenance: () => boolean;
  /** Nothing is initialised while this holds: a logout is under way, or the source is stopped. */
  readonly held: () => boolean;
}): Recovery {
  const { config, clock, random, book, operations } = options;
  const retry = createRetry({
    clock,
    random,
    baseMs: config.initRetry.from,
    floorMs: config.initRetry.from,
    capMs: Math.max(config.initRetry.from, config.initRetry.to),
    healthyAfterMs: HEALTHY_AFTER_MS,
  });
  let nextAt = Number.NEGATIVE_INFINITY;
  let settleUntil = Number.NEGATIVE_INFINITY;
  let establishingSince: number | undefined;
  let busy = false;
  /** It has worked since it was contested last. */
  let worked = false;

  const asked = (): void => {
    const atLeastMs = options.maintenance() ? config.initRetry.from * MAINTENANCE_FACTOR : 0;
    nextAt = clock.monotonic() + retry.next(atLeastMs).delayMs;
    settleUntil = clock.monotonic() + config.establish;
  };
  const init = async (compete: boolean): Promise<boolean> => {
    asked();
    busy = true;
    try {
      const answer = await operations.init(compete);
      return answer.kind === 'ok';
    } finally {
      busy = false;
    }
  };
  const initWhenDue = async (): Promise<boolean> => (clock.monotonic() >= nextAt ? init(false) : false);

  return {
    recall() {
      // Whoever holds it now has taken it from us: the cooldown runs from there.
      worked = book.state.brokerage.status === 'active';
    },
    async act() {
      const { state } = book;
      const decision = decide(state.evidence);
      if (decision === 'ready') {
        worked = true;
        // What it took to come here is no reason to wait once it is lost again.
        nextAt = Math.min(nextAt, clock.monotonic() + config.initRetry.from);
        retry.healthy();
      } else if (decision !== 'unknown') retry.ended();
      if (decision !== 'initializing') establishingSince = undefined;
      if (busy || options.held() || state.loggedOut || state.sso.status !== 'active' || !state.sso.seen) return false;
      switch (decision) {
        case 'recovering':
          return initWhenDue();
        case 'initializing':
          establishingSince ??= clock.monotonic();
          return clock.monotonic() - establishingSince >= config.establish ? initWhenDue() : false;
        case 'competing': {
          const nowMs = clock.now();
          const takings = worked ? takenAway(state.takings, nowMs) : state.takings;
          worked = false;
          if (takings !== state.takings) book.apply((before) => [{ ...before, takings }, []]);
          const mayTake = config.compete === 'oncePerCooldown' && takeWaitMs(takings, config.cooldown, nowMs) === 0;
          if (mayTake) return init(true);
          // Without `compete` the venue refuses while the other login is there, and ends nobody's session.
          return state.evidence.status.authenticated === true ? false : initWhenDue();
        }
        default:
          return false;
      }
    },
    get isSettling() {
      const now = clock.monotonic();
      return now < settleUntil || (establishingSince !== undefined && now - establishingSince < config.establish);
    },
    asked,
  };
}
