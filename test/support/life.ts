import type { Journal, JournalBatch } from '../../src/hub/journal/journal.js';
import type { Clock, Timer } from '../../src/net/clock.js';
import type { HttpClient, HttpOptions } from '../../src/net/http.js';
import type { Connect, Socket } from '../../src/net/socket.js';

/**
 * One life of a process that may be killed at any moment: what it has of the outside world is cut off from one instant
 * to the next, as `kill -9` does. Its sockets are gone, its timers never fire, no answer reaches it, and the journal
 * takes nothing more of it. It is told nothing: what it was about to do it never does.
 */
export interface Life {
  readonly clock: Clock;
  readonly connect: Connect;
  readonly http: (options: HttpOptions) => HttpClient;
  readonly journal: Journal;
  readonly isAlive: boolean;
  /** Requests that wait for their answer, sockets for their opening, batches for their commit. */
  readonly inFlight: number;
  /** Resolves when its sockets are cut and the journal is free for another life. */
  kill(): Promise<void>;
}

/** Where a life ends: asked before each batch is written. `before`: nothing of it is kept; `after`: all of it. */
export type Fate = (batch: JournalBatch, index: number) => 'before' | 'after' | undefined;

/** What a dead process waits for, and what it sends on. */
const NEVER = new Promise<never>(() => {});
const GONE: Socket = { send() {}, ping() {}, close() {}, terminate() {}, bufferedBytes: 0 };

export function createLife(options: {
  readonly clock: Clock;
  readonly connect: Connect;
  readonly http: (options: HttpOptions) => HttpClient;
  readonly journal: Journal;
  /** Batches count from 1, over the whole life. */
  readonly fate: () => Fate | undefined;
  /** It has died by its fate. */
  readonly died: () => void;
  /** Something has moved: a frame, an answer, a batch. */
  readonly active: () => void;
}): Life {
  const { clock, journal, active } = options;
  let alive = true;
  let inFlight = 0;
  let batches = 0;
  const timers = new Set<Timer>();
  const sockets = new Set<Socket>();
  const clients = new Set<HttpClient>();

  /** Runs while it lives. */
  const living =
    <A extends readonly unknown[]>(task: (...args: A) => void) =>
    (...args: A): void => {
      active();
      if (alive) task(...args);
    };
  /** A journal on disk takes its time, which is not that of the stage. */
  const counted = async <T>(task: Promise<T>): Promise<T> => {
    inFlight++;
    try {
      return await task;
    } finally {
      inFlight--;
      active();
    }
  };
  let dying: Promise<void> | undefined;
  const die = async (): Promise<void> => {
    alive = false;
    for (const timer of timers) timer.cancel();
    for (const socket of sockets) socket.terminate();
    await Promise.all([...clients].map((client) => client.close()));
    await journal.close();
  };
  const kill = (): Promise<void> => {
    dying ??= die();
    return dying;
  };

  return {
    clock: {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      setTimer(task, delayMs) {
        if (!alive) return { cancel: () => {} };
        const timer = clock.setTimer(() => {
          timers.delete(timer);
          if (alive) task();
        }, delayMs);
        timers.add(timer);
        return {
          cancel() {
            timers.delete(timer);
            timer.cancel();
          },
        };
      },
    },
    connect(url, how, handlers) {
      if (!alive) return GONE;
      inFlight++;
      const connected = once(() => void inFlight--);
      const socket = options.connect(url, how, {
        opened: living(() => {
          connected();
          handlers.opened();
        }),
        message: living((text: string) => handlers.message(text)),
        pong: living(() => handlers.pong()),
        ended: living((end) => {
          connected();
          sockets.delete(socket);
          handlers.ended(end);
        }),
      });
      sockets.add(socket);
      return socket;
    },
    http(how) {
      const client = options.http(how);
      clients.add(client);
      return {
        async close() {
          clients.delete(client);
          await client.close();
        },
        async request(asked) {
          if (!alive) return NEVER;
          inFlight++;
          try {
            const reply = await client.request(asked);
            return alive ? reply : await NEVER;
          } catch (thrown) {
            if (!alive) return await NEVER;
            throw thrown;
          } finally {
            inFlight--;
            active();
          }
        },
      };
    },
    journal: {
      ...journal,
      open: (nowMs) => counted(journal.open(nowMs)),
      async append(batch) {
        if (!alive) return NEVER;
        const fate = options.fate()?.(batch, ++batches);
        if (fate !== 'before') await counted(journal.append(batch));
        if (fate === undefined) return undefined;
        void kill();
        options.died();
        return NEVER;
      },
      truncate: (nowMs) => (alive ? journal.truncate(nowMs) : NEVER),
    },
    get isAlive() {
      return alive;
    },
    get inFlight() {
      return alive ? inFlight : 0;
    },
    kill,
  };
}

function once(task: () => void): () => void {
  let isDone = false;
  return () => {
    if (!isDone) task();
    isDone = true;
  };
}
