import { Observable, ReplaySubject, Subject, type Subscriber } from 'rxjs';
import { SessionRelayError } from '../errors.js';
import { parseCursor } from '../model/cursor.js';
import type { Pulse, SessionEvent } from '../model/event.js';
import type { Json } from '../model/json.js';
import type { Safety, State } from '../model/session.js';
import { addressOf, everythingOf, hasSnapshot, matches, parseSessionKey, patternProblem } from '../model/subject.js';
import type { Clock, Random } from '../net/clock.js';
import { iterate } from '../net/iterate.js';
import { systemClock } from '../net/timer.js';
import { type Channel, createChannels, type Listener } from './channels.js';
import { type CommandOptions, type CommandReply, createCommands } from './commands.js';
import { createConnection, type TokenSource } from './connection.js';
import { createHistory } from './history.js';
import type { Line } from './line.js';
import { believedStates, safetyOf, unknownBecause } from './safety.js';
import { type SocketClass, socketUrl } from './socket.js';
import type { ClientNotice, ClientStatus, Gap, StatusCounts, View } from './status.js';
import type { EventOn } from './typed.js';

export interface ConnectOptions {
  /**
   * The credential, or a function that gives a fresh one: it is asked before each connection, before the token in use
   * expires, and once more when the relay refuses one. It is sent by the method `auth`, never in a URL or a header, and
   * only where the relay wants one. A text is never renewed: when the relay refuses it, the client stops.
   */
  readonly token?: TokenSource;
  /** Default: the browser's own; in Node, `ws`. */
  readonly WebSocket?: SocketClass;
  readonly clock?: Clock;
  readonly random?: Random;
}

export interface EventsOptions {
  /**
   * Events after this cursor first, from the relay's journal, then live ones; each once, in order. Default: from now
   * on.
   */
  readonly since?: string;
  /**
   * Events that will never come: the stream goes on behind them. Without it such a loss is an error of the stream
   * (`events_lost`, with the gap as `data`): a hole is never passed over in silence.
   */
  readonly onGap?: (gap: Gap) => void;
}

export interface StatesOptions {
  /**
   * `states`: the relay sends the newest states of what changed, at most four times a second, instead of every event:
   * for a screen of many sessions. Default `events`, unless nobody here needs the channel's events.
   */
  readonly mode?: 'events' | 'states';
  /** Signs of life, too: they move `lastSeenAt`, `heartbeat.lastAt` and `rttMs`. Default false. */
  readonly pulses?: boolean;
}

/** The states of a channel at one moment. Never changed after it was emitted. */
export interface StatesView {
  /**
   * How this client stands with the relay. While it is not `live`, the states are those of the last time that it was,
   * and every `safety` in them is `unknown`, with the reason.
   */
  readonly view: View;
  /** By session key. */
  readonly states: ReadonlyMap<string, State>;
}

/**
 * A relay, as a subscriber has it: reconnects, resumes, proves that nothing is missing, and says so where something is
 * (PROTOCOL.md §3, §4, §6). Names are those of the stream library (`Sessions`) where they mean the same.
 *
 * A channel is subscribed once, however many listen to it; the last one to leave ends it at the relay.
 */
