import type { Worker } from 'node:worker_threads';
import { Subject } from 'rxjs';
import type { Bus } from '../bus/bus.js';
import type { AuthOptions } from '../edge/auth.js';
import type { Renewed } from '../edge/edge.js';
import type { Limits, LiveLimits } from '../edge/limits.js';
import type { Credentials } from '../edge/live-auth.js';
import { countPlaces } from '../edge/places.js';
import { createEdgeStats, type EdgeStats, sumStats } from '../edge/stats.js';
import { SessionRelayError } from '../errors.js';
import { createEventLoopWatch, MAX_LATE_MS } from '../http/event-loop.js';
import type { Threads } from '../http/health.js';
import { createMetrics } from '../http/metrics.js';
import { MAX_REQUESTS_AT_ONCE } from '../http/requests.js';
import { createTickets } from '../http/tickets.js';
import type { Grant } from '../model/grant.js';
import type { Clock, Random, Timer } from '../net/clock.js';
import type { Log } from '../net/log.js';
import { createRetry } from '../net/retry.js';
import { within } from '../net/within.js';
import type { Changeable, ReloadCounts } from '../reload.js';
import { MAX_BODIES_BYTES } from '../transports/body-budget.js';
import type { ListenOptions, SharedPort } from '../transports/transport.js';
import { VERSION } from '../version.js';
import type { WorkerReport } from './messages.js';
import { startThread, type Thread } from './thread.js';

/**
 * Subscribers are served by several threads, each with an edge of its own; this one has the hub, the venues and the
 * port, and no subscriber. What is one for the whole relay is kept here: how many there are, tickets, metrics, health.
 */
export interface Workers extends Changeable {
  drain(options: { readonly timeoutMs: number }): Promise<void>;
  /** Sends everybody away and ends the threads. Idempotent. */
  close(): Promise<void>;
}

export interface WorkersOptions {
  readonly count: number;
  readonly bus: Bus;
  readonly share: SharedPort;
  readonly listen: ListenOptions;
  readonly auth: AuthOptions;
  readonly limits: Limits;
  readonly publicMetrics: boolean;
  readonly dashboard: string;
  readonly reloads: ReloadCounts;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** For tests. @internal */
  readonly started?: (worker: Worker) => void;
}

/** The same from `dist/` and from `src/`: what was built, never its source. */
const ENTRY = new URL('../../dist/relay/worker.js', import.meta.url);
/** A thread says how it is twice a second; silent for so long it does not serve. */
const SILENT_MS = 2_000;
const REPORT_WITHIN_MS = 2_000;
/** Whoever asks for health does not wait for one that hangs. */
const HEALTH_WITHIN_MS = 250;
/** A key set may have to be fetched, and thousands of tokens checked. */
const PREPARE_WITHIN_MS = 60_000;
const CLOSE_WITHIN_MS = 3_000;
/** Beyond its own time a drain waits this long for a thread to say that it is done. */
const DRAIN_GRACE_MS = 1_000;

