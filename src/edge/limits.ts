/** What subscribers may cost (DESIGN of the configuration: `limits`). All have defaults. */
export interface Limits {
  readonly maxConnections: number;
  /** 0: no limit. */
  readonly maxConnectionsPerAddress: number;
  /** 0: no limit. */
  readonly maxConnectionsPerIdentity: number;
  readonly trustProxy: boolean;
  readonly handshakeTimeoutMs: number;
  /** A larger inbound message closes with 1009. */
  readonly maxPayloadBytes: number;
  /** What one subscriber may leave unread. */
  readonly maxBufferedBytes: number;
  /** No downward progress for this long closes with 4408. */
  readonly stallMs: number;
  readonly maxChannels: number;
  readonly maxRequestsPerSecond: number;
  /** Web origins that may connect beside the relay's own. */
  readonly origins: readonly string[];
}

/** Limits that may change while the relay runs; the others are the transport's, from when it began to listen. */
export const LIVE_LIMITS = [
  'maxConnections',
  'maxConnectionsPerAddress',
  'maxConnectionsPerIdentity',
  'maxChannels',
  'maxRequestsPerSecond',
  'origins',
] as const satisfies readonly (keyof Limits)[];

export type LiveLimits = Pick<Limits, (typeof LIVE_LIMITS)[number]>;

export const DEFAULT_LIMITS: Limits = {
  maxConnections: 100_000,
  maxConnectionsPerAddress: 1_000,
  maxConnectionsPerIdentity: 1_000,
  trustProxy: false,
  handshakeTimeoutMs: 10_000,
  maxPayloadBytes: 64 * 1024,
  maxBufferedBytes: 256 * 1024,
  stallMs: 30_000,
  maxChannels: 256,
  maxRequestsPerSecond: 50,
  origins: [],
};

/** Time of the subscriber protocol (PROTOCOL.md §4). */
export const HEARTBEAT_MS = 15_000;
export const AUTH_TIMEOUT_MS = 10_000;
export const TOKEN_WARNING_MS = 60_000;
/** A hub that cannot follow is told after this, and ends connections after the other. */
export const BLIND_AFTER_MS = 1_000;
export const BLIND_CLOSE_MS = 30_000;
/** Errors in the protocol itself: the one after these within the window closes with 4400. */
export const MAX_PROTOCOL_ERRORS = 10;
export const PROTOCOL_ERROR_WINDOW_MS = 10_000;
/** Over the request rate for this long closes with 4429. */
export const OVER_RATE_MS = 10_000;
/** Refusals further apart than this are not one stretch of being over the rate. */
export const OVER_RATE_PAUSE_MS = 1_000;
/** Requests of one connection that are being answered at once. */
export const MAX_PENDING_REQUESTS = 64;

/** Sizes of answers. */
export const MAX_PAGE = 1_000;
export const MAX_SESSIONS_PAGE_BYTES = 128 * 1024;
export const SNAPSHOT_STATES = 200;
/** Bytes of states in one frame of a snapshot, unless a single one is larger. */
export const SNAPSHOT_BYTES = 32 * 1024;
export const MAX_EVENTS_PAGE_BYTES = 128 * 1024;
export const MAX_EVENTS_SCANNED = 10_000;
export const MAX_PING_BYTES = 1_024;
/** Journal events that are read at once for an answer, and for a replay in states mode. */
export const REPLAY_PAGE = 500;

/** States mode: a channel's subscribers get the newest states at most once in this time. */
export const STATES_EVERY_MS = 250;
/** Bytes of states in one frame, unless a single one is larger; at most {@link SNAPSHOT_STATES} of them too. */
export const STATES_FRAME_BYTES = 64 * 1024;
/** Changes that a channel's group remembers for those of its subscribers that skip. */
export const STATES_TAIL = 4_000;

/**
 * Of `maxBufferedBytes` the stream of events takes no more than this share: the rest is for replies and what else
 * cannot wait, so that a page of 128 KiB still fits behind a stream that has filled its own.
 */
export const STREAM_SHARE = 15 / 32;
/** A replay fills the socket up to this part of the stream's share: what comes live meanwhile has room beside it. */
export const REPLAY_SHARE = 1 / 2;
/** A subscriber is live again only once no more than this part of the stream's share waits, so that it does not flap. */
export const LIVE_AGAIN_SHARE = 1 / 4;
/** The most that a heartbeat may fill `maxBufferedBytes` up to: one that has no room comes later. */
export const HEARTBEAT_SHARE = 3 / 4;
/** Frames of a replay that are handed to the socket at once; more wait for their turn. */
export const REPLAY_BYTES = 32 * 1024;
/** Events of one epoch that are read, rendered and kept together: pages begin at its multiples, so that replays from different cursors meet. */
export const PAGE_EVENTS = 256;
/** Pages without a matching event that one part of a replay passes over. */
export const SCAN_PAGES = 16;
/** Pages of the journal that are read at the same time. */
export const READS_AT_ONCE = 8;
/** What an edge keeps of the journal to send again, rendered or not, for all subscribers together. */
export const REPLAY_CACHE_BYTES = 16 * 1024 * 1024;
/** Parts of replays that run before the event loop goes round. */
export const ROUND_PARTS = 32;
