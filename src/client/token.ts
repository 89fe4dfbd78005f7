import { SessionRelayError } from '../errors.js';
import type { Clock } from '../net/clock.js';

/** A credential: a text, or where to get a fresh one from. */
export type TokenSource = string | (() => string | Promise<string>);

/** Longest wait for a token that a function was asked for. */
export const TOKEN_MS = 30_000;

/** Exactly one of `use` and `fail` is called, once: at once for a text, and for none. */
export function withToken(
  source: TokenSource | undefined,
  clock: Clock,
  use: (token: string | undefined) => void,
  fail: (error: SessionRelayError) => void,
): void {
  if (typeof source !== 'function') return use(source);
  let isDone = false;
  const once = (task: () => void): void => {
    if (isDone) return;
    isDone = true;
    late.cancel();
    task();
  };
  const none = (cause?: unknown): void =>
    once(() => fail(new SessionRelayError('unauthenticated', 'no token could be had', { cause })));
  const late = clock.setTimer(none, TOKEN_MS);
  // `async`, so that a function which throws is one which rejects. What it threw is kept, and not repeated: it may hold
  // what it was about.
  (async () => source())().then((token) => {
    if (typeof token === 'string' && token !== '') once(() => use(token));
    else none();
  }, none);
  return undefined;
}
