import type { Bus } from '../bus/bus.js';
import { allowsChannel, type Grant } from '../model/grant.js';
import { hasSnapshot } from '../model/subject.js';
import type { SubscribeParams } from './params.js';
import { forbiddenChannel } from './queries.js';
import { decideRecovery } from './recovery.js';
import type { Replay } from './replay.js';
import type { States } from './states.js';
import { createStatesSubscription } from './states-subscription.js';
import type { EdgeStats } from './stats.js';
import { createSubscription, type Outlet, type Subscription } from './subscription.js';

/** The channels of a `subscribe`, each with the cursor that it is to go on from. Throws `forbidden`. */
export function askedOf(grant: Grant, params: SubscribeParams): Map<string, string | undefined> {
  const asked = new Map<string, string | undefined>();
  for (const entry of params.channels) {
    const { channel, since } = typeof entry === 'string' ? { channel: entry, since: params.since } : entry;
    if (!allowsChannel(grant, channel)) throw forbiddenChannel(channel);
    asked.set(channel, since);
  }
  return asked;
}

export interface SubscribingTerms {
  readonly bus: Bus;
  readonly replay: Replay;
  readonly states: States;
  readonly stats: Pick<EdgeStats, 'resumed' | 'unrecovered'>;
}

/** Takes a place in the channel; nothing is sent before it is started. */
export function beginSubscription(
  { bus, replay, states, stats }: SubscribingTerms,
  outlet: Outlet,
  { mode, pulses, snapshot }: Pick<SubscribeParams, 'mode' | 'pulses' | 'snapshot'>,
  {
    channel,
    since,
    isHeld,
  }: { readonly channel: string; readonly since: string | undefined; readonly isHeld: boolean },
): { readonly subscription: Subscription; readonly recovered: boolean } {
  const recovery = decideRecovery({ since, held: isHeld, hasSnapshot: hasSnapshot(channel), snapshot });
  const terms = { channel, recovery, pulses, outlet };
  const { channels, snapshots } = replay;
  const subscription =
    mode === 'states'
      ? createStatesSubscription({ ...terms, bus, channels, snapshots, states })
      : createSubscription({ ...terms, replay });
  const recovered = recovery.how !== 'gap';
  if (since !== undefined && recovered) stats.resumed++;
  else if (since !== undefined) stats.unrecovered++;
  return { subscription, recovered };
}
