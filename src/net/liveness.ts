import type { Clock } from './clock.js';

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

export function createLiveness(_options: LivenessOptions): Liveness {
  throw new Error('being written');
}
