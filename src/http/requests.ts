import type { Clock } from '../net/clock.js';
import { problem } from './problem.js';
import type { Handler } from './routes.js';

/** Requests that are answered at once, beside those that ask for health; more are told to come again. */
export const MAX_REQUESTS_AT_ONCE = 512;
const RETRY_AFTER_SECONDS = 1;
/** An answer that was given just now gets this long to leave. */
const LINGER_MS = 100;
/** Asked by whoever decides whether this process lives and serves: always answered. */
const HEALTH: ReadonlySet<string> = new Set(['/livez', '/readyz']);

/** HTTP requests that are being answered: bounded in number, and waited for before the port is given up. */
export interface Requests {
  readonly fetch: Handler;
  /** Resolves when none is under way and the last answer has had time to leave. A body that streams on is not waited for. */
  idle(): Promise<void>;
}

export function limitRequests(fetch: Handler, clock: Clock, atOnce = MAX_REQUESTS_AT_ONCE): Requests {
  let underWay = 0;
  /** Beside the limit, but waited for. */
  let health = 0;
  let lastEndAt = Number.NEGATIVE_INFINITY;
  let waiting: (() => void)[] = [];
  const ended = (): void => {
    lastEndAt = clock.monotonic();
    if (underWay + health > 0) return;
    const told = waiting;
    waiting = [];
    for (const tell of told) tell();
  };
  return {
    async fetch(request, peer) {
      if (isHealth(request)) {
        health++;
        try {
          return await fetch(request, peer);
        } finally {
          health--;
          ended();
        }
      }
      if (underWay >= atOnce) {
        return problem(503, `at most ${atOnce} requests are answered at once`, {
          headers: { 'retry-after': String(RETRY_AFTER_SECONDS) },
        });
      }
      underWay++;
      try {
        return await fetch(request, peer);
      } finally {
        underWay--;
        ended();
      }
    },
    async idle() {
      while (underWay + health > 0) await new Promise<void>((resolve) => waiting.push(resolve));
      const lingerMs = lastEndAt + LINGER_MS - clock.monotonic();
      if (lingerMs > 0) await new Promise<void>((resolve) => void clock.setTimer(resolve, lingerMs));
    },
  };
}

export function isHealth({ url }: Pick<Request, 'url'>): boolean {
  return HEALTH.has(new URL(url).pathname);
}
