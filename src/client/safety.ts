import { isSessionState } from '../model/fold.js';
import type { Safety, State } from '../model/session.js';
import type { View } from './status.js';
import type { Channel } from './wire.js';

/**
 * Why a consumer's own library says `unknown`, beside the reasons of PROTOCOL.md §3 that come from the relay:
 * `relay_unreachable`, `relay_blind`, `replaying`; and of a key: `not_found` (the relay has no such session),
 * `not_granted` (the token does not show it), `refused` (the relay does not serve the channel for another reason),
 * `unreadable` (something about it came that does not fit the protocol).
 */
export type ClientReason =
  | 'relay_unreachable'
  | 'relay_blind'
  | 'replaying'
  | 'not_found'
  | 'not_granted'
  | 'refused'
  | 'unreadable';

const REASONS: { readonly [V in Exclude<View, 'live'>]: ClientReason } = {
  unreachable: 'relay_unreachable',
  blind: 'relay_blind',
  replaying: 'replaying',
};

export function unknownBecause(reason: ClientReason): Safety {
  return { level: 'unknown', reasons: [reason], notes: [] };
}

/** What must be said of one session instead of what the relay said last; `undefined` where that may be believed. */
function doubt(channel: Channel, key: string): ClientReason | undefined {
  const { view, book, blindSources } = channel;
  if (view !== 'live') return REASONS[view];
  if (blindSources.size > 0 && blindSources.has(key.slice(0, key.lastIndexOf('.')))) return 'relay_blind';
  return book?.unreadable.has(key) === true ? 'unreadable' : undefined;
}

/** The safety of one session, as it may be believed now. */
export function safetyOf(channel: Channel, key: string): Safety {
  const { refused, book } = channel;
  if (refused !== undefined) return unknownBecause(refused.code === 'forbidden' ? 'not_granted' : 'refused');
  const reason = doubt(channel, key);
  if (reason !== undefined) return unknownBecause(reason);
  const state = book?.states.get(key);
  return state !== undefined && isSessionState(state) ? state.safety : unknownBecause('not_found');
}

/** The states of a channel, each with the safety that may be believed now. */
export function believedStates(channel: Channel): ReadonlyMap<string, State> {
  const { view, book, blindSources } = channel;
  const held = book?.states ?? new Map<string, State>();
  if (view === 'live' && blindSources.size === 0 && (book?.unreadable.size ?? 0) === 0) return held;
  return new Map(
    [...held].map(([key, state]) => {
      const reason = isSessionState(state) ? doubt(channel, key) : undefined;
      return [key, reason === undefined ? state : { ...state, safety: unknownBecause(reason) }];
    }),
  );
}