export interface RelayClient extends AsyncIterable<SessionEvent> {
  /** How it stands with the relay: the present status at once, then each change. Never errors; completes after the end. */
  readonly status$: Observable<ClientStatus>;
  /** What happened once: gaps, faults, refusals. Hot. */
  readonly notices$: Observable<ClientNotice>;
  /**
   * The events of a channel, each once, in journal order, across reconnects; typed by the channel's text. Whoever comes
   * later joins live. Types that this version does not know are passed over.
   *
   * Errors: `events_lost` (unless `onGap`), `invalid_params` (no channel), `forbidden`, `rate_limited` (more channels
   * than the relay allows), and what stopped the client. After an error subscribe again to go on live. Completes after
   * `close`.
   */
  events$<const C extends string>(channel: C, options?: EventsOptions): Observable<EventOn<C>>;
  /** The same as an async iterable. It holds 10 000 events for a slow loop, then ends with `rate_limited`. */
  events<const C extends string>(channel: C, options?: EventsOptions): AsyncIterable<EventOn<C>>;
  /** Signs of life of a channel. They may be dropped, and none is sent again. Errors as `events$`. */
  pulses$(channel: string): Observable<Pulse>;
  /**
   * The present states of a channel, by the relay's snapshot and the relay's own fold over what follows: at once as far
   * as they are known, then after each change. The channel must not name a type. Errors as `events$`, but for losses: a
   * new snapshot mends them.
   */
  states$(channel: string, options?: StatesOptions): Observable<StatesView>;
  /**
   * The safety of one session: emits at once, then each change. `unknown` with one reason of `ClientReason` while the
   * relay cannot be heard or cannot see, while a replay runs, where there is no such session, and where the token does
   * not show it; a session that appears, or a new token that shows it, is told. Errors only where `key` is no session
   * key. Completes after the client's end, with `relay_unreachable` as its last word.
   */
  safety$(key: string): Observable<Safety>;
  /**
   * Runs a venue's command; `source` is `<venue>.<source>`. What is under way when the connection dies is asked again
   * with the same `requestId` after the reconnect, so that nothing is done twice; where the relay can no longer know
   * that id (it restarted without its journal, the token now names another identity) it is not asked again.
   *
   * Rejects with the relay's error (`errors.ts`); `data.requestId` and `data.outcome` (`CommandOutcome`) are always
   * there. `venue_timeout` with `outcome: 'unknown'`: nobody knows whether it was done.
   */
  command(
    source: string,
    command: string,
    params?: { readonly [name: string]: Json },
    options?: CommandOptions,
  ): Promise<CommandReply>;
  /** While the client waits to connect again (`unreachable`): at once. For a button, or the page's `online` event. */
  retryNow(): void;
  /**
   * Ends it: streams complete, commands reject, socket and timers are freed. Resolves when the socket is gone, within a
   * second. Idempotent.
   */
  close(): Promise<void>;
}

