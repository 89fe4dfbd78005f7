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
  const late = clock.setTimer(
    () => once(() => fail(new SessionRelayError('unauthenticated', `no token came within ${TOKEN_MS / 1_000} s`))),
    TOKEN_MS,
  );
  // `async`, so that a function which throws is one which rejects. What it threw is kept, and not repeated: it may hold
  // what it was about.
  (async () => source())().then(
    (token) =>
      once(() =>
        typeof token === 'string' && token !== ''
          ? use(token)
          : fail(new SessionRelayError('unauthenticated', 'the function that gives tokens gave none')),
      ),
    (cause: unknown) =>
      once(() => fail(new SessionRelayError('unauthenticated', 'the function that gives tokens failed', { cause }))),
  );
  return undefined;
}
