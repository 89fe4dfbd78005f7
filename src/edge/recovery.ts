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
