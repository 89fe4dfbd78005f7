import { compareCursors } from '../model/cursor.js';

/**
 * What becomes of a subscription with `since`: a pure decision (PROTOCOL.md §4, `subscribe` and `gap`).
 *
 * `replay`: everything after `since` is held and is sent. `gap`: it cannot be served, and that is said; a snapshot
 * follows where the channel has one, else `caught_up`. `live`: nothing was asked for.
 */
export type Recovery =
  | { readonly how: 'live'; readonly snapshot: boolean }
  | { readonly how: 'replay'; readonly since: string; readonly snapshot: boolean }
  | { readonly how: 'gap'; readonly since: string; readonly snapshot: boolean };

export function decideRecovery(asked: {
  readonly since: string | undefined;
  /** Whether the journal can serve everything after `since`. */
  readonly held: boolean;
  /** Whether the channel names no type, and so has a snapshot. */
  readonly hasSnapshot: boolean;
  /** As asked for; by default with a snapshot only where no `since` was given. */
  readonly snapshot: boolean | undefined;
}): Recovery {
  const { since, held, hasSnapshot } = asked;
  const wanted = asked.snapshot ?? since === undefined;
  if (since === undefined) return { how: 'live', snapshot: wanted && hasSnapshot };
  if (held) return { how: 'replay', since, snapshot: wanted && hasSnapshot };
  return { how: 'gap', since, snapshot: hasSnapshot };
}

/**
 * Where a live subscription that falls behind is replayed from: everything that matches after it was not sent, and
 * nothing up to it was missed. Its last event alone would do too, but may be long dropped on a quiet channel.
 */
export function resumeAfter(live: {
  /** The last event that was sent, or what was named instead when it went live: the next frame's `previous`. */
  readonly sent: string;
  /** The last event that the channel has, maybe of a turn that is still being delivered. */
  readonly last: string;
  /** Everything up to here was handed to everybody. */
  readonly delivered: string;
  /** The edge's position: the end of the turn. */
  readonly position: string;
}): string {
  const { sent, last, delivered, position } = live;
  if (sent === last) return position;
  return compareCursors(sent, delivered) > 0 ? sent : delivered;
}
