import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'eventemitter3';
import {
  BehaviorSubject,
  defer,
  distinctUntilChanged,
  from,
  map,
  merge,
  mergeMap,
  type Observable,
  of,
  share,
} from 'rxjs';
import type { CommandReply } from '../bus/bus.js';
import { messageOf } from '../errors.js';
import type { EventType, SessionEvent } from '../model/event.js';
import { isSessionState } from '../model/fold.js';
import type { Json } from '../model/json.js';
import { type Safety, type State, UNKNOWN_SAFETY } from '../model/session.js';
import type { Clock, Random } from '../net/clock.js';
import { iterate } from '../net/iterate.js';
import { type Log, silentLog } from '../net/log.js';
import { systemClock } from '../net/timer.js';
import type { StopOptions, Venue } from '../venues/venue.js';
import { createHub } from './hub.js';
import type { Journal } from './journal/journal.js';
import { createMemoryJournal } from './journal/memory.js';

export interface SessionsOptions {
  readonly clock?: Clock;
  readonly random?: Random;
  readonly log?: Log;
  /** Default: in memory. */
  readonly journal?: Journal;
}

type Listeners = { readonly [T in EventType]: (event: Extract<SessionEvent, { readonly type: T }>) => void };

/**
 * A relay without a server: merges venues into one ordered stream of events, and keeps what follows from them. Starts
 * at once. There is no `Symbol.asyncDispose`: ending may cancel orders or leave them, and that is never a default.
 */
export interface Sessions extends AsyncIterable<SessionEvent> {
  /**
   * Every event from now on, in journal order. Hot; never errors; completes after `stop`. What a subscriber throws is
   * RxJS's to report (`config.onUnhandledError`, else an uncaught exception, which ends a process that does not catch
   * it); it stops neither the stream nor the other subscribers. Listeners of `on` are guarded instead.
   */
  readonly events$: Observable<SessionEvent>;
  /**
   * Each state that an event changed, as it is after it; the present ones first, on subscription. A pulse moves only
   * `lastSeenAt`, `heartbeat.lastAt` and `rttMs`, and is not told here; `state()` shows it. A session that is dropped
   * says `session.removed` in `events$`, nothing here. Completes after `stop`.
   */
  readonly states$: Observable<State>;
  /** The present states by key. A copy. */
  states(): ReadonlyMap<string, State>;
  state(key: string): State | undefined;
  /**
   * The safety of one session: emits at once, `unknown` until it is proved, then each change. While the stream itself
   * cannot follow (it starts, it was stopped, its journal does not commit) it says `unknown` with `relay_blind`.
   * Completes after `stop`, with that as its last word.
   */
  safety$(key: string): Observable<Safety>;
  /** Calls `listener` for each event of a type. One that throws, or rejects, is logged and called again next time. */
  on<T extends EventType>(type: T, listener: Listeners[T]): void;
  off<T extends EventType>(type: T, listener: Listeners[T]): void;
  /**
   * Runs a venue's command; rejections as in `errors.ts`. `source` is `<venue>.<source>`. The same `requestId` again
   * within ten minutes is answered with the first result, and nothing is done twice; default: a new one.
   */
  command(
    source: string,
    command: string,
    params?: { readonly [name: string]: Json },
    options?: { readonly session?: string; readonly requestId?: string },
  ): Promise<CommandReply>;
  /** Ends every venue; see {@link Venue.stop} for what `orders` decides. Idempotent: the first call decides. Never rejects. */
  stop(options: StopOptions): Promise<void>;
}

/**
 * Merges venues into one stream and starts them.
 *
 * @throws ConfigError where two venues have the same name.
 */
export function sessions(venues: readonly Venue[], options: SessionsOptions = {}): Sessions {
  const { clock = systemClock, random = Math.random, log = silentLog } = options;
  const hub = createHub({
    venues,
    journal: options.journal ?? createMemoryJournal(),
    clock,
    random,
    log,
    node: 'library',
  });
  const emitter = new EventEmitter<EventType>();
  const guards = new Map<unknown, Map<EventType, (event: SessionEvent) => void>>();
  const blind = new BehaviorSubject(true);
  hub.sight$.subscribe((sight) => blind.next(sight.blind));
  const events$ = hub.turns$.pipe(
    mergeMap(({ events }) => from(events)),
    share(),
  );
  events$.subscribe((event) => {
    emitter.emit(event.type, event);
  });
  let stopping: Promise<void> | undefined;
  const starting = hub.start();
  starting.catch((thrown: unknown) => log.error('the sessions could not be started', { error: messageOf(thrown) }));

  const state = (key: string): State | undefined => hub.states().get(key);
  const safetyOf = (key: string): Safety => {
    if (blind.value) return { ...UNKNOWN_SAFETY, reasons: ['relay_blind'] };
    const found = state(key);
    return found !== undefined && isSessionState(found) ? found.safety : UNKNOWN_SAFETY;
  };

  return {
    events$,
    states$: defer(() =>
      merge(
        from([...hub.states().values()]),
        hub.turns$.pipe(
          mergeMap(({ events }) =>
            [...new Set(events.map(({ subject }) => subject))].flatMap((key) => state(key) ?? []),
          ),
        ),
      ),
    ),
    states: () => new Map(hub.states()),
    state,
    safety$: (key) =>
      defer(() =>
        merge(of(undefined), blind, hub.turns$).pipe(
          map(() => safetyOf(key)),
          distinctUntilChanged((a, b) => JSON.stringify(a) === JSON.stringify(b)),
        ),
      ),
    on(type, listener) {
      const known = guards.get(listener) ?? new Map<EventType, (event: SessionEvent) => void>();
      if (known.has(type)) return;
      const failed = (thrown: unknown): void => log.error(`a listener of ${type} failed`, { error: messageOf(thrown) });
      const guarded = (event: SessionEvent): void => {
        try {
          const returned: unknown = (listener as (event: SessionEvent) => unknown)(event);
          if (returned instanceof Promise) returned.catch(failed);
        } catch (thrown) {
          failed(thrown);
        }
      };
      guards.set(listener, known.set(type, guarded));
      emitter.on(type, guarded);
    },
    off(type, listener) {
      const known = guards.get(listener);
      const guarded = known?.get(type);
      if (known === undefined || guarded === undefined) return;
      emitter.off(type, guarded);
      known.delete(type);
      if (known.size === 0) guards.delete(listener);
    },
    async command(source, command, params = {}, { session, requestId = randomUUID() } = {}) {
      await starting;
      return hub.command({
        by: 'library',
        source,
        command,
        params,
        requestId,
        ...(session === undefined ? {} : { session }),
      });
    },
    stop(how) {
      stopping ??= (async () => {
        await hub.stop(how);
        blind.next(true);
        blind.complete();
        emitter.removeAllListeners();
        guards.clear();
      })();
      return stopping;
    },
    [Symbol.asyncIterator]: () => iterate(events$),
  };
}
