import type { SafetyLevel } from './event.js';
import type { Safety } from './session.js';

/** A better level is published only after this long without a worse one. */
export const QUIET_MS = 3_000;

const RANK: Readonly<Record<SafetyLevel, number>> = { safe: 0, at_risk: 1, unknown: 2, unsafe: 3 };

/** Whether `a` is worse than `b`: unsafe > unknown > at_risk > safe. */
export function isWorse(a: SafetyLevel, b: SafetyLevel): boolean {
  return RANK[a] > RANK[b];
}

/** What is published of one session, and what waits to be. Begin with `{ published }`. */
export interface Settled {
  readonly published: Safety;
  /** Better verdicts, each better than the one before it: since `sinceMs` nothing worse than it was found. */
  readonly waiting?: readonly { readonly safety: Safety; readonly sinceMs: number }[];
}

export interface Settlement {
  readonly settled: Settled;
  /** There is something new to publish: `settled.published`. */
  readonly changed: boolean;
  /** Time alone will publish something after this long. */
  readonly recheckInMs?: number;
}

/**
 * Hysteresis: a worse level, and other reasons at the same level, are published at once; a better level only after
 * {@link QUIET_MS} in which nothing worse than it was found. `nowMs`: a monotonic clock.
 */
export function settleSafety(before: Settled, verdict: Safety, nowMs: number): Settlement {
  const { published, waiting = [] } = before;
  const next: Safety = { level: verdict.level, reasons: verdict.reasons, notes: verdict.notes };
  if (!isWorse(published.level, next.level)) {
    const same = isSame(published, next);
    return { settled: { published: same ? published : next }, changed: !same };
  }
  const worse = waiting.filter(({ safety }) => isWorse(safety.level, next.level));
  const [earliest] = waiting.filter(({ safety }) => !isWorse(safety.level, next.level));
  const all = [...worse, { safety: next, sinceMs: earliest?.sinceMs ?? nowMs }];
  const ripe = all.filter(({ sinceMs }) => nowMs - sinceMs >= QUIET_MS).at(-1);
  const left = ripe === undefined ? all : all.slice(all.indexOf(ripe) + 1);
  const [first] = left;
  return {
    settled: { published: ripe?.safety ?? published, ...(left.length === 0 ? {} : { waiting: left }) },
    changed: ripe !== undefined,
    ...(first === undefined ? {} : { recheckInMs: first.sinceMs + QUIET_MS - nowMs }),
  };
}

function isSame(a: Safety, b: Safety): boolean {
  return a.level === b.level && sameTexts(a.reasons, b.reasons) && sameTexts(a.notes, b.notes);
}

function sameTexts(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, index) => text === b[index]);
}
