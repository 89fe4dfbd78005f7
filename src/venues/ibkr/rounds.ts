import { type Fact, SOURCE_TOKEN } from '../../model/event.js';
import type { Clock, Random, Timer } from '../../net/clock.js';
import { createRetry } from '../../net/retry.js';
import type { Book } from './book.js';
import { decide } from './decision.js';
import type { HttpLine } from './http-line.js';
import type { Operations } from './operations.js';
import { type IbkrConfig, VALIDATE_APART_MS } from './options.js';
import type { Recovery } from './recovery.js';

/**
 * The rhythm of one source: a round is `/sso/validate` where it is due, `/tickle`, and `/iserver/auth/status`; then
 * whatever the answers call for. A look is the status alone.
 */
export interface Rounds {
  start(): void;
  /** Nothing follows; what is under way ends without effect on the rhythm. */
  stop(): void;
  /** A round now, or one more after the one that is under way. */
  now(): void;
  /** A look soon: something has moved. Many calls are one look. */
  look(): void;
}

/** A failed tickle is repeated after this. */
export const AFTER_FAILURE_MS = 5_000;
/** While a session is being established, or was just initialised. */
export const SETTLING_MS = 5_000;
const LOOK_APART_MS = 1_000;
const JITTER = 0.1;
/** A gateway that cannot be dialled is tried again after 5 s to 5 minutes; in a maintenance window after 1 minute at least. */
const DIAL_RETRY_MS = 5_000;
const DIAL_RETRY_CAP_MS = 300_000;
const MAINTENANCE_DIAL_MS = 60_000;
/** Back-off starts anew after the gateway has answered for so long. */
const HEALTHY_AFTER_MS = 60_000;

export interface RoundsOptions {
  readonly config: Pick<IbkrConfig, 'id' | 'tickleSeconds' | 'validateSeconds'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly book: Book;
  readonly line: HttpLine;
  readonly operations: Operations;
  readonly recovery: Recovery;
  readonly maintenance: () => boolean;
  /** After each round in which the login was found to work: what lives in it may be connected. */
  readonly works: () => void;
}

