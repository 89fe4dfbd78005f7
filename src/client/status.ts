import type { SessionRelayError } from '../errors.js';

/** What is lost of a channel: events after `from`, up to and with `to`. */
export interface Gap {
  readonly channel: string;
  readonly from: string;
  readonly to: string;
  /** `not_held`: the relay's journal no longer holds them. `unreadable`: what came did not fit its own type. */
  readonly why: 'not_held' | 'unreadable';
}

/** What happened once, and a log may want. Everything that a consumer must act on also shows in its own stream. */
export type ClientNotice =
  | ({ readonly kind: 'gap' } & Gap)
  /** Frames were missing: the channel is subscribed again from the last good one, and nothing is lost by that. */
  | { readonly kind: 'resubscribed'; readonly channel: string; readonly since: string | undefined }
  /** Something came that could not be read. */
  | { readonly kind: 'fault'; readonly what: string }
  /** The relay does not serve this channel; it is asked for again after each reconnect and each new token. */
  | { readonly kind: 'refused'; readonly channel: string; readonly error: SessionRelayError }
  /** A token could not be had, or was refused, while the one in use still serves. */
  | { readonly kind: 'token'; readonly error: SessionRelayError };

/** How it stands with the relay; a discriminated union over `state`. Times are ms since the Unix epoch, of this machine. */
export type ClientStatus = StatusCounts & (Away | Present);

/** While there is no connection. */
export type Away =
  | { readonly state: 'connecting'; readonly willRetry: true; readonly attempt: number }
  /** Not connected. `code`: how the last try ended; 1006 without a close frame, or where the relay refused; 0: no token. */
  | {
      readonly state: 'unreachable';
      readonly willRetry: true;
      readonly attempt: number;
      readonly retryAtMs: number;
      readonly code: number;
      readonly reason: string;
    }
  /** Over: by `close()`, or for a reason that trying again cannot mend. */
  | {
      readonly state: 'closed';
      readonly willRetry: false;
      readonly code?: number;
      readonly reason: string;
      readonly error?: SessionRelayError;
    };

type Present = { readonly willRetry: true } & Beat &
  (
    | /** Everything that was subscribed is live. */ { readonly state: 'open' }
    /** Connected, and behind on `channels`: their levels are unknown. */
    | { readonly state: 'replaying'; readonly channels: readonly string[] }
    /** The relay cannot follow these sources (`<venue>.<source>`), or anything at all. */
    | { readonly state: 'blind'; readonly sources: 'all' | readonly string[] }
    /** The relay shuts down; frames still come until the client moves, at `retryAtMs`. */
    | { readonly state: 'draining'; readonly retryAtMs: number }
  );

export interface Beat {
  /** Of the last `ping`, asked at each heartbeat. */
  readonly rttMs?: number;
  readonly heartbeatAtMs?: number;
}

/** How often each has happened since `connect`. */
export interface StatusCounts {
  readonly gaps: number;
  readonly resubscribed: number;
  readonly faults: number;
}

/** How a channel stands with the relay. Only `live` may be believed. */
export type View = 'live' | 'replaying' | 'blind' | 'unreachable';
