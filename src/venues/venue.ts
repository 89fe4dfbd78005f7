import type { Observable } from 'rxjs';
import type { z } from 'zod';
import type { Carrier, Environment, Fact, Role, SessionKind, VenueName } from '../model/event.js';
import type { Json } from '../model/json.js';
import type { SafetyPolicy } from '../model/safety.js';
import type { Clock, Random } from '../net/clock.js';
import type { HttpClient, HttpOptions } from '../net/http.js';
import type { Log } from '../net/log.js';
import type { Connect } from '../net/socket.js';

/**
 * The contract between a venue and whatever merges venues (a hub, or a bot's own code). Adding a venue means writing
 * a folder that exports a {@link VenueModule} and naming it in `registry.ts`; nothing else changes.
 */
export interface Venue {
  readonly venue: VenueName;
  /** The configured id, `main`. Most venues have one source, of this name; SnapTrade has one a user, `main~alias`. */
  readonly id: string;
  /** The sources that this venue holds now; `facts$` of a source that is not here are passed over. */
  readonly sources: () => readonly SourceDescription[];
  /**
   * What the venue said, translated. Hot; completes after `stop`; never errors. Facts of one batch belong together:
   * they are journaled in one transaction, in this order, with the batch's `memory`.
   */
  readonly facts$: Observable<FactBatch>;
  readonly commands: readonly CommandSpec[];
  /** Carries out one command; the caller has checked the grant, parsed `params` by the spec's schema, and queues. */
  command(call: VenueCommand): Promise<Json>;
  /**
   * Any method of the venue's own API over this very connection (Deribit: the authenticated socket, so that
   * cancel-on-disconnect covers what is ordered here). Rejects with `VenueError`, `VenueTimeoutError` or
   * `source_unavailable`. Absent where the venue has no such thing.
   */
  call?(method: string, params?: Json): Promise<Json>;
  /**
   * Takes in one HTTP request that the venue itself sends (a webhook). Whoever asks has checked nothing: the signature
   * is the venue's to check. Resolves once what it said is journaled, see {@link FactBatch.committed}; never rejects.
   * Absent where the venue has no such thing.
   */
  webhook?(request: WebhookRequest): Promise<WebhookReply>;
  /**
   * The state of a session that ended long ago is being dropped: whatever is said of it next begins with what opens it.
   * Answers what to remember because of that, committed with the drop (or soon after it, where it was dropped early to
   * make room). Absent where a session that has ended is always
   * opened before anything else is said of it.
   */
  forget?(source: string, session: string): FactBatch['memory'];
  /**
   * Takes over options that need no other connection: `options` are those that it was made of, but for what its module's
   * `canRevise` allows. Nothing is sent to the venue because of it. Absent where every change is another connection.
   */
  revise?(options: unknown): void;
  /** Connects. `memory` is what earlier batches asked to remember, by its keys. Idempotent. */
  start(memory?: VenueMemory): void;
  /**
   * Ends the connection for good. `orders` decides what becomes of orders that cancel-on-disconnect protects:
   * `leave` logs out first (they stay), `cancel` closes the socket (the venue cancels them). No default: either can
   * cost money. Idempotent; resolves when the socket is gone and `facts$` has completed.
   */
  stop(options: StopOptions): Promise<void>;
}

export interface StopOptions {
  readonly orders: 'leave' | 'cancel';
}

export interface FactBatch {
  readonly facts: readonly Fact[];
  /**
   * What the venue must find again after a restart (last lists, wishes, cursors), committed in the same transaction
   * as `facts`; `null` forgets a key. Never a credential or a token.
   */
  readonly memory?: { readonly [key: string]: Json };
  /** Called once: `true` when the batch is committed, `false` when it never will be. */
  readonly committed?: (done: boolean) => void;
}

/** One request to `POST /v1/hooks/<venue>/<id>` (PROTOCOL.md §5). Header names in lower case; the body as it came. */
export interface WebhookRequest {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** 200 once journaled, 202 accepted without effect, 400 unreadable, 401 wrong signature, 503 not journaled. */
export interface WebhookReply {
  readonly status: 200 | 202 | 400 | 401 | 503;
  /** Why, in words that repeat nothing of the request. */
  readonly detail?: string;
}

export type VenueMemory = ReadonlyMap<string, Json>;

/** What whoever derives staleness and safety needs to know of a source beforehand. */
export interface SourceDescription {
  readonly venue: VenueName;
  /** The source's token. */
  readonly source: string;
  readonly role: Role;
  readonly environment?: Environment;
  readonly safety: SafetyPolicy;
  /** Ended sessions are dropped (`session.removed`) after this long. */
  readonly forgetAfterMs: number;
  /**
   * Which carriers prove a kind of session. It goes stale when every one of these that was ever up is down; a kind
   * that is not named is proved by any carrier.
   */
  readonly provedBy: { readonly [K in SessionKind]?: readonly Carrier[] };
}

export interface CommandSpec {
  readonly command: string;
  /** Acting commands change something at the venue: a grant must name them, and a person is asked first. */
  readonly acts: boolean;
  /** One sentence: what it does and what it can cost. */
  readonly summary: string;
  readonly params: z.ZodType<{ readonly [name: string]: Json }>;
}

export interface VenueCommand {
  readonly source: string;
  readonly session?: string;
  readonly command: string;
  readonly params: { readonly [name: string]: Json };
}

/** The outside world, handed to every venue: tests hand in virtual time and fakes. */
export interface VenuePorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly connect: Connect;
  readonly http: (options: HttpOptions) => HttpClient;
  readonly log: Log;
}

/** What a venue's `index.ts` exports for the registry. `O` is its options, without ports. */
export interface VenueModule<O = unknown> {
  readonly venue: VenueName;
  /** The venue's entry under `sources` in the configuration, without `venue` itself; every key documented with `.describe`. */
  readonly config: z.ZodType<O>;
  /** The role that its sessions have under `serve` (PROTOCOL.md §3); the library's own default may differ. */
  readonly serveRole: Role;
  create(options: O, ports: VenuePorts): Venue;
  /** Whether a venue that was made of `before` can take over `after` by {@link Venue.revise}. Both of one source. */
  canRevise?(before: O, after: O): boolean;
  /**
   * Reads the files that the options name and that a running venue reads too, and answers a digest of what stands there.
   *
   * @throws ConfigError where one cannot be used; its keys count from the source's own.
   */
  readFiles?(options: O): string | undefined;
}