/** Resolves when all of them serve. Rejects with `not_available` where one cannot: then none is left. */
export async function startWorkers(options: WorkersOptions): Promise<Workers> {
  const { count, clock, log, bus } = options;
  const limits: { -readonly [K in keyof Limits]: Limits[K] } = { ...options.limits };
  let { auth } = options;
  const threads = new Map<number, Thread>();
  const places = countPlaces(limits);
  const tickets = createTickets(clock);
  const credentials = new WeakMap<Grant, Credentials>();
  const sent = new Subject<number>();
  const eventLoop = createEventLoopWatch(clock);
  const timers = new Set<Timer>();
  /** What those have counted that are gone. */
  let past: EdgeStats = createEdgeStats();
  let restarts = 0;
  let isEnding = false;

  const upThreads = (): readonly Thread[] => [...threads.values()].filter(({ state }) => state === 'up');
  const after = (ms: number, task: () => void): void => {
    const timer = clock.setTimer(() => {
      timers.delete(timer);
      task();
    }, ms);
    timers.add(timer);
  };

  const problemOf = (number: number): readonly string[] => {
    const thread = threads.get(number);
    if (thread?.state !== 'up') return [`worker ${number} is not there`];
    const silentMs = Math.round(clock.monotonic() - thread.heardAt);
    if (silentMs > SILENT_MS) return [`worker ${number} says nothing for ${silentMs} ms`];
    const { lateMs = 0, blind } = thread.last ?? {};
    if (lateMs > MAX_LATE_MS) return [`worker ${number} is late by ${lateMs} ms`];
    if (thread.isBehind) return [`worker ${number} is behind the hub`];
    return blind === undefined ? [] : [`worker ${number} is blind: ${blind}`];
  };
  const health = async (): Promise<Threads> => {
    // Whoever does not answer is judged by when it was heard last.
    await Promise.all(upThreads().map((thread) => thread.ask(HEALTH_WITHIN_MS).catch(() => undefined)));
    const up = upThreads();
    const lateMs = eventLoop.lateMs();
    const own = lateMs > MAX_LATE_MS ? [`the hub's thread is late by ${lateMs} ms`] : [];
    const numbers = Array.from({ length: count }, (_, index) => index + 1);
    return {
      wanted: count,
      up: up.length,
      problems: [...own, ...numbers.flatMap(problemOf)],
      connections: up.reduce((sum, { last }) => sum + (last?.connections ?? 0), 0),
      groups: up.reduce((sum, { last }) => sum + (last?.groups ?? 0), 0),
    };
  };

  /** What all edges have counted, as of the last scrape. */
  const summed = { stats: createEdgeStats(), connections: 0, groups: 0, lagging: 0, bufferedBytes: 0 };
  const sumUp = (reports: readonly WorkerReport[]): void => {
    const { refusals, closes, ...counted } = sumStats([past, ...reports.map(({ stats }) => stats)]);
    Object.assign(summed.stats, counted);
    for (const [into, from] of [
      [summed.stats.refusals, refusals],
      [summed.stats.closes, closes],
    ] as const)
      for (const [code, times] of from) into.set(code, times);
    for (const name of ['connections', 'groups', 'lagging', 'bufferedBytes'] as const)
      summed[name] = reports.reduce((sum, report) => sum + report[name], 0);
  };
  const reportOf = async (thread: Thread): Promise<WorkerReport | undefined> => {
    if (thread.state !== 'up') return thread.last;
    try {
      return await thread.ask(REPORT_WITHIN_MS);
    } catch (thrown) {
      // What is gone meanwhile is counted with the past.
      if (isGone(thread)) return undefined;
      // Fewer than there are would look like counters that began anew.
      throw thrown;
    }
  };
  const metrics = createMetrics({
    bus,
    edge: { stats: summed.stats, counts: () => summed, load: () => summed },
    eventLoop: {
      lateMs: () => Math.max(eventLoop.lateMs(), ...upThreads().map(({ last }) => last?.lateMs ?? 0)),
    },
    clock,
    reloads: options.reloads,
    workers: { up: () => upThreads().length, restarts: () => restarts },
    sent$: sent,
    version: VERSION,
    transport: 'uws',
  });
  let rendering: ReturnType<typeof metrics.render> | undefined;
  const render = (): ReturnType<typeof metrics.render> => {
    rendering ??= (async () => {
      const reports = await Promise.all([...threads.values()].map(reportOf));
      sumUp(reports.flatMap((report) => report ?? []));
      return metrics.render();
    })().finally(() => {
      rendering = undefined;
    });
    return rendering;
  };

  const startOne = (number: number, how: { readonly up: () => void; readonly ended: () => void }): Thread => {
    const thread = startThread({
      start: {
        number,
        auth,
        limits: { ...limits },
        listen: { ...options.listen, maxBodiesBytes: Math.ceil(MAX_BODIES_BYTES / count) },
        publicMetrics: options.publicMetrics,
        dashboard: options.dashboard,
        requestsAtOnce: Math.ceil(MAX_REQUESTS_AT_ONCE / count),
      },
      entry: ENTRY,
      bus,
      share: options.share,
      places,
      tickets,
      credentials,
      clock,
      log,
      metrics: render,
      threads: health,
      sent: (ms) => sent.next(ms),
      up: how.up,
      ended(last) {
        if (last !== undefined) past = sumStats([past, last.stats]);
        if (threads.get(number) === thread) threads.delete(number);
        how.ended();
      },
      ...(options.started === undefined ? {} : { started: options.started }),
    });
    threads.set(number, thread);
    return thread;
  };

  /** Keeps one running: what ends is replaced, later each time it does not last. */
  const keep = (number: number): Promise<void> => {
    const retry = createRetry({ clock, random: options.random, healthyAfterMs: 60_000 });
    let wasUp = false;
    return new Promise((resolve, reject) => {
      const run = (): void => {
        if (isEnding) return;
        startOne(number, {
          up() {
            wasUp = true;
            retry.healthy();
            resolve();
          },
          ended() {
            if (isEnding) return;
            if (!wasUp) {
              reject(new SessionRelayError('not_available', `worker thread ${number} cannot start: see the log`));
              return;
            }
            retry.ended();
            restarts++;
            const { delayMs, attempt } = retry.next();
            log.error('a worker thread ended and is started again', { worker: number, inMs: delayMs, attempt });
            after(delayMs, run);
          },
        });
      };
      run();
    });
  };

  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= (async () => {
      isEnding = true;
      const all = [...threads.values()];
      for (const thread of all) thread.leave();
      await within(clock, CLOSE_WITHIN_MS, Promise.all(all.map(({ gone }) => gone)));
      for (const timer of timers) timer.cancel();
      eventLoop.stop();
      metrics.stop();
      sent.complete();
    })();
    return closed;
  };

  const useOne = async (
    thread: Thread,
    next: Partial<LiveLimits>,
    rules: AuthOptions | undefined,
    prepared: number | undefined,
  ): Promise<Renewed> => {
    try {
      return await thread.peer.call(
        'use',
        {
          limits: next,
          ...(rules === undefined ? {} : { auth: rules }),
          ...(prepared === undefined ? {} : { prepared }),
        },
        { withinMs: PREPARE_WITHIN_MS },
      );
    } catch {
      // One that did not take over who may do what must not go on; its successor begins with it.
      thread.fail('it did not take over what the configuration says now');
      return NOBODY;
    }
  };

  try {
    await Promise.all(Array.from({ length: count }, (_, index) => keep(index + 1)));
  } catch (thrown) {
    await close();
    throw thrown;
  }
  return {
    limits,
    async prepare(rules) {
      const prepared = new Map<Thread, number>();
      if (rules !== undefined) {
        await Promise.all(
          [...threads.values()].map(async (thread) => {
            try {
              prepared.set(thread, await thread.peer.call('prepare', rules, { withinMs: PREPARE_WITHIN_MS }));
            } catch (thrown) {
              if (thread.state === 'up' || thread.state === 'starting') throw thrown;
            }
          }),
        );
      }
      return async (next) => {
        Object.assign(limits, next);
        if (rules !== undefined) auth = rules;
        const all = [...threads.values()].filter(({ state }) => state === 'up' || state === 'starting');
        const renewed = await Promise.all(all.map((thread) => useOne(thread, next, rules, prepared.get(thread))));
        return renewed.reduce(
          (sum, one) => ({
            kept: sum.kept + one.kept,
            changed: sum.changed + one.changed,
            closed: sum.closed + one.closed,
            pending: sum.pending + one.pending,
          }),
          NOBODY,
        );
      };
    },
    async drain({ timeoutMs }) {
      isEnding = true;
      const withinMs = timeoutMs + DRAIN_GRACE_MS;
      await Promise.all(
        upThreads().map(({ peer }) => peer.call('drain', { timeoutMs }, { withinMs }).catch(() => undefined)),
      );
    },
    close,
  };
}

function isGone({ state }: Thread): boolean {
  return state === 'gone';
}

const NOBODY: Renewed = { kept: 0, changed: 0, closed: 0, pending: 0 };
