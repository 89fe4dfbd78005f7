import type { Clock, Timer } from './clock.js';

/**
 * Watches one connection for silence. Any frame is life. After `1.5 × interval + 2 s` of silence it says `missed` and
 * asks; without an answer within 10 s it says `dead`. Without the venue's heartbeat it asks every 30 s. It never ends
 * a socket: that is its owner's decision.
 */
export interface Liveness {
  /** A frame arrived, of any kind. */
  seen(): void;
  /** The venue's heartbeat interval, or `null` where it is off. Takes effect from the last sign of life. */
  arm(intervalMs: number | null): void;
  stop(): void;
}

export interface LivenessOptions {
  readonly clock: Clock;
  /** Asks for a sign of life; the answer comes in by `seen`. Called for `missed`, and every 30 s without a heartbeat. */
  readonly ask: () => void;
  /** Silence beyond the bound; `missed` counts from 1 while one silence lasts. */
  readonly missed: (info: { readonly silentMs: number; readonly missed: number; readonly intervalMs: number }) => void;
  /** A sign of life after `missed`. */
  readonly resumed: (info: { readonly silentMs: number }) => void;
  /** Asked, and no answer within `answerMs`. Called once. */
  readonly dead: (info: { readonly silentMs: number }) => void;
  /** Default 10 000. */
  readonly answerMs?: number;
  /** How often to ask without the venue's heartbeat. Default 30 000. */
  readonly askEveryMs?: number;
}

/** Silence is missed from this many intervals on, and so much more. */
const MISSED_INTERVALS = 1.5;
const MISSED_SLACK_MS = 2_000;
const DEFAULT_ANSWER_MS = 10_000;
const DEFAULT_ASK_EVERY_MS = 30_000;
/** A timer that fires later than this says that the process was busy, not that the venue was silent. */
const LATE_MS = 1;

export function createLiveness(options: LivenessOptions): Liveness {
  const { clock, ask, answerMs = DEFAULT_ANSWER_MS, askEveryMs = DEFAULT_ASK_EVERY_MS } = options;
  let intervalMs: number | null = null;
  let lastSeen = clock.monotonic();
  let asked: number | undefined;
  let missed = 0;
  let stopped = false;
  let timer: Timer | undefined;
  let dueAt = 0;
  let lookedAgain = false;

  const silent = (): number => clock.monotonic() - lastSeen;
  /** As it is told: in whole ms, like every duration. */
  const told = (): number => Math.round(silent());
  const boundMs = (): number => (intervalMs === null ? askEveryMs : MISSED_INTERVALS * intervalMs + MISSED_SLACK_MS);

  const schedule = (): void => {
    timer?.cancel();
    if (stopped) return;
    const left = asked === undefined ? boundMs() - silent() : asked + answerMs - clock.monotonic();
    dueAt = clock.monotonic() + Math.max(0, left);
    lookedAgain = false;
    timer = clock.setTimer(due, Math.max(0, left));
  };
  const due = (): void => {
    if (stopped) return;
    if (!lookedAgain && clock.monotonic() - dueAt > LATE_MS) {
      // Timers run before sockets are read: frames that came in the meantime get a turn to be seen first.
      lookedAgain = true;
      timer = clock.setTimer(due, 0);
      return;
    }
    if (asked !== undefined) {
      if (clock.monotonic() - asked < answerMs) {
        schedule();
        return;
      }
      stopped = true;
      if (missed === 0) options.missed({ silentMs: told(), missed: 1, intervalMs: intervalMs ?? askEveryMs });
      options.dead({ silentMs: told() });
      return;
    }
    if (silent() < boundMs()) {
      schedule();
      return;
    }
    asked = clock.monotonic();
    // Without the venue's heartbeat silence is normal: only the missing answer to our own question is news.
    if (intervalMs !== null) {
      missed++;
      options.missed({ silentMs: told(), missed, intervalMs });
    }
    schedule();
    ask();
  };
  schedule();

  return {
    seen() {
      if (stopped) return;
      const silentMs = told();
      lastSeen = clock.monotonic();
      if (asked === undefined) return; // the timer finds the new sign of life when it is due
      asked = undefined;
      const wasMissed = missed > 0;
      missed = 0;
      schedule();
      if (wasMissed) options.resumed({ silentMs });
    },
    arm(next) {
      intervalMs = next;
      schedule();
    },
    stop() {
      stopped = true;
      timer?.cancel();
    },
  };
}