/** `WebSocket` must be given here; the entries of the package know their own. */
export function createClient(url: string, options: ConnectOptions & { readonly WebSocket: SocketClass }): RelayClient {
  const { token, WebSocket, clock = systemClock, random = Math.random } = options;
  const status = new ReplaySubject<ClientStatus>(1);
  const notices = new Subject<ClientNotice>();
  const streams = new Set<(error: SessionRelayError | undefined) => void>();
  let counts: StatusCounts = { gaps: 0, resubscribed: 0, faults: 0 };
  let told = '';
  let line: Line | undefined;
  let rate = 1;
  let over: { readonly error: SessionRelayError | undefined } | undefined;

  const report = (notice: ClientNotice): void => {
    if (notice.kind === 'gap') counts = { ...counts, gaps: counts.gaps + 1 };
    if (notice.kind === 'resubscribed') counts = { ...counts, resubscribed: counts.resubscribed + 1 };
    if (notice.kind === 'fault') counts = { ...counts, faults: counts.faults + 1 };
    notices.next(notice);
    tellStatus();
  };
  const tellStatus = (): void => {
    if (over !== undefined) return;
    const next = statusNow();
    const text = JSON.stringify(next);
    if (text === told) return;
    told = text;
    status.next(next);
  };
  const statusNow = (): ClientStatus => {
    const { phase } = connection;
    switch (phase.at) {
      case 'connecting':
        return { state: 'connecting', willRetry: true, attempt: phase.attempt, ...counts };
      case 'waiting': {
        const { attempt, retryAtMs, code, reason } = phase;
        return { state: 'unreachable', willRetry: true, attempt, retryAtMs, code, reason, ...counts };
      }
      case 'over': {
        const { at: _, ...rest } = phase;
        return { state: 'closed', willRetry: false, ...rest, ...counts };
      }
      case 'connected': {
        const { at: _, drainAtMs, ...beat } = phase;
        const common = { willRetry: true, ...beat, ...counts } as const;
        if (drainAtMs !== undefined) return { state: 'draining', retryAtMs: drainAtMs, ...common };
        const { blind } = channels;
        if (blind === 'all') return { state: 'blind', sources: blind, ...common };
        if (blind.size > 0) return { state: 'blind', sources: [...blind], ...common };
        const behind = channels.replaying();
        if (behind.length > 0) return { state: 'replaying', channels: behind, ...common };
        return { state: 'open', ...common };
      }
    }
  };

  const channels = createChannels({ clock, report, changed: tellStatus });
  const commands = createCommands(clock);
  const connection = createConnection({
    url: socketUrl(url),
    token,
    WebSocket,
    clock,
    random,
    report,
    changed: tellStatus,
    admitted(admitted) {
      ({ line } = admitted);
      const { maxChannels, maxRequestsPerSecond } = admitted.welcome.limits ?? {};
      rate = typeof maxRequestsPerSecond === 'number' ? maxRequestsPerSecond : 1;
      channels.online(line, { maxChannels: typeof maxChannels === 'number' ? maxChannels : Number.POSITIVE_INFINITY });
      commands.online(admitted);
    },
    regranted: () => channels.regranted(),
    notice: (notice) => channels.notice(notice),
    lost() {
      line = undefined;
      channels.offline();
      commands.offline();
      const { phase } = connection;
      if (phase.at === 'over') finish(phase.error);
    },
  });

  const finish = (error: SessionRelayError | undefined): void => {
    if (over !== undefined) return;
    over = { error };
    commands.stop(error ?? new SessionRelayError('closed', 'the client is closed'));
    for (const end of [...streams]) end(error);
    streams.clear();
    channels.close();
    status.complete();
    notices.complete();
  };

  /** Joins a channel for as long as a subscriber stays. Returns it; `undefined` where the client has ended. */
  const attend = <T>(
    name: string,
    subscriber: Subscriber<T>,
    listener: Listener,
    end: (error: SessionRelayError | undefined) => void,
  ): Channel | undefined => {
    if (over !== undefined) {
      end(over.error);
      return undefined;
    }
    streams.add(end);
    subscriber.add(() => {
      streams.delete(end);
      channels.leave(name, listener);
    });
    return channels.join(name, listener);
  };
  const endOf =
    <T>(subscriber: Subscriber<T>) =>
    (error: SessionRelayError | undefined): void => {
      if (error === undefined) subscriber.complete();
      else subscriber.error(error);
    };

  const events$ = <const C extends string>(channel: C, { since, onGap }: EventsOptions = {}): Observable<EventOn<C>> =>
    new Observable<EventOn<C>>((subscriber) => {
      const problem =
        patternProblem(channel) ??
        (since === undefined || parseCursor(since) !== undefined ? undefined : '`since` is a cursor, <epoch>-<offset>');
      if (problem !== undefined) return subscriber.error(badCall(problem));
      const event = (one: SessionEvent): void => {
        if (isOn(channel, one)) subscriber.next(one);
      };
      const lost = (gap: Gap): void => {
        if (subscriber.closed) return;
        if (onGap === undefined) return subscriber.error(eventsLost(gap));
        try {
          onGap(gap);
        } catch (thrown) {
          subscriber.error(thrown);
        }
      };
      const common = { events: true, states: false, pulses: false, refused: endOf(subscriber) };
      if (since === undefined) {
        attend(channel, subscriber, { ...common, event, lost }, endOf(subscriber));
        return undefined;
      }
      const history = createHistory({
        channel,
        since,
        clock,
        ask: (...asked) => line?.ask(...asked) ?? false,
        rate: () => rate,
        event,
        lost,
        unreadable(what) {
          report({ kind: 'fault', what });
          line?.drop(what);
        },
      });
      subscriber.add(() => history.stop());
      const listener = { ...common, event: history.live, lost: history.lost, begun: history.begun };
      const joined = attend(channel, subscriber, listener, endOf(subscriber));
      // Whoever joins what is subscribed already is not told that it begins.
      if (joined?.isBegun === true) history.begun();
      return undefined;
    });

  const states$ = (channel: string, { mode, pulses = false }: StatesOptions = {}): Observable<StatesView> =>
    new Observable<StatesView>((subscriber) => {
      const problem =
        patternProblem(channel) ?? (hasSnapshot(channel) ? undefined : 'a channel of states names no type');
      if (problem !== undefined) return subscriber.error(badCall(problem));
      let joined: Channel | undefined;
      let shown: StatesView | undefined;
      let waits = false;
      const show = (): void => {
        waits = false;
        if (joined === undefined || subscriber.closed) return;
        shown = { view: joined.view, states: believedStates(joined) };
        subscriber.next(shown);
      };
      const listener: Listener = {
        events: mode !== 'states',
        states: true,
        pulses,
        refused: endOf(subscriber),
        changed() {
          if (joined === undefined) return;
          // What cannot be believed any more is said at once; the changes of one turn are shown together.
          if (joined.view !== shown?.view) return show();
          if (waits) return undefined;
          waits = true;
          return queueMicrotask(show);
        },
      };
      joined = attend(channel, subscriber, listener, endOf(subscriber));
      show();
      return undefined;
    });

  const safety$ = (key: string): Observable<Safety> =>
    new Observable<Safety>((subscriber) => {
      if (parseSessionKey(key) === undefined)
        return subscriber.error(badCall('a session key is <venue>.<source>.<session>'));
      let said = '';
      const say = (safety: Safety): void => {
        const text = JSON.stringify(safety);
        if (text === said) return;
        said = text;
        subscriber.next(safety);
      };
      let joined: Channel | undefined;
      const look = (): void => {
        if (joined !== undefined) say(safetyOf(joined, key));
      };
      const listener: Listener = { events: true, states: true, pulses: false, refused: look, changed: look };
      joined = attend(everythingOf(key), subscriber, listener, () => {
        say(unknownBecause('relay_unreachable'));
        subscriber.complete();
      });
      look();
      return undefined;
    });

  const client: RelayClient = {
    status$: status.asObservable(),
    notices$: notices.asObservable(),
    events$,
    events: (channel, how) => ({ [Symbol.asyncIterator]: () => iterate(events$(channel, how)) }),
    pulses$: (channel) =>
      new Observable<Pulse>((subscriber) => {
        const problem = patternProblem(channel);
        if (problem !== undefined) return subscriber.error(badCall(problem));
        const listener: Listener = {
          events: true,
          states: false,
          pulses: true,
          pulse: (pulse) => subscriber.next(pulse),
          refused: endOf(subscriber),
        };
        attend(channel, subscriber, listener, endOf(subscriber));
        return undefined;
      }),
    states$,
    safety$,
    command: (source, command, params = {}, how = {}) => commands.run({ ...how, source, command, params }),
    retryNow: () => connection.retryNow(),
    close: () => connection.close(),
    [Symbol.asyncIterator]: () => iterate(events$('>')),
  };
  connection.start();
  return client;
}

/** What the relay sends on a channel is of that channel; what is not, is nobody's. */
function isOn<C extends string>(channel: C, event: SessionEvent): event is EventOn<C> & SessionEvent {
  return matches(channel, addressOf(event));
}

function badCall(message: string): SessionRelayError {
  return new SessionRelayError('invalid_params', message);
}

function eventsLost(gap: Gap): SessionRelayError {
  const { channel, from, to, why } = gap;
  const how = why === 'not_held' ? 'the relay no longer holds them' : 'they cannot be read';
  return new SessionRelayError('events_lost', `events of ${channel} after ${from} up to ${to} are lost: ${how}`, {
    data: { ...gap },
  });
}