export function createRounds(options: RoundsOptions): Rounds {
  const { config, clock, random, book, line, operations, recovery, maintenance } = options;
  const dialRetry = createRetry({
    clock,
    random,
    baseMs: DIAL_RETRY_MS,
    floorMs: DIAL_RETRY_MS,
    capMs: DIAL_RETRY_CAP_MS,
    healthyAfterMs: HEALTHY_AFTER_MS,
  });
  const usualMs = config.tickleSeconds * 1_000;
  let running = false;
  let inRound = false;
  let again = false;
  let timer: Timer | undefined;
  let lookTimer: Timer | undefined;
  let lookingNow: Promise<void> | undefined;
  let lookAgain = false;
  let lookedAt = Number.NEGATIVE_INFINITY;
  let validatedAt = Number.NEGATIVE_INFINITY;

  const isLoginMissing = (): boolean => decide(book.state.evidence) === 'login_required';
  /** Logged out because it was asked for: only whether somebody has logged in again is asked. */
  const isResting = (): boolean => book.state.loggedOut && book.state.sso.status === 'closed';
  const canLook = (): boolean =>
    running && line.link !== 'down' && line.penaltyLeftMs() === 0 && !isLoginMissing() && !isResting();

  /** Whether the venue has answered. */
  const validate = async (): Promise<boolean> => {
    const { kind } = await operations.validate();
    const answered = kind === 'ok' || kind === 'refused' || kind === 'redirected';
    if (answered) validatedAt = clock.monotonic();
    return answered;
  };
  const isValidateDue = (): boolean => {
    const everyMs = isResting() || isLoginMissing() ? VALIDATE_APART_MS : config.validateSeconds * 1_000;
    return clock.monotonic() - validatedAt >= everyMs;
  };

  const lookOnce = async (): Promise<void> => {
    do {
      lookAgain = false;
      lookedAt = clock.monotonic();
      await operations.authStatus();
    } while (lookAgain && canLook());
    const initialised = running && (await recovery.act());
    const { evidence } = book.state;
    const decision = decide(evidence);
    if (initialised) lookIn(LOOK_APART_MS);
    else if (recovery.isSettling && decision !== 'ready' && decision !== 'competing') lookIn(SETTLING_MS);
    // The login itself may be over: the tickle has the other half of that.
    if (evidence.validateRefused && evidence.tickle === 'ok') void run();
  };
  const lookNow = (): Promise<void> => {
    lookTimer?.cancel();
    lookTimer = undefined;
    if (!canLook()) return Promise.resolve();
    if (lookingNow !== undefined) {
      lookAgain = true;
      return lookingNow;
    }
    lookingNow = lookOnce().finally(() => {
      lookingNow = undefined;
    });
    return lookingNow;
  };
  const lookIn = (ms: number): void => {
    if (!running || lookTimer !== undefined) return;
    lookTimer = clock.setTimer(() => void lookNow(), ms);
  };

  /** Whether the round brought what it was for; `false`: it is to be repeated soon. */
  const runOnce = async (): Promise<boolean> => {
    if (isValidateDue()) {
      await validate();
      if (!running || line.link === 'down') return false;
    }
    if (isResting()) return true;
    const answer = await operations.tickle();
    if (!running || answer.kind === 'failed') return false;
    // A refused tickle means a login that is over only together with a refused validation: that is asked now.
    if (book.state.evidence.tickle === 'refused' && !isLoginMissing() && !(await validate())) return false;
    if (!canLook()) return true;
    if (book.state.sso.status === 'active' && book.state.sso.seen) options.works();
    await lookNow();
    return true;
  };

  const run = async (): Promise<void> => {
    if (!running) return;
    if (inRound) {
      again = true;
      return;
    }
    timer?.cancel();
    inRound = true;
    let worked = false;
    try {
      do {
        again = false;
        worked = await runOnce();
      } while (again && running && line.penaltyLeftMs() === 0);
    } finally {
      inRound = false;
      schedule(worked);
    }
  };

  const schedule = (worked: boolean): void => {
    timer?.cancel();
    // After a penalty its end starts the next round.
    if (!running || line.penaltyLeftMs() > 0) return;
    if (line.link === 'down') {
      dialRetry.ended();
      const { attempt, delayMs } = dialRetry.next(maintenance() ? MAINTENANCE_DIAL_MS : 0);
      const { generation } = line;
      const data = { carrier: 'http', generation, attempt, delayMs } as const;
      const fact: Fact = { source: config.id, session: SOURCE_TOKEN, type: 'link.retrying', data, generation };
      timer = clock.setTimer(() => void run(), delayMs);
      book.tell([fact]);
      return;
    }
    if (line.link === 'up') dialRetry.healthy();
    if (!worked) {
      timer = clock.setTimer(() => void run(), AFTER_FAILURE_MS);
      return;
    }
    const periodMs = isResting() || isLoginMissing() ? Math.max(VALIDATE_APART_MS, usualMs) : usualMs;
    timer = clock.setTimer(() => void run(), periodMs * (1 + JITTER * (2 * random() - 1)));
  };

  return {
    start() {
      if (running) return;
      running = true;
      void run();
    },
    stop() {
      running = false;
      timer?.cancel();
      lookTimer?.cancel();
      lookTimer = undefined;
    },
    now: () => void run(),
    look() {
      const sinceMs = clock.monotonic() - lookedAt;
      if (lookingNow !== undefined) lookAgain = true;
      else if (sinceMs >= LOOK_APART_MS) void lookNow();
      else {
        lookTimer?.cancel();
        lookTimer = undefined;
        lookIn(LOOK_APART_MS - sinceMs);
      }
    },
  };
}
