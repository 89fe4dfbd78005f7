import type { Observable } from 'rxjs';
import type { Pulse, SessionEvent } from '../model/event.js';
import type { Json } from '../model/json.js';
import type { Safety, State } from '../model/session.js';
import type { Clock, Random } from '../net/clock.js';
import type { CommandOptions, CommandReply } from './commands.js';
import type { SocketClass } from './socket.js';
import type { SourceCommands } from './sources.js';
import type { ClientNotice, ClientStatus, Gap, View } from './status.js';
import type { TokenSource } from './token.js';
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
   * The events of a channel, each once, in journal order, across reconnects; typed by the channel's text. It begins
   * when the relay has answered (`status$` says `open`), or at `since`; whoever comes later joins live. Types that this
   * version does not know are passed over.
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
   * The sources that the token shows, each with the commands that it allows: asked on subscribing, after each reconnect
   * and after each new token. Hot in between: subscribe again to ask again. Never errors; completes after the end.
   */
  sources$(): Observable<readonly SourceCommands[]>;
  /**
   * Runs a venue's command; `source` is `<venue>.<source>`. What is under way when the connection dies is asked again
   * with the same `requestId` after the reconnect, so that nothing is done twice; where the relay can no longer know
   * that id (it restarted without its journal, the token now names another identity) it is not asked again.
   *
   * Rejects with the relay's error (`errors.ts`; its code on the wire is `data.rpcCode`); `data.requestId` and
   * `data.outcome` (`CommandOutcome`) are always there. `venue_timeout` with `outcome: 'unknown'`: nobody knows whether it was done.
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
