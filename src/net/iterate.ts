import type { Observable } from 'rxjs';
import { SessionRelayError } from '../errors.js';

/** Events that an async iterator holds for a slow consumer; beyond it iteration ends with an error, never with a hole. */
export const MAX_ITERATOR_EVENTS = 10_000;

/**
 * Pulls from a hot stream through a bounded buffer. A consumer that falls {@link MAX_ITERATOR_EVENTS} behind gets what
 * is held for it, then `rate_limited`; an error of the stream comes behind what is held, too. One that leaves its loop
 * is forgotten.
 */
export function iterate<T extends { readonly id: string }>(events$: Observable<T>): AsyncIterator<T, undefined> {
  let buffer: T[] = [];
  let ended = false;
  let failure: { readonly why: unknown } | undefined;
  let waiting: (() => void)[] = [];
  const wake = (): void => {
    const woken = waiting;
    waiting = [];
    for (const one of woken) one();
  };
  const subscription = events$.subscribe({
    next(event) {
      if (failure !== undefined) return;
      if (buffer.length < MAX_ITERATOR_EVENTS) buffer.push(event);
      else failure = { why: tooSlow(buffer.at(-1)?.id) };
      wake();
    },
    error(why) {
      failure ??= { why };
      wake();
    },
    complete() {
      ended = true;
      wake();
    },
  });
  return {
    async next() {
      for (;;) {
        const event = buffer.shift();
        if (event !== undefined) return { done: false, value: event };
        if (failure !== undefined && !ended) {
          ended = true;
          subscription.unsubscribe();
          throw failure.why;
        }
        if (ended) return { done: true, value: undefined };
        await new Promise<void>((resolve) => {
          waiting.push(resolve);
        });
      }
    },
    return() {
      subscription.unsubscribe();
      buffer = [];
      failure = undefined;
      ended = true;
      wake();
      return Promise.resolve({ done: true, value: undefined });
    },
  };
}

function tooSlow(last = 'the start'): SessionRelayError {
  return new SessionRelayError(
    'rate_limited',
    `the consumer of this iterator is ${MAX_ITERATOR_EVENTS} events behind: events after ${last} are not held for it`,
  );
}
