import { type Pulse, type SessionEvent, SOURCE_TOKEN } from '../model/event.js';
import {
  assess,
  type Evidence,
  emptyEvidence,
  isAssessedAlike,
  isWorse,
  observe,
  recallEvidence,
  type SafetyPolicy,
  type Settled,
  settleSafety,
  unproved,
} from '../model/safety.js';
import type { Safety, SessionState, SourceState } from '../model/session.js';
import type { Clock, Timer } from '../net/clock.js';
import { sourceOfKey } from './state-book.js';

/**
 * Keeps the evidence and the published verdict of every session, and says when a verdict has to be looked at again.
 * Deadlines run on the monotonic clock: a wall clock that jumps neither hides nor makes a danger.
 */
export interface SafetyWatch {
  /**
   * Something the session itself, or its source, said. What a source said is also kept under the source's own key: a
   * session that appears later on the same connection starts from it.
   */
  observe(key: string, event: SessionEvent | Pulse): void;
  /** A session that a life before this one knew: what of it is a danger still. Before anything is observed of it. */
  recall(state: SessionState): void;
  /** Whoever proved what this key says is gone: nothing of it is confirmed any more. */
  unprove(key: string): void;
  /** The verdict to publish now, where there is a new one; arms the timer for the next look. */
  judge(state: SessionState, source: SourceState | undefined, policy: SafetyPolicy): Judgement | undefined;
  forget(key: string): void;
  /** From then on only worse levels are published, while time goes on: what is not followed never gets better. */
  worsenOnly(): void;
  /** The same, and ends every timer. */
  stop(): void;
}

export interface Judgement extends Safety {
  readonly previous: Safety['level'];
}

interface Watched {
  evidence: Evidence;
  /** Absent before the first verdict of this life. */
  settled?: Settled;
  timer?: Timer;
  judged?: Judged | undefined;
}

/** What the last verdict was made of: while it is the same, and it is not yet `untilMs`, so is the verdict. */
interface Judged {
  readonly state: SessionState;
  readonly attributes: SourceState['attributes'] | undefined;
  readonly evidence: Evidence;
  readonly policy: SafetyPolicy;
  /** On the monotonic clock. */
  readonly untilMs: number;
}

/** A verdict is looked at again so much before time may change it: sums of fractions are not exact. */
const MARGIN_MS = 1;

export function createSafetyWatch(options: {
  readonly clock: Clock;
  /** Time alone may have changed this session's verdict: judge it again. */
  readonly due: (key: string) => void;
}): SafetyWatch {
  const { clock, due } = options;
  const watched = new Map<string, Watched>();
  let stopped = false;
  let onlyWorse = false;

  const of = (key: string): Watched => {
    const known = watched.get(key);
    if (known !== undefined) return known;
    const evidence = watched.get(`${sourceOfKey(key)}.${SOURCE_TOKEN}`)?.evidence ?? emptyEvidence();
    const fresh: Watched = { evidence };
    watched.set(key, fresh);
    return fresh;
  };

  /**
   * Most of what a session says moves nothing that its verdict is made of. Evidence, policies and attributes are never
   * changed in place: the same object says the same.
   */
  const isStillSo = (one: Watched, state: SessionState, source: SourceState | undefined, policy: SafetyPolicy) => {
    const { judged } = one;
    return (
      judged !== undefined &&
      !onlyWorse &&
      judged.evidence === one.evidence &&
      judged.policy === policy &&
      judged.attributes === source?.attributes &&
      isAssessedAlike(judged.state, state) &&
      (judged.untilMs === Number.POSITIVE_INFINITY || clock.monotonic() < judged.untilMs)
    );
  };

  return {
    observe(key, event) {
      const one = of(key);
      one.evidence = observe(one.evidence, event, clock.monotonic());
    },
    recall(state) {
      watched.set(state.key, { evidence: recallEvidence(state, clock.monotonic(), clock.now()) });
    },
    unprove(key) {
      const known = watched.get(key);
      if (known !== undefined) known.evidence = unproved(known.evidence);
    },
    judge(state, source, policy) {
      const one = of(state.key);
      if (isStillSo(one, state, source, policy)) return undefined;
      const nowMs = clock.monotonic();
      const verdict = assess({ state, source, evidence: one.evidence, policy, nowMs, wallMs: clock.now() });
      // After a restart what was published before it still stands.
      const before = one.settled ?? { published: state.safety };
      const { settled, changed, recheckInMs } = settleSafety(before, verdict, nowMs);
      const isHeldBack = onlyWorse && !isWorse(settled.published.level, before.published.level);
      if (!isHeldBack) one.settled = settled;
      one.timer?.cancel();
      const waits = [verdict.recheckInMs, isHeldBack ? undefined : recheckInMs].filter((ms) => ms !== undefined);
      const waitMs = waits.length > 0 ? Math.min(...waits) : Number.POSITIVE_INFINITY;
      if (waits.length > 0 && !stopped) {
        one.timer = clock.setTimer(() => {
          one.judged = undefined;
          due(state.key);
        }, waitMs);
      }
      // What is lost is also judged by the time of the day, and the wall clock may jump.
      one.judged =
        state.status === 'lost'
          ? undefined
          : {
              state,
              attributes: source?.attributes,
              evidence: one.evidence,
              policy,
              untilMs: nowMs + waitMs - MARGIN_MS,
            };
      return changed && !isHeldBack ? { ...settled.published, previous: before.published.level } : undefined;
    },
    forget(key) {
      watched.get(key)?.timer?.cancel();
      watched.delete(key);
    },
    worsenOnly() {
      onlyWorse = true;
    },
    stop() {
      onlyWorse = true;
      stopped = true;
      for (const { timer } of watched.values()) timer?.cancel();
    },
  };
}
