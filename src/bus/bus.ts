import type { Observable } from 'rxjs';
import type { Pulse, SessionEvent, VenueName } from '../model/event.js';
import type { Json } from '../model/json.js';
import type { SourceState, State } from '../model/session.js';

/**
 * What an edge needs of a hub, whoever carries it: within one thread, across threads, across a network. Everything
 * here is data; nothing refers back into the hub.
 */
export interface Bus {
  /** The name of the node that the hub runs on, as in `welcome`. */
  readonly node: string;
  /** Committed events, in journal order, one turn's batch at a time; and pulses. Hot; never errors. */
  readonly turns$: Observable<Turn>;
  /** Whether the hub itself can follow: the present value at once, then each change. */
  readonly sight$: Observable<Sight>;
  /** The last committed cursor that this bus has delivered. */
  head(): string;
  /** States whose keys match. The page's `cursor` may be ahead of `head()`: wait for it before joining. */
  states(query: StatesQuery): Promise<StatesPage>;
  /** Journaled events after a cursor, unfiltered. */
  events(after: string, limit: number): Promise<EventsPage>;
  /** How far the journal is behind now. */
  lag(): Promise<JournalLag>;
  /** Whether everything after `cursor` can still be served. */
  holds(cursor: string): Promise<boolean>;
  sources(): Promise<readonly SourceInfo[]>;
  command(request: CommandRequest): Promise<CommandReply>;
  /** One request of a venue's own (a webhook); rejects with `not_found` where nothing takes such. */
  webhook(hook: Webhook): Promise<WebhookAnswer>;
}

/** A request to `POST /v1/hooks/<venue>/<id>`, unchecked. Header names in lower case; the body as it came. */
export interface Webhook {
  readonly venue: string;
  /** As configured: the id of what holds the source, not a source's token. */
  readonly id: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

export interface WebhookAnswer {
  readonly status: number;
  readonly detail?: string;
}

export interface Turn {
  /** Committed together or in the same turn; cursors ascend. May be empty where there are only pulses. */
  readonly events: readonly SessionEvent[];
  readonly pulses: readonly Pulse[];
  /** When the oldest fact of it came, on the monotonic clock of whoever follows. */
  readonly receivedAt?: number;
  /** The JSON of each event, where the bus has it: nobody needs to make it again. */
  readonly texts?: readonly string[];
}

export type Sight =
  | { readonly blind: false; readonly cursor: string }
  | {
      readonly blind: true;
      /** Wall-clock ms: for people. */
      readonly since: number;
      /** How long it had been so when this was said, on the monotonic clock: for deadlines. */
      readonly forMs: number;
      readonly why: string;
      /** It will not follow again in this life: the relay must be started again. */
      readonly lasting?: true;
    };

/** What the hub has taken and the journal has not committed yet. */
export interface JournalLag {
  /** How long the oldest of it waits, ms; 0 where nothing does. */
  readonly oldestMs: number;
  /** Facts. */
  readonly waiting: number;
  /** What the events that are held take up, about. */
  readonly bytes: number;
}

export interface StatesQuery {
  /** Patterns over session keys with any tail, `deribit.>`; a key is in when one contains `<key>.>`. Absent: all. */
  readonly within?: readonly string[];
  /** At most 1,000. */
  readonly limit: number;
  /** A session key: the page starts after it, in key order. */
  readonly after?: string;
}

export interface StatesPage {
  readonly cursor: string;
  readonly states: readonly State[];
  readonly next?: string;
}

export interface EventsPage {
  readonly events: readonly SessionEvent[];
  /** Scanned so far. */
  readonly cursor: string;
  readonly more: boolean;
  readonly complete: boolean;
}

export interface SourceInfo {
  readonly venue: VenueName;
  readonly source: string;
  readonly state: SourceState;
  readonly commands: readonly { readonly command: string; readonly params: Json; readonly acts: boolean }[];
}

/** A command whose grant the edge has checked. Rejections are of the error family (`errors.ts`). */
export interface CommandRequest {
  /** The identity of the caller; `requestId` belongs to it. */
  readonly by: string;
  /** `<venue>.<source>` */
  readonly source: string;
  readonly session?: string;
  readonly command: string;
  readonly params: { readonly [name: string]: Json };
  readonly requestId: string;
}

export type CommandReply =
  | { readonly result: Json; readonly cursor: string; readonly requestId: string; readonly replayed?: boolean }
  | {
      readonly replayed: true;
      readonly outcome: 'succeeded' | 'failed' | 'unknown';
      readonly cursor: string;
      readonly requestId: string;
    };
