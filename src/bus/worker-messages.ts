import type { Pulse } from '../model/event.js';
import type {
  Bus,
  CommandReply,
  CommandRequest,
  EventsPage,
  JournalLag,
  Sight,
  SourceInfo,
  StatesPage,
  StatesQuery,
  Webhook,
  WebhookAnswer,
} from './bus.js';

/** What a bus in another thread asks its hub. */
export type HubMethods = {
  readonly states: (query: StatesQuery) => Promise<StatesPage>;
  readonly events: (page: { readonly after: string; readonly limit: number }) => Promise<EventsPage>;
  readonly lag: (nothing: null) => Promise<JournalLag>;
  readonly holds: (cursor: string) => Promise<boolean>;
  readonly sources: (nothing: null) => Promise<readonly SourceInfo[]>;
  readonly command: (request: CommandRequest) => Promise<CommandReply>;
  readonly webhook: (hook: Webhook) => Promise<WebhookAnswer>;
  /** What was taken in, so that no more is sent than is taken. */
  readonly took: (taken: Taken) => void;
};

/** What the hub's thread tells it. Each has a number; all up to one are confirmed together. */
export type BusMethods = {
  readonly turn: (turn: CarriedTurn) => void;
  readonly beat: (beat: Beat) => void;
};

/** Where a bus begins: turns follow from here on. */
export interface Begin {
  readonly node: string;
  readonly cursor: string;
  readonly sight: Sight;
}

interface Numbered {
  readonly number: number;
  /** When it was sent, on a clock that both threads read alike, ms. */
  readonly sentAt: number;
}

export interface CarriedTurn extends Numbered {
  /** The JSON of each event: made once, whatever the number of threads, and used as it is for what is sent in full. */
  readonly texts: readonly string[];
  readonly pulses: readonly Pulse[];
  /** How long ago its oldest fact came when this was sent, ms. */
  readonly ageMs?: number;
}

/** Said every {@link BEAT_MS}, so that silence is told from quiet, and whenever the hub's sight changes. */
export interface Beat extends Numbered {
  readonly sight: Sight;
}

export interface Taken {
  readonly number: number;
  /** From fact to sending, of the turns since the last time, ms. */
  readonly sentMs: readonly number[];
}

export const BEAT_MS = 500;

/** The hub's side of what is asked. */
export function answersOf(bus: Bus): Omit<HubMethods, 'took'> {
  return {
    states: (query) => bus.states(query),
    events: ({ after, limit }) => bus.events(after, limit),
    lag: () => bus.lag(),
    holds: (cursor) => bus.holds(cursor),
    sources: () => bus.sources(),
    command: (request) => bus.command(request),
    webhook: (hook) => bus.webhook(hook),
  };
}
